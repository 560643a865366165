"""Accounts: make one, confirm its e-mail address, let it go."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from email_validator import EmailNotValidError, validate_email

from fhir_server.identity import codes, passwords
from fhir_server.identity.agreements import Acceptance
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, closures
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import hash64

CONFIRM = "confirm-email"
_CONFIRM_WITHIN = timedelta(days=14)
_IN_FORCE = Acceptance()


class Role(StrEnum):
    """What an account is for; decides which pages open."""

    PATIENT = "patient"
    CARER = "carer"
    PROFESSIONAL = "professional"
    COORDINATOR = "coordinator"
    SERVICE_DESK = "service-desk"
    PRIVACY_OFFICER = "privacy-officer"
    ADMIN = "admin"
    DEVELOPER = "developer"


def opened(
    role: Role, reference: str, accepted: Acceptance, *, email: str, name: str, mobile: str, now: datetime
) -> Account:
    """Return the account of a person who accepts agreement and policy, at an address that is theirs."""
    return Account(
        id=str(uuid.uuid4()),
        email=email,
        name=name,
        role=str(role),
        reference=reference,
        organization="",
        may_break_glass=False,
        active=True,
        created_at=now,
        email_confirmed_at=now,
        mobile=mobile,
        agreement_version=accepted.terms.agreement,
        privacy_version=accepted.terms.privacy,
        accepted_at=now,
        language=accepted.language,
    )


def create_account(  # noqa: PLR0913 - an account's own fields, by keyword only
    session: Session,
    *,
    role: str,
    email: str,
    name: str,
    password: str,
    now: datetime,
    reference: str | None = None,
    organization: str | None = None,
    may_break_glass: bool = False,
    accepted: Acceptance | None = _IN_FORCE,
) -> Account:
    """Make an active account on the word of the operator (`user add`, demo data).

    Its person has accepted agreement and policy, where the operator does not say otherwise: with None they are asked
    when they first sign in.

    Raises:
        FhirError: INVALID_VALUE for an unknown role, a malformed address, a password that is too easy or a role without
            the person it needs; DUPLICATE when the address has an account.
    """
    if role not in set(Role):
        raise FhirError(Kind.INVALID_VALUE, f"role: one of {', '.join(Role)}", ("role",))
    address = plain_email(email)
    if not address:
        raise FhirError(Kind.INVALID_VALUE, "email: not an e-mail address", ("email",))
    wrong = passwords.problem(password, (name, email))
    if wrong:
        raise FhirError(Kind.INVALID_VALUE, wrong, ("password",))
    if role in {Role.PATIENT, Role.CARER, Role.PROFESSIONAL} and not reference:
        raise FhirError(Kind.INVALID_VALUE, f"A {role} account needs the person it belongs to", ("reference",))
    if accounts.by_email(session, address) is not None:
        raise FhirError(Kind.DUPLICATE, "email: this address already has an account", ("email",))
    made = Account(
        id=str(uuid.uuid4()),
        email=address,
        name=name,
        role=str(role),
        reference=reference or "",
        organization=organization or "",
        may_break_glass=may_break_glass,
        active=True,
        created_at=now,
        email_confirmed_at=now,
        agreement_version=accepted.terms.agreement if accepted else "",
        privacy_version=accepted.terms.privacy if accepted else "",
        accepted_at=now if accepted else None,
        language=accepted.language if accepted else "",
    )
    accounts.add(session, made, Secrets(passwords.hashed(password), ""))
    return made


def plain_email(typed: str) -> str:
    """Return an e-mail address in the one form that is stored and looked up, "" where it is none.

    Only ASCII local parts: look-alike letters of other scripts would let one person pass for another.
    """
    try:
        found = validate_email(typed.strip(), check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        return ""
    return (found.ascii_email or "").lower()


def send_confirmation(session: Session, account: Account, now: datetime) -> None:
    """Queue the e-mail that proves that the address is the person's; links sent before stop working."""
    token = codes.new_token()
    accounts.add_link(
        session,
        codes.token_hash(token),
        account_id=account.id,
        purpose=CONFIRM,
        now=now,
        expires_at=now + _CONFIRM_WITHIN,
    )
    queue(session, Notice.CONFIRM_EMAIL, account.email, now, token=token)


def confirm_email(store: Store, token: str, now: datetime, noted: Callable[[Session, Account], None]) -> bool:
    """Make the account of a confirmation link active; True again for a link followed twice, False for any other.

    Opening the link is enough: whoever opens it got it from that mailbox, and signing in needs the password.

    Args:
        store: Where accounts are kept.
        token: Of the link.
        now: Aware UTC.
        noted: Writes the AuditEvent, in the transaction that makes the account active.
    """
    hashed = codes.token_hash(token)
    with store.write() as session:
        link = accounts.link(session, hashed, CONFIRM)
        account = accounts.by_id(session, link.account_id) if link else None
        if account is not None:
            session.lock(hash64(f"account:{account.reference}"))
            # Looked at again: a mail program may have opened the same link while its person waited here.
            link, account = accounts.link(session, hashed, CONFIRM), accounts.by_id(session, account.id)
        if link is None:
            return False
        if link.used_at is not None:
            return True
        # INVARIANT: only an account that never was active becomes so; a link must not revive one that was closed, nor
        # open one whose record ended with a death or was joined to another.
        if account is None or account.email_confirmed_at is not None or closures.is_held(session, account):
            return False
        # INVARIANT: one record never gets two accounts, also where two records of one person were joined meanwhile.
        if any(other.active for other in accounts.by_reference(session, account.reference)):
            return False
        if link.expires_at <= now or not accounts.use_link(session, hashed, now):
            return False
        accounts.confirm_email(session, account.id, now)
        noted(session, account)
    return True
