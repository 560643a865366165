"""Professionals who ask for an account, and messages to the service desk.

Two people: a member of the service desk checks the evidence, another one or an administrator decides. What was said is
forgotten after a while, whatever came of it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fhir_server.identity import codes, leaving, limits, passwords
from fhir_server.identity.accounts import Role, create_account, plain_email
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.invitation_person import plain_name
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.store import account_requests, accounts, resources
from fhir_server.store.account_requests import AccountRequest, ContactMessage, RequestState
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import hash64

__all__ = ["AccountRequest", "ContactMessage", "RequestState"]

TOPICS: Final = (
    "I cannot sign in",
    "My invitation does not work",
    "Something in the record looks wrong",
    "How my information is used",
    "Something else",
)
SET_UP_WITHIN: Final = timedelta(days=7)
KEPT_OPEN_FOR: Final = timedelta(days=90)
KEPT_DECIDED_FOR: Final = timedelta(days=30)
SHORTEST_EVIDENCE: Final = 20
_LONGEST_LINE: Final = 100
_LONGEST_TEXT: Final = 2_000
_OPEN: Final = (RequestState.NEW, RequestState.CHECKED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody typed who asks for an account."""

    name: str
    email: str
    job: str
    organization_name: str
    registration: str
    reason: str


def ask(session: Session, asked: Asked, *, address: str, now: datetime) -> str:
    """Take a request for an account and return its id; the answer is the same whether the person is known or not.

    Raises:
        FhirError: INVALID_VALUE with one issue per field; THROTTLED (429) when one network address sends too many.
    """
    name, email = plain_name(asked.name), plain_email(asked.email)
    wrong = {
        "name": not name and "Enter your full name, in letters of one alphabet",
        "email": not email and "Enter your work e-mail address in the correct format, like name@example.com",
        "job": not _is_line(asked.job) and "Enter your job",
        "organization": not _is_line(asked.organization_name) and "Enter where you work",
        "registration": not _is_line(asked.registration, needed=False) and "Enter a registration number, or nothing",
        "reason": not _is_text(asked.reason) and f"Say what you need it for, in up to {_LONGEST_TEXT:,} characters",
    }
    _refuse(wrong)
    _limit(session, address, now)
    request_id = str(uuid.uuid4())
    account_requests.add(
        session,
        AccountRequest(
            id=request_id,
            name=name,
            email=email,
            job=asked.job,
            organization_name=asked.organization_name,
            registration=asked.registration,
            reason=asked.reason,
            asked_at=now,
        ),
    )
    _answer(session, email, now)
    return request_id


def send_message(session: Session, *, name: str, email: str, topic: str, body: str, address: str, now: datetime) -> str:
    """Take a message to the service desk and return its id.

    Raises:
        FhirError: INVALID_VALUE with one issue per field; THROTTLED (429) when one network address sends too many.
    """
    plain = plain_email(email)
    wrong = {
        "name": not _is_line(name) and "Enter your name",
        "email": not plain and "Enter an e-mail address in the correct format, like name@example.com",
        "topic": topic not in TOPICS and "Choose what it is about",
        "body": not _is_text(body) and f"Write your message, in up to {_LONGEST_TEXT:,} characters",
    }
    _refuse(wrong)
    _limit(session, address, now)
    message_id = str(uuid.uuid4())
    account_requests.add_message(session, ContactMessage(message_id, name, plain, topic, body, now))
    _answer(session, plain, now)
    return message_id


def open_requests(session: Session, *, after: str = "", limit: int = 100) -> tuple[AccountRequest, ...]:
    """Return the requests that nobody has decided yet, oldest first."""
    return account_requests.in_states(session, _OPEN, after=after, limit=limit)


def found(session: Session, request_id: str) -> AccountRequest:
    """Return one request.

    Raises:
        FhirError: NOT_FOUND (404).
    """
    request = account_requests.by_id(session, request_id)
    if request is None:
        raise FhirError(Kind.NOT_FOUND, "There is no such request")
    return request


