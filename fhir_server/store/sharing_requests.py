"""Requests of professionals that somebody share with them, as rows; a request is no right.

A request about nobody known here is a row like any other: who asks cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, insert, select, update

from fhir_server.store.carer_tables import sharing_request
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, maybe_from_us, to_us


@dataclass(frozen=True, slots=True)
class SharingRequest:
    """One request.

    Attributes:
        patient: `Patient/…` whom it reaches, "" where nobody has this number and date of birth.
        practitioner: `Practitioner/…` who asks.
        name: Theirs.
        organization: `Organization/…` they ask for, or "".
        nhs_number: As it was entered.
        birth_date: As it was entered, `YYYY-MM-DD`.
        reason: In the words of who asks.
        granted: The answer, None while there is none.
    """

    id: str
    patient: str
    practitioner: str
    name: str
    organization: str
    nhs_number: str
    birth_date: str
    reason: str
    created_at: datetime
    expires_at: datetime
    answered_at: datetime | None = None
    granted: bool | None = None


_ROW = sharing_request.c


def add(session: Session, new: SharingRequest) -> None:
    """Store a request."""
    session.connection.execute(
        insert(sharing_request),
        {
            "id": new.id,
            "patient": new.patient or None,
            "practitioner": new.practitioner,
            "name": new.name,
            "organization": new.organization,
            "nhs_number": new.nhs_number,
            "birth_date": new.birth_date,
            "reason": new.reason,
            "created_at": to_us(new.created_at),
            "expires_at": to_us(new.expires_at),
        },
    )


def waiting_for(session: Session, patient: str, now: datetime) -> tuple[SharingRequest, ...]:
    """Return the requests that a patient has not answered and that still run, oldest first."""
    return _found(session, _ROW.patient == patient, _ROW.granted.is_(None), _ROW.expires_at > to_us(now))


def by(session: Session, practitioner: str, limit: int = 50) -> tuple[SharingRequest, ...]:
    """Return the requests of a professional, newest first."""
    statement = select(sharing_request).where(_ROW.practitioner == practitioner)
    rows = session.connection.execute(statement.order_by(_ROW.created_at.desc(), _ROW.id).limit(limit))
    return tuple(_from_row(row) for row in rows)


def open_between(session: Session, practitioner: str, nhs_number: str, now: datetime) -> bool:
    """Return whether a professional has a request for a number that waits for an answer."""
    same = (_ROW.practitioner == practitioner, _ROW.nhs_number == nhs_number)
    return bool(_found(session, *same, _ROW.granted.is_(None), _ROW.expires_at > to_us(now)))


def answer(session: Session, request_id: str, *, granted: bool, now: datetime) -> bool:
    """Answer a request; False where it was answered or has run out."""
    waits = (_ROW.id == request_id, _ROW.granted.is_(None), _ROW.expires_at > to_us(now))
    statement = update(sharing_request).where(*waits).values(granted=granted, answered_at=to_us(now))
    return session.connection.execute(statement).rowcount == 1


def end_of(session: Session, practitioner: str, now: datetime) -> None:
    """Let the requests of a professional who left run out."""
    statement = update(sharing_request).where(_ROW.practitioner == practitioner, _ROW.granted.is_(None))
    session.connection.execute(statement.where(_ROW.expires_at > to_us(now)).values(expires_at=to_us(now)))


def _found(session: Session, *conditions: ColumnElement[bool]) -> tuple[SharingRequest, ...]:
    statement = select(sharing_request).where(*conditions).order_by(_ROW.created_at)
    return tuple(_from_row(row) for row in session.connection.execute(statement))


def _from_row(row: Row[Any]) -> SharingRequest:
    return SharingRequest(
        id=row.id,
        patient=row.patient or "",
        practitioner=row.practitioner,
        name=row.name,
        organization=row.organization,
        nhs_number=row.nhs_number,
        birth_date=row.birth_date,
        reason=row.reason,
        created_at=from_us(row.created_at),
        expires_at=from_us(row.expires_at),
        answered_at=maybe_from_us(row.answered_at),
        granted=None if row.granted is None else bool(row.granted),
    )
