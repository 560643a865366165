"""Registration from the invited person's side: prove link, code and date of birth; choose secrets; accept.

Each step is stored when done, so that a person can stop and go on later, on this device or, with link and code, on
another. A browser that proved itself holds a random proof whose hash is stored; without it no step can be done.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from fhir_server.identity import codes, limits, passwords, tries
from fhir_server.identity.accounts import Role, opened, send_confirmation
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.invitation_person import plain_invited_email
from fhir_server.identity.invitations import resend
from fhir_server.identity.tries import Verdict
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, invitations
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.database import Session, Store
from fhir_server.store.invitations import Invitation
from fhir_server.store.keys import hash64

QUESTIONS = (
    "What was the name of your first school?",
    "What was the name of your first pet?",
    "In which street did you live as a child?",
    "What was your first job?",
    "What is the name of a place you will never forget?",
)
SHORTEST_ANSWER = 3
_PROOF_FOR = timedelta(hours=2)


class Step(Enum):
    """What an invited person does next; the value is the last part of the page's path."""

    EMAIL = "email"
    PASSWORD = "password"  # noqa: S105 - the name of a step
    MEMORABLE = "memorable"
    AGREEMENT = "agreement"


class Result(Enum):
    """How a try to prove oneself, or to finish, ended; UNUSABLE covers every kind of dead link."""

    PROVED = "proved"
    WRONG = "wrong"
    LOCKED = "locked"
    UNUSABLE = "unusable"
    FINISHED = "finished"
    TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Proof:
    """The outcome of `prove`; `token` is what the browser keeps, "" unless PROVED."""

    result: Result
    token: str = ""


def usable(session: Session, token: str, now: datetime) -> Invitation | None:
    """Return the invitation of a link that works, None for a dead or unknown one."""
    found = invitations.by_token(session, codes.token_hash(token))
    return found if found is not None and _is_open(found, now) else None


def proved(session: Session, token: str, proof: str, now: datetime) -> Invitation | None:
    """Return the invitation of a link whose person proved themselves in this browser within two hours."""
    invitation = usable(session, token, now)
    if invitation is None or not proof:
        return None
    known = invitations.proofs_of(session, invitation.id)
    if known.proved_at is None or known.proved_at + _PROOF_FOR <= now:
        return None
    return invitation if hmac.compare_digest(known.proof_hash, codes.token_hash(proof)) else None


def next_step(invitation: Invitation) -> Step:
    """Return the first step not done yet."""
    if not invitation.email:
        return Step.EMAIL
    if not invitation.has_password:
        return Step.PASSWORD
    return Step.AGREEMENT if invitation.has_memorable else Step.MEMORABLE


def prove(session: Session, token: str, code: str, birth_date: str, *, address: str, now: datetime) -> Proof:
    """Check code and date of birth (`YYYY-MM-DD`) against the link; the answer never says which of them was wrong.

    Five wrong tries lock the invitation for 15 minutes and tell the coordinator. They too have to be committed, with
    the AuditEvent of the caller.
    """
    if not limits.allow(session, now, (limits.REGISTER_ADDRESS, address)):
        return Proof(Result.LOCKED)
    verdict, invitation = tries.judged(
        session,
        invitations,
        lambda: usable(session, token, now),
        lambda one: _is_right(session, one, code, birth_date),
        now,
    )
    if invitation is None:
        return Proof(Result.UNUSABLE)
    if verdict is Verdict.RIGHT:
        proof = codes.new_token()
        invitations.prove(session, invitation.id, codes.token_hash(proof), now)
        return Proof(Result.PROVED, proof)
    if verdict is Verdict.LOCKED_NOW:
        _tell_coordinator(session, invitation, now)
    return Proof(Result.WRONG if verdict is Verdict.WRONG else Result.LOCKED)


def request_new_link(
    store: Store, token: str, *, address: str, now: datetime, noted: Callable[[Session, Invitation], None]
) -> None:
    """Send a new link and code if this link has merely run out; the caller answers the same in every case.

    `noted` writes the AuditEvent of a link that is sent, in its transaction.
    """
    hashed = codes.token_hash(token)
    with store.write() as session:
        if not limits.allow(session, now, (limits.RENEW_LINK, hashed), (limits.RENEW_ADDRESS, address)):
            return
        invitation = invitations.by_token(session, hashed)
        if invitation is not None and invitation.email and invitation.expires_at <= now:
            resend(session, invitation, now)
            noted(session, invitation)


