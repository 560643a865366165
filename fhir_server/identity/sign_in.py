"""Proof by e-mail address and password: one answer and one cost for a wrong password and an unknown address."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from fhir_server.identity import limits, passwords
from fhir_server.identity.accounts import plain_email, send_confirmation
from fhir_server.store import accounts
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.database import Store


class Result(Enum):
    """How an attempt ended; REFUSED covers every reason that must not be told apart."""

    PROVED = "proved"
    REFUSED = "refused"
    THROTTLED = "throttled"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to sign in.

    Attributes:
        result: What to answer.
        account: The account of the address for the audit, proved or not; None where there is none.
    """

    result: Result
    account: Account | None


def prove_password(store: Store, email: str, password: str, *, address: str, now: datetime) -> Attempt:
    """Check an e-mail address and a password.

    An account whose address is not confirmed yet gets its confirmation e-mail again: the password proved who asks.
    """
    wanted = plain_email(email) or email.strip().lower()
    tries = (
        (limits.SIGN_IN_HERE, f"{wanted} {address}"),
        (limits.SIGN_IN_ACCOUNT, wanted),
        (limits.SIGN_IN_ADDRESS, address),
    )
    with store.write() as session:
        is_allowed = limits.allow(session, now, *tries)
    with store.read() as session:
        account = accounts.by_email(session, wanted)
        secrets = accounts.secrets_of(session, account.id) if account else Secrets("", "")
    if not is_allowed:
        return Attempt(Result.THROTTLED, account)
    # A bound on the work of one try; no password that was ever accepted is longer.
    is_short_enough = len(password) <= passwords.MAX_CHARACTERS
    is_right = passwords.matches(secrets.password_hash, password if is_short_enough else "") and is_short_enough
    if account is None or not is_right:
        return Attempt(Result.REFUSED, account)
    if not account.active and account.email_confirmed_at is not None:
        return Attempt(Result.REFUSED, account)
    with store.write() as session:
        limits.give_back(session, *tries)
        if not account.active:
            send_confirmation(session, account, now)
            return Attempt(Result.UNCONFIRMED, account)
        if passwords.is_outdated(secrets.password_hash):
            accounts.set_password(session, account.id, passwords.hashed(password))
    return Attempt(Result.PROVED, account)