def check(
    session: Session,
    desk: Account,
    request_id: str,
    *,
    evidence: str,
    practitioner: str,
    organization: str,
    now: datetime,
) -> None:
    """Keep what a member of the service desk saw as evidence, and which entry of the directory the person is.

    Raises:
        FhirError: FORBIDDEN (403) for other roles; NOT_FOUND (404) for a request that is unknown or decided;
            INVALID_VALUE naming the field.
    """
    if desk.role != Role.SERVICE_DESK:
        raise FhirError(Kind.FORBIDDEN, "Only the service desk can check a request")
    evidence, practitioner, organization = evidence.strip(), practitioner.strip(), organization.strip()
    wrong = {
        "evidence": not SHORTEST_EVIDENCE <= len(evidence) <= _LONGEST_TEXT
        and f"Say how you checked who it is, in {SHORTEST_EVIDENCE} characters or more",
        "practitioner": (
            not _is_there(session, "Practitioner", practitioner)
            and "Enter the person's entry in the directory, like Practitioner/123"
        )
        or (
            _has_account(session, practitioner)
            and "This person has an account. If they cannot sign in, help them with that one"
        ),
        "organization": not _is_there(session, "Organization", organization)
        and "Enter the organisation's entry in the directory, like Organization/123",
    }
    _refuse(wrong)
    done = account_requests.check(
        session,
        request_id,
        by=desk.id,
        evidence=evidence,
        practitioner=practitioner,
        organization=organization,
        now=now,
    )
    if not done:
        raise _decided()


def decide(session: Session, person: Account, request_id: str, *, approved: bool, now: datetime) -> AccountRequest:
    """Agree to a request, so that the person gets a set-up link, or turn it down; both are told by e-mail.

    Raises:
        FhirError: FORBIDDEN (403) for other roles, and for who checked the evidence; NOT_FOUND (404) for a request that
            is unknown or decided; BUSINESS_RULE (422) for an approval before the check.
    """
    if person.role not in {Role.SERVICE_DESK, Role.ADMIN}:
        raise FhirError(Kind.FORBIDDEN, "Only the service desk and administrators decide this")
    request = found(session, request_id)
    if request.state not in _OPEN:
        raise _decided()
    if approved and request.state is not RequestState.CHECKED:
        raise FhirError(Kind.BUSINESS_RULE, "The service desk has to check the evidence first")
    if approved and request.checked_by == person.id:
        raise FhirError(Kind.FORBIDDEN, "Somebody else has to decide this: you checked the evidence")
    token = codes.new_token()
    done = account_requests.decide(
        session,
        request_id,
        state=RequestState.APPROVED if approved else RequestState.REFUSED,
        by=person.id,
        token_hash=codes.token_hash(token) if approved else "",
        token_expires_at=now + SET_UP_WITHIN if approved else None,
        now=now,
    )
    if not done:
        raise _decided()
    if approved:
        queue(session, Notice.ACCOUNT_SET_UP, request.email, now, name=request.name, token=token)
    else:
        queue(session, Notice.ACCOUNT_REFUSED, request.email, now)
    return request


def of_link(session: Session, token: str, now: datetime) -> AccountRequest | None:
    """Return the request of a set-up link that works, None for any other."""
    request = account_requests.by_token(session, codes.token_hash(token))
    if request is None or request.state is not RequestState.APPROVED:
        return None
    is_live = request.token_expires_at is not None and request.token_expires_at > now
    return request if is_live else None


def set_up(
    store: Store,
    token: str,
    password: str,
    accepted: Acceptance,
    now: datetime,
    noted: Callable[[Session, Account], None],
) -> str | None:
    """Make the account of an approved request; return what is wrong in plain words, "" for a dead link, None for done.

    `noted` writes the AuditEvent, in the transaction that makes the account.
    """
    with store.read() as session:
        request = of_link(session, token, now)
    if request is None:
        return ""
    wrong = passwords.problem(password, (request.name, request.email))
    if wrong:
        return wrong
    with store.write() as session:
        session.lock(hash64(f"account:{request.practitioner}"))
        # INVARIANT: a link that asks the owner of an account opens no other, also where that is closed meanwhile.
        if request.account_id or of_link(session, token, now) is None or not _is_free(session, request):
            return ""
        # INVARIANT: one person never gets two accounts, by two links or by a link and a smartcard.
        if _has_account(session, request.practitioner):
            return ""
        made = create_account(
            session,
            role=Role.PROFESSIONAL,
            email=request.email,
            name=request.name,
            password=password,
            now=now,
            reference=request.practitioner,
            organization=request.organization,
            accepted=accepted,
        )
        if not account_requests.complete(session, request.id, made.id):
            raise FhirError(Kind.CONFLICT, "This link was used just now")
        queue(session, Notice.ACCOUNT_READY, made.email, now)
        noted(session, made)
    return None


