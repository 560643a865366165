"""NHS login: whose record a proved identity is, and the link between the two.

A link is made once, for a person proved to P9 whose NHS number, date of birth and surname are those of one record; it
opens that record and no other. An e-mail address never links anything. Knows no HTTP.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from fhir_server.identity import codes, nhs_login_records
from fhir_server.identity.accounts import Role, opened
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.nhs_login_identity import Identity
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, invitations, logins, passkeys
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import hash64
from fhir_server.store.logins import LoginConflict, PendingLink

NAME = "NHS login"
PENDING_FOR = timedelta(minutes=30)


class Result(Enum):
    """What comes next for somebody who proved to be an identity."""

    SIGNED_IN = "signed-in"
    REGISTER = "register"
    """They have a record and no account: accept the agreement."""
    LINK = "link"
    """Their record has an account: prove to be its owner."""
    LINKED = "linked"
    CONFLICT = "conflict"
    """The service desk has to look at it."""
    EMAIL_TAKEN = "email-taken"
    NO_EMAIL = "no-email"
    CLOSED = "closed"
    GONE = "gone"
    """The step is over, or was another browser's."""


REFUSED = frozenset({Result.CONFLICT, Result.EMAIL_TAKEN, Result.NO_EMAIL, Result.CLOSED})


@dataclass(frozen=True, slots=True)
class Arrival:
    """The outcome of a step; `token` is what the browser keeps for the next one, "" where there is none."""

    result: Result
    account: Account | None = None
    token: str = ""
    reason: str = ""


def arrive(session: Session, identity: Identity, *, return_to: str, now: datetime) -> Arrival:
    """Find out what comes next for a proved identity; a link made before signs in, nothing else is done yet.

    What is REFUSED may be before the service desk now: its AuditEvent goes into the same transaction.
    """
    record = nhs_login_records.by_number(session, identity.nhs_number)
    link = logins.link_of(session, identity.issuer, identity.subject)
    if link is not None:
        account = accounts.by_id(session, link.account_id)
        if account is None or not account.active:
            return Arrival(Result.CLOSED, account, reason="The account is closed")
        # INVARIANT: a link opens the record it was made for; what NHS login says today has to lead there.
        if record is None or account.reference != record.reference:
            return _conflict(session, identity, "The NHS number leads to another record than the account's", now)
        logins.use(session, link, now)
        return Arrival(Result.SIGNED_IN, account)
    if record is None or not record.is_of(identity.birth_date, identity.family):
        return _conflict(session, identity, "No record has this NHS number, date of birth and surname", now)
    return _first_time(session, identity, record, return_to, now)


def pending(store: Store, token: str, now: datetime) -> PendingLink | None:
    """Return the identity that waits for this browser's next step."""
    with store.read() as session:
        return logins.pending(session, codes.token_hash(token), "Patient", now)


def register(session: Session, token: str, accepted: Acceptance, now: datetime) -> Arrival:
    """Make the account of a person who accepted agreement and policy, linked to their NHS login."""
    waiting = _claim(session, token, now)
    if waiting is None:
        return Arrival(Result.GONE)
    if accounts.by_reference(session, waiting.person) or logins.link_of(session, waiting.issuer, waiting.subject):
        return Arrival(Result.GONE)
    if accounts.by_email(session, waiting.email) is not None:
        return Arrival(Result.EMAIL_TAKEN)
    its = {"email": waiting.email, "name": waiting.name, "mobile": waiting.mobile}
    account = opened(Role.PATIENT, waiting.person, accepted, **its, now=now)
    accounts.add(session, account, Secrets("", ""))
    logins.add_link(session, waiting.issuer, waiting.subject, account.id, now)
    invitations.cancel_others(session, waiting.person, now)
    queue(session, Notice.ACCOUNT_READY, account.email, now)
    return Arrival(Result.SIGNED_IN, account)


def link(session: Session, token: str, account: Account, now: datetime) -> Arrival:
    """Link the identity that waits for the browser of this token to the account whose owner is signed in."""
    waiting = _claim(session, token, now)
    if waiting is None:
        return Arrival(Result.GONE)
    if account.reference != waiting.person or account.role != Role.PATIENT:
        return _refuse(session, waiting, "The account belongs to another record", account.id, now)
    if logins.link_of(session, waiting.issuer, waiting.subject) is not None:
        return Arrival(Result.GONE)
    if logins.link_to(session, waiting.issuer, account.id) is not None:
        return _refuse(session, waiting, "The account has another NHS login", account.id, now)
    logins.add_link(session, waiting.issuer, waiting.subject, account.id, now)
    queue(session, Notice.LOGIN_LINKED, account.email, now, provider=NAME)
    return Arrival(Result.LINKED, account)


