"""Files of people to invite, as rows: what each line said, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, delete, func, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.enrolment_tables import invitation_batch, invitation_row
from fhir_server.store.instants import from_us, maybe_from_us, to_us

WAITING = "waiting"
_INSERTED_COUNT = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """One file.

    Attributes:
        organization: `Organization/…` of the coordinator, or "".
        uploaded_by: Id of the coordinator's account.
        content_hash: SHA-256 of the file.
        row_count: Lines with a person.
    """

    id: str
    organization: str
    uploaded_by: str
    uploaded_at: datetime
    content_hash: str
    row_count: int
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One line of a file.

    Attributes:
        line: As an editor numbers it; the heading is line 1.
        details: Name of the column → what it says.
        state: `waiting`, `invited`, `duplicate` or `refused`.
        reason: Why not, in plain words.
        invitation_id: What was made of it, or "".
    """

    line: int
    details: Mapping[str, str]
    state: str = WAITING
    reason: str = ""
    invitation_id: str = ""


def add(session: Session, new: Batch, rows: Iterable[BatchRow]) -> None:
    """Store a file and its lines."""
    values = {name: getattr(new, name) for name in ("id", "organization", "uploaded_by", "content_hash", "row_count")}
    session.connection.execute(
        insert(invitation_batch), values | {"uploaded_at": to_us(new.uploaded_at), "leased_until": 0}
    )
    made = [
        {
            "batch": new.id,
            "line": row.line,
            "details": orjson.dumps(row.details).decode(),
            "state": row.state,
            "reason": row.reason,
        }
        for row in rows
    ]
    for start in range(0, len(made), _INSERTED_COUNT):
        session.connection.execute(insert(invitation_row), made[start : start + _INSERTED_COUNT])


def by_content(session: Session, organization: str, content_hash: str) -> Batch | None:
    """Return the newest file of an organisation with this content."""
    row = invitation_batch.c
    statement = select(invitation_batch).where(row.organization == organization, row.content_hash == content_hash)
    found = session.connection.execute(statement.order_by(row.uploaded_at.desc()).limit(1)).one_or_none()
    return _batch(found) if found else None


def by_id(session: Session, batch_id: str) -> Batch | None:
    """Return one file."""
    found = session.connection.execute(select(invitation_batch).where(invitation_batch.c.id == batch_id)).one_or_none()
    return _batch(found) if found else None


def of_organization(session: Session, organization: str, limit: int = 20) -> tuple[Batch, ...]:
    """Return the files of an organisation, newest first."""
    row = invitation_batch.c
    statement = select(invitation_batch).where(row.organization == organization)
    rows = session.connection.execute(statement.order_by(row.uploaded_at.desc()).limit(limit))
    return tuple(_batch(found) for found in rows)


def counts(session: Session, batch_id: str) -> dict[str, int]:
    """Return how many lines of a file are in each state."""
    row = invitation_row.c
    statement = select(row.state, func.count()).where(row.batch == batch_id).group_by(row.state)
    return {state: count for state, count in session.connection.execute(statement)}  # noqa: C416 - rows are no pairs


def rows(session: Session, batch_id: str, *, state: str = "", after: int = 0, limit: int) -> tuple[BatchRow, ...]:
    """Return lines of a file in their order, from the one after a line on."""
    row = invitation_row.c
    statement = select(invitation_row).where(row.batch == batch_id, row.line > after).order_by(row.line).limit(limit)
    if state:
        statement = statement.where(row.state == state)
    return tuple(
        BatchRow(found.line, orjson.loads(found.details), found.state, found.reason, found.invitation_id or "")
        for found in session.connection.execute(statement)
    )


def lease(session: Session, now: datetime, until: datetime) -> Batch | None:
    """Take the file that has waited longest for its turn, so that no other worker takes it before an instant."""
    row = invitation_batch.c
    due = select(row.id).where(row.finished_at.is_(None), row.leased_until <= to_us(now))
    for (batch_id,) in session.connection.execute(due.order_by(row.leased_until, row.uploaded_at).limit(5)).all():
        take = update(invitation_batch).where(row.id == batch_id, row.leased_until <= to_us(now))
        if session.connection.execute(take.values(leased_until=to_us(until))).rowcount == 1:
            return by_id(session, batch_id)
    return None


def any_due(session: Session, now: datetime) -> bool:
    """Return whether a file waits that no worker has."""
    row = invitation_batch.c
    due = select(row.id).where(row.finished_at.is_(None), row.leased_until <= to_us(now)).limit(1)
    return session.connection.execute(due).first() is not None


def release(session: Session, batch_id: str, now: datetime, *, is_over: bool) -> None:
    """Let a file go again, finished or not. Others have their turn first, so that none waits for a long one."""
    values = {"leased_until": to_us(now), "finished_at": to_us(now) if is_over else None}
    session.connection.execute(update(invitation_batch).where(invitation_batch.c.id == batch_id).values(values))


def done(session: Session, batch_id: str, line: int, *, state: str, reason: str = "", invitation_id: str = "") -> None:
    """Say what became of a line."""
    row = invitation_row.c
    statement = update(invitation_row).where(row.batch == batch_id, row.line == line)
    session.connection.execute(statement.values(state=state, reason=reason, invitation_id=invitation_id or None))


def prune(session: Session, before: datetime) -> int:
    """Forget files finished before an instant, with all that they said; return how many."""
    row = invitation_batch.c
    over = select(row.id).where(row.finished_at < to_us(before))
    session.connection.execute(delete(invitation_row).where(invitation_row.c.batch.in_(over)))
    return session.connection.execute(delete(invitation_batch).where(row.finished_at < to_us(before))).rowcount


def _batch(row: Row[Any]) -> Batch:
    return Batch(
        id=row.id,
        organization=row.organization,
        uploaded_by=row.uploaded_by,
        uploaded_at=from_us(row.uploaded_at),
        content_hash=row.content_hash,
        row_count=row.row_count,
        finished_at=maybe_from_us(row.finished_at),
    )
