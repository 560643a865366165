"""Asking for access: a professional asks a person to share, the person says yes or no, or lets it run out.

INVARIANT: nothing that who asks can see depends on whether the person is known here; a request to nobody runs out.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from fhir_server.identity import limits
from fhir_server.identity.limits import Limit
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, sharing_requests
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.keys import hash64
from fhir_server.store.sharing_requests import SharingRequest

Request: TypeAlias = SharingRequest
VALID_FOR = timedelta(days=28)
SHORTEST_REASON, LONGEST_REASON = 10, 500
ASK = Limit("ask-for-access", 20, timedelta(days=1))
"""Per professional, whoever they ask: nobody goes through numbers one by one."""
ASKED = Limit("asked-for-access", 5, timedelta(days=1))
"""Per NHS number: nobody is pestered. Counted for numbers that nobody has, too."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Whom a professional asks, and why.

    Attributes:
        nhs_number: Ten digits.
        birth_date: `YYYY-MM-DD`.
    """

    nhs_number: str
    birth_date: str
    reason: str


def ask(
    session: Session, account: Account, wish: Wish, found: Sequence[str], now: datetime, *, organization: str
) -> None:
    """Ask somebody to share; a request that waits already is not made twice.

    Args:
        session: A write transaction.
        account: The professional's.
        wish: Whom and why.
        found: Patients with this number and date of birth; one is asked, none or several nobody.
        now: Aware UTC.
        organization: Whom the professional works for, or "".

    Raises:
        FhirError: INVALID_VALUE (400) for the reason; THROTTLED (429) after too many.
    """
    reason = " ".join(wish.reason.split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON or not reason.isprintable():
        text = f"Say why in {SHORTEST_REASON} to {LONGEST_REASON} characters"
        raise FhirError(Kind.INVALID_VALUE, text, ("reason",))
    session.lock(hash64(f"ask-for-access:{account.reference}"))
    if sharing_requests.open_between(session, account.reference, wish.nhs_number, now):
        return
    if not limits.allow(session, now, (ASK, account.reference), (ASKED, wish.nhs_number)):
        raise FhirError(Kind.THROTTLED, "You have asked too often today. Try again tomorrow")
    patient = found[0] if len(found) == 1 else ""
    new = SharingRequest(
        id=str(uuid.uuid4()),
        patient=patient,
        practitioner=account.reference,
        name=account.name,
        organization=organization,
        nhs_number=wish.nhs_number,
        birth_date=wish.birth_date,
        reason=reason,
        created_at=now,
        expires_at=now + VALID_FOR,
    )
    sharing_requests.add(session, new)
    if patient:
        _tell(session, patient, now)


def waiting_for(session: Session, patient: str, now: datetime) -> tuple[Request, ...]:
    """Return the requests that a patient can answer, oldest first."""
    return sharing_requests.waiting_for(session, patient, now)


def of(session: Session, account: Account) -> tuple[Request, ...]:
    """Return the requests that a professional made, newest first."""
    return sharing_requests.by(session, account.reference)


def answer(session: Session, request: Request, *, granted: bool, now: datetime) -> bool:
    """Answer a request and tell who asked; False where that was done, or it ran out meanwhile."""
    if not sharing_requests.answer(session, request.id, granted=granted, now=now):
        return False
    _tell(session, request.practitioner, now)
    return True


def _tell(session: Session, reference: str, now: datetime) -> None:
    for account in accounts.by_reference(session, reference):
        if account.active:
            queue(session, Notice.NEWS, account.email, now)
