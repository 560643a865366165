"""What a patient asks about an appointment, as the organisation that booked it hears of it: its Task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fhir_server.portal.models.appointment_request import ANSWERS, KINDS, SYSTEM
from fhir_server.portal.models.words import Json, Moment, code_of, display, first, items, moment, reference

CODE: Final = f"{SYSTEM}|"
"""Search value: Tasks of this kind."""
_CLOSED: Final = {"cancelled": ("Taken back", "grey")}
_NO_LONGER: Final = ("Closed", "grey")


@dataclass(frozen=True, slots=True)
class BookingRequest:
    """A request to the organisation.

    Attributes:
        id: Logical id of the Task.
        words: What was asked.
        name, born: Who the patient is.
        start: When the appointment begins.
        people: With whom and where, as the booking says.
        bookings: The booking's own numbers.
        message: What was written.
        sent, by: When it was asked, and by whom.
        waits: Nobody has answered yet.
        state, tone: What became of it, with the colour of the tag.
    """

    id: str
    words: str
    name: str
    born: str
    start: Moment | None
    people: tuple[str, ...]
    bookings: tuple[str, ...]
    message: str
    sent: Moment | None
    by: str
    waits: bool
    state: str
    tone: str


def booking_request(task: Json) -> BookingRequest | None:
    """Return a Task as pages show it, None where it is of another kind."""
    kind = code_of(task.get("code"), SYSTEM)
    if kind not in KINDS:
        return None
    status = str(task.get("status", ""))
    waits = status == "requested"
    answer = code_of(task.get("businessStatus"), SYSTEM)
    state, tone = ("Waiting", "yellow") if waits else ANSWERS.get(answer) or _CLOSED.get(status, _NO_LONGER)
    born = moment(first(_inputs(task, "birth-date", "valueDate")))
    name = display(task.get("for"))
    asker = task.get("requester")
    return BookingRequest(
        id=str(task.get("id", "")),
        words=KINDS[kind],
        name=name,
        born=born.day if born else "",
        start=moment(first(_inputs(task, "start", "valueDateTime"))),
        people=_inputs(task, "with", "valueString"),
        bookings=tuple(
            str(each["valueIdentifier"].get("value", ""))
            for each in _typed(task, "booking")
            if isinstance(each.get("valueIdentifier"), dict)
        ),
        message=first(_inputs(task, "message", "valueString")),
        sent=moment(task.get("authoredOn")),
        by="" if reference(asker).startswith("Patient/") else display(asker),
        waits=waits,
        state=state,
        tone=tone,
    )


def in_order(tasks: Iterable[Json], now: datetime) -> tuple[BookingRequest, ...]:
    """Return the requests about appointments ahead, the one that comes first on top."""
    found = (booking_request(task) for task in tasks)
    ahead = ((each.start.at, each) for each in found if each is not None and each.start and each.start.at > now)
    return tuple(each for _, each in sorted(ahead, key=lambda pair: pair[0]))


def _inputs(task: Json, code: str, element: str) -> tuple[str, ...]:
    return tuple(str(each.get(element, "")) for each in _typed(task, code))


def _typed(task: Json, code: str) -> list[Json]:
    return [each for each in items(task, "input") if code_of(each.get("type"), SYSTEM) == code]
