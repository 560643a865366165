"""Requests of professionals for an account, and messages to the service desk, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.enrolment_tables import account_request, contact_message
from fhir_server.store.instants import from_us, maybe_from_us, to_us


class RequestState(StrEnum):
    """Where a request is."""

    NEW = "new"
    CHECKED = "checked"
    APPROVED = "approved"
    REFUSED = "refused"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class AccountRequest:
    """One person's request for an account.

    Attributes:
        name, email, job, organization_name, registration, reason: As they said.
        state: Where it is.
        checked_by: Account of the member of the service desk who checked the evidence, or "".
        evidence: What they saw.
        practitioner: `Practitioner/…` that the account will stand for, or "".
        organization: `Organization/…` of that person, or "".
        decided_by: Account of the second person, or "".
        token_expires_at: Until when the set-up link works.
        account_id: The account that was made, or that is to get one more role; "" for one to be made.
        role: `PractitionerRole/…` that the invitation itself made, or "".
    """

    id: str
    name: str
    email: str
    job: str
    organization_name: str
    registration: str
    reason: str
    asked_at: datetime
    state: RequestState = RequestState.NEW
    checked_by: str = ""
    checked_at: datetime | None = None
    evidence: str = ""
    practitioner: str = ""
    organization: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None
    token_expires_at: datetime | None = None
    account_id: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True)
class ContactMessage:
    """One message to the service desk."""

    id: str
    name: str
    email: str
    topic: str
    body: str
    sent_at: datetime


_ASKED = ("id", "name", "email", "job", "organization_name", "registration", "reason")


def add(session: Session, new: AccountRequest) -> None:
    """Store a request."""
    values = {name: getattr(new, name) for name in _ASKED}
    session.connection.execute(
        insert(account_request), values | {"asked_at": to_us(new.asked_at), "state": str(new.state)}
    )


def in_states(
    session: Session, states: tuple[RequestState, ...], *, organization: str = "", after: str = "", limit: int = 100
) -> tuple[AccountRequest, ...]:
    """Return requests in these states, of one organisation where it is named, oldest first, from one after an id on."""
    row = account_request.c
    statement = select(account_request).where(row.state.in_([str(state) for state in states]))
    if organization:
        statement = statement.where(row.organization == organization)
    last = by_id(session, after) if after else None
    if last is not None:
        statement = statement.where(
            (row.asked_at > to_us(last.asked_at)) | ((row.asked_at == to_us(last.asked_at)) & (row.id > last.id))
        )
    rows = session.connection.execute(statement.order_by(row.asked_at, row.id).limit(limit))
    return tuple(_from_row(found) for found in rows)


def by_id(session: Session, request_id: str) -> AccountRequest | None:
    """Return one request."""
    return _one(session, account_request.c.id == request_id)


def by_token(session: Session, token_hash: str) -> AccountRequest | None:
    """Return the request of a set-up link, used and expired ones too."""
    return _one(session, account_request.c.token_hash == token_hash)


def check(
    session: Session, request_id: str, *, by: str, evidence: str, practitioner: str, organization: str, now: datetime
) -> bool:
    """Keep what the service desk saw; False where the request is decided already."""
    row = account_request.c
    is_open = row.state.in_([str(RequestState.NEW), str(RequestState.CHECKED)])
    values = {
        "state": str(RequestState.CHECKED),
        "checked_by": by,
        "checked_at": to_us(now),
        "evidence": evidence,
        "practitioner": practitioner,
        "organization": organization or None,
    }
    return _changed(session, (row.id == request_id) & is_open, values)


def decide(
    session: Session,
    request_id: str,
    *,
    state: RequestState,
    by: str,
    token_hash: str = "",
    token_expires_at: datetime | None = None,
    account_id: str = "",
    now: datetime,
) -> bool:
    """Approve or refuse a request that waits; False where somebody else was first."""
    row = account_request.c
    wanted = [RequestState.CHECKED] if state is RequestState.APPROVED else [RequestState.NEW, RequestState.CHECKED]
    values = {
        "state": str(state),
        "decided_by": by,
        "decided_at": to_us(now),
        "token_hash": token_hash or None,
        "token_expires_at": to_us(token_expires_at) if token_expires_at else None,
        "account_id": account_id or None,
    }
    return _changed(session, (row.id == request_id) & row.state.in_([str(found) for found in wanted]), values)


def keep_role(session: Session, request_id: str, role: str) -> None:
    """Remember which role in the directory came with a request."""
    _changed(session, account_request.c.id == request_id, {"role": role or None})


def renew(session: Session, request_id: str, token_hash: str, expires_at: datetime) -> bool:
    """Put a new set-up link in place of the one that was sent; False where it was used, or there is none."""
    row = account_request.c
    condition = (row.id == request_id) & (row.state == str(RequestState.APPROVED))
    return _changed(session, condition, {"token_hash": token_hash, "token_expires_at": to_us(expires_at)})


_WITHDRAWN: Final = {"state": str(RequestState.REFUSED), "token_hash": None, "token_expires_at": None}


def withdraw(session: Session, practitioner: str, organization: str) -> str:
    """Let no set-up link of a person for an organisation work any more; return the role that one of them made or ""."""
    row = account_request.c
    theirs = (row.practitioner == practitioner) & (row.organization == organization)
    is_open = row.state == str(RequestState.APPROVED)
    ended = update(account_request).where(theirs & is_open).values(_WITHDRAWN).returning(row.role)
    return next((role for role in session.connection.execute(ended).scalars() if role), "")


def cancel(session: Session, request_id: str) -> bool:
    """Let one set-up link not work any more; False where it was used, or there is none."""
    row = account_request.c
    return _changed(session, (row.id == request_id) & (row.state == str(RequestState.APPROVED)), _WITHDRAWN)


def unused(session: Session, *, decided_before: datetime, now: datetime) -> tuple[AccountRequest, ...]:
    """Return the requests with a role, decided before an instant, whose link nobody used while it worked."""
    row = account_request.c
    is_open = (row.state == str(RequestState.APPROVED)) & row.role.is_not(None)
    stale = is_open & (row.decided_at < to_us(decided_before)) & (row.token_expires_at < to_us(now))
    rows = session.connection.execute(select(account_request).where(stale).order_by(row.decided_at, row.id).limit(100))
    return tuple(_from_row(found) for found in rows)


def complete(session: Session, request_id: str, account_id: str) -> bool:
    """Use the set-up link up; False where another request was first."""
    row = account_request.c
    condition = (row.id == request_id) & (row.state == str(RequestState.APPROVED))
    return _changed(session, condition, {"state": str(RequestState.COMPLETED), "account_id": account_id})


def prune(session: Session, *, asked_before: datetime, decided_before: datetime, now: datetime) -> int:
    """Forget requests that nobody decided and such that were decided, from before these instants; return how many.

    Not such whose link still works, nor such whose role is to be ended first (`unused`).
    """
    row = account_request.c
    stale = row.decided_at.is_(None) & (row.asked_at < to_us(asked_before))
    is_open = row.state == str(RequestState.APPROVED)
    is_needed = is_open & ((row.token_expires_at > to_us(now)) | row.role.is_not(None))
    decided = (row.decided_at < to_us(decided_before)) & ~is_needed
    over = delete(account_request).where(stale | decided)
    return session.connection.execute(over).rowcount


def add_message(session: Session, new: ContactMessage) -> None:
    """Store a message to the service desk."""
    values = {name: getattr(new, name) for name in ("id", "name", "email", "topic", "body")}
    session.connection.execute(insert(contact_message), values | {"sent_at": to_us(new.sent_at)})


def open_messages(session: Session, *, after: str = "", limit: int = 100) -> tuple[ContactMessage, ...]:
    """Return the messages that nobody has dealt with, oldest first, from one after an id on."""
    row = contact_message.c
    statement = select(contact_message).where(row.closed_at.is_(None))
    last = session.connection.execute(select(row.sent_at).where(row.id == after)).scalar() if after else None
    if last is not None:
        statement = statement.where((row.sent_at > last) | ((row.sent_at == last) & (row.id > after)))
    return tuple(
        ContactMessage(found.id, found.name, found.email, found.topic, found.body, from_us(found.sent_at))
        for found in session.connection.execute(statement.order_by(row.sent_at, row.id).limit(limit))
    )


def close_message(session: Session, message_id: str, *, by: str, now: datetime) -> bool:
    """Take a message off the queue; False where it is not there (any more)."""
    row = contact_message.c
    statement = update(contact_message).where(row.id == message_id, row.closed_at.is_(None))
    return session.connection.execute(statement.values(closed_by=by, closed_at=to_us(now))).rowcount == 1


def prune_messages(session: Session, *, sent_before: datetime, closed_before: datetime) -> int:
    """Forget messages from before these instants; return how many."""
    row = contact_message.c
    over = delete(contact_message).where((row.sent_at < to_us(sent_before)) | (row.closed_at < to_us(closed_before)))
    return session.connection.execute(over).rowcount


def _changed(session: Session, condition: ColumnElement[bool], values: dict[str, Any]) -> bool:
    return session.connection.execute(update(account_request).where(condition).values(values)).rowcount == 1


def _one(session: Session, condition: ColumnElement[bool]) -> AccountRequest | None:
    row = session.connection.execute(select(account_request).where(condition)).one_or_none()
    return _from_row(row) if row else None


def _from_row(row: Row[Any]) -> AccountRequest:
    return AccountRequest(
        **{name: getattr(row, name) for name in _ASKED},
        asked_at=from_us(row.asked_at),
        state=RequestState(row.state),
        checked_by=row.checked_by or "",
        checked_at=maybe_from_us(row.checked_at),
        evidence=row.evidence or "",
        practitioner=row.practitioner or "",
        organization=row.organization or "",
        decided_by=row.decided_by or "",
        decided_at=maybe_from_us(row.decided_at),
        token_expires_at=maybe_from_us(row.token_expires_at),
        account_id=row.account_id or "",
        role=row.role or "",
    )
