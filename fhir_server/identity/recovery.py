"""A lost password: a link by e-mail and a second proof. The memorable answer is asked as well, and never enough.

A code by text message and the e-mail with the link may be read on one stolen phone, so where a text message is the
second proof, the memorable answer (if the account has one) is a third.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from fhir_server.identity import account_changes, codes, limits, passwords, second_proof
from fhir_server.identity.accounts import plain_email
from fhir_server.identity.second_proof import Demand, Purpose, Way
from fhir_server.identity.vault import Vault
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store

RESET = "reset-password"
_WITHIN = timedelta(hours=1)


class Result(Enum):
    """How a try to choose a new password ended."""

    CHANGED = "changed"
    WRONG = "wrong"
    UNUSABLE = "unusable"


Noted = Callable[[Session, Account, Result], None]


@dataclass(frozen=True, slots=True)
class Recoverable:
    """An account that a working link can open again.

    Attributes:
        account: Whose password it is.
        ways: Second proofs it has, the best first; none means that people have to help.
    """

    account: Account
    ways: tuple[Way, ...]

    @property
    def question(self) -> str:
        """Return the memorable question that goes with a code by text message, "" for none."""
        return self.account.memorable_question


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows beside the link.

    Attributes:
        way: Which second proof.
        typed: Its code.
        answer: Memorable answer; asked with a code by text message.
    """

    way: Way
    typed: str
    answer: str


def request_link(
    store: Store, email: str, *, address: str, now: datetime, noted: Callable[[Session, Account | None], None]
) -> None:
    """Send a link if the address has an active account; the caller answers the same in every case.

    `noted` writes the AuditEvent of the request in its transaction, of an address without an account too: None. What
    is over a limit is no request.
    """
    wanted = plain_email(email)
    if not wanted:
        return
    with store.write() as session:
        tries = ((limits.RECOVER_ACCOUNT, wanted), (limits.RECOVER_ADDRESS, address))
        is_allowed = limits.allow(session, now, *tries)
        if not is_allowed:
            return
        account = accounts.by_email(session, wanted)
        noted(session, account)
        if account is None or not account.active:
            return
        token = codes.new_token()
        accounts.add_link(
            session, codes.token_hash(token), account_id=account.id, purpose=RESET, now=now, expires_at=now + _WITHIN
        )
        # The proof under way has the name of the link: it is found, counted and ended with it.
        second_proof.begin(session, account.id, Purpose.RECOVER, now, token=token, lasts=_WITHIN)
        queue(session, Notice.RESET_PASSWORD, account.email, now, token=token)


def of_link(session: Session, token: str, now: datetime) -> Recoverable | None:
    """Return what a link opens, None for a link that does not work (any more)."""
    link = accounts.link(session, codes.token_hash(token), RESET)
    if link is None or link.used_at is not None or link.expires_at <= now:
        return None
    if second_proof.under_way(session, token, Purpose.RECOVER, now) is None:
        return None
    account = accounts.by_id(session, link.account_id)
    if account is None or not account.active:
        return None
    ways = second_proof.need(session, account, Demand.EVERYBODY).ways
    return Recoverable(account, tuple(way for way in ways if way is not Way.PASSKEY))


def reset(
    store: Store, vault: Vault, token: str, proof: Proof, *, password: str, now: datetime, noted: Noted
) -> Result:
    """Change the password if link and second proof are right; every session ends and the person is told.

    Args:
        store: Where accounts are.
        vault: Of secrets.
        token: Of the link.
        proof: What they show beside it.
        password: The new one; the caller has checked it with `passwords.problem`.
        now: Aware UTC.
        noted: Writes the AuditEvent of what came of it, in the same transaction. Five wrong tries use the link up.
    """
    with store.read() as session:
        found = of_link(session, token, now)
        known = accounts.secrets_of(session, found.account.id).memorable_hash if found else ""
    if found is None or proof.way not in found.ways:
        return Result.UNUSABLE
    typed = proof.typed
    if proof.way is Way.TEXT and found.question and not passwords.matches(known, passwords.plain_answer(proof.answer)):
        # Counted as a wrong code: nobody learns which of the two was wrong, and the code that was sent stays good.
        typed = ""
    new_hash = passwords.hashed(password)
    with store.write() as session:
        result = _reset(session, vault, token, replace(proof, typed=typed), new_hash, now)
        noted(session, found.account, result)
    return result


def _reset(session: Session, vault: Vault, token: str, proof: Proof, new_hash: str, now: datetime) -> Result:
    # INVARIANT: looked at again where it is changed: of two requests with one link the second finds it used.
    found = of_link(session, token, now)
    if found is None:
        return Result.UNUSABLE
    outcome = second_proof.answer(session, vault, token, Purpose.RECOVER, way=proof.way, typed=proof.typed, now=now)
    if outcome.result is second_proof.Result.WRONG:
        return Result.WRONG
    if outcome.result is second_proof.Result.OVER or not accounts.use_link(session, codes.token_hash(token), now):
        return Result.UNUSABLE
    account_changes.replace_password(session, found.account, new_hash, now)
    return Result.CHANGED
