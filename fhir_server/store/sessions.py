"""Portal sessions as rows: the SHA-256 of a random token in the browser, and a stable id other rows may point at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from fhir_server.store.account_tables import account, portal_session
from fhir_server.store.accounts import Account, from_row
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us


@dataclass(frozen=True, slots=True)
class PortalSession:
    """A live session and who it belongs to.

    Attributes:
        id: Stable while the token is rotated; an emergency access ends with it.
        auth_time: When the person last proved who they are.
        started_at: When the session began; the absolute limit counts from here.
        last_seen_at: The idle limit counts from here.
    """

    id: str
    account: Account
    auth_time: datetime
    started_at: datetime
    last_seen_at: datetime


def start(session: Session, session_id: str, token_hash: str, *, account_id: str, now: datetime) -> None:
    """Store a new session of somebody who signed in just now."""
    session.connection.execute(
        insert(portal_session),
        {
            "id": session_id,
            "token_hash": token_hash,
            "account_id": account_id,
            "auth_time": to_us(now),
            "started_at": to_us(now),
            "last_seen_at": to_us(now),
        },
    )


def live(session: Session, token_hash: str, *, seen_after: datetime, started_after: datetime) -> PortalSession | None:
    """Return a session that has not ended, within its limits, whose account is active."""
    columns = [portal_session.c.id.label("session_id"), portal_session.c.auth_time, portal_session.c.started_at]
    statement = (
        select(account, *columns, portal_session.c.last_seen_at)
        .join(portal_session, portal_session.c.account_id == account.c.id)
        .where(
            portal_session.c.token_hash == token_hash,
            portal_session.c.ended_at.is_(None),
            portal_session.c.last_seen_at > to_us(seen_after),
            portal_session.c.started_at > to_us(started_after),
            account.c.active.is_(True),
        )
    )
    row = session.connection.execute(statement).one_or_none()
    if row is None:
        return None
    return PortalSession(
        id=row.session_id,
        account=from_row(row),
        auth_time=from_us(row.auth_time),
        started_at=from_us(row.started_at),
        last_seen_at=from_us(row.last_seen_at),
    )


def seen(session: Session, session_id: str, now: datetime) -> None:
    """Start the idle limit anew."""
    statement = update(portal_session).where(portal_session.c.id == session_id)
    session.connection.execute(statement.values(last_seen_at=to_us(now)))


def rotate(session: Session, session_id: str, token_hash: str, now: datetime) -> None:
    """Give a session a new token after its person proved again who they are; the old token is dead at once."""
    statement = update(portal_session).where(portal_session.c.id == session_id, portal_session.c.ended_at.is_(None))
    session.connection.execute(statement.values(token_hash=token_hash, auth_time=to_us(now), last_seen_at=to_us(now)))


def end(session: Session, session_id: str, now: datetime) -> None:
    """End one session."""
    statement = update(portal_session).where(portal_session.c.id == session_id, portal_session.c.ended_at.is_(None))
    session.connection.execute(statement.values(ended_at=to_us(now)))


def end_all(session: Session, account_id: str, now: datetime) -> None:
    """End every session of an account."""
    statement = update(portal_session).where(portal_session.c.account_id == account_id)
    session.connection.execute(statement.where(portal_session.c.ended_at.is_(None)).values(ended_at=to_us(now)))
