"""Invitations from the coordinator's side: check the person's details, invite, send again, cancel, list.

Link and code travel on two roads (e-mail and text); neither is enough alone, and the date of birth is asked too.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import phonenumbers
from nhs_number.validate import is_valid

from fhir_server.identity import codes, passwords
from fhir_server.identity.accounts import plain_email
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.store import accounts, invitations
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.invitations import Invitation

VALID_FOR = timedelta(days=14)
_LONGEST_NAME = 100
_SEPARATORS = re.compile(r"[\s-]")
_EARLIEST_BIRTH = date(1890, 1, 1)


@dataclass(frozen=True, slots=True)
class Person:
    """Whom to invite, as typed by the coordinator or read from a CSV row.

    Attributes:
        birth_date: `YYYY-MM-DD`.
        nhs_number: Ten digits, spaces and hyphens allowed; "" where there is none.
        mobile: Any way of writing a number; United Kingdom where it has no country code.
        patient: `Patient/…`: the record exists already; the caller made it through the road where it did not.
    """

    given: str
    family: str
    birth_date: str
    nhs_number: str
    email: str
    mobile: str
    patient: str


def checked(person: Person, today: date) -> Person:
    """Return the details in the one form that is stored.

    Raises:
        FhirError: INVALID_VALUE with one issue per wrong detail, whose `expression` is the name of the field.
    """
    given, family = _plain_name(person.given), _plain_name(person.family)
    birth_date = _plain_birth_date(person.birth_date, today)
    number = _SEPARATORS.sub("", person.nhs_number)
    email, mobile = plain_email(person.email), plain_mobile(person.mobile)
    wrong = {
        "given": not given and "Enter the first name",
        "family": not family and "Enter the last name",
        "birth_date": not birth_date and "Enter a real date of birth, for example 27 3 1985",
        "nhs_number": number
        and not is_valid(number)
        and "Enter an NHS number with 10 digits, for example 943 476 5919",
        "email": not email and "Enter an e-mail address in the correct format, like name@example.com",
        "mobile": not mobile and "Enter a mobile phone number, like 07700 900 982",
        "patient": not person.patient.startswith("Patient/") and "The person has no record yet",
    }
    issues = tuple(Issue("error", Kind.INVALID_VALUE.issue_code, text, (name,)) for name, text in wrong.items() if text)
    if issues:
        raise FhirError(Kind.INVALID_VALUE, issues[0].diagnostics, issues=issues)
    return Person(given, family, birth_date, number, email, mobile, person.patient)


def invite(session: Session, coordinator: Account, person: Person, now: datetime) -> Invitation:
    """Invite a person to open the account of their record; an open invitation of theirs is replaced.

    Queues the e-mail with the link and the text with the code in the same transaction.

    Raises:
        FhirError: INVALID_VALUE as `checked`; DUPLICATE when the record or the e-mail address has an account.
    """
    details = checked(person, now.date())
    if accounts.by_reference(session, details.patient):
        raise FhirError(Kind.DUPLICATE, "This person already has an account", ("patient",))
    if accounts.by_email(session, details.email) is not None:
        raise FhirError(Kind.DUPLICATE, "This e-mail address already has an account", ("email",))
    invitations.cancel_others(session, details.patient, now)
    token, code = codes.new_token(), codes.new_code()
    new = Invitation(
        id=str(uuid.uuid4()),
        patient=details.patient,
        given=details.given,
        family=details.family,
        birth_date=details.birth_date,
        nhs_number=details.nhs_number,
        email=details.email,
        mobile=details.mobile,
        invited_by=coordinator.id,
        organization=coordinator.organization,
        created_at=now,
        expires_at=now + VALID_FOR,
    )
    code_hash = passwords.hashed(codes.plain_code(code))
    invitations.add(session, new, token_hash=codes.token_hash(token), code_hash=code_hash)
    _send(session, new, token, code, now)
    return new


def resend(session: Session, invitation: Invitation, now: datetime) -> None:
    """Send a new link and a new code; the old ones stop working. A completed or cancelled invitation stays so."""
    if invitation.completed_at is not None or invitation.cancelled_at is not None:
        return
    token, code = codes.new_token(), codes.new_code()
    invitations.renew(
        session,
        invitation.id,
        token_hash=codes.token_hash(token),
        code_hash=passwords.hashed(codes.plain_code(code)),
        expires_at=now + VALID_FOR,
    )
    _send(session, invitation, token, code, now)


def cancel(session: Session, invitation: Invitation, now: datetime) -> None:
    """Make an invitation useless at once."""
    invitations.cancel(session, invitation.id, now)


def listed(session: Session, coordinator: Account) -> tuple[Invitation, ...]:
    """Return the invitations of the coordinator's organisation, newest first."""
    return invitations.of_organization(session, coordinator.organization)


def found(session: Session, coordinator: Account, invitation_id: str) -> Invitation:
    """Return one invitation of the coordinator's organisation.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's.
    """
    invitation = invitations.by_id(session, invitation_id)
    if invitation is None or invitation.organization != coordinator.organization:
        raise FhirError(Kind.NOT_FOUND, "There is no such invitation")
    return invitation


def plain_mobile(typed: str) -> str:
    """Return a mobile number in E.164, "" where it is none."""
    try:
        number = phonenumbers.parse(typed, "GB")
    except phonenumbers.NumberParseException:
        return ""
    # Numbers reserved for examples (07700 900xxx) are possible, not valid; the demo uses them.
    if not phonenumbers.is_possible_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _send(session: Session, invitation: Invitation, token: str, code: str, now: datetime) -> None:
    queue(session, Notice.INVITATION, invitation.email, now, given=invitation.given, token=token)
    queue(session, Notice.INVITATION_CODE, invitation.mobile, now, code=code)


def _plain_name(typed: str) -> str:
    text = unicodedata.normalize("NFC", " ".join(typed.split()))
    return text if text.isprintable() and len(text) <= _LONGEST_NAME else ""


def _plain_birth_date(typed: str, today: date) -> str:
    try:
        day = date.fromisoformat(typed.strip())
    except ValueError:
        return ""
    return day.isoformat() if _EARLIEST_BIRTH <= day <= today else ""
