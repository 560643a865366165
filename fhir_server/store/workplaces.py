"""Further organisations that professionals said yes to work for, as rows; that of the account is with the account."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert, select

from fhir_server.store.account_tables import workplace
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us


def join(session: Session, account_id: str, organization: str, now: datetime) -> None:
    """Keep that the owner of an account works for an organisation, too; one at a time for one account."""
    if organization not in joined(session, account_id):
        values = {"account_id": account_id, "organization": organization, "joined_at": to_us(now)}
        session.connection.execute(insert(workplace), values)


def leave(session: Session, account_id: str, organization: str) -> None:
    """Forget that the owner of an account works for an organisation."""
    row = workplace.c
    statement = delete(workplace).where(row.account_id == account_id, row.organization == organization)
    session.connection.execute(statement)


def joined(session: Session, account_id: str) -> tuple[str, ...]:
    """Return the organisations that the owner of an account joined, the first one first."""
    row = workplace.c
    statement = select(row.organization).where(row.account_id == account_id)
    return tuple(session.connection.execute(statement.order_by(row.joined_at, row.organization)).scalars())


def members(session: Session, organization: str) -> frozenset[str]:
    """Return the accounts whose owners joined an organisation."""
    found = select(workplace.c.account_id).where(workplace.c.organization == organization)
    return frozenset(session.connection.execute(found).scalars())
