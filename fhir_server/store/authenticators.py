"""Authenticator apps and recovery codes as rows: sealed secrets and keyed hashes, nothing of use on its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from fhir_server.store.account_tables import authenticator, recovery_code
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class Authenticator:
    """The authenticator app of an account.

    Attributes:
        sealed_secret: Encrypted; opened by `identity.vault`.
        confirmed_at: When its person proved that the app shows the right codes, None while it is being set up.
        last_step: The newest time step of which a code was taken; no code of it or before is ever taken again.
    """

    id: str
    account_id: str
    sealed_secret: str
    created_at: datetime
    confirmed_at: datetime | None
    last_step: int


def begin(session: Session, new: Authenticator) -> None:
    """Store an authenticator that is not confirmed yet, in place of any other such one of the account."""
    row = authenticator.c
    unfinished = delete(authenticator).where(row.account_id == new.account_id, row.confirmed_at.is_(None))
    session.connection.execute(unfinished)
    session.connection.execute(
        insert(authenticator),
        {
            "id": new.id,
            "account_id": new.account_id,
            "sealed_secret": new.sealed_secret,
            "created_at": to_us(new.created_at),
            "last_step": new.last_step,
        },
    )


def of_account(session: Session, account_id: str, *, confirmed: bool) -> Authenticator | None:
    """Return the authenticator in use or, where not `confirmed`, the one being set up."""
    row = authenticator.c
    condition = row.confirmed_at.is_not(None) if confirmed else row.confirmed_at.is_(None)
    statement = select(authenticator).where(row.account_id == account_id, condition)
    found = session.connection.execute(statement).one_or_none()
    if found is None:
        return None
    return Authenticator(
        id=found.id,
        account_id=found.account_id,
        sealed_secret=found.sealed_secret,
        created_at=from_us(found.created_at),
        confirmed_at=maybe_from_us(found.confirmed_at),
        last_step=found.last_step,
    )


def confirm(session: Session, new: Authenticator, now: datetime) -> None:
    """Use an authenticator from now on, in place of the one in use before."""
    row = authenticator.c
    session.connection.execute(
        delete(authenticator).where(row.account_id == new.account_id, row.id != new.id, row.confirmed_at.is_not(None))
    )
    session.connection.execute(update(authenticator).where(row.id == new.id).values(confirmed_at=to_us(now)))


def advance(session: Session, authenticator_id: str, step: int) -> bool:
    """Take the code of a time step; False where it, or a later one, was taken before."""
    row = authenticator.c
    statement = update(authenticator).where(row.id == authenticator_id, row.last_step < step)
    return session.connection.execute(statement.values(last_step=step)).rowcount == 1


def remove(session: Session, account_id: str) -> bool:
    """Forget every authenticator of an account; False where there was none."""
    return (
        session.connection.execute(delete(authenticator).where(authenticator.c.account_id == account_id)).rowcount > 0
    )


def replace_recovery_codes(session: Session, account_id: str, code_hashes: Iterable[str], now: datetime) -> None:
    """Put new recovery codes in place of all earlier ones, used or not."""
    session.connection.execute(delete(recovery_code).where(recovery_code.c.account_id == account_id))
    rows = [{"account_id": account_id, "code_hash": each, "created_at": to_us(now)} for each in code_hashes]
    if rows:
        session.connection.execute(insert(recovery_code), rows)


def use_recovery_code(session: Session, account_id: str, code_hash: str, now: datetime) -> bool:
    """Use a recovery code up; False where it is none of the account's, or used."""
    row = recovery_code.c
    statement = update(recovery_code).where(
        row.account_id == account_id, row.code_hash == code_hash, row.used_at.is_(None)
    )
    return session.connection.execute(statement.values(used_at=to_us(now))).rowcount == 1


def recovery_code_count(session: Session, account_id: str) -> int:
    """Return how many recovery codes are left."""
    row = recovery_code.c
    statement = select(func.count()).where(row.account_id == account_id, row.used_at.is_(None))
    return session.connection.execute(statement).scalar_one()
