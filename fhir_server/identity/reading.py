"""What is new to a reader of a record: since their visit before, and among the letters they have not opened.

INVARIANT: a mark is no right and says nothing of the record. It is kept only of what the reader was shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from fhir_server.store import calendar_links, reading_marks
from fhir_server.store.database import Session, Store

PAUSE: Final = timedelta(minutes=30)
"""After so long without a page a new visit begins: until then what is new stays new, however often it is looked at."""
KEPT_FOR: Final = timedelta(days=400)
_NOTED_EVERY: Final = timedelta(minutes=1)


def visit(store: Store, account_id: str, patient: str, now: datetime) -> datetime | None:
    """Note that an account is at a record (literal reference); return when its visit before this one was."""
    with store.read() as session:
        known = reading_marks.visit(session, account_id, patient)
    if known is not None and now - known.last_at < _NOTED_EVERY:
        return known.before_at
    with store.write() as session:
        reading_marks.note_visit(session, account_id, patient, now, pause=PAUSE)
        noted = reading_marks.visit(session, account_id, patient)
    return noted.before_at if noted is not None else None


def stay(store: Store, account_id: str, patient: str, now: datetime) -> None:
    """Note that an account is at a record and has changed something there, which is not new to it."""
    with store.write() as session:
        reading_marks.note_visit(session, account_id, patient, now, pause=PAUSE)


def unopened(store: Store, account_id: str, resource_type: str, ids: Sequence[str]) -> frozenset[str]:
    """Return which of these entries an account has not opened yet, by logical id."""
    with store.read() as session:
        return frozenset(ids) - reading_marks.opened(session, account_id, resource_type, ids)


def opened(store: Store, account_id: str, resource_type: str, ids: Iterable[str], now: datetime) -> None:
    """Note that an account opened entries that it was shown."""
    wanted = tuple(ids)
    if not unopened(store, account_id, resource_type, wanted):
        return
    with store.write() as session:
        reading_marks.note_opened(session, account_id, resource_type, wanted, now)


def prune(session: Session, now: datetime) -> int:
    """Forget marks of readers who came no more, and addresses that no calendar asked, for so long; return how many."""
    return reading_marks.prune(session, now - KEPT_FOR) + calendar_links.prune(session, now - KEPT_FOR)
