"""Accounts that nobody signs in to: a reminder, a month later closed. What a record holds is not touched."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from fhir_server.access import tokens
from fhir_server.interactions import audit
from fhir_server.interactions.model import Context
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import closures, events, oauth
from fhir_server.store.accounts import Account
from fhir_server.store.closures import Closed
from fhir_server.store.database import Session

REMINDED_BEFORE: Final = timedelta(days=30)


def work(context: Context, unused_for: timedelta, at_once: int = 200) -> int:
    """Remind people of accounts that are about to close, and close those whose time is over; return how many.

    Args:
        context: Of the server.
        unused_for: How long an account may go without a sign-in; zero closes none.
        at_once: Accounts of one transaction.
    """
    if not unused_for:
        return 0
    now, done = context.now(), 0
    last: tuple[Account, datetime] | None = None
    while True:
        with context.store.write() as session:
            # All of them in turn: those that wait or that an app uses would keep the others from ever being looked at.
            found = closures.unused_since(session, now - unused_for + REMINDED_BEFORE, at_once, after=last)
            done += sum(_settle(session, context, *each, now) for each in found)
        if len(found) < at_once:
            return done
        last = found[-1]


def _settle(session: Session, context: Context, account: Account, used_at: datetime, now: datetime) -> bool:
    """Remind of one account, or close it; return whether anything was due."""
    if _is_used_by_an_app(session, account, now):
        return False
    reminded_at = closures.reminded_at(session, account.id, since=used_at)
    if reminded_at is None:
        closures.remind(session, account.id, now)
        last_day = (now + REMINDED_BEFORE).date().isoformat()
        queue(session, Notice.ACCOUNT_UNUSED, account.email, now, last_day=last_day)
        return True
    if reminded_at + REMINDED_BEFORE > now:
        return False
    _close(session, context, account, now)
    return True


def _is_used_by_an_app(session: Session, account: Account, now: datetime) -> bool:
    return bool(oauth.grants_of(session, account.id, now))


def _close(session: Session, context: Context, account: Account, now: datetime) -> None:
    closures.close(session, account, f"account:{account.id}", Closed.UNUSED, now)
    queue(session, Notice.ACCOUNT_CLOSED, account.email, now)
    service = tokens.operator(now, "Accounts that nobody uses")
    event = audit.administration_event(
        service, context, action="close-unused-accounts", description=f"account {account.id}", status=200
    )
    events.append(session, [event])
