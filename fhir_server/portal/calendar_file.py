"""Appointments as iCalendar (RFC 5545): one as a file for a phone, or all as a feed that a calendar asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from icalendar import Calendar, Event

from fhir_server.identity.calendar_links import Detail
from fhir_server.portal.models.appointment import Visit
from fhir_server.portal.models.words import listed_names

_PRODUCT: Final = "-//fhir-server//portal//EN"
_PLAIN: Final = "Appointment"


def calendar(visit: Visit, now: datetime) -> bytes | None:
    """Return the calendar file of an appointment, None while it has no time."""
    if visit.start is None:
        return None
    event = _event(visit, f"{visit.id}@fhir-server.example.org", now)
    _describe(event, visit)
    return _whole((event,))


def feed(visits: Iterable[Visit], detail: Detail, link_id: str, now: datetime) -> bytes:
    """Return the calendar of all appointments that have a time.

    INVARIANT: the calendar's maker reads it, too. An event says when, and besides only what the person chose; not even
    the id of an appointment, which may name a clinic.
    """
    events: list[Event] = []
    for visit in visits:
        if visit.start is None:
            continue
        uid = hashlib.sha256(f"{link_id}/{visit.id}".encode()).hexdigest()[:32]
        event = _event(visit, f"{uid}@fhir-server.example.org", now)
        if detail is Detail.ALL:
            _describe(event, visit)
        else:
            event.add("summary", _PLAIN)
        if detail is Detail.PLACE and visit.places:
            event.add("location", visit.places[0])
        events.append(event)
    return _whole(events, name="Appointments")


def _event(visit: Visit, uid: str, now: datetime) -> Event:
    if visit.start is None:
        raise ValueError("an appointment without a time is no event")
    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", now)
    event.add("dtstart", visit.start.at)
    event.add("dtend", visit.end.at if visit.end else visit.start.at + timedelta(minutes=30))
    event.add("status", "CANCELLED" if visit.called_off else "CONFIRMED")
    return event


def _describe(event: Event, visit: Visit) -> None:
    event.add("summary", visit.title)
    if visit.places:
        event.add("location", visit.places[0])
    notes = [f"With {listed_names(visit.people)}." if visit.people else "", visit.instructions, visit.comment]
    if any(notes):
        event.add("description", "\n".join(filter(None, notes)))


def _whole(events: Iterable[Event], name: str = "") -> bytes:
    whole = Calendar()
    whole.add("prodid", _PRODUCT)
    whole.add("version", "2.0")
    whole.add("method", "PUBLISH")
    if name:
        whole.add("x-wr-calname", name)
    for event in events:
        whole.add_component(event)
    content: bytes = whole.to_ical()
    return content
