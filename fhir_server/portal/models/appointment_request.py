"""What a patient asks of whoever booked an appointment: another time, or not to come. Only they change the booking.

A Communication of the patient's, with the appointment in `about`; it carries the privacy label of the appointment, so
that nobody learns of one from the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_server.portal.models import labels
from fhir_server.portal.models.words import Json, Moment, code_of, display, first, items, moment, reference

SYSTEM: Final = "https://fhir-server.example.org/CodeSystem/appointment-request"
LONGEST: Final = 500
KINDS: Final = {"change": "Asked for another time", "cancel": "Asked to cancel"}
"""Code of a request, and what the appointment says of it."""
_TITLES: Final = {"change": "Please change this appointment", "cancel": "Please cancel this appointment"}
_RECIPIENTS: Final = frozenset({"Practitioner", "PractitionerRole", "HealthcareService", "Organization"})
_TAKEN_BACK: Final = frozenset({"stopped", "not-done", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that stands.

    Attributes:
        id: Logical id of the Communication.
        appointment_id: Logical id of the Appointment.
        words: What was asked.
        message: What was written.
        sent: When.
        by: Who asked.
        version: Version of the Communication.
    """

    id: str
    appointment_id: str
    words: str
    message: str
    sent: Moment | None
    by: str
    version: str


def communication(kind: str, message: str, appointment: Json, *, patient: Json, sender: Json, now: datetime) -> Json:
    """Return the Communication that asks for a change of an appointment."""
    to = [each for each in _actors(appointment) if reference(each).partition("/")[0] in _RECIPIENTS]
    label = labels.of_resource(appointment)
    marks: list[Json] = [{"system": labels.SYSTEM, "code": each.code} for each in label]
    marks += [tag for tag in items(appointment.get("meta") or {}, "security") if tag.get("system") != labels.SYSTEM]
    found: dict[str, Any] = {
        "resourceType": "Communication",
        # Without a label of its own an appointment has that of its clinic, which nobody but the server works out.
        "meta": {"security": marks} if label else {},
        "status": "completed",
        "category": [{"coding": [{"system": SYSTEM, "code": kind}], "text": _TITLES[kind]}],
        "subject": dict(patient),
        "about": [{"reference": f"Appointment/{appointment['id']}"}],
        "sent": now.isoformat(timespec="seconds"),
        "recipient": [{"reference": reference(each), "display": display(each)} for each in to],
        "sender": dict(sender),
        "payload": [{"contentString": message}] if message else [],
    }
    return {key: value for key, value in found.items() if value}


def professionals(appointment: Json) -> tuple[str, ...]:
    """Return the literal references of the professionals of an appointment: who is told of a request."""
    found = (reference(each) for each in _actors(appointment))
    return tuple(dict.fromkeys(each for each in found if each.startswith("Practitioner/")))


def standing(communications: Iterable[Json]) -> dict[str, Asked]:
    """Return the newest request of each appointment that was not taken back, by the id of the appointment."""
    found: dict[str, Asked] = {}
    for resource in sorted(communications, key=lambda each: str(each.get("sent", ""))):
        asked = _asked(resource)
        if asked is not None:
            found[asked.appointment_id] = asked
    return found


def _asked(resource: Json) -> Asked | None:
    kind = first(code_of(entry, SYSTEM) for entry in items(resource, "category"))
    about = first(reference(entry) for entry in items(resource, "about"))
    if kind not in KINDS or resource.get("status") in _TAKEN_BACK or not about.startswith("Appointment/"):
        return None
    meta = resource.get("meta") or {}
    return Asked(
        id=str(resource.get("id", "")),
        appointment_id=about.partition("/")[2],
        words=KINDS[kind],
        message=first(str(entry.get("contentString", "")) for entry in items(resource, "payload")),
        sent=moment(resource.get("sent")),
        by=display(resource.get("sender")),
        version=str(meta.get("versionId", "")),
    )


def taken_back(resource: Json) -> dict[str, Any]:
    """Return the next version of a Communication whose request is taken back."""
    return {**resource, "status": "stopped"}


def _actors(appointment: Json) -> list[Json]:
    found = [entry.get("actor") for entry in items(appointment, "participant")]
    return [actor for actor in found if isinstance(actor, dict)]
