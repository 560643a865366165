"""Notes of patient, family and professionals: DocumentReferences with a plain text, kept apart from letters."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any, Final

from fhir_server.portal.models import labels
from fhir_server.portal.models.words import LONDON, Json, spoken_day

LOINC: Final = "http://loinc.org"
CODE: Final = "51855-5"
BY_PROFESSIONAL: Final = "34109-9"
TYPE: Final = f"{LOINC}|{CODE}"
"""Search value of the type of a note of patient or family: `Patient Note`."""
EVERY_TYPE: Final = f"{TYPE},{LOINC}|{BY_PROFESSIONAL}"
"""Search value of the types of notes, whoever wrote them."""
LONGEST_TITLE: Final = 100
LONGEST: Final = 5_000


def document(title: str, text: str, label: str, *, patient: Json, author: Json, now: datetime) -> dict[str, Any]:
    """Return the DocumentReference of a note.

    Args:
        title: What it is about; its day where there is none.
        text: Its words.
        label: Code of the kind of information it is.
        patient: Reference to whose record.
        author: Reference to who wrote it.
        now: When.
    """
    content = text.encode()
    return {
        "resourceType": "DocumentReference",
        "meta": {"security": [{"system": labels.SYSTEM, "code": label}]},
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [{"system": LOINC, "code": CODE, "display": "Patient Note"}], "text": "Note"},
        "description": title or f"Note of {spoken_day(now.astimezone(LONDON).date())}",
        "subject": dict(patient),
        "date": now.isoformat(timespec="seconds"),
        "author": [dict(author)],
        "content": [
            {
                "attachment": {
                    "contentType": "text/plain",
                    "data": base64.b64encode(content).decode(),
                    "size": len(content),
                }
            }
        ],
    }


def is_note(resource: Json) -> bool:
    """Return whether a DocumentReference is a note and not a letter."""
    kind = resource.get("type")
    codings = kind.get("coding", ()) if isinstance(kind, dict) else ()
    return any(each.get("system") == LOINC and each.get("code") in {CODE, BY_PROFESSIONAL} for each in codings)
