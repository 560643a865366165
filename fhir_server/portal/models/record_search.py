"""What a search within one record found: one line each, with the page it leads to."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fhir_server.portal.models.appointment import visit
from fhir_server.portal.models.letter import letter
from fhir_server.portal.models.note import is_note
from fhir_server.portal.models.result import result
from fhir_server.portal.models.summary import SUMMARY_TYPES, summary
from fhir_server.portal.models.words import Json, Moment

TYPES: Final = ("DocumentReference", "Observation", "Appointment", *SUMMARY_TYPES)
_PAGES: Final = {
    "alerts": ("Alert", ""),
    "allergies": ("Allergy", "/allergies"),
    "medicines": ("Medicine", "/medicines"),
    "conditions": ("Condition", "/conditions"),
    "vaccinations": ("Vaccination", "/vaccinations"),
}
_MOST_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found.

    Attributes:
        kind: What it is.
        title: What it is called.
        line: More about it.
        when: Its date.
        path: Page it leads to, below the root of the record.
    """

    kind: str
    title: str
    line: str
    when: Moment | None
    path: str


def words_query(typed: str) -> str:
    """Return the value of `_content` for what a person typed: words that begin so, all of them; "" for no word."""
    plain = unicodedata.normalize("NFC", typed)
    words = "".join(char if char.isalnum() or unicodedata.combining(char) else " " for char in plain).split()
    return " ".join(f"{word}*" for word in words[:_MOST_WORDS] if word.upper() not in {"AND", "OR"})


def hits(resources: Iterable[Json]) -> tuple[Hit, ...]:
    """Return what was found, newest first within each kind; the results of one test are one hit."""
    found: dict[tuple[str, str, str], Hit] = {}
    listed = sorted(resources, key=lambda each: str((each.get("meta") or {}).get("lastUpdated", "")), reverse=True)
    for resource in listed:
        hit = _hit(resource)
        if hit is not None:
            key = (hit.kind, hit.path, hit.title)
            known = found.get(key)
            if known is None or (hit.when and (known.when is None or hit.when.at > known.when.at)):
                found[key] = hit
    dated = sorted(found.values(), key=lambda each: each.when.at.timestamp() if each.when else 0.0, reverse=True)
    return tuple(dated)


def _hit(resource: Json) -> Hit | None:
    kind = resource.get("resourceType")
    if kind == "DocumentReference":
        shown = letter(resource)
        return Hit(
            "Note" if is_note(resource) else "Letter", shown.title, shown.source, shown.sent, f"/letters/{shown.id}"
        )
    if kind == "Observation":
        test = result(resource)
        if resource.get("status") == "entered-in-error" or not test.page:
            return None
        name = "Measurement" if test.vital else "Test result"
        return Hit(name, test.name, test.value, test.taken, test.page)
    if kind == "Appointment":
        appointment = visit(resource)
        return Hit("Appointment", appointment.title, appointment.status, appointment.start, "/appointments")
    return _clinical(resource)


def _clinical(resource: Json) -> Hit | None:
    sorted_out = summary((resource,))
    for pile, (kind, path) in _PAGES.items():
        for entry in getattr(sorted_out, pile):
            return Hit(kind, entry.name, entry.detail or entry.tag, entry.since, path)
    return None
