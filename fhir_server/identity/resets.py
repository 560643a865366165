"""Help for somebody who has lost everything: the service desk asks, an administrator agrees, the person sets up anew.

Two people, and two roads: the link goes by e-mail, the code is told by the service desk, who checked who it is.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from fhir_server.identity import account_changes, codes, limits
from fhir_server.identity.accounts import Role, plain_email
from fhir_server.identity.vault import Vault
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import account_resets, accounts, authenticators, passkeys
from fhir_server.store.account_resets import AccountReset
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session

__all__ = ["AccountReset", "Asked", "Refused", "Result", "ask", "decide", "listed", "of_link", "redeem"]

_DECIDE_WITHIN = timedelta(days=3)
_USE_WITHIN = timedelta(hours=24)
_TRIES = 5
SHORTEST_REASON, LONGEST_REASON = 20, 1_000


class Result(Enum):
    """How a try to use a link ended."""

    DONE = "done"
    WRONG = "wrong"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the service desk sees it once; `code` is what it tells the person."""

    reset: AccountReset
    code: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request was not taken: the field, and what is wrong with it in plain words."""

    field: str
    text: str
    is_throttled: bool = False


def ask(
    session: Session, vault: Vault, desk: Account, *, email: str, new_email: str, reason: str, now: datetime
) -> Asked | Refused:
    """Ask to open somebody's account again; they are told at the address the account has.

    A refusal is an answer and no exception: its count among the tries is committed like everything else.
    """
    if not limits.allow(session, now, (limits.RESET_REQUEST, desk.id)):
        return Refused("email", "Too many requests. Wait an hour and try again", is_throttled=True)
    new_email, reason = new_email.strip(), reason.strip()
    account = accounts.by_email(session, plain_email(email))
    new = plain_email(new_email) if new_email else ""
    if account is None or not account.active or account.id == desk.id:
        return Refused("email", "No account that can be helped has this e-mail address")
    if new_email and (not new or accounts.by_email(session, new) is not None):
        return Refused("new-email", "This address cannot be used for the account")
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        text = f"Say how you checked who it is, in {SHORTEST_REASON} to {LONGEST_REASON:,} characters"
        return Refused("reason", text)
    code, reset_id = codes.new_code(), str(uuid.uuid4())
    made = AccountReset(
        id=reset_id,
        account_id=account.id,
        new_email=new,
        reason=reason,
        requested_by=desk.id,
        requested_at=now,
        expires_at=now + _DECIDE_WITHIN,
        code_hash=vault.hashed(codes.plain_code(code), reset_id),
    )
    account_resets.add(session, made)
    queue(session, Notice.RESET_ASKED, account.email, now)
    return Asked(made, code)


def listed(session: Session, now: datetime) -> tuple[tuple[AccountReset, Account, Account], ...]:
    """Return the requests that wait for a decision, each with whose account it is and who asked; oldest first."""
    found = []
    for reset in account_resets.open_requests(session, now):
        account, desk = accounts.by_id(session, reset.account_id), accounts.by_id(session, reset.requested_by)
        if account is not None and desk is not None:
            found.append((reset, account, desk))
    return tuple(found)


def decide(session: Session, administrator: Account, reset_id: str, *, approved: bool, now: datetime) -> AccountReset:
    """Agree to a request, so that the person gets a link, or turn it down.

    Raises:
        FhirError: FORBIDDEN (403) unless an administrator who neither asked nor owns the account; NOT_FOUND (404) for a
            request that is unknown, decided or too old.
    """
    if administrator.role != Role.ADMIN:
        raise FhirError(Kind.FORBIDDEN, "Only an administrator can decide this")
    found = account_resets.by_id(session, reset_id)
    account = accounts.by_id(session, found.account_id) if found else None
    if found is None or account is None or found.approved is not None or found.expires_at <= now:
        raise FhirError(Kind.NOT_FOUND, "There is no such request, or somebody has decided it")
    if administrator.id in {found.requested_by, found.account_id}:
        raise FhirError(Kind.FORBIDDEN, "Somebody else has to decide this")
    token = codes.new_token()
    hashed = codes.token_hash(token) if approved else ""
    if not account_resets.decide(session, found.id, approved=approved, by=administrator.id, token_hash=hashed, now=now):
        raise FhirError(Kind.NOT_FOUND, "There is no such request, or somebody has decided it")
    if approved:
        queue(session, Notice.RESET_APPROVED, found.new_email or account.email, now, token=token)
    return found


def of_link(session: Session, token: str, now: datetime) -> tuple[AccountReset, Account] | None:
    """Return the request and account of a link, None for a link that does not work (any more)."""
    found = account_resets.by_token(session, codes.token_hash(token))
    if found is None or not found.approved or found.used_at is not None or found.failed_count >= _TRIES:
        return None
    if found.decided_at is None or found.decided_at + _USE_WITHIN <= now or found.expires_at <= now:
        return None
    account = accounts.by_id(session, found.account_id)
    return (found, account) if account is not None and account.active else None


def redeem(
    session: Session, vault: Vault, found: tuple[AccountReset, Account], *, code: str, password_hash: str, now: datetime
) -> Result:
    """Set an account up anew: new password, perhaps a new address, and none of the second proofs it had.

    Args:
        session: A transaction; also a wrong try has to be committed, with the AuditEvent of the caller.
        vault: Of secrets.
        found: What `of_link` returned in this transaction.
        code: As typed. Five wrong ones use the link up.
        password_hash: Of the new password; the caller has checked that with `passwords.problem`.
        now: Aware UTC.
    """
    reset, account = found
    # INVARIANT: counted before it is judged, in one transaction: guesses sent side by side wait for each other.
    if account_resets.count_try(session, reset.id) > _TRIES:
        return Result.UNUSABLE
    if not vault.matches(reset.code_hash, codes.plain_code(code), reset.id):
        return Result.WRONG
    if not account_resets.use(session, reset.id, now):
        return Result.UNUSABLE
    account_changes.replace_password(session, account, password_hash, now)
    authenticators.remove(session, account.id)
    authenticators.replace_recovery_codes(session, account.id, (), now)
    passkeys.remove(session, account.id)
    accounts.want_text_codes(session, account.id, None)
    queue(session, Notice.RESET_DONE, account.email, now)
    if reset.new_email and accounts.by_email(session, reset.new_email) is None:
        accounts.set_email(session, account.id, reset.new_email, now)
    return Result.DONE
