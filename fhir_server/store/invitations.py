"""Invitations as rows. Which step is allowed when is `identity`'s word.

INVARIANT: link and code exist here as hashes only; the hashes leave through `proofs_of` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, insert, or_, select, update

from fhir_server.store.account_tables import invitation
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class Invitation:
    """One person's invitation to open an account.

    Attributes:
        id: UUID.
        patient: `Patient/…`, the record the account will open.
        birth_date: `YYYY-MM-DD`.
        nhs_number: Ten digits, or "" where there is none.
        email: Lower case; "" where the link goes by letter and its person has not said one yet.
        mobile: E.164, such as `+447700900123`.
        invited_by: Id of the coordinator's account.
        organization: `Organization/…` of the coordinator, or "".
        failed_count: Wrong tries since the last lock or success.
        locked_until: No try is taken before this instant.
        has_password: Step done.
        has_memorable: Step done.
        completed_at: When the account was made.
        account_id: That account, or "".
        reminded_at: When the reminder was sent.
        letter_at: When the letter was made.
    """

    id: str
    patient: str
    given: str
    family: str
    birth_date: str
    nhs_number: str
    email: str
    mobile: str
    invited_by: str
    organization: str
    created_at: datetime
    expires_at: datetime
    failed_count: int = 0
    locked_until: datetime | None = None
    has_password: bool = False
    has_memorable: bool = False
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    account_id: str = ""
    reminded_at: datetime | None = None
    letter_at: datetime | None = None


class State(StrEnum):
    """What became of an invitation."""

    WAITING = "waiting"
    LOCKED = "locked"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Proofs:
    """The hashes of an invitation and the secrets its person chose so far; "" where there is none."""

    code_hash: str
    proof_hash: str
    proved_at: datetime | None
    password_hash: str
    memorable_question: str
    memorable_hash: str


def add(session: Session, new: Invitation, *, token_hash: str, code_hash: str) -> None:
    """Store a new invitation."""
    session.connection.execute(
        insert(invitation),
        {
            "id": new.id,
            "patient": new.patient,
            "given": new.given,
            "family": new.family,
            "birth_date": new.birth_date,
            "nhs_number": new.nhs_number,
            "email": new.email,
            "mobile": new.mobile,
            "invited_by": new.invited_by,
            "organization": new.organization or None,
            "created_at": to_us(new.created_at),
            "expires_at": to_us(new.expires_at),
            "token_hash": token_hash,
            "code_hash": code_hash,
            "failed_count": 0,
        },
    )


def by_id(session: Session, invitation_id: str) -> Invitation | None:
    """Return one invitation."""
    return _one(session, invitation.c.id == invitation_id)


def by_token(session: Session, token_hash: str) -> Invitation | None:
    """Return the invitation of a link, expired, completed and cancelled ones too."""
    return _one(session, or_(invitation.c.token_hash == token_hash, invitation.c.reminder_hash == token_hash))


def of_organization(
    session: Session,
    organization: str,
    now: datetime,
    *,
    state: State | None = None,
    text: str = "",
    after: str = "",
    limit: int = 500,
) -> tuple[Invitation, ...]:
    """Return invitations of an organisation, newest first, from the one after an id on.

    Args:
        session: An open transaction.
        organization: `Organization/…`; "" means invitations without one, "*" those of all.
        now: What states are told by.
        state: Only these.
        text: A part of a name or an e-mail address.
        after: Id of the last one of the page before, "" for the first page.
        limit: At most so many.
    """
    row = invitation.c
    statement = select(invitation).order_by(row.created_at.desc(), row.id.desc()).limit(limit)
    if organization != "*":
        statement = statement.where(row.organization == organization if organization else row.organization.is_(None))
    if state is not None:
        statement = statement.where(_is(state, to_us(now)))
    if text:
        part = text.lower()
        columns = (row.given + " " + row.family, row.email)
        statement = statement.where(or_(*(func.lower(column).contains(part, autoescape=True) for column in columns)))
    last = by_id(session, after) if after else None
    if last is not None:
        at = to_us(last.created_at)
        statement = statement.where(or_(row.created_at < at, and_(row.created_at == at, row.id < last.id)))
    return tuple(_from_row(found) for found in session.connection.execute(statement))


def open_ones(session: Session, organization: str, now: datetime, *, patient: str = "", email: str = "") -> bool:
    """Return whether an organisation has an invitation that still works, for a record or to an e-mail address."""
    row = invitation.c
    whose = row.organization == organization if organization else row.organization.is_(None)
    of_whom = row.patient == patient if patient else and_(row.email == email, row.email != "")
    statement = select(row.id).where(whose, of_whom, _is(State.WAITING, to_us(now), locked=True)).limit(1)
    return session.connection.execute(statement).first() is not None


def to_remind(session: Session, now: datetime, *, made_before: datetime, limit: int = 100) -> tuple[Invitation, ...]:
    """Return invitations by e-mail that still work and of which nobody was reminded, from before an instant."""
    row = invitation.c
    statement = select(invitation).where(
        _is(State.WAITING, to_us(now)), row.reminded_at.is_(None), row.created_at <= to_us(made_before), row.email != ""
    )
    rows = session.connection.execute(statement.where(row.letter_at.is_(None)).order_by(row.id).limit(limit))
    return tuple(_from_row(found) for found in rows)


def remind(session: Session, invitation_id: str, token_hash: str, now: datetime) -> bool:
    """Give an invitation a second link beside its first; False where another worker was first."""
    row = invitation.c
    statement = update(invitation).where(row.id == invitation_id, row.reminded_at.is_(None))
    done = session.connection.execute(statement.values(reminder_hash=token_hash, reminded_at=to_us(now)))
    return done.rowcount == 1


def made_letter(session: Session, invitation_id: str, now: datetime) -> bool:
    """Remember that the letter of an invitation was made; False where it was before."""
    row = invitation.c
    statement = update(invitation).where(row.id == invitation_id, row.letter_at.is_(None))
    return session.connection.execute(statement.values(letter_at=to_us(now))).rowcount == 1


def set_email(session: Session, invitation_id: str, email: str) -> None:
    """Keep the e-mail address that the invited person says."""
    _update(session, invitation_id, email=email)


def proofs_of(session: Session, invitation_id: str) -> Proofs:
    """Return the hashes of an invitation.

    Raises:
        LookupError: When there is no such invitation.
    """
    row = session.connection.execute(select(invitation).where(invitation.c.id == invitation_id)).one_or_none()
    if row is None:
        raise LookupError(invitation_id)
    return Proofs(
        code_hash=row.code_hash,
        proof_hash=row.proof_hash or "",
        proved_at=maybe_from_us(row.proved_at),
        password_hash=row.password_hash or "",
        memorable_question=row.memorable_question or "",
        memorable_hash=row.memorable_hash or "",
    )


def renew(session: Session, invitation_id: str, *, token_hash: str, code_hash: str, expires_at: datetime) -> None:
    """Give an invitation a new link and code; the old ones are dead at once, and so is a browser's proof."""
    _update(
        session,
        invitation_id,
        token_hash=token_hash,
        code_hash=code_hash,
        expires_at=to_us(expires_at),
        reminder_hash=None,
        reminded_at=None,
        letter_at=None,
        failed_count=0,
        proof_hash=None,
        proved_at=None,
    )


