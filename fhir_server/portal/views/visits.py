"""What is new to the person who reads: what arrived since they were here before."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from fhir_server.identity import reading
from fhir_server.portal.views.whose import Record, account_id

FIRST_VISIT: Final = timedelta(days=30)
"""Who was never here before is told of so much."""


def before(record: Record) -> datetime | None:
    """Note this visit of a patient or carer; return when the one before was, None for a first one or another reader."""
    if not (record.own or record.caring):
        return None
    way = record.road
    return reading.visit(way.context.store, account_id(), record.reference, way.now)


def stay(record: Record) -> None:
    """Note that the reader changed an entry just now: it is not new to them."""
    way = record.road
    reading.stay(way.context.store, account_id(), record.reference, way.now)


def is_new(arrived: datetime | None, since: datetime | None) -> bool:
    """Return whether something arrived after the visit before; on a first visit nothing is called new."""
    return arrived is not None and since is not None and arrived > since
