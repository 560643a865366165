"""Carers: a patient invites one by link and code; the carer opens an account or takes the invitation up with theirs.

INVARIANT: nothing here is a right. What a carer sees is the Consent that the patient wrote for the RelatedPerson; an
account that stands for that RelatedPerson is only who it is.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import TypeAlias

from fhir_server.identity import codes, limits, passwords, tries
from fhir_server.identity.accounts import Role, opened, plain_email
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.invitation_person import plain_mobile, plain_name
from fhir_server.identity.invitations import VALID_FOR
from fhir_server.identity.limits import Limit
from fhir_server.identity.tries import Verdict
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.store import accounts, arrivals, carers
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.carers import CarerInvitation
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import hash64

Invitation: TypeAlias = CarerInvitation
INVITE = Limit("invite-carer", 10, timedelta(days=1))
"""Per patient: invitations and repeats of them."""
_CARING = frozenset({Role.PATIENT, Role.CARER})


class Result(Enum):
    """How a try to take an invitation up ended; UNUSABLE covers every kind of dead link."""

    JOINED = "joined"
    WRONG = "wrong"
    LOCKED = "locked"
    UNUSABLE = "unusable"
    TAKEN = "taken"
    NOT_THIS_ACCOUNT = "not-this-account"


@dataclass(frozen=True, slots=True)
class Joined:
    """The outcome of taking an invitation up; `account` is None unless JOINED."""

    result: Result
    account: Account | None = None


@dataclass(frozen=True, slots=True)
class Carer:
    """Whom a patient invites, as typed."""

    name: str
    email: str
    mobile: str


@dataclass(frozen=True, slots=True)
class About:
    """What an invitation is about: literal references, and the id of the Consent.

    Attributes:
        birth_date: The child's, where a coordinator invites a parent: the parent says it, too.
    """

    patient: str
    related: str
    consent_id: str
    birth_date: str = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A try with a link.

    Attributes:
        token: Of the link.
        code: As typed.
        birth_date: As typed, `YYYY-MM-DD`, where the invitation asks for one.
        address: Network address.
        now: Aware UTC.
    """

    token: str
    code: str
    birth_date: str
    address: str
    now: datetime


Noted: TypeAlias = Callable[[Session, "Joined"], None]


def checked(typed: Carer) -> Carer:
    """Return the details in the one form that is stored.

    Raises:
        FhirError: INVALID_VALUE with one issue per wrong detail, whose `expression` is the name of the field.
    """
    name = plain_name(typed.name)
    email, mobile = plain_email(typed.email), plain_mobile(typed.mobile)
    wrong = {
        "name": not name and "Enter their full name, in letters of one alphabet",
        "email": not email and "Enter an e-mail address in the correct format, like name@example.com",
        "mobile": not mobile and "Enter a mobile phone number, like 07700 900 982",
    }
    issues = tuple(Issue("error", Kind.INVALID_VALUE.issue_code, text, (key,)) for key, text in wrong.items() if text)
    if issues:
        raise FhirError(Kind.INVALID_VALUE, issues[0].diagnostics, issues=issues)
    return Carer(name, email, mobile)


def may_invite(store: Store, patient: str, now: datetime) -> bool:
    """Count an invitation against the patient's limit; False where it is used up."""
    with store.write() as session:
        return limits.allow(session, now, (INVITE, patient))


def invite(session: Session, account: Account, carer: Carer, about: About, now: datetime) -> CarerInvitation:
    """Send link and code to a carer. Nobody learns whether the address has an account already."""
    token, code = codes.new_token(), codes.new_code()
    new = CarerInvitation(
        id=str(uuid.uuid4()),
        patient=about.patient,
        reference=about.related,
        consent_id=about.consent_id,
        name=carer.name,
        email=carer.email,
        mobile=carer.mobile,
        invited_by=account.id,
        organization=account.organization if about.birth_date else "",
        birth_date=about.birth_date,
        created_at=now,
        expires_at=now + VALID_FOR,
    )
    carers.add(session, new, token_hash=codes.token_hash(token), code_hash=codes.code_hash(code, new.id))
    _send(session, new, token, code, now)
    return new


def resend(session: Session, invitation: CarerInvitation, now: datetime) -> None:
    """Send a new link and a new code; the old ones stop working."""
    token, code = codes.new_token(), codes.new_code()
    carers.renew(
        session,
        invitation.id,
        token_hash=codes.token_hash(token),
        code_hash=codes.code_hash(code, invitation.id),
        expires_at=now + VALID_FOR,
    )
    _send(session, invitation, token, code, now)


def waiting(session: Session, patient: str) -> tuple[CarerInvitation, ...]:
    """Return the invitations of a patient that nobody has taken up yet, newest first."""
    return carers.waiting(session, patient)


def withdraw(session: Session, related: str, now: datetime) -> None:
    """Make the open invitations to be a RelatedPerson useless at once."""
    carers.cancel_for(session, related, now)


def usable(session: Session, token: str, now: datetime) -> CarerInvitation | None:
    """Return the invitation of a link that works, None for a dead or unknown one."""
    found = carers.by_token(session, codes.token_hash(token))
    is_over = found is None or found.completed_at or found.cancelled_at or found.expires_at <= now
    return None if is_over else found


def has_account(session: Session, invitation: CarerInvitation) -> bool:
    """Return whether the address has an account: for whoever holds the link that was sent there."""
    return accounts.by_email(session, invitation.email) is not None


