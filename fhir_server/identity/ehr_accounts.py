"""The account of a professional who comes from their hospital's system: which one, whether it may be opened, a new one.

An account is bound to one (issuer, subject) when it is first opened from there; an e-mail address never binds anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from fhir_server.identity import codes, staff_directory
from fhir_server.identity.accounts import Role, opened
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.ehr_launch import Clinician, Launched
from fhir_server.identity.openid import OpenIdError, Problem
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.store import accounts, logins
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import hash64
from fhir_server.store.logins import PendingLink

PENDING_FOR = timedelta(minutes=30)


class Result(Enum):
    """What comes next for somebody whom a hospital's system vouches for."""

    SIGNED_IN = "signed-in"
    TERMS = "terms"
    """They are new: accept the agreement."""
    NO_EMAIL = "no-email"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Arrival:
    """The outcome of a step; `reason` is a fixed sentence of ours for the audit log."""

    result: Result
    account: Account | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known here of somebody before they come in.

    Attributes:
        practitioner: Their entry in the directory, None for nobody.
        account: Theirs, None where they have none.
    """

    practitioner: Mapping[str, Any] | None
    account: Account | None


def known(session: Session, clinician: Clinician) -> Known:
    """Return who of the directory somebody is.

    Raises:
        OpenIdError: DECLINED where their identifiers are those of two people, or of somebody with two accounts.
    """
    found = {}
    for system, value in clinician.identifiers:
        if staff_directory.is_taken(session, "Practitioner", system, value):
            one = staff_directory.only(session, "Practitioner", system, value)
            if one is None:
                raise OpenIdError(Problem.DECLINED, "The directory has two people, or a former one, for an identifier")
            found[one["id"]] = one
    if len(found) > 1:
        raise OpenIdError(Problem.DECLINED, "The identifiers are those of two people of the directory")
    practitioner = next(iter(found.values()), None)
    theirs = _accounts(session, f"Practitioner/{practitioner['id']}") if practitioner else ()
    if len(theirs) > 1:
        raise OpenIdError(Problem.DECLINED, "The professional has two accounts")
    return Known(practitioner, theirs[0] if theirs else None)


def admit(
    session: Session,
    account: Account,
    issuer: str,
    subject: str,
    *,
    may_break_glass: bool | None,
    now: datetime,
    bound: Callable[[], None],
) -> Arrival:
    """Let the owner of an account in who works for the organisation of this issuer now.

    Args:
        session: A transaction.
        account: Theirs.
        issuer: The EHR.
        subject: Who they are there.
        may_break_glass: What the issuer's roles say of emergency access; None where they say nothing.
        now: Aware UTC.
        bound: Called where the account is bound to this user of the EHR now, for the AuditEvent.
    """
    if not account.active:
        return Arrival(Result.REFUSED, account, "The account is closed")
    by_subject, by_account = logins.link_of(session, issuer, subject), logins.link_to(session, issuer, account.id)
    if by_subject != by_account:
        return Arrival(Result.REFUSED, account, "The user of the EHR is not the one whom the account is bound to")
    if by_subject is None:
        logins.add_link(session, issuer, subject, account.id, now)
        bound()
        queue(session, Notice.LOGIN_LINKED, account.email, now, provider="your hospital's system")
    else:
        logins.use(session, by_subject, now)
    if may_break_glass is not None and may_break_glass != account.may_break_glass:
        accounts.allow_emergencies(session, account.id, allowed=may_break_glass)
    return Arrival(Result.SIGNED_IN, account)


def keep(session: Session, new: PendingLink) -> str:
    """Keep what waits for this browser's next step; return the token that it is known by."""
    token = codes.new_token()
    logins.keep_pending(session, codes.token_hash(token), new)
    return token


def pending(store: Store, token: str, now: datetime) -> PendingLink | None:
    """Return what waits for this browser's next step."""
    with store.read() as session:
        return logins.pending(session, codes.token_hash(token), "Practitioner", now) if token else None


def can_open(session: Session, clinician: Clinician) -> bool:
    """Return whether an account can be made for somebody new: at a work address that nobody else has."""
    return bool(clinician.email) and accounts.by_email(session, clinician.email) is None


def open_account(
    session: Session, token: str, organization: str, accepted: Acceptance, *, may_break_glass: bool, now: datetime
) -> Arrival:
    """Make the account of somebody who accepted the agreement.

    Args:
        session: A transaction.
        token: The browser's.
        organization: `Organization/…` that vouches for them.
        accepted: What they accepted, in which language.
        may_break_glass: Whether their role may use emergency access.
        now: Aware UTC.
    """
    hashed = codes.token_hash(token)
    waiting = logins.pending(session, hashed, "Practitioner", now)
    if waiting is None:
        return Arrival(Result.GONE)
    # INVARIANT: one at a time for one person: nobody gets two accounts.
    session.lock(hash64(f"account:{waiting.person}"))
    is_new = not _accounts(session, waiting.person) and accounts.by_email(session, waiting.email) is None
    if not is_new or logins.link_of(session, waiting.issuer, waiting.subject) is not None:
        return Arrival(Result.GONE)
    if not logins.use_pending(session, hashed, now):
        return Arrival(Result.GONE)
    its = {"email": waiting.email, "name": waiting.name, "mobile": ""}
    made = replace(
        opened(Role.PROFESSIONAL, waiting.person, accepted, **its, now=now),
        organization=organization,
        may_break_glass=may_break_glass,
    )
    accounts.add(session, made, Secrets("", ""))
    logins.add_link(session, waiting.issuer, waiting.subject, made.id, now)
    queue(session, Notice.ACCOUNT_READY, made.email, now)
    return Arrival(Result.SIGNED_IN, made)


def written(launched: Launched | None) -> str:
    """Return whom a launch is about as it is kept for the next step."""
    return f"{launched.nhs_number} {launched.birth_date}" if launched else ""


def read(kept: str) -> Launched | None:
    """Return whom a launch is about from what was kept."""
    return Launched(*kept.split(" ")) if kept else None


def _accounts(session: Session, reference: str) -> tuple[Account, ...]:
    """Return the accounts of a professional; those that were closed count only where none is open."""
    found = tuple(each for each in accounts.by_reference(session, reference) if each.role == Role.PROFESSIONAL)
    return tuple(each for each in found if each.active) or found[-1:]
