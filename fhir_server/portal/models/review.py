"""Reviews of emergency access as the privacy office sees them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhir_server.portal.models.accesses import Access
from fhir_server.portal.models.words import Json, Moment, code_of, display, first, items, moment, reference

OPEN: Final = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold", "draft"})
VERDICTS: Final = {
    "appropriate": ("Appropriate", "green"),
    "inappropriate": ("Not appropriate", "red"),
    "enquiry": ("Under enquiry", "orange"),
}
FLAGS: Final = {
    "own-record": "The professional tried to open their own record. It was refused",
    "same-surname": "The professional and the patient share a surname",
    "same-address": "The professional and the patient have the same address",
    "repeated-use": "The professional used emergency access 3 times or more in 7 days",
    "same-patient-again": "The professional opened the same record in the 7 days before",
    "no-visit": "The patient's visits were to other organisations",
}
REASONS: Final = {
    "ETREAT": "Emergency treatment",
    "PATSFTY": "To prevent serious harm",
    "COC": "Urgent care that cannot wait",
}


@dataclass(frozen=True, slots=True)
class Note:
    """What a privacy officer wrote on closing."""

    who: str
    at: Moment | None
    text: str


@dataclass(frozen=True, slots=True)
class Review:
    """One emergency access to be judged.

    Attributes:
        id: Id of the Task.
        who: Who used it.
        practitioner: Their literal reference.
        organization: For whom.
        patient_id: Logical id of the patient.
        started: When.
        due: By when it is to be judged.
        code: The reason chosen, in words.
        reason: What was given as reason.
        flags: What is unusual, in words.
        refused: Whether nothing was opened.
        state: Where the review stands.
        tone: Colour of the state.
        open: Whether it still waits.
        overdue: Whether it waits for too long.
        final: Whether nothing more is to be said.
        notes: What was written on closing, oldest first.
    """

    id: str
    who: str
    practitioner: str
    organization: str
    patient_id: str
    started: Moment | None
    due: Moment | None
    code: str
    reason: str
    flags: tuple[str, ...]
    refused: bool
    state: str
    tone: str
    open: bool
    overdue: bool
    final: bool
    notes: tuple[Note, ...]


def event_id(task: Json) -> str:
    """Return the id of the AuditEvent that a review is about, "" where the access was refused."""
    return reference(task.get("focus")).partition("/")[2]


def review(task: Json, event: Access | None, names: dict[str, str], now: datetime) -> Review:
    """Return the Task of an emergency access, and the event it is about, as pages show them."""
    restriction = task.get("restriction")
    period = restriction.get("period") if isinstance(restriction, dict) else None
    due = moment(period.get("end")) if isinstance(period, dict) else None
    practitioner = reference(task.get("requester"))
    is_open = task.get("status") in OPEN
    overdue = is_open and due is not None and due.at < now
    verdict = code_of(task.get("businessStatus"))
    waiting = ("Overdue", "red") if overdue else ("Waiting for review", "blue")
    state, tone = waiting if is_open else VERDICTS.get(verdict, ("Closed", "grey"))
    return Review(
        id=str(task.get("id", "")),
        who=first((event.who if event else "", names.get(practitioner, ""), practitioner, "Not recorded")),
        practitioner=practitioner,
        organization=event.organization if event else "",
        patient_id=reference(task.get("for")).partition("/")[2],
        started=moment(task.get("authoredOn")),
        due=due,
        code=REASONS.get(code_of(task.get("reasonCode")), code_of(task.get("reasonCode"))),
        reason=str(task.get("description") or "") or (event.reason if event else ""),
        flags=tuple(FLAGS.get(code, code) for code in map(_flag, items(task, "input")) if code),
        refused=not event_id(task),
        state=state,
        tone=tone,
        open=is_open,
        overdue=overdue,
        final=not is_open and verdict != "enquiry",
        notes=tuple(_note(entry) for entry in items(task, "note")),
    )


def _note(entry: Json) -> Note:
    return Note(display(entry.get("authorReference")), moment(entry.get("time")), str(entry.get("text", "")))


def _flag(entry: Json) -> str:
    return code_of(entry.get("valueCodeableConcept"))
