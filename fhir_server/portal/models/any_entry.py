"""Any entry of a record in a line: what it is, from when and whom, and its kind of information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fhir_server import web
from fhir_server.portal.models.labels import Label, of_resource
from fhir_server.portal.models.letter import letter
from fhir_server.portal.models.words import Json, Moment, concept, concepts, display, first, items, moment

TYPES: Final = {
    "DocumentReference": "Letter",
    "Observation": "Result or measurement",
    "DiagnosticReport": "Test report",
    "Appointment": "Appointment",
    "Encounter": "Visit",
    "Condition": "Health condition",
    "MedicationRequest": "Prescription",
    "MedicationStatement": "Medicine",
    "AllergyIntolerance": "Allergy",
    "Immunization": "Vaccination",
    "Procedure": "Procedure",
    "CarePlan": "Care plan",
}
"""Types whose entries have pages of their own about who sees them."""
_TITLES: Final = ("code", "medicationCodeableConcept", "vaccineCode", "appointmentType")
_DATES: Final = (
    "effectiveDateTime", "effectiveInstant", "issued", "start", "date", "onsetDateTime", "authoredOn",
    "occurrenceDateTime", "recordedDate", "performedDateTime", "dateAsserted", "created",
)  # fmt: skip
_SOURCES: Final = ("custodian", "performer", "author", "recorder", "requester", "asserter", "informationSource")


@dataclass(frozen=True, slots=True)
class AnyEntry:
    """One entry.

    Attributes:
        reference: Literal reference.
        kind: What kind of entry it is, in English words.
        title: What it is called.
        at: When, None where it does not say.
        source: From whom, "" where it does not say.
        label: Kind of information, None where nobody said, or several did.
        is_chosen: Whether the patient chose the label.
    """

    reference: str
    kind: str
    title: str
    at: Moment | None
    source: str
    label: Label | None
    is_chosen: bool


def any_entry(resource: Json) -> AnyEntry:
    """Return an entry of a record in words."""
    kind = str(resource.get("resourceType"))
    labels = of_resource(resource)
    meta = resource.get("meta")
    security = items(meta, "security") if isinstance(meta, dict) else []
    if kind == "DocumentReference":
        shown = letter(resource)
        title, at, source = shown.title, shown.sent, shown.source
    else:
        title = first([*(concept(resource.get(name)) for name in _TITLES), concepts(resource.get("type"))])
        at = next(filter(None, (moment(resource.get(name)) for name in _DATES)), None)
        source = first(_name(resource.get(name)) for name in _SOURCES)
    return AnyEntry(
        reference=f"{kind}/{resource.get('id', '')}",
        kind=TYPES.get(kind, "Entry"),
        title=title or web.say(TYPES.get(kind, "Entry")),
        at=at,
        source=source,
        label=labels[0] if len(labels) == 1 else None,
        is_chosen=any(tag.get("userSelected") is True for tag in security),
    )


def _name(value: object) -> str:
    if isinstance(value, list):
        return first(display(each.get("actor", each) if isinstance(each, dict) else each) for each in value)
    return display(value)
