"""Launches of an app from a patient's page, as rows: what a `launch` parameter stands for, once and for a short time.

INVARIANT: a launch is claimed by one conditional UPDATE, so that of two concurrent uses exactly one succeeds.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.instants import to_us
from fhir_server.store.oauth_clients import secret_hash
from fhir_server.store.oauth_tables import launch


@dataclass(frozen=True, slots=True)
class Launch:
    """An app opened from a patient's page.

    Attributes:
        client_id: The app; another cannot use the launch.
        account_id: Who opened it; another person cannot use it.
        patient: `Patient/…`.
        encounter: `Encounter/…`, or "".
        context: Further resources, such as `DocumentReference/…`.
    """

    client_id: str
    account_id: str
    patient: str
    encounter: str = ""
    context: tuple[str, ...] = ()


def add(session: Session, new: Launch, *, now: datetime, expires_in_s: int) -> str:
    """Make a launch parameter of 256 random bits and store its hash; those that ended are forgotten."""
    session.connection.execute(delete(launch).where(launch.c.expires_at < to_us(now)))
    value = secrets.token_urlsafe(32)
    session.connection.execute(
        insert(launch),
        {
            "launch_hash": secret_hash(value),
            "client_id": new.client_id,
            "account_id": new.account_id,
            "patient": new.patient,
            "encounter": new.encounter or None,
            "context": " ".join(new.context) or None,
            "expires_at": to_us(now + timedelta(seconds=expires_in_s)),
        },
    )
    return value


def pending(session: Session, value: str, *, client_id: str, account_id: str, now: datetime) -> Launch | None:
    """Return a launch that this person may still use with this app, without using it."""
    statement = select(launch).where(*_usable(value, client_id, account_id, now))
    row = session.connection.execute(statement).one_or_none()
    return _launch(row) if row else None


def claim(session: Session, value: str, *, client_id: str, account_id: str, now: datetime) -> Launch | None:
    """Use a launch up and return it; None when it is unknown, expired, used, another app's or another person's."""
    statement = update(launch).where(*_usable(value, client_id, account_id, now))
    row = session.connection.execute(statement.values(used_at=to_us(now)).returning(launch)).one_or_none()
    return _launch(row) if row else None


def _usable(value: str, client_id: str, account_id: str, now: datetime) -> tuple[ColumnElement[bool], ...]:
    row = launch.c
    return (
        row.launch_hash == secret_hash(value),
        row.client_id == client_id,
        row.account_id == account_id,
        row.used_at.is_(None),
        row.expires_at > to_us(now),
    )


def _launch(row: Row[Any]) -> Launch:
    return Launch(row.client_id, row.account_id, row.patient, row.encounter or "", tuple((row.context or "").split()))
