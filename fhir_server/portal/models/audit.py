"""AuditEvents grouped into visits, as the access log lists them.

A visit is everything that one person did through one app on one day. Emergencies come first; what the patient did
herself is kept apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server import web
from fhir_server.portal.models.accesses import DETAILS, REVIEWED, SOUGHT, STARTED, Access, access
from fhir_server.portal.models.words import Json, first, listed

_TRIED: Final = {"Looked at": "Tried to see", "Added": "Tried to add", "Changed": "Tried to change"}


@dataclass(frozen=True, slots=True)
class LogVisit:
    """What one person did through one app on one day.

    Attributes:
        day: Day in words.
        weekday: Day of the week.
        iso: First instant, for `<time>`.
        hours: `9:30am to 9:45am`.
        who: Name.
        organization: For whom.
        app: Program.
        why: Purpose in words.
        reasons: Reasons given for an emergency access.
        lines: What was done, one sentence per verb.
        emergency: Whether it was an emergency access.
        review: Whether it was the review of one.
        refused: Whether everything was refused.
        own: Whether it was the patient.
        ids: Ids of its AuditEvents, newest first.
    """

    day: str
    weekday: str
    iso: str
    hours: str
    who: str
    organization: str
    app: str
    why: str
    reasons: tuple[str, ...]
    lines: tuple[str, ...]
    emergency: bool
    review: bool
    refused: bool
    own: bool
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    """The access log as the page shows it.

    Attributes:
        emergencies: Emergency accesses, newest first.
        others: Everybody else, newest first.
        own: The patient herself, newest first.
    """

    emergencies: tuple[LogVisit, ...]
    others: tuple[LogVisit, ...]
    own: tuple[LogVisit, ...]


def log(events: Iterable[Json], patient: str, names: Mapping[str, str]) -> Log:
    """Group AuditEvents that come newest first into visits."""
    groups: dict[tuple[Any, ...], list[Access]] = {}
    for event in events:
        entry = access(event, patient, names)
        day = entry.at.local.date() if entry.at else None
        groups.setdefault((day, entry.actor or entry.who, entry.app, entry.emergency), []).append(entry)
    visits = [_visit(entries) for entries in groups.values()]
    return Log(
        emergencies=tuple(entry for entry in visits if entry.emergency),
        others=tuple(entry for entry in visits if not entry.emergency and not entry.own),
        own=tuple(entry for entry in visits if not entry.emergency and entry.own),
    )


def _visit(entries: list[Access]) -> LogVisit:
    newest, oldest = entries[0], entries[-1]
    times = list(dict.fromkeys(entry.at.time for entry in (oldest, newest) if entry.at and entry.at.time))
    return LogVisit(
        day=newest.at.day if newest.at else web.say("Time not known"),
        weekday=newest.at.weekday if newest.at else "",
        iso=oldest.at.iso if oldest.at else "",
        hours=f" {web.say('to')} ".join(times),
        who=newest.who,
        organization=first(entry.organization for entry in entries),
        app=newest.app,
        why=first(entry.why for entry in entries),
        reasons=tuple(dict.fromkeys(entry.reason for entry in entries if entry.reason)),
        lines=_lines(entries),
        emergency=newest.emergency,
        review=all(entry.action.startswith(REVIEWED) for entry in entries),
        refused=all(entry.refused for entry in entries),
        own=newest.own,
        ids=tuple(entry.id for entry in entries),
    )


def _lines(entries: list[Access]) -> tuple[str, ...]:
    done: dict[str, dict[str, None]] = {}
    for entry in reversed(entries):
        verb = entry.action
        if entry.refused:
            verb = f"{_TRIED.get(verb, verb)} … and was refused"
        done.setdefault(verb, {}).update(dict.fromkeys(entry.information))
    if STARTED in done:
        done.pop(SOUGHT, None)
    return tuple(_sentence(verb, tuple(information)) for verb, information in done.items())


def _sentence(verb: str, information: tuple[str, ...]) -> str:
    # Every page also reads who the person is: worth saying only where nothing else was read.
    told = [kind for kind in information if kind != DETAILS] or list(information)
    done, _, end = verb.partition(" … ")
    return " ".join(filter(None, (web.say(done), listed([web.say(kind) for kind in told]), web.say(end))))
