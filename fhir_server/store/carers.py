"""Carers as rows: invitations by a patient, and which RelatedPersons an account stands for. No right is kept here.

What a carer may see is a Consent that names the RelatedPerson; a link without one opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, tuple_, update

from fhir_server.store.carer_tables import carer_invitation, carer_link
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class CarerInvitation:
    """An invitation of a carer; hashes of link and code stay in the row.

    Attributes:
        patient: `Patient/…` whose record it is about.
        reference: `RelatedPerson/…` that the carer will be.
        consent_id: The Consent that says what they see.
        invited_by: Account that invited.
        organization: `Organization/…` of the coordinator who invited a child's parent, "" where a patient invited.
        birth_date: The child's (`YYYY-MM-DD`), which a coordinator's invitation asks for; "" otherwise.
    """

    id: str
    patient: str
    reference: str
    consent_id: str
    name: str
    email: str
    mobile: str
    invited_by: str
    created_at: datetime
    expires_at: datetime
    locked_until: datetime | None = None
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    organization: str = ""
    birth_date: str = ""


_ROW = carer_invitation.c


def add(session: Session, new: CarerInvitation, *, token_hash: str, code_hash: str) -> None:
    """Store a new invitation."""
    session.connection.execute(
        insert(carer_invitation),
        {
            "id": new.id,
            "patient": new.patient,
            "reference": new.reference,
            "consent_id": new.consent_id,
            "name": new.name,
            "email": new.email,
            "mobile": new.mobile,
            "invited_by": new.invited_by,
            "organization": new.organization or None,
            "birth_date": new.birth_date or None,
            "created_at": to_us(new.created_at),
            "expires_at": to_us(new.expires_at),
            "token_hash": token_hash,
            "code_hash": code_hash,
            "failed_count": 0,
        },
    )


def by_id(session: Session, invitation_id: str) -> CarerInvitation | None:
    """Return one invitation."""
    return _one(session, _ROW.id == invitation_id)


def by_token(session: Session, token_hash: str) -> CarerInvitation | None:
    """Return the invitation of a link."""
    return _one(session, _ROW.token_hash == token_hash)


def waiting(session: Session, patient: str) -> tuple[CarerInvitation, ...]:
    """Return the invitations of a patient that nobody has taken up or withdrawn, newest first; expired ones too."""
    statement = select(carer_invitation).where(_ROW.patient == patient, _ROW.completed_at.is_(None))
    rows = session.connection.execute(statement.where(_ROW.cancelled_at.is_(None)).order_by(_ROW.created_at.desc()))
    return tuple(_from_row(row) for row in rows)


def of_organization(session: Session, organization: str, *, after: str = "", limit: int) -> tuple[CarerInvitation, ...]:
    """Return the parents whom an organisation invited, newest first, from the one after an id on."""
    statement = select(carer_invitation).where(_ROW.organization == organization)
    last = by_id(session, after) if after else None
    if last is not None and last.organization == organization:
        statement = statement.where(tuple_(_ROW.created_at, _ROW.id) < (to_us(last.created_at), last.id))
    newest = statement.order_by(_ROW.created_at.desc(), _ROW.id.desc()).limit(limit)
    return tuple(_from_row(row) for row in session.connection.execute(newest))


def of_parent(session: Session, organization: str, patient: str, email: str) -> tuple[CarerInvitation, ...]:
    """Return what an organisation sent to one address for one patient, whatever became of it."""
    statement = select(carer_invitation).where(_ROW.patient == patient, _ROW.email == email)
    rows = session.connection.execute(statement.where(_ROW.organization == organization))
    return tuple(_from_row(row) for row in rows)


def relatives(session: Session, patient: str) -> tuple[str, ...]:
    """Return the accounts that stand for somebody who was invited to a patient's record, each once."""
    link = carer_link.c
    statement = select(link.account_id).join(carer_invitation, _ROW.reference == link.reference)
    found = session.connection.execute(statement.where(_ROW.patient == patient, link.ended_at.is_(None)).distinct())
    return tuple(found.scalars())


def code_hash(session: Session, invitation_id: str) -> str:
    """Return the hash of the code of an invitation, "" for an unknown one."""
    statement = select(_ROW.code_hash).where(_ROW.id == invitation_id)
    return session.connection.execute(statement).scalar_one_or_none() or ""


