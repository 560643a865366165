"""A record as the gate sees it, stored: what both faces of the gate are compared on."""

from __future__ import annotations

from fhir_server.access.verdict import Record
from fhir_server.store import resources
from fhir_server.store.database import Session
from fhir_server.store.keys import key_of_reference
from fhir_server.store.resources import NewVersion


def put(session: Session, record: Record, name: str, version: int = 1) -> None:
    """Store a version of this name without content, with the index rows that the gate looks into."""
    key, (kind, _, logical_id) = key_of_reference(name), name.partition("/")
    tokens = [
        (key, param, 0, item, code, system, "", 0, None)
        for item, found in ((0, record.tokens), (-1, record.contained))
        for param, system, code in found
    ]
    references = [(key, param, 0, 0, target, 0, 0) for param, target in record.references]
    resources.put(
        session,
        NewVersion(
            key=key,
            type=kind,
            id=logical_id,
            version=version,
            updated_at=1,
            content=b"{}",
            patients=record.patients,
            label=record.label,
            confidentiality=record.confidentiality,
            author=record.author,
            context=record.subject.key if record.subject else 0,
            released_at=record.released_at,
            date_lo=record.dates[0] if record.dates else None,
            date_hi=record.dates[1] if record.dates else None,
            index={"index_token": tokens, "index_reference": references},
        ),
    )
