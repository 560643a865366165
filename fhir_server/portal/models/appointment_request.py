"""What a patient asks of whoever booked an appointment: another time, or not to come. Only they change the booking.

A Communication of the patient's, with the appointment in `about`; it carries the privacy label of the appointment, so
that nobody learns of one from the other. The answer is a Communication of a professional's, `inResponseTo` the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from fhir_server.access.ownership import APPOINTMENT_REQUEST
from fhir_server.interactions.appointment_requests import answer_identifier
from fhir_server.portal.models import labels
from fhir_server.portal.models.words import Json, Moment, code_of, display, first, items, moment, reference

SYSTEM: Final = APPOINTMENT_REQUEST
LONGEST: Final = 500
KINDS: Final = {"change": "Asked for another time", "cancel": "Asked to cancel"}
"""Code of a request, and what the appointment says of it."""
_TITLES: Final = {"change": "Please change this appointment", "cancel": "Please cancel this appointment"}
ANSWERS: Final = {
    "accepted": ("Agreed", "green"),
    "another-time": ("Another time offered", "blue"),
    "declined": ("Not possible", "red"),
}
"""Code of an answer, what the appointment says of it, and its colour."""
_RECIPIENTS: Final = frozenset({"Practitioner", "PractitionerRole", "HealthcareService", "Organization"})
_TAKEN_BACK: Final = frozenset({"stopped", "not-done", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a professional answered: in words, with the colour of the tag; their message, who they are, and when."""

    words: str
    tone: str
    message: str
    by: str
    sent: Moment | None


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
        patient: Literal reference of whose appointment it is.
        answer: What came back, None while it waits.
    """

    id: str
    appointment_id: str
    words: str
    message: str
    sent: Moment | None
    by: str
    version: str
    patient: str = ""
    answer: Answer | None = None


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


def reply(
    verdict: str, message: str, request: Json, *, by: Json, version: str, now: datetime
) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """Return the Communication that answers a request, and the search that finds one already there.

    Args:
        verdict: Code of `ANSWERS`.
        message: What the patient is told.
        request: The Communication that asked; the answer carries its labels.
        by: Reference to the professional.
        version: Of the request, so that a request changed meanwhile is answered anew.
        now: When.
    """
    name = answer_identifier(request["id"], version)
    marks = items(request.get("meta") or {}, "security")
    found: dict[str, Any] = {
        "resourceType": "Communication",
        "meta": {"security": [dict(mark) for mark in marks]} if marks else {},
        "identifier": [name],
        "inResponseTo": [{"reference": f"Communication/{request['id']}"}],
        "status": "completed",
        "category": [{"coding": [{"system": SYSTEM, "code": verdict}], "text": ANSWERS[verdict][0]}],
        "subject": dict(request["subject"]),
        "about": [dict(each) for each in items(request, "about")],
        "sent": now.isoformat(timespec="seconds"),
        "recipient": [dict(request["subject"])],
        "sender": dict(by),
        "payload": [{"contentString": message}] if message else [],
    }
    same = (("patient", reference(request["subject"])), ("identifier", f"{SYSTEM}|{name['value']}"))
    return {key: value for key, value in found.items() if value}, same


def standing(communications: Iterable[Json]) -> dict[str, Asked]:
    """Return the newest request of each appointment that was not taken back, by the id of the appointment."""
    found: dict[str, Asked] = {}
    answers: dict[str, Answer] = {}
    for resource in sorted(communications, key=lambda each: str(each.get("sent", ""))):
        asked = _asked(resource)
        if asked is not None:
            found[asked.appointment_id] = asked
        elif (answer := _answer(resource)) is not None:
            answers[first(reference(each) for each in items(resource, "inResponseTo"))] = answer
    return {
        appointment: replace(asked, answer=answers.get(f"Communication/{asked.id}"))
        for appointment, asked in found.items()
    }


def _answer(resource: Json) -> Answer | None:
    kind = first(code_of(entry, SYSTEM) for entry in items(resource, "category"))
    if kind not in ANSWERS or resource.get("status") in _TAKEN_BACK:
        return None
    words, tone = ANSWERS[kind]
    return Answer(words, tone, _message(resource), display(resource.get("sender")), moment(resource.get("sent")))


def _message(resource: Json) -> str:
    return first(str(entry.get("contentString", "")) for entry in items(resource, "payload"))


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
        message=_message(resource),
        sent=moment(resource.get("sent")),
        by=display(resource.get("sender")),
        version=str(meta.get("versionId", "")),
        patient=reference(resource.get("subject")),
    )


def taken_back(resource: Json) -> dict[str, Any]:
    """Return the next version of a Communication whose request is taken back."""
    return {**resource, "status": "stopped"}


def _actors(appointment: Json) -> list[Json]:
    found = [entry.get("actor") for entry in items(appointment, "participant")]
    return [actor for actor in found if isinstance(actor, dict)]
