"""Where a professional works: the organisations that they have a role in now, of which they work for one at a time."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from fhir_server.access.closure import closure
from fhir_server.identity import staff_directory
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us


class Workplace(NamedTuple):
    """An organisation."""

    reference: str
    name: str


def of(session: Session, practitioner: str, now: datetime) -> tuple[Workplace, ...]:
    """Return the organisations in the directory that somebody has a role in now, by name."""
    found = closure(session, practitioner, to_us(now))
    references = (f"Organization/{each}" for each in found.organization_ids.values())
    named = (Workplace(each, staff_directory.name_of(session, each) or each) for each in references)
    return tuple(sorted(named, key=lambda each: (each.name.casefold(), each.reference)))
