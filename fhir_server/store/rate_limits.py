"""Counters of tries per fixed window, shared by workers through the database. Keys are hashed: no address stays."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import case, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.account_tables import rate_limit
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us


def hit(session: Session, key: str, window: timedelta, now: datetime) -> int:
    """Count one try and return how many there were in the present window, this one included; atomic."""
    insert = postgresql.insert if session.is_postgresql else sqlite.insert
    is_over = rate_limit.c.window_started_at <= to_us(now - window)
    new = insert(rate_limit).values(key_hash=_hash(key), window_started_at=to_us(now), hit_count=1)
    statement = new.on_conflict_do_update(
        index_elements=[rate_limit.c.key_hash],
        set_={
            "hit_count": case((is_over, 1), else_=rate_limit.c.hit_count + 1),
            "window_started_at": case((is_over, to_us(now)), else_=rate_limit.c.window_started_at),
        },
    ).returning(rate_limit.c.hit_count)
    return int(session.connection.execute(statement).scalar_one())


def take(session: Session, key: str, wanted: int, limit: int, window: timedelta, now: datetime) -> tuple[int, datetime]:
    """Take up to `wanted` of the `limit` tries of the present window at once; atomic.

    Windows are those of the clock, such as its whole minutes, so that every process ends them alike.

    Returns:
        How many were taken, and when the window ends (aware UTC).
    """
    window_us = int(window.total_seconds() * 1_000_000)
    started_us = to_us(now) // window_us * window_us
    insert = postgresql.insert if session.is_postgresql else sqlite.insert
    is_over = rate_limit.c.window_started_at < started_us
    new = insert(rate_limit).values(key_hash=_hash(key), window_started_at=started_us, hit_count=wanted)
    statement = new.on_conflict_do_update(
        index_elements=[rate_limit.c.key_hash],
        set_={
            "hit_count": case((is_over, wanted), else_=rate_limit.c.hit_count + wanted),
            "window_started_at": case((is_over, started_us), else_=rate_limit.c.window_started_at),
        },
    ).returning(rate_limit.c.hit_count)
    before = int(session.connection.execute(statement).scalar_one()) - wanted
    return max(0, min(wanted, limit - before)), from_us(started_us + window_us)


def refund(session: Session, key: str) -> None:
    """Take one try back, since it succeeded."""
    statement = update(rate_limit).where(rate_limit.c.key_hash == _hash(key), rate_limit.c.hit_count > 0)
    session.connection.execute(statement.values(hit_count=rate_limit.c.hit_count - 1))


def forget(session: Session, key: str) -> None:
    """Take every try back."""
    session.connection.execute(delete(rate_limit).where(rate_limit.c.key_hash == _hash(key)))


def prune(session: Session, before: datetime) -> int:
    """Forget counters whose window began before this instant; return how many."""
    return session.connection.execute(delete(rate_limit).where(rate_limit.c.window_started_at < to_us(before))).rowcount


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