def count_failure(session: Session, invitation_id: str) -> int:
    """Count one wrong try and return how many there are now."""
    statement = update(invitation).where(invitation.c.id == invitation_id)
    counted = statement.values(failed_count=invitation.c.failed_count + 1).returning(invitation.c.failed_count)
    return int(session.connection.execute(counted).scalar_one())


def lock(session: Session, invitation_id: str, until: datetime) -> None:
    """Take no try before an instant; counting starts anew after it."""
    _update(session, invitation_id, locked_until=to_us(until), failed_count=0)


def unlock(session: Session, email: str) -> None:
    """Take wrong tries with the open invitations to an e-mail address back."""
    row = invitation.c
    statement = update(invitation).where(row.email == email, row.completed_at.is_(None), row.cancelled_at.is_(None))
    session.connection.execute(statement.values(locked_until=None, failed_count=0))


def open_to(session: Session, email: str, now: datetime) -> tuple[Invitation, ...]:
    """Return the invitations to an e-mail address that still work."""
    row = invitation.c
    works = (row.completed_at.is_(None), row.cancelled_at.is_(None), row.expires_at > to_us(now))
    rows = session.connection.execute(select(invitation).where(row.email == email, *works).order_by(row.created_at))
    return tuple(_from_row(found) for found in rows)


