"""The outbox: messages queued in the transaction that causes them, leased by a worker, delivered at least once.

A lease is the next try put into the future: if a worker dies, its message is due again when the lease ends.
INVARIANT: a delivered or abandoned message keeps no details, so that no link or code stays readable in the database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, insert, select, update

from fhir_server.store.account_tables import message
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message to deliver.

    Attributes:
        id: UUID; the same for every try, so that a receiver can drop a repetition.
        channel: `email` or `text`.
        recipient: Address or number.
        kind: Name of the template.
        details: Values for its placeholders.
        queued_at: When its cause was committed.
        attempt_count: Tries including this one.
        language: Code of the language to write it in; "" where the receiver's own is looked up.
    """

    id: str
    channel: str
    recipient: str
    kind: str
    details: Mapping[str, str]
    queued_at: datetime
    attempt_count: int
    language: str = ""


def add(session: Session, new: QueuedMessage) -> None:
    """Queue a message: it will be sent if, and only if, this transaction commits."""
    session.connection.execute(
        insert(message),
        {
            "id": new.id,
            "channel": new.channel,
            "recipient": new.recipient,
            "kind": new.kind,
            "details": json.dumps(dict(new.details), ensure_ascii=False),
            "queued_at": to_us(new.queued_at),
            "next_try_at": to_us(new.queued_at),
            "attempt_count": 0,
            "language": new.language or None,
        },
    )


def any_due(session: Session, now: datetime) -> bool:
    """Return whether a message is due: asked often, without taking the write lock."""
    return session.connection.execute(select(message.c.id).where(_due(now)).limit(1)).first() is not None


def lease(session: Session, now: datetime, lease_for: timedelta, limit: int = 20) -> tuple[QueuedMessage, ...]:
    """Take the messages that are due, oldest first, so that no other worker sends them until the lease ends."""
    due = select(message.c.id).where(_due(now)).order_by(message.c.next_try_at).limit(limit)
    if session.is_postgresql:
        due = due.with_for_update(skip_locked=True)
    statement = (
        update(message)
        .where(message.c.id.in_(due.scalar_subquery()), _due(now))
        .values(next_try_at=to_us(now + lease_for), attempt_count=message.c.attempt_count + 1)
        .returning(message)
    )
    rows = sorted(session.connection.execute(statement), key=lambda row: (row.queued_at, row.id))
    return tuple(
        QueuedMessage(
            id=row.id,
            channel=row.channel,
            recipient=row.recipient,
            kind=row.kind,
            details=json.loads(row.details),
            queued_at=from_us(row.queued_at),
            attempt_count=row.attempt_count,
            language=row.language or "",
        )
        for row in rows
    )


def sent(session: Session, message_id: str, now: datetime) -> None:
    """Mark a message delivered."""
    _close(session, message_id, sent_at=to_us(now), last_error=None)


def retry(session: Session, message_id: str, next_try_at: datetime, error: str) -> None:
    """Put a message back after a failed try."""
    statement = update(message).where(message.c.id == message_id, message.c.sent_at.is_(None))
    session.connection.execute(statement.values(next_try_at=to_us(next_try_at), last_error=error[:200]))


def abandon(session: Session, message_id: str, now: datetime, error: str) -> None:
    """Give up on a message; the row stays as evidence for the service desk."""
    _close(session, message_id, failed_at=to_us(now), last_error=error[:200])


@dataclass(frozen=True, slots=True)
class Trouble:
    """A message that could not be delivered at once.

    Attributes:
        kind: Which message.
        channel: `email` or `text`.
        queued_at: Since when, aware UTC.
        attempt_count: How often it was tried.
        given_up: Whether nobody tries any more.
        error: What the last try met.
    """

    kind: str
    channel: str
    queued_at: datetime
    attempt_count: int
    given_up: bool
    error: str


def troubles(session: Session, limit: int) -> tuple[Trouble, ...]:
    """Return the newest messages whose delivery met an error and that are not delivered."""
    row = message.c
    query = select(message).where(row.sent_at.is_(None), row.last_error.is_not(None))
    rows = session.connection.execute(query.order_by(row.queued_at.desc()).limit(limit)).all()
    return tuple(
        Trouble(
            each.kind,
            each.channel,
            from_us(each.queued_at),
            each.attempt_count,
            each.failed_at is not None,
            each.last_error,
        )
        for each in rows
    )


def oldest_waiting_at(session: Session) -> datetime | None:
    """Return since when the message that waits longest is queued, None where none waits."""
    pending = and_(message.c.sent_at.is_(None), message.c.failed_at.is_(None))
    found = session.connection.execute(select(func.min(message.c.queued_at)).where(pending)).scalar()
    return None if found is None else from_us(found)


def waiting_count(session: Session) -> int:
    """Return how many messages are neither delivered nor abandoned."""
    statement = select(func.count()).select_from(message)
    pending = and_(message.c.sent_at.is_(None), message.c.failed_at.is_(None))
    return session.connection.execute(statement.where(pending)).scalar_one()


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(message.c.sent_at.is_(None), message.c.failed_at.is_(None), message.c.next_try_at <= to_us(now))


def _close(session: Session, message_id: str, **values: object) -> None:
    statement = update(message).where(message.c.id == message_id, message.c.sent_at.is_(None))
    session.connection.execute(statement.values(details="{}", **values))
