"""What an account has seen of a record: when it was there, and which entries it opened.

A mark is an account's own: it says nothing to anybody else, and nothing of what the entry was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import hash64, reference_key
from fhir_server.store.portal_tables import entry_opened, record_visit


@dataclass(frozen=True, slots=True)
class Visit:
    """The present visit of an account to a record.

    Attributes:
        began_at: When it began.
        last_at: When its first page was opened last.
        before_at: When the visit before was, None for the first one.
    """

    began_at: datetime
    last_at: datetime
    before_at: datetime | None


def visit(session: Session, account_id: str, patient: str) -> Visit | None:
    """Return the newest visit of an account to a record (literal reference), None where there was none."""
    row = record_visit.c
    found = session.connection.execute(
        select(row.began_at, row.last_at, row.before_at).where(row.account_id == account_id, row.patient == patient)
    ).one_or_none()
    if found is None:
        return None
    before_at = from_us(found.before_at) if found.before_at is not None else None
    return Visit(from_us(found.began_at), from_us(found.last_at), before_at)


def note_visit(session: Session, account_id: str, patient: str, now: datetime, *, pause: timedelta) -> None:
    """Note that an account is there: after a pause a new visit begins, and the one before is remembered."""
    session.lock(hash64(f"record-visit:{account_id}:{patient}"))
    known, row = visit(session, account_id, patient), record_visit.c
    if known is None:
        values = {"account_id": account_id, "patient": patient, "began_at": to_us(now), "last_at": to_us(now)}
        session.connection.execute(insert(record_visit), values)
        return
    is_new = now - known.last_at > pause
    changed = {"began_at": to_us(now), "before_at": to_us(known.last_at)} if is_new else {}
    statement = update(record_visit).where(row.account_id == account_id, row.patient == patient)
    session.connection.execute(statement.values(last_at=to_us(now), **changed))


def opened(session: Session, account_id: str, resource_type: str, ids: Sequence[str]) -> frozenset[str]:
    """Return which of these entries an account has opened, by logical id."""
    keys = {reference_key(resource_type, logical_id): logical_id for logical_id in ids}
    row = entry_opened.c
    found = session.connection.execute(
        select(row.entry).where(row.account_id == account_id, row.entry.in_(list(keys)))
    ).scalars()
    return frozenset(keys[key] for key in found)


def note_opened(session: Session, account_id: str, resource_type: str, ids: Iterable[str], now: datetime) -> None:
    """Note that an account opened entries; saying the same twice changes nothing."""
    wanted = tuple(dict.fromkeys(ids))
    known = opened(session, account_id, resource_type, wanted)
    rows = [
        {"account_id": account_id, "entry": reference_key(resource_type, logical_id), "opened_at": to_us(now)}
        for logical_id in wanted
        if logical_id not in known
    ]
    if rows:
        session.connection.execute(insert(entry_opened), rows)


def prune(session: Session, before: datetime) -> int:
    """Forget older visits, and what accounts opened that visit no record any more; return how many rows."""
    gone = session.connection.execute(delete(record_visit).where(record_visit.c.last_at < to_us(before))).rowcount
    row = entry_opened.c
    stale = row.account_id.not_in(select(record_visit.c.account_id))
    return gone + session.connection.execute(delete(entry_opened).where(row.opened_at < to_us(before), stale)).rowcount
