"""One appointment as an iCalendar file (RFC 5545), for the calendar on a phone."""

from __future__ import annotations

from datetime import datetime, timedelta

from icalendar import Calendar, Event

from fhir_server.portal.models.appointment import Visit
from fhir_server.portal.models.words import listed

_PRODUCT = "-//fhir-server//portal//EN"


def calendar(visit: Visit, now: datetime) -> bytes | None:
    """Return the calendar file of an appointment, None while it has no time."""
    if visit.start is None:
        return None
    event = Event()
    event.add("uid", f"{visit.id}@fhir-server.example.org")
    event.add("dtstamp", now)
    event.add("dtstart", visit.start.at)
    event.add("dtend", visit.end.at if visit.end else visit.start.at + timedelta(minutes=30))
    event.add("summary", visit.title)
    event.add("status", "CANCELLED" if visit.called_off else "CONFIRMED")
    if visit.places:
        event.add("location", visit.places[0])
    notes = [f"With {listed(visit.people)}." if visit.people else "", visit.instructions, visit.comment]
    if any(notes):
        event.add("description", "\n".join(filter(None, notes)))
    whole = Calendar()
    whole.add("prodid", _PRODUCT)
    whole.add("version", "2.0")
    whole.add("method", "PUBLISH")
    whole.add_component(event)
    content: bytes = whole.to_ical()
    return content
