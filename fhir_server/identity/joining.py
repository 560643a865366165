"""The accounts of a person who had two records: one is left, and two again where the records are parted."""

from __future__ import annotations

from datetime import datetime
from typing import TypedDict

from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, carers, closures, invitations, sessions
from fhir_server.store.accounts import Account
from fhir_server.store.closures import Closed
from fhir_server.store.database import Session
from fhir_server.store.keys import hash64, reference_key


class United(TypedDict):
    """Ids of accounts that were given the record that stays, and of such that were closed."""

    moved: list[str]
    closed: list[str]


def lock(session: Session, *patient_ids: str) -> None:
    """Let nobody open an account for one of these records, or join them, at the same time."""
    for patient_id in sorted(patient_ids):
        session.lock(reference_key("Patient", patient_id))
        # INVARIANT: the lock that registration takes: one record never gets two accounts.
        session.lock(hash64(f"account:Patient/{patient_id}"))


def end_duplicate(session: Session, patient_id: str, now: datetime) -> tuple[Account, ...]:
    """End what waits for a record that will be no more, and every sign-in to it; return its active accounts."""
    person = f"Patient/{patient_id}"
    invitations.cancel_others(session, person, now)
    for waiting in carers.waiting(session, person):
        carers.cancel_for(session, waiting.reference, now)
    owners = _owners(session, person)
    for account in owners:
        sessions.end_all(session, account.id, now)
        closures.end_apps(session, account.id, now)
    return owners


def unite(session: Session, duplicate: str, survivor: str, owners: tuple[Account, ...], now: datetime) -> United:
    """Give the record that stays the duplicate's account, or close that where it has one; the person is told."""
    stays = _owners(session, f"Patient/{survivor}")
    for account in owners:
        if stays:
            closures.close(session, account, f"Patient/{duplicate}", Closed.MERGE, now)
            queue(session, Notice.ACCOUNT_JOINED, account.email, now)
        else:
            closures.move(session, account.id, f"Patient/{survivor}")
    for account in accounts.by_reference(session, f"Patient/{duplicate}"):
        # Registered and not confirmed yet: its link would open a record that is no more.
        if account.email_confirmed_at is None:
            closures.close(session, account, f"Patient/{duplicate}", Closed.MERGE, now)
    _tell(session, survivor, now)
    ids = [account.id for account in owners]
    return {"moved": [] if stays else ids, "closed": ids if stays else []}


def part(session: Session, duplicate: str, survivor: str, united: United, now: datetime) -> None:
    """Give each record its own account again."""
    for account_id in united["moved"]:
        account = accounts.by_id(session, account_id)
        if account is not None and account.reference == f"Patient/{survivor}":
            sessions.end_all(session, account_id, now)
            closures.end_apps(session, account_id, now)
            closures.move(session, account_id, f"Patient/{duplicate}")
    closures.reopen(session, f"Patient/{duplicate}", Closed.MERGE, now)
    _tell(session, duplicate, now)
    _tell(session, survivor, now)


def _owners(session: Session, person: str) -> tuple[Account, ...]:
    found = accounts.by_reference(session, person)
    return tuple(account for account in found if account.reference == person and account.active)


def _tell(session: Session, patient_id: str, now: datetime) -> None:
    for account in _owners(session, f"Patient/{patient_id}"):
        queue(session, Notice.NEWS, account.email, now)
