"""What a patient asked about entries of the access log, and the Task of it, as pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fhir_server.portal.models.accesses import Access
from fhir_server.portal.models.review import OPEN
from fhir_server.portal.models.words import Json, Moment, code_of, items, moment, reference

CODE: Final = "review-disputed-access"
LONGEST_TEXT: Final = 2000
VERDICTS: Final = {
    "appropriate": ("The access was right", "green"),
    "inappropriate": ("It should not have happened", "red"),
    "enquiry": ("Still looking into it", "orange"),
}
_WAITING: Final = ("Waiting for an answer", "blue")


@dataclass(frozen=True, slots=True)
class Question:
    """A question as its patient sees it.

    Attributes:
        event_id: Id of the AuditEvent.
        asked: When.
        text: What the patient wrote.
        state: Where it stands, in words.
        tone: Colour of the state.
        answers: What the privacy officer answered, oldest first.
        answered: When, None while it waits.
        about: The access, None where it is not at hand.
    """

    event_id: str
    asked: Moment | None
    text: str
    state: str
    tone: str
    answers: tuple[str, ...]
    answered: Moment | None
    about: Access | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A question as the privacy office sees it.

    Attributes:
        id: Id of the Task.
        event_id: Id of the AuditEvent.
        patient_id: Logical id of the patient.
        text: What the patient wrote.
        asked: When.
        due: By when it is to be answered.
        state: Where it stands, in words.
        tone: Colour of the state.
        overdue: Whether it waits for too long.
        final: Whether nothing more is to be said.
        answers: What was answered, oldest first.
        about: The access, None where it cannot be found.
    """

    id: str
    event_id: str
    patient_id: str
    text: str
    asked: Moment | None
    due: Moment | None
    state: str
    tone: str
    overdue: bool
    final: bool
    answers: tuple[str, ...]
    about: Access | None


def event_ids(document: Json) -> tuple[str, ...]:
    """Return the ids of the AuditEvents that the answer of `$access-disputes` names."""
    return tuple(_event_id(_parts(entry)) for entry in items(document, "parameter"))


def questions(document: Json, known: Mapping[str, Access]) -> tuple[Question, ...]:
    """Return the answer of `$access-disputes` as pages show it; `known` are accesses by the id of their event."""
    return tuple(_question(_parts(entry), known) for entry in items(document, "parameter"))


def dispute(task: Json, known: Mapping[str, Access], now: datetime) -> Dispute:
    """Return the Task of a question as pages show it."""
    restriction = task.get("restriction")
    period = restriction.get("period") if isinstance(restriction, dict) else None
    due = moment(period.get("end")) if isinstance(period, dict) else None
    is_open = task.get("status") in OPEN
    overdue = is_open and due is not None and due.at < now
    verdict = code_of(task.get("businessStatus"))
    state, tone = ("Overdue", "red") if overdue else VERDICTS.get(verdict, _WAITING)
    event_id = reference(task.get("focus")).partition("/")[2]
    return Dispute(
        id=str(task.get("id", "")),
        event_id=event_id,
        patient_id=reference(task.get("for")).partition("/")[2],
        text=str(task.get("description") or ""),
        asked=moment(task.get("authoredOn")),
        due=due,
        state=state,
        tone=tone,
        overdue=overdue,
        final=not is_open and verdict != "enquiry",
        answers=tuple(str(each.get("valueString", "")) for each in items(task, "output")),
        about=known.get(event_id),
    )


def _question(parts: Mapping[str, list[Any]], known: Mapping[str, Access]) -> Question:
    event_id = _event_id(parts)
    state, tone = VERDICTS.get(_only(parts, "outcome"), _WAITING)
    return Question(
        event_id=event_id,
        asked=moment(_only(parts, "asked")),
        text=_only(parts, "text"),
        state=state,
        tone=tone,
        answers=tuple(map(str, parts.get("answer", ()))),
        answered=moment(_only(parts, "answered")),
        about=known.get(event_id),
    )


def _parts(entry: Json) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for part in items(entry, "part"):
        values: Iterable[Any] = (value for name, value in part.items() if name.startswith("value"))
        found.setdefault(str(part.get("name")), []).extend(values)
    return found


def _only(parts: Mapping[str, list[Any]], name: str) -> str:
    return str(next(iter(parts.get(name, ())), ""))


def _event_id(parts: Mapping[str, list[Any]]) -> str:
    return reference(next(iter(parts.get("event", ())), None)).partition("/")[2]
