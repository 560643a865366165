"""What a person last chose to allow an app, as rows: shown when it asks again, and forgotten when it is removed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.oauth_tables import choice


@dataclass(frozen=True, slots=True)
class Choice:
    """One decision; scopes are separated by spaces.

    Attributes:
        asked: What the app asked for.
        granted: What of it was left ticked.
        decided_at: Aware UTC.
    """

    asked: str
    granted: str
    decided_at: datetime


def remember(session: Session, account_id: str, client_id: str, new: Choice) -> None:
    """Keep a person's choice in place of the one before."""
    insert = postgresql.insert if session.is_postgresql else sqlite.insert
    values = {"asked": new.asked, "granted": new.granted, "decided_at": to_us(new.decided_at)}
    statement = insert(choice).values(account_id=account_id, client_id=client_id, **values)
    session.connection.execute(statement.on_conflict_do_update(index_elements=["account_id", "client_id"], set_=values))


def last(session: Session, account_id: str, client_id: str) -> Choice | None:
    """Return what a person last chose for an app, None where they never did or removed it since."""
    statement = select(choice).where(choice.c.account_id == account_id, choice.c.client_id == client_id)
    row = session.connection.execute(statement).one_or_none()
    return Choice(row.asked, row.granted, from_us(row.decided_at)) if row is not None else None
