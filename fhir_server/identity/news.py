"""Who is told that there is something new in a record: whoever may see it, unless they said no, once a day at most.

INVARIANT: the message says nothing of what is new, and is sent only for what the person would see if they signed in
now: the gate is asked as it would be then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from fhir_server.access import tokens
from fhir_server.access.decide import decide
from fhir_server.identity import carers
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, arrivals, belonging, notice_choices, reading_marks
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import key_of_reference

NEWS: Final = ("Appointment", "Communication", "DiagnosticReport", "DocumentReference", "Observation")
"""Letters, results, appointments, and what a hospital answers about them."""
ONCE_IN: Final = timedelta(days=1)
_LOOKED_AT: Final = (*NEWS, "Consent")
"""What is shared anew can be new to family too."""
_OVERLAP: Final = timedelta(minutes=1)
"""A write of that time may have been under way at the last look."""


def tell_due(store: Store, now: datetime, held_for: timedelta) -> int:
    """Tell everybody for whom there is something new; return how many were told.

    Each is told once, by however many processes this runs. What was there before the first run is not new.

    Args:
        store: The database.
        now: Aware UTC.
        held_for: How long results are held back from patients and family.
    """
    with store.read() as session:
        last = arrivals.told_at(session, arrivals.EVERYBODY) or now
        found = arrivals.readers(session, _LOOKED_AT, last - _OVERLAP, now, held_for)
    with store.write() as session:
        arrivals.look_again(session, found, now)
        waiting = arrivals.due(session, now - ONCE_IN)
    return sum(_tell(store, account_id, now) for account_id in waiting)


def _tell(store: Store, account_id: str, now: datetime) -> bool:
    with store.write() as session:
        if not arrivals.take(session, account_id):
            return False
        account = accounts.by_id(session, account_id)
        if account is None or not _wants(session, account) or not _has_news(session, account, now):
            return False
        queue(session, Notice.RECORD_NEWS, account.email, now)
        arrivals.note_told(session, account_id, now)
    return True


def _wants(session: Session, account: Account) -> bool:
    reachable = account.active and account.email_confirmed_at is not None
    return reachable and not notice_choices.wants(session, account.id, notice_choices.NO_NEWS)


def _has_news(session: Session, account: Account, now: datetime) -> bool:
    return any(_sees_new(session, part, now) for part in carers.identities(session, account.id))


def _sees_new(session: Session, part: Account, now: datetime) -> bool:
    """Return whether there is something new for an account, as one of those whom it stands for."""
    principal = tokens.for_account(session, part, auth_time=now, session_id="", now=now)
    gate = decide(session, principal, lambda *_: None, now).readable
    own = key_of_reference(part.reference)
    whose, _, _ = belonging.owners(session, (own,))
    ids = belonging.ids_of(session, whose)
    return any(
        arrivals.sees_new(session, gate, key, NEWS, _since(session, part, f"Patient/{ids[key]}"), (key, own))
        for key in whose
        if key in ids
    )


def _since(session: Session, part: Account, patient: str) -> datetime:
    """Return from when on something is new: since the account was told, was at the record, or was opened."""
    told_at = arrivals.told_at(session, part.id)
    visit = reading_marks.visit(session, part.id, patient)
    return max(filter(None, (part.created_at, told_at, visit.last_at if visit else None)))