def register(store: Store, arrival: Arrival, password: str, accepted: Acceptance, noted: Noted) -> Joined:
    """Open a carer's account: the link proved the address, the code the phone, agreement and policy were accepted.

    `noted` writes the AuditEvent of what came of it, in the same transaction.
    """
    hashed = passwords.hashed(password)
    with store.write() as session:
        joined = _registered(session, arrival, hashed, accepted)
        noted(session, joined)
    return joined


def _registered(session: Session, arrival: Arrival, password_hash: str, accepted: Acceptance) -> Joined:
    found = _proved(session, arrival)
    if not isinstance(found, CarerInvitation):
        return Joined(found)
    session.lock(hash64(f"account:{found.email}"))
    if accounts.by_email(session, found.email) is not None:
        return Joined(Result.TAKEN)
    account = _new_account(found, accepted, arrival.now)
    if not _take_up(session, found, account, arrival.now):
        return Joined(Result.UNUSABLE)
    accounts.add(session, account, Secrets(password_hash, ""))
    return Joined(Result.JOINED, account)


def join(store: Store, account: Account, arrival: Arrival, noted: Noted) -> Joined:
    """Take an invitation up with an account that is signed in: a carer's, or a patient's who cares for somebody.

    `noted` as for `register`.
    """
    with store.write() as session:
        joined = _joined(session, account, arrival)
        noted(session, joined)
    return joined


def _joined(session: Session, account: Account, arrival: Arrival) -> Joined:
    own = accounts.by_id(session, account.id)
    if own is None or own.role not in _CARING:
        return Joined(Result.NOT_THIS_ACCOUNT)
    found = _proved(session, arrival)
    if not isinstance(found, CarerInvitation):
        return Joined(found)
    if own.reference == found.patient:
        return Joined(Result.NOT_THIS_ACCOUNT)
    if not _take_up(session, found, own, arrival.now):
        return Joined(Result.UNUSABLE)
    return Joined(Result.JOINED, own)


def acting(session: Session, account: Account, wish: str) -> Account:
    """Return an account as the RelatedPerson that its person chose to be; as itself where it is not that one.

    INVARIANT: the choice is a wish, looked up on each request: a link that has ended, or another's, changes nothing.
    """
    if not wish or f"RelatedPerson/{wish}" not in carers.links(session, account.id):
        return account
    return _as(account, f"RelatedPerson/{wish}")


def identities(session: Session, account_id: str) -> tuple[Account, ...]:
    """Return an account as each person it stands for: itself, then each RelatedPerson."""
    account = accounts.by_id(session, account_id)
    if account is None or account.role not in _CARING:
        return ()
    others = (reference for reference in carers.links(session, account_id) if reference != account.reference)
    return (account, *(_as(account, reference) for reference in others))


def leave(session: Session, account_id: str, related: str, now: datetime) -> None:
    """End that an account stands for a RelatedPerson."""
    carers.unlink(session, account_id, related, now)


def tell(session: Session, reference: str, now: datetime) -> None:
    """Tell the person of a reference that there is something new; says nothing of what."""
    for account in accounts.by_reference(session, reference):
        if account.active:
            queue(session, Notice.NEWS, account.email, now)
            arrivals.note_told(session, account.id, now)


def _as(account: Account, reference: str) -> Account:
    return replace(account, role=str(Role.CARER), reference=reference, organization="", may_break_glass=False)


def _proved(session: Session, arrival: Arrival) -> CarerInvitation | Result:
    now = arrival.now
    if not limits.allow(session, now, (limits.REGISTER_ADDRESS, arrival.address)):
        return Result.LOCKED
    verdict, found = tries.judged(
        session,
        carers,
        lambda: usable(session, arrival.token, now),
        lambda one: _is_right(session, one, arrival),
        now,
    )
    if verdict is Verdict.RIGHT and found is not None:
        return found
    return {Verdict.WRONG: Result.WRONG, Verdict.UNUSABLE: Result.UNUSABLE}.get(verdict, Result.LOCKED)


def _is_right(session: Session, invitation: CarerInvitation, arrival: Arrival) -> bool:
    wanted, typed = invitation.birth_date.encode(), arrival.birth_date.encode()
    is_day_right = not wanted or hmac.compare_digest(wanted, typed)
    return codes.is_code(carers.code_hash(session, invitation.id), arrival.code, invitation.id) and is_day_right


def _take_up(session: Session, invitation: CarerInvitation, account: Account, now: datetime) -> bool:
    if not carers.complete(session, invitation.id, now):
        return False
    carers.link(session, account.id, invitation.reference, now)
    tell(session, invitation.patient, now)
    return True


def _new_account(invitation: CarerInvitation, accepted: Acceptance, now: datetime) -> Account:
    its = {"email": invitation.email, "name": invitation.name, "mobile": invitation.mobile}
    return opened(Role.CARER, invitation.reference, accepted, **its, now=now)


def _send(session: Session, invitation: CarerInvitation, token: str, code: str, now: datetime) -> None:
    notice = Notice.PARENT_INVITATION if invitation.birth_date else Notice.CARER_INVITATION
    queue(session, notice, invitation.email, now, name=invitation.name, token=token)
    queue(session, Notice.CARER_CODE, invitation.mobile, now, code=code)