def _is_free(session: Session, request: AccountRequest) -> bool:
    """Return whether the address can be the account's: nobody's, or let go by who left and comes back."""
    known = accounts.by_email(session, request.email)
    if known is None:
        return True
    if known.reference != request.practitioner or not leaving.has_left(session, known):
        return False
    leaving.let_go(session, known)
    return True


def _has_account(session: Session, practitioner: str) -> bool:
    return any(account.active for account in accounts.by_reference(session, practitioner))


def close_message(session: Session, message_id: str, desk: Account, now: datetime) -> None:
    """Take a message off the queue.

    Raises:
        FhirError: NOT_FOUND (404) for one that is not there (any more).
    """
    if not account_requests.close_message(session, message_id, by=desk.id, now=now):
        raise FhirError(Kind.NOT_FOUND, "There is no such message")


def open_messages(session: Session, *, after: str = "", limit: int = 100) -> tuple[ContactMessage, ...]:
    """Return the messages that nobody has dealt with, oldest first."""
    return account_requests.open_messages(session, after=after, limit=limit)


def unused(session: Session, now: datetime) -> tuple[AccountRequest, ...]:
    """Return the invitations of professionals that nobody used and whose time is over, with the role that they made."""
    return account_requests.unused(session, decided_before=now - KEPT_DECIDED_FOR, now=now)


def prune(session: Session, now: datetime) -> int:
    """Forget requests and messages whose time is over; return how many."""
    open_end, decided_end = now - KEPT_OPEN_FOR, now - KEPT_DECIDED_FOR
    return account_requests.prune(
        session, asked_before=open_end, decided_before=decided_end, now=now
    ) + account_requests.prune_messages(session, sent_before=open_end, closed_before=decided_end)


def _refuse(wrong: Mapping[str, str | bool]) -> None:
    issues = tuple(
        Issue("error", Kind.INVALID_VALUE.issue_code, str(text), (name,)) for name, text in wrong.items() if text
    )
    if issues:
        raise FhirError(Kind.INVALID_VALUE, issues[0].diagnostics, issues=issues)


def _limit(session: Session, address: str, now: datetime) -> None:
    if not limits.allow(session, now, (limits.CONTACT_ADDRESS, address), (limits.CONTACT_ALL, "")):
        raise FhirError(Kind.THROTTLED, "Too many messages. Wait an hour and try again")


def _answer(session: Session, email: str, now: datetime) -> None:
    # INVARIANT: nothing that was typed is in the answer: it would carry anybody's words to anybody's mailbox.
    if limits.allow(session, now, (limits.CONTACT_EMAIL, email)):
        queue(session, Notice.ACCOUNT_REQUESTED, email, now)


def _is_line(text: str, *, needed: bool = True) -> bool:
    return len(text) <= _LONGEST_LINE and text.isprintable() and (bool(text) or not needed)


def _is_text(text: str) -> bool:
    return bool(text) and len(text) <= _LONGEST_TEXT and all(c.isprintable() or c in "\r\n\t" for c in text)


def _is_there(session: Session, resource_type: str, reference: str) -> bool:
    kind, _, logical_id = reference.partition("/")
    stored = resources.current(session, resource_type, logical_id) if kind == resource_type and logical_id else None
    return stored is not None and not stored.deleted


def _decided() -> FhirError:
    return FhirError(Kind.NOT_FOUND, "There is no such request, or somebody has decided it")