def prove(session: Session, invitation_id: str, proof_hash: str, now: datetime) -> None:
    """Remember the browser whose person knew link, code and date of birth."""
    _update(session, invitation_id, proof_hash=proof_hash, proved_at=to_us(now), failed_count=0, locked_until=None)


def set_password(session: Session, invitation_id: str, password_hash: str) -> None:
    """Keep the chosen password until the account is made."""
    _update(session, invitation_id, password_hash=password_hash)


def set_memorable(session: Session, invitation_id: str, question: str, answer_hash: str) -> None:
    """Keep the chosen question and answer until the account is made."""
    _update(session, invitation_id, memorable_question=question, memorable_hash=answer_hash)


def complete(session: Session, invitation_id: str, account_id: str, now: datetime) -> bool:
    """Close an invitation whose account is made; its secrets live on in the account only.

    False where it was completed, cancelled or renewed with other secrets meanwhile: then no account may be made.
    """
    row = invitation.c
    works = (row.completed_at.is_(None), row.cancelled_at.is_(None), row.proof_hash.is_not(None))
    statement = update(invitation).where(row.id == invitation_id, *works)
    values = {
        "account_id": account_id,
        "completed_at": to_us(now),
        "code_hash": "",
        "proof_hash": None,
        "password_hash": None,
        "memorable_question": None,
        "memorable_hash": None,
    }
    return session.connection.execute(statement.values(values)).rowcount == 1


def cancel(session: Session, invitation_id: str, now: datetime) -> None:
    """Make an invitation useless, unless it was completed."""
    statement = update(invitation).where(invitation.c.id == invitation_id, invitation.c.completed_at.is_(None))
    session.connection.execute(statement.values(cancelled_at=to_us(now)))


def cancel_others(session: Session, patient: str, now: datetime) -> None:
    """Cancel every open invitation of a person, since a new one replaces them."""
    statement = update(invitation).where(
        invitation.c.patient == patient, invitation.c.completed_at.is_(None), invitation.c.cancelled_at.is_(None)
    )
    session.connection.execute(statement.values(cancelled_at=to_us(now)))


def _is(state: State, now_us: int, *, locked: bool = False) -> ColumnElement[bool]:
    row = invitation.c
    if state is State.COMPLETED:
        return row.completed_at.is_not(None)
    is_open = and_(row.completed_at.is_(None), row.cancelled_at.is_(None))
    if state is State.CANCELLED:
        return and_(row.completed_at.is_(None), row.cancelled_at.is_not(None))
    if state is State.EXPIRED:
        return and_(is_open, row.expires_at <= now_us)
    works = and_(is_open, row.expires_at > now_us)
    is_locked = and_(row.locked_until.is_not(None), row.locked_until > now_us)
    if locked:
        return works
    return and_(works, is_locked if state is State.LOCKED else ~is_locked)


def _one(session: Session, condition: ColumnElement[bool]) -> Invitation | None:
    row = session.connection.execute(select(invitation).where(condition)).one_or_none()
    return _from_row(row) if row else None


def _from_row(row: Row[Any]) -> Invitation:
    return Invitation(
        id=row.id,
        patient=row.patient,
        given=row.given,
        family=row.family,
        birth_date=row.birth_date,
        nhs_number=row.nhs_number,
        email=row.email,
        mobile=row.mobile,
        invited_by=row.invited_by,
        organization=row.organization or "",
        created_at=from_us(row.created_at),
        expires_at=from_us(row.expires_at),
        failed_count=row.failed_count,
        locked_until=maybe_from_us(row.locked_until),
        has_password=bool(row.password_hash),
        has_memorable=bool(row.memorable_hash),
        completed_at=maybe_from_us(row.completed_at),
        cancelled_at=maybe_from_us(row.cancelled_at),
        account_id=row.account_id or "",
        reminded_at=maybe_from_us(row.reminded_at),
        letter_at=maybe_from_us(row.letter_at),
    )


def _update(session: Session, invitation_id: str, **values: object) -> None:
    session.connection.execute(update(invitation).where(invitation.c.id == invitation_id).values(values))
