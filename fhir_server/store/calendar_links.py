"""Private addresses of calendars as rows: the SHA-256 of a random token, for one reader of one record.

INVARIANT: a row is no right. Whoever holds the address sees what its person would see now, decided at each request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.portal_tables import calendar_link


@dataclass(frozen=True, slots=True)
class CalendarLink:
    """An address that a calendar asks.

    Attributes:
        id: UUID.
        account_id: Whose it is.
        reference: As whom the account reads: a Patient or a RelatedPerson.
        patient: Literal reference of whose appointments.
        detail: How much an event says.
        created_at: When it was made.
        used_at: When a calendar asked last, None for never.
    """

    id: str
    account_id: str
    reference: str
    patient: str
    detail: str
    created_at: datetime
    used_at: datetime | None = None


def add(session: Session, new: CalendarLink, token_hash: str) -> None:
    """Store a link."""
    session.connection.execute(
        insert(calendar_link),
        {
            "id": new.id,
            "token_hash": token_hash,
            "account_id": new.account_id,
            "reference": new.reference,
            "patient": new.patient,
            "detail": new.detail,
            "created_at": to_us(new.created_at),
        },
    )


def by_token(session: Session, token_hash: str) -> CalendarLink | None:
    """Return the link of a token, None for one that is not there any more."""
    return _one(session, calendar_link.c.token_hash == token_hash)


def of_reader(session: Session, account_id: str, patient: str) -> CalendarLink | None:
    """Return the link of an account to the appointments of a patient."""
    row = calendar_link.c
    return _one(session, row.account_id == account_id, row.patient == patient)


def used(session: Session, link_id: str, now: datetime) -> None:
    """Note that a calendar asked."""
    row = calendar_link.c
    session.connection.execute(update(calendar_link).where(row.id == link_id).values(used_at=to_us(now)))


def remove(session: Session, account_id: str, patient: str) -> int:
    """Forget the links of an account to the appointments of a patient; return how many."""
    row = calendar_link.c
    statement = delete(calendar_link).where(row.account_id == account_id, row.patient == patient)
    return session.connection.execute(statement).rowcount


def _one(session: Session, *conditions: object) -> CalendarLink | None:
    fields = [calendar_link.c[name] for name in CalendarLink.__dataclass_fields__]
    found = session.connection.execute(select(*fields).where(*conditions)).first()  # type: ignore[arg-type]
    if found is None:
        return None
    values = found._asdict()
    values["created_at"] = from_us(values["created_at"])
    values["used_at"] = from_us(values["used_at"]) if values["used_at"] is not None else None
    return CalendarLink(**values)


def prune(session: Session, before: datetime) -> int:
    """Forget addresses that no calendar has asked since, nor ever; return how many."""
    row = calendar_link.c
    unused = func.coalesce(row.used_at, row.created_at) < to_us(before)
    return session.connection.execute(delete(calendar_link).where(unused)).rowcount
