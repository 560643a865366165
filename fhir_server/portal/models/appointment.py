"""Appointments as people speak of them: when, what for, with whom, where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fhir_server import web
from fhir_server.portal.models.words import Json, Moment, concept, concepts, displays, first, items, moment, reference

_STATUS: Final = {
    "proposed": ("Proposed", "yellow"),
    "pending": ("Waiting for confirmation", "yellow"),
    "booked": ("Booked", "green"),
    "arrived": ("You have arrived", "blue"),
    "checked-in": ("Checked in", "blue"),
    "fulfilled": ("Attended", "grey"),
    "cancelled": ("Cancelled", "red"),
    "noshow": ("Missed", "orange"),
    "entered-in-error": ("Entered by mistake", "red"),
    "waitlist": ("On the waiting list", "yellow"),
}
CALLED_OFF: Final = frozenset({"cancelled", "entered-in-error", "noshow"})


@dataclass(frozen=True, slots=True)
class Visit:
    """An Appointment as pages show it.

    Attributes:
        id: Logical id.
        title: What it is for.
        start: When it begins, None while no time is fixed.
        end: When it ends, None where unknown.
        status: Status in words.
        tone: Colour of the tag.
        called_off: Whether nobody is expected.
        people: Professionals.
        places: Locations.
        reason: Why, in words.
        instructions: What the patient should do.
        comment: Anything added to it.
    """

    id: str
    title: str
    start: Moment | None
    end: Moment | None
    status: str
    tone: str
    called_off: bool
    people: tuple[str, ...]
    places: tuple[str, ...]
    reason: str
    instructions: str
    comment: str


@dataclass(frozen=True, slots=True)
class Diary:
    """Appointments in two piles.

    Attributes:
        upcoming: Soonest first.
        past: Newest first.
    """

    upcoming: tuple[Visit, ...]
    past: tuple[Visit, ...]


def visit(resource: Json) -> Visit:
    """Return an Appointment resource as pages show it."""
    code = str(resource.get("status", ""))
    status, tone = _STATUS.get(code, (code.capitalize() or "Status not recorded", "grey"))
    return Visit(
        id=str(resource.get("id", "")),
        title=first(
            (
                str(resource.get("description") or ""),
                concepts(resource.get("serviceType")),
                concepts(resource.get("specialty")),
                concept(resource.get("appointmentType")),
                web.say("Appointment"),
            )
        ),
        start=moment(resource.get("start")),
        end=moment(resource.get("end")),
        status=status,
        tone=tone,
        called_off=code in CALLED_OFF,
        people=_participants(resource, "Practitioner", "PractitionerRole"),
        places=_participants(resource, "Location", "HealthcareService"),
        reason=concepts(resource.get("reasonCode")),
        instructions=str(resource.get("patientInstruction") or ""),
        comment=str(resource.get("comment") or ""),
    )


def _participants(resource: Json, *types: str) -> tuple[str, ...]:
    actors = [entry.get("actor") for entry in items(resource, "participant")]
    return displays([actor for actor in actors if reference(actor).partition("/")[0] in types])


def diary(resources: Iterable[Json], now: datetime) -> Diary:
    """Sort appointments into upcoming (soonest first, undated last) and past (newest first)."""
    visits = [visit(resource) for resource in resources]
    upcoming = [entry for entry in visits if _ends_at(entry, now) >= now]
    past = [entry for entry in visits if _ends_at(entry, now) < now]
    far = datetime.max.replace(tzinfo=UTC)
    return Diary(
        tuple(sorted(upcoming, key=lambda entry: entry.start.at if entry.start else far)),
        tuple(sorted(past, key=lambda entry: entry.start.at if entry.start else far, reverse=True)),
    )


def _ends_at(entry: Visit, now: datetime) -> datetime:
    if entry.end:
        return entry.end.at
    return entry.start.at + timedelta(hours=1) if entry.start else now
