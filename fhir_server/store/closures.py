"""Accounts that ended with what they were for (a death, a joined record, no use of them), and opening them again.

What ends with an account ends here, in one place and the caller's transaction: sessions, apps, devices, proofs and
links under way, messages that wait.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import BindParameter, Select, Text, bindparam, func, insert, select, update

from fhir_server.store import accounts, devices, oauth, pending_proofs, prepared, sessions
from fhir_server.store.account_tables import account as account_table
from fhir_server.store.account_tables import account_link, message
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.enrolment_tables import closure
from fhir_server.store.instants import from_us, to_us


class Closed(StrEnum):
    """Why accounts were closed."""

    DEATH = "death"
    MERGE = "merge"
    UNUSED = "unused"


_ROW = closure.c
_REMINDED = "reminded"


def is_closed(session: Session, person: str, reason: Closed) -> bool:
    """Return whether something of a person, such as `Patient/1`, is closed for a reason now."""
    values = {"person": person, "reason": str(reason)}
    return prepared.run(session, "closure", _closed_statement, values).first() is not None


def _closed_statement() -> Select[Any]:
    person: BindParameter[str] = bindparam("person", "", Text)
    reason: BindParameter[str] = bindparam("reason", "", Text)
    open_ones = select(_ROW.id).where(_ROW.person == person, _ROW.reason == reason, _ROW.reopened_at.is_(None))
    return open_ones.limit(1)


def close_person(session: Session, person: str, reason: Closed, now: datetime) -> None:
    """Remember that a person's accounts are closed, whether there are any or not."""
    _note(session, person, reason, None, now)


def close(session: Session, account: Account, person: str, reason: Closed, now: datetime) -> tuple[str, ...]:
    """Close an account with everything that lives on it, at once; return the sessions that ended.

    Args:
        session: The transaction of the cause.
        account: Which; one that is closed already stays as it is and is not opened again with the others. One that
            nobody has confirmed yet cannot be confirmed (`is_held`) before it is opened again.
        person: Whose record it was closed for.
        reason: Why.
        now: Aware UTC.
    """
    if not account.active:
        if account.email_confirmed_at is None:
            _note(session, person, reason, account.id, now)
        return ()
    ended = sessions.end_all(session, account.id, now)
    end_apps(session, account.id, now)
    devices.remove(session, account.id)
    pending_proofs.end_all(session, account.id, now)
    links = update(account_link).where(account_link.c.account_id == account.id)
    session.connection.execute(links.where(account_link.c.expires_at > to_us(now)).values(expires_at=to_us(now)))
    # Not those to its number: a family may share one.
    waiting = update(message).where(message.c.recipient == account.email, message.c.sent_at.is_(None))
    gone = {"failed_at": to_us(now), "last_error": "account closed", "details": "{}"}
    session.connection.execute(waiting.where(message.c.failed_at.is_(None)).values(gone))
    accounts.set_active(session, account.id, active=False, now=now)
    _note(session, person, reason, account.id, now)
    return ended


def end_apps(session: Session, account_id: str, now: datetime, *, patient: str = "") -> None:
    """Take back what apps may do for an account, or (`patient`) may do with one record."""
    for grant in oauth.grants_of(session, account_id, now):
        if not patient or grant.patient == patient:
            oauth.revoke_grant(session, grant.id, now)


def reopen(session: Session, person: str, reason: Closed, now: datetime) -> tuple[Account, ...]:
    """Open again what was closed for a person and a reason; return the accounts. Sessions and apps stay ended."""
    mine = (_ROW.person == person, _ROW.reason == str(reason), _ROW.reopened_at.is_(None))
    wanted = list(session.connection.execute(select(_ROW.account_id).where(*mine)).scalars())
    session.connection.execute(update(closure).where(*mine).values(reopened_at=to_us(now)))
    found = [accounts.by_id(session, account_id) for account_id in wanted if account_id]
    opened = tuple(each for each in found if each is not None and not each.active and each.email_confirmed_at)
    for account in opened:
        accounts.set_active(session, account.id, active=True, now=now)
    return opened


def is_held(session: Session, account: Account) -> bool:
    """Return whether an account that was never active must not become so: it or its person ended meanwhile."""
    of_person = (_ROW.person == account.reference) & (_ROW.reason == str(Closed.DEATH))
    held = select(_ROW.id).where((_ROW.account_id == account.id) | of_person, _ROW.reopened_at.is_(None))
    return session.connection.execute(held.limit(1)).first() is not None


def unused_since(
    session: Session, before: datetime, limit: int, *, after: tuple[Account, datetime] | None = None
) -> list[tuple[Account, datetime]]:
    """Return active accounts that nobody has signed in to since an instant, the longest unused first, each with when.

    An administrator's is none of them: nobody else could open it again.

    Args:
        session: A transaction.
        before: The instant.
        limit: How many at most.
        after: The last one of those that were looked at before.
    """
    row = account_table.c
    used_at = func.coalesce(row.last_sign_in_at, row.created_at)
    statement = select(row.id, used_at.label("used_at")).where(
        row.active.is_(True), row.role != "admin", used_at < to_us(before)
    )
    if after is not None:
        at_us = to_us(after[1])
        statement = statement.where((used_at > at_us) | ((used_at == at_us) & (row.id > after[0].id)))
    rows = session.connection.execute(statement.order_by(used_at, row.id).limit(limit)).all()
    found = ((accounts.by_id(session, each.id), from_us(each.used_at)) for each in rows)
    return [(account, at) for account, at in found if account is not None]


def reminded_at(session: Session, account_id: str, *, since: datetime) -> datetime | None:
    """Return when somebody was told that an account will close, None where not since it was used last."""
    mine = (_ROW.person == f"account:{account_id}", _ROW.reason == _REMINDED, _ROW.closed_at > to_us(since))
    at = session.connection.execute(select(func.max(_ROW.closed_at)).where(*mine)).scalar()
    return from_us(at) if at is not None else None


def remind(session: Session, account_id: str, now: datetime) -> None:
    """Remember that somebody was told that an account will close."""
    values = {"id": str(uuid.uuid4()), "person": f"account:{account_id}", "reason": _REMINDED, "account_id": None}
    session.connection.execute(insert(closure), values | {"closed_at": to_us(now)})


def move(session: Session, account_id: str, reference: str) -> None:
    """Give an account another record of the same person."""
    statement = update(account_table).where(account_table.c.id == account_id)
    session.connection.execute(statement.values(reference=reference))


def _note(session: Session, person: str, reason: Closed, account_id: str | None, now: datetime) -> None:
    values = {"id": str(uuid.uuid4()), "person": person, "reason": str(reason), "account_id": account_id}
    session.connection.execute(insert(closure), values | {"closed_at": to_us(now)})
