"""What the service desk does for somebody at an e-mail address, without seeing who that is or whether they are known.

Sending again goes to the addresses and numbers that were known before. Unlocking gives tries back, never a way in.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from fhir_server.identity import accounts as account_links
from fhir_server.identity import codes, invitations, limits
from fhir_server.identity.account_changes import tell
from fhir_server.identity.account_requests import SET_UP_WITHIN
from fhir_server.identity.accounts import plain_email
from fhir_server.identity.limits import Limit
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import account_requests, accounts, logins
from fhir_server.store import invitations as invitation_rows
from fhir_server.store.account_requests import RequestState
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.logins import LoginConflict

HELP: Final = Limit("desk-help", 60, timedelta(hours=1))
"""Per person of the desk."""
_MOST: Final = 1_000
_MOST_PROBLEMS: Final = 200


def checked(session: Session, desk: Account, typed: str, now: datetime) -> str:
    """Return the address that help is for.

    Raises:
        FhirError: THROTTLED (429) for too much help in an hour; INVALID_VALUE (400) for what is no address.
    """
    if not limits.allow(session, now, (HELP, desk.id)):
        raise FhirError(Kind.THROTTLED, "Too many requests. Wait an hour and try again", ("email",))
    email = plain_email(typed)
    if not email:
        raise FhirError(Kind.INVALID_VALUE, "Enter an e-mail address, like name@example.com", ("email",))
    return email


def unlock(session: Session, email: str, now: datetime) -> None:
    """Give somebody their tries back: at signing in, at recovery, and with the codes of open invitations.

    Tries from one network address are not among them: they come back by themselves after a quarter of an hour. Who has
    an account is told: somebody who guesses may have asked for it.
    """
    tries = [(limits.SIGN_IN_ACCOUNT, email), (limits.RECOVER_ACCOUNT, email)]
    account = accounts.by_email(session, email)
    if account is not None:
        tries.append((limits.SECOND_PROOF, account.id))
    if account is not None and account.active:
        tell(session, account, "Our service desk was asked to unlock your account.", now)
    limits.forget(session, *tries)
    invitation_rows.unlock(session, email)


def send_again(session: Session, email: str, now: datetime) -> None:
    """Send somebody again what waits for them: an invitation, a set-up link, the confirmation of their address."""
    for invitation in invitation_rows.open_to(session, email, now):
        invitations.resend(session, invitation, now)
    for asked in account_requests.in_states(session, (RequestState.APPROVED,), limit=_MOST):
        token = codes.new_token()
        if asked.email == email and account_requests.renew(
            session, asked.id, codes.token_hash(token), now + SET_UP_WITHIN
        ):
            queue(session, Notice.ACCOUNT_SET_UP, email, now, name=asked.name, token=token)
    account = accounts.by_email(session, email)
    if account is not None and account.email_confirmed_at is None:
        account_links.send_confirmation(session, account, now)


def problems(session: Session) -> tuple[LoginConflict, ...]:
    """Return sign-ins with another service that could not be linked and that nobody has closed, the oldest 200."""
    return logins.open_conflicts(session, _MOST_PROBLEMS)


def close_problem(session: Session, problem_id: str, desk: Account, now: datetime) -> bool:
    """Take one of them off the list; False where it is closed or unknown."""
    return logins.close_conflict(session, problem_id, desk.id, now)
