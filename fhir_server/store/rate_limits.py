"""Counters of tries per fixed window, shared by workers through the database. Keys are hashed: no address stays."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import case, delete, update
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.account_tables import rate_limit
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us


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


def refund(session: Session, key: str) -> None:
    """Take one try back, since it succeeded."""
    statement = update(rate_limit).where(rate_limit.c.key_hash == _hash(key), rate_limit.c.hit_count > 0)
    session.connection.execute(statement.values(hit_count=rate_limit.c.hit_count - 1))


def prune(session: Session, before: datetime) -> int:
    """Forget counters whose window began before this instant; return how many."""
    return session.connection.execute(delete(rate_limit).where(rate_limit.c.window_started_at < to_us(before))).rowcount


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