def is_linked(store: Store, issuer: str, account: Account) -> bool:
    """Return whether an account can be opened with NHS login."""
    with store.read() as session:
        return logins.link_to(session, issuer, account.id) is not None


def unlink(session: Session, issuer: str, account: Account, now: datetime) -> bool:
    """Forget an account's NHS login and tell its owner; False where there is none, or no other way to sign in."""
    session.lock(hash64(f"account:{account.reference}"))
    # INVARIANT: another way in has to remain, or its owner would be locked out of their record.
    if not accounts.secrets_of(session, account.id).password_hash and not passkeys.of_account(session, account.id):
        return False
    if not logins.remove_link(session, issuer, account.id):
        return False
    queue(session, Notice.LOGIN_UNLINKED, account.email, now, provider=NAME)
    return True


def _first_time(
    session: Session, identity: Identity, record: nhs_login_records.Record, return_to: str, now: datetime
) -> Arrival:
    owners = accounts.by_reference(session, record.reference)
    if owners:
        return _meet_owner(session, identity, record, owners, return_to, now)
    if not identity.email:
        return Arrival(Result.NO_EMAIL, reason="NHS login did not share a confirmed e-mail address")
    if accounts.by_email(session, identity.email) is not None:
        _conflict(session, identity, "The e-mail address belongs to another account", now, record.reference)
        return Arrival(Result.EMAIL_TAKEN, reason="The e-mail address belongs to another account")
    return Arrival(Result.REGISTER, token=_keep(session, identity, record, return_to, now))


def _meet_owner(
    session: Session,
    identity: Identity,
    record: nhs_login_records.Record,
    owners: tuple[Account, ...],
    return_to: str,
    now: datetime,
) -> Arrival:
    open_ones = [account for account in owners if account.active]
    if len(open_ones) != 1:
        return _conflict(
            session, identity, "The record's account is closed, or not confirmed yet", now, record.reference
        )
    owner = open_ones[0]
    if logins.link_to(session, identity.issuer, owner.id) is not None:
        reason = "The record's account has another NHS login"
        return _conflict(session, identity, reason, now, record.reference, owner.id)
    return Arrival(Result.LINK, owner, _keep(session, identity, record, return_to, now))


def _keep(session: Session, identity: Identity, record: nhs_login_records.Record, return_to: str, now: datetime) -> str:
    token = codes.new_token()
    waiting = PendingLink(
        identity.issuer,
        identity.subject,
        record.reference,
        record.name,
        identity.email,
        identity.mobile,
        return_to,
        now + PENDING_FOR,
    )
    logins.keep_pending(session, codes.token_hash(token), waiting)
    return token


def _claim(session: Session, token: str, now: datetime) -> PendingLink | None:
    """Return what waits under a token and use it up, holding the record's lock; None where it is gone."""
    hashed = codes.token_hash(token)
    waiting = logins.pending(session, hashed, "Patient", now)
    if waiting is None:
        return None
    # INVARIANT: the same lock as registration by invitation takes: one record never gets two accounts.
    session.lock(hash64(f"account:{waiting.person}"))
    return waiting if logins.use_pending(session, hashed, now) else None


def _refuse(session: Session, waiting: PendingLink, reason: str, account_id: str, now: datetime) -> Arrival:
    _note(session, waiting.issuer, waiting.subject, reason, now, waiting.person, account_id)
    return Arrival(Result.CONFLICT, reason=reason)


def _conflict(
    session: Session, identity: Identity, reason: str, now: datetime, patient: str = "", account_id: str = ""
) -> Arrival:
    _note(session, identity.issuer, identity.subject, reason, now, patient, account_id)
    return Arrival(Result.CONFLICT, reason=reason)


def _note(
    session: Session, issuer: str, subject: str, reason: str, now: datetime, patient: str, account_id: str
) -> None:
    """Put a conflict before the service desk, once."""
    number = str(uuid.uuid4())
    if not logins.note_conflict(session, LoginConflict(number, issuer, subject, reason, patient, account_id, now, now)):
        return
    for desk in accounts.with_role(session, str(Role.SERVICE_DESK)):
        queue(session, Notice.LOGIN_CONFLICT, desk.email, now, provider=NAME, reference=number[:8])
