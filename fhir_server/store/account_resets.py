"""Requests of the service desk to let somebody in again, decided by a second person, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, update

from fhir_server.store.account_tables import account_reset
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class AccountReset:
    """One request.

    Attributes:
        account_id: Whose account.
        new_email: Address that replaces the account's, "" to keep it.
        reason: How the person was recognised, in the words of who asked.
        requested_by: Account of the service desk.
        expires_at: From here on neither decided nor used.
        code_hash: Keyed hash of the code that the service desk tells the person.
        decided_by: Account of the administrator, "" while nobody has.
        approved: None while nobody has decided.
        failed_count: Wrong codes so far.
    """

    id: str
    account_id: str
    new_email: str
    reason: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    code_hash: str
    decided_by: str = ""
    decided_at: datetime | None = None
    approved: bool | None = None
    failed_count: int = 0
    used_at: datetime | None = None


def add(session: Session, new: AccountReset) -> None:
    """Store a request; an earlier one of the account that is not used yet works no more."""
    row = account_reset.c
    earlier = update(account_reset).where(row.account_id == new.account_id, row.used_at.is_(None))
    session.connection.execute(
        earlier.where(row.expires_at > to_us(new.requested_at)).values(expires_at=to_us(new.requested_at))
    )
    session.connection.execute(
        insert(account_reset),
        {
            "id": new.id,
            "account_id": new.account_id,
            "new_email": new.new_email or None,
            "reason": new.reason,
            "requested_by": new.requested_by,
            "requested_at": to_us(new.requested_at),
            "expires_at": to_us(new.expires_at),
            "code_hash": new.code_hash,
            "failed_count": 0,
        },
    )


def open_requests(session: Session, now: datetime, limit: int = 100) -> tuple[AccountReset, ...]:
    """Return the requests that nobody has decided yet, oldest first."""
    row = account_reset.c
    statement = select(account_reset).where(row.approved.is_(None), row.expires_at > to_us(now))
    rows = session.connection.execute(statement.order_by(row.requested_at).limit(limit))
    return tuple(_from_row(found) for found in rows)


def by_id(session: Session, reset_id: str) -> AccountReset | None:
    """Return one request."""
    return _one(session, account_reset.c.id == reset_id)


def by_token(session: Session, token_hash: str) -> AccountReset | None:
    """Return the request whose link has this token."""
    return _one(session, account_reset.c.token_hash == token_hash)


def decide(session: Session, reset_id: str, *, approved: bool, by: str, token_hash: str, now: datetime) -> bool:
    """Decide a request that is open; False where somebody else was first."""
    row = account_reset.c
    statement = update(account_reset).where(row.id == reset_id, row.approved.is_(None))
    values = {"approved": approved, "decided_by": by, "decided_at": to_us(now), "token_hash": token_hash or None}
    return session.connection.execute(statement.values(values)).rowcount == 1


def count_try(session: Session, reset_id: str) -> int:
    """Count one try to use the link and return how many there are now."""
    statement = update(account_reset).where(account_reset.c.id == reset_id)
    counted = statement.values(failed_count=account_reset.c.failed_count + 1).returning(account_reset.c.failed_count)
    return int(session.connection.execute(counted).scalar_one())


def use(session: Session, reset_id: str, now: datetime) -> bool:
    """Use a request up; False where another one was first."""
    row = account_reset.c
    statement = update(account_reset).where(row.id == reset_id, row.used_at.is_(None))
    return session.connection.execute(statement.values(used_at=to_us(now))).rowcount == 1


def _one(session: Session, condition: ColumnElement[bool]) -> AccountReset | None:
    row = session.connection.execute(select(account_reset).where(condition)).one_or_none()
    return _from_row(row) if row else None


def _from_row(row: Row[Any]) -> AccountReset:
    return AccountReset(
        id=row.id,
        account_id=row.account_id,
        new_email=row.new_email or "",
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=from_us(row.requested_at),
        expires_at=from_us(row.expires_at),
        code_hash=row.code_hash,
        decided_by=row.decided_by or "",
        decided_at=maybe_from_us(row.decided_at),
        approved=row.approved,
        failed_count=row.failed_count,
        used_at=maybe_from_us(row.used_at),
    )
