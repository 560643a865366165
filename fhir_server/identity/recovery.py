"""A forgotten password: a link to the e-mail address and the memorable answer as second proof; never one alone."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

from fhir_server.identity import codes, limits, passwords
from fhir_server.identity.accounts import plain_email
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, sessions
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store

RESET = "reset-password"
_WITHIN = timedelta(hours=1)
_WRONG_ANSWERS = 5


class Result(Enum):
    """How a try to choose a new password ended."""

    CHANGED = "changed"
    WRONG_ANSWER = "wrong-answer"
    UNUSABLE = "unusable"


def request_link(store: Store, email: str, *, address: str, now: datetime) -> None:
    """Send a link if the address has an active account; the caller answers the same in every case."""
    wanted = plain_email(email)
    if not wanted:
        return
    with store.write() as session:
        tries = ((limits.RECOVER_ACCOUNT, wanted), (limits.RECOVER_ADDRESS, address))
        is_allowed = limits.allow(session, now, *tries)
        account = accounts.by_email(session, wanted)
        if not is_allowed or account is None or not account.active:
            return
        token = codes.new_token()
        accounts.add_link(
            session, codes.token_hash(token), account_id=account.id, purpose=RESET, now=now, expires_at=now + _WITHIN
        )
        queue(session, Notice.RESET_PASSWORD, account.email, now, token=token)


def account_of_link(session: Session, token: str, now: datetime) -> Account | None:
    """Return whose password a link changes, None for a link that does not work (any more)."""
    link = accounts.link(session, codes.token_hash(token), RESET)
    if link is None or link.used_at is not None or link.expires_at <= now or link.failed_count >= _WRONG_ANSWERS:
        return None
    account = accounts.by_id(session, link.account_id)
    return account if account is not None and account.active else None


def reset(store: Store, token: str, *, answer: str, password: str, now: datetime) -> Result:
    """Change the password if link and memorable answer are right; every session ends and the person is told.

    The caller has checked the new password with `passwords.problem`. Five wrong answers use the link up.
    """
    with store.read() as session:
        account = account_of_link(session, token, now)
        known = accounts.secrets_of(session, account.id).memorable_hash if account else ""
    is_right = passwords.matches(known, passwords.plain_answer(answer))
    new_hash = passwords.hashed(password)
    if account is None:
        return Result.UNUSABLE
    with store.write() as session:
        # Count first: parallel guesses must not share one count.
        accounts.count_link_failure(session, codes.token_hash(token))
        link = accounts.link(session, codes.token_hash(token), RESET)
        if link is None or link.failed_count > _WRONG_ANSWERS:
            return Result.UNUSABLE
        if not is_right:
            return Result.WRONG_ANSWER
        if not accounts.use_link(session, codes.token_hash(token), now):
            return Result.UNUSABLE
        accounts.set_password(session, account.id, new_hash)
        sessions.end_all(session, account.id, now)
        queue(session, Notice.PASSWORD_CHANGED, account.email, now)
    return Result.CHANGED