def choose_email(store: Store, invitation: Invitation, typed: str) -> str:
    """Keep the e-mail address of a person invited by letter; return what is wrong with it, "" when it was kept.

    Whether the address has an account already is told to nobody here: `finish` finds it.
    """
    email = plain_invited_email(typed)
    if not email:
        return "Enter an e-mail address in the correct format, like name@example.com"
    with store.write() as session:
        invitations.set_email(session, invitation.id, email)
    return ""


def link_of_code(session: Session, typed: str, *, address: str, now: datetime) -> str:
    """Return the token of the link that a code on paper stands for, "" where too many were tried."""
    return codes.plain_code(typed) if limits.allow(session, now, (limits.LINK_CODE_ADDRESS, address)) else ""


def choose_password(store: Store, invitation: Invitation, password: str) -> str:
    """Keep a password for the account to be; return what is wrong with it in plain words, "" when it was kept."""
    personal = (invitation.given, invitation.family, invitation.email, invitation.birth_date, invitation.nhs_number)
    wrong = passwords.problem(password, personal)
    if wrong:
        return wrong
    hashed = passwords.hashed(password)
    with store.write() as session:
        invitations.set_password(session, invitation.id, hashed)
    return ""


def choose_memorable(store: Store, invitation: Invitation, question: str, answer: str) -> None:
    """Keep question and answer for the account to be; the answer is compared without case, accents and punctuation."""
    hashed = passwords.hashed(passwords.plain_answer(answer))
    with store.write() as session:
        invitations.set_memorable(session, invitation.id, question, hashed)


def finish(
    store: Store,
    token: str,
    proof: str,
    accepted: Acceptance,
    now: datetime,
    noted: Callable[[Session, Account | None], None],
) -> Result:
    """Make the account of a person who did every step and accepted agreement and policy; send the confirmation e-mail.

    The account becomes active when the link in that e-mail is followed. Once only, also for two requests at once.

    Args:
        store: Where accounts are kept.
        token: Of the link.
        proof: That this browser proved itself.
        accepted: What was accepted, and in which language.
        now: Aware UTC.
        noted: Writes the AuditEvent, in the transaction that makes the account; without one where it is TAKEN.
    """
    with store.write() as session:
        claimed = proved(session, token, proof, now)
        if claimed is None:
            return Result.UNUSABLE
        session.lock(hash64(f"account:{claimed.patient}"))
        invitation = proved(session, token, proof, now)
        if invitation is None or next_step(invitation) is not Step.AGREEMENT:
            return Result.UNUSABLE
        if accounts.by_reference(session, invitation.patient) or accounts.by_email(session, invitation.email):
            noted(session, None)
            return Result.TAKEN
        chosen = invitations.proofs_of(session, invitation.id)
        account = _new_account(invitation, chosen.memorable_question, accepted, now)
        if not invitations.complete(session, invitation.id, account.id, now):
            return Result.UNUSABLE
        accounts.add(session, account, Secrets(chosen.password_hash, chosen.memorable_hash))
        send_confirmation(session, account, now)
        noted(session, account)
    return Result.FINISHED


def _new_account(invitation: Invitation, question: str, accepted: Acceptance, now: datetime) -> Account:
    name = f"{invitation.given} {invitation.family}"
    made = opened(
        Role.PATIENT, invitation.patient, accepted, email=invitation.email, name=name, mobile=invitation.mobile, now=now
    )
    return replace(made, active=False, email_confirmed_at=None, memorable_question=question)


def _is_right(session: Session, invitation: Invitation, code: str, birth_date: str) -> bool:
    known = invitations.proofs_of(session, invitation.id)
    is_code_right = codes.is_code(known.code_hash, code, invitation.id)
    return hmac.compare_digest(invitation.birth_date.encode(), birth_date.encode()) and is_code_right


def _tell_coordinator(session: Session, invitation: Invitation, now: datetime) -> None:
    coordinator = accounts.by_id(session, invitation.invited_by)
    if coordinator is not None and coordinator.active:
        queue(session, Notice.INVITATION_LOCKED, coordinator.email, now, reference=invitation.id[:8])


def _is_open(invitation: Invitation, now: datetime) -> bool:
    return invitation.completed_at is None and invitation.cancelled_at is None and invitation.expires_at > now