def renew(session: Session, invitation_id: str, *, token_hash: str, code_hash: str, expires_at: datetime) -> None:
    """Put a new link and code in place of the old ones."""
    values = {"token_hash": token_hash, "code_hash": code_hash, "expires_at": to_us(expires_at), "failed_count": 0}
    _update(session, invitation_id, locked_until=None, **values)


def count_failure(session: Session, invitation_id: str) -> int:
    """Count one wrong code and return how many there are now."""
    statement = update(carer_invitation).where(_ROW.id == invitation_id).values(failed_count=_ROW.failed_count + 1)
    return int(session.connection.execute(statement.returning(_ROW.failed_count)).scalar_one())


def lock(session: Session, invitation_id: str, until: datetime) -> None:
    """Take no try before an instant; counting starts anew after it."""
    _update(session, invitation_id, locked_until=to_us(until), failed_count=0)


def complete(session: Session, invitation_id: str, now: datetime) -> bool:
    """Use an invitation up; False where another request was first, or it was withdrawn meanwhile."""
    statement = update(carer_invitation).where(
        _ROW.id == invitation_id, _ROW.completed_at.is_(None), _ROW.cancelled_at.is_(None)
    )
    return session.connection.execute(statement.values(completed_at=to_us(now), code_hash="")).rowcount == 1


def cancel_for(session: Session, reference: str, now: datetime) -> None:
    """Make every open invitation to be a RelatedPerson useless."""
    statement = update(carer_invitation).where(_ROW.reference == reference, _ROW.completed_at.is_(None))
    session.connection.execute(statement.where(_ROW.cancelled_at.is_(None)).values(cancelled_at=to_us(now)))


def end(session: Session, invitation_id: str, now: datetime) -> bool:
    """Remember that what an invitation let somebody see was ended, taken up or not; False where it had ended."""
    statement = update(carer_invitation).where(_ROW.id == invitation_id, _ROW.cancelled_at.is_(None))
    return session.connection.execute(statement.values(cancelled_at=to_us(now), code_hash="")).rowcount == 1


def link(session: Session, account_id: str, reference: str, now: datetime) -> None:
    """Let an account stand for a RelatedPerson."""
    values = {"reference": reference, "account_id": account_id, "created_at": to_us(now)}
    session.connection.execute(insert(carer_link), values)


def unlink(session: Session, account_id: str, reference: str, now: datetime) -> bool:
    """End that an account stands for a RelatedPerson; False where it did not."""
    row = carer_link.c
    statement = update(carer_link).where(row.account_id == account_id, row.reference == reference)
    return session.connection.execute(statement.where(row.ended_at.is_(None)).values(ended_at=to_us(now))).rowcount == 1


def links(session: Session, account_id: str) -> tuple[str, ...]:
    """Return the RelatedPersons that an account stands for, in the order in which they came."""
    row = carer_link.c
    statement = select(row.reference).where(row.account_id == account_id, row.ended_at.is_(None))
    return tuple(session.connection.execute(statement.order_by(row.created_at, row.reference)).scalars())


def active_links(session: Session) -> tuple[tuple[str, str], ...]:
    """Return (RelatedPerson, account) of everybody who stands for somebody's family or carer now."""
    row = carer_link.c
    statement = select(row.reference, row.account_id).where(row.ended_at.is_(None)).order_by(row.reference)
    return tuple((each.reference, each.account_id) for each in session.connection.execute(statement))


def _one(session: Session, condition: ColumnElement[bool]) -> CarerInvitation | None:
    row = session.connection.execute(select(carer_invitation).where(condition)).one_or_none()
    return _from_row(row) if row else None


def _from_row(row: Row[Any]) -> CarerInvitation:
    return CarerInvitation(
        id=row.id,
        patient=row.patient,
        reference=row.reference,
        consent_id=row.consent_id,
        name=row.name,
        email=row.email,
        mobile=row.mobile,
        invited_by=row.invited_by,
        created_at=from_us(row.created_at),
        expires_at=from_us(row.expires_at),
        locked_until=maybe_from_us(row.locked_until),
        completed_at=maybe_from_us(row.completed_at),
        cancelled_at=maybe_from_us(row.cancelled_at),
        organization=row.organization or "",
        birth_date=row.birth_date or "",
    )


def _update(session: Session, invitation_id: str, **values: object) -> None:
    session.connection.execute(update(carer_invitation).where(_ROW.id == invitation_id).values(values))
