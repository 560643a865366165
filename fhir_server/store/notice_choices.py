"""Messages that somebody asked to be sent, and messages that are sent once: a row is a yes, its absence a no."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert, select

from fhir_server.store.account_tables import notice_choice, notice_given
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us

EMERGENCIES = "emergencies"
"""Tell a carer when a record shared with them is opened in an emergency."""
NO_NEWS = "no-news"
"""Do not tell a patient or carer that there is something new in a record: who says nothing is told."""


def wants(session: Session, account_id: str, notice: str) -> bool:
    """Return whether the account asked for this message."""
    row = notice_choice.c
    statement = select(row.account_id).where(row.account_id == account_id, row.notice == notice)
    return session.connection.execute(statement).first() is not None


def choose(session: Session, account_id: str, notice: str, *, wanted: bool, now: datetime) -> None:
    """Ask for a message, or ask for it no longer; saying the same twice changes nothing."""
    if wants(session, account_id, notice) is wanted:
        return
    if wanted:
        values = {"account_id": account_id, "notice": notice, "chosen_at": to_us(now)}
        session.connection.execute(insert(notice_choice), values)
        return
    row = notice_choice.c
    session.connection.execute(delete(notice_choice).where(row.account_id == account_id, row.notice == notice))


def is_given(session: Session, about: str, notice: str) -> bool:
    """Return whether a message that is sent once was sent, about somebody such as `RelatedPerson/1`."""
    row = notice_given.c
    return (
        session.connection.execute(select(row.about).where(row.about == about, row.notice == notice)).first()
        is not None
    )


def give(session: Session, about: str, notice: str, now: datetime) -> None:
    """Remember that a message that is sent once was sent; the caller has asked `is_given` under a lock."""
    session.connection.execute(insert(notice_given), {"about": about, "notice": notice, "given_at": to_us(now)})
