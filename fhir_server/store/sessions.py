"""Portal sessions as rows: the SHA-256 of a random token in the browser, and a stable id other rows may point at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, insert, select, update

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
        device: Kind of browser and system, such as `Firefox on Windows`, or "".
        organization: `Organization/…` that a professional chose to work for, or "".
    """

    id: str
    account: Account
    auth_time: datetime
    started_at: datetime
    last_seen_at: datetime
    device: str = ""
    organization: str = ""


def start(
    session: Session,
    session_id: str,
    token_hash: str,
    *,
    account_id: str,
    now: datetime,
    device: str = "",
    organization: str = "",
) -> None:
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
            "device": device or None,
            "organization": organization or None,
        },
    )


def live(session: Session, token_hash: str, *, seen_after: datetime, started_after: datetime) -> PortalSession | None:
    """Return a session that has not ended, within its limits, whose account is active."""
    statement = _within(seen_after, started_after).where(portal_session.c.token_hash == token_hash)
    row = session.connection.execute(statement).one_or_none()
    return _from_row(row) if row else None


def of_account(
    session: Session, account_id: str, *, seen_after: datetime, started_after: datetime
) -> tuple[PortalSession, ...]:
    """Return the sessions of an account that have not ended, the one used last first."""
    row = portal_session.c
    statement = _within(seen_after, started_after).where(row.account_id == account_id)
    rows = session.connection.execute(statement.order_by(row.last_seen_at.desc(), row.id))
    return tuple(_from_row(found) for found in rows)


def seen(session: Session, session_id: str, now: datetime) -> None:
    """Start the idle limit anew."""
    statement = update(portal_session).where(portal_session.c.id == session_id)
    session.connection.execute(statement.values(last_seen_at=to_us(now)))


def work_for(session: Session, session_id: str, organization: str) -> None:
    """Keep for which organisation somebody works in a session."""
    statement = update(portal_session).where(portal_session.c.id == session_id)
    session.connection.execute(statement.values(organization=organization or None))


def rotate(session: Session, session_id: str, token_hash: str, now: datetime) -> None:
    """Give a session a new token after its person proved again who they are; the old token is dead at once.

    The proof is that of a new sign-in, so both limits count from here.
    """
    statement = update(portal_session).where(portal_session.c.id == session_id, portal_session.c.ended_at.is_(None))
    at = to_us(now)
    session.connection.execute(statement.values(token_hash=token_hash, auth_time=at, started_at=at, last_seen_at=at))


def end(session: Session, session_id: str, now: datetime) -> None:
    """End one session."""
    statement = update(portal_session).where(portal_session.c.id == session_id, portal_session.c.ended_at.is_(None))
    session.connection.execute(statement.values(ended_at=to_us(now)))


def end_all(session: Session, account_id: str, now: datetime, *, but: str = "", only: str = "") -> tuple[str, ...]:
    """End the sessions of an account, all `but` one or `only` one where its id is given; return which ended."""
    row = portal_session.c
    statement = update(portal_session).where(row.account_id == account_id, row.id != but, row.ended_at.is_(None))
    if only:
        statement = statement.where(row.id == only)
    ended = session.connection.execute(statement.values(ended_at=to_us(now)).returning(row.id))
    return tuple(ended.scalars())


def _within(seen_after: datetime, started_after: datetime) -> Select[Any]:
    row = portal_session.c
    columns = [row.id.label("session_id"), row.auth_time, row.started_at, row.last_seen_at, row.device]
    columns.append(row.organization.label("working_for"))
    return (
        select(account, *columns)
        .join(portal_session, row.account_id == account.c.id)
        .where(
            row.ended_at.is_(None),
            row.last_seen_at > to_us(seen_after),
            row.started_at > to_us(started_after),
            account.c.active.is_(True),
        )
    )


def _from_row(row: Row[Any]) -> PortalSession:
    return PortalSession(
        id=row.session_id,
        account=from_row(row),
        auth_time=from_us(row.auth_time),
        started_at=from_us(row.started_at),
        last_seen_at=from_us(row.last_seen_at),
        device=row.device or "",
        organization=row.working_for or "",
    )
