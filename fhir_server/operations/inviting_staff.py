"""A coordinator lets a colleague in: entry and role in the directory, and a one-time link to set up an account.

The number of a register says who they are. Whoever has an account is asked to work here, too, and says yes or no with
that account (`joining_staff`). Whoever has a role elsewhere and no account asks for one themselves: a number and a name
are no secret. Who left comes back with a new account, at the old address too, and with nothing of before.
"""

from __future__ import annotations

import json
import re
import unicodedata
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from fhir_server.access import tokens
from fhir_server.access.closure import closure
from fhir_server.access.principal import Principal
from fhir_server.identity import codes, leaving, limits, staff_directory
from fhir_server.identity.account_requests import SET_UP_WITHIN, AccountRequest, RequestState
from fhir_server.identity.accounts import Role, plain_email
from fhir_server.identity.invitation_person import plain_name
from fhir_server.identity.limits import Limit
from fhir_server.identity.staff_directory import GMC, USER_ID
from fhir_server.interactions import finishing
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform, record_administration
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.operations.cancelling_staff import invited
from fhir_server.operations.joining_staff import role, works_for
from fhir_server.operations.service_acts import create, service_job
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.store import account_requests as rows
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us
from fhir_server.store.keys import hash64, key_of_reference

INVITE: Final = Limit("invite-professional", 60, timedelta(hours=1))
"""Per coordinator; each e-mail counts, one sent again too."""
_LONGEST: Final = 100
_TWO_PEOPLE: Final = (
    "Two people have to check who they are. Ask them to send the form for an account on the page Help and contact"
)
_TAKEN: Final = "This e-mail address has an account already"
_ELSEWHERE: Final = f"They work for another organisation, too. {_TWO_PEOPLE}"
_NOWHERE: Final = f"The directory knows them, and no role of theirs with you. {_TWO_PEOPLE}"
_GMC: Final = re.compile(r"[0-9]{7}")
_USER_ID: Final = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Colleague:
    """Whom a coordinator invites, as typed; `number` is an SDS user id (12 digits) or GMC number (7 digits)."""

    given: str
    family: str
    email: str
    job: str
    number: str


def waiting(session: Session, organization: str) -> tuple[AccountRequest, ...]:
    """Return the colleagues of an organisation who have a link and have not used it yet, oldest first."""
    if not organization:
        return ()
    return rows.in_states(session, (RequestState.APPROVED,), organization=organization, limit=1_000)


def invite(context: Context, principal: Principal, coordinator: Account, typed: Colleague) -> str:
    """Put a colleague into the directory and send them a link; return the id of the invitation.

    Somebody with an account elsewhere is put nowhere before they have said yes. A link that they were sent before, to
    another address, no longer works.

    Raises:
        FhirError: INVALID_VALUE with one issue per field; DUPLICATE (409) for who works here, has an invitation, or an
            account that is not a professional's; THROTTLED (429); FORBIDDEN (403) without an organisation.
    """
    them = _checked(typed)
    if not coordinator.organization:
        raise FhirError(Kind.FORBIDDEN, "Your account has no organisation")
    _count(context, coordinator)
    with context.store.read() as session:
        known = accounts.by_email(session, them.email)
        if known is not None and not (_is_professional(known) or leaving.has_left(session, known)):
            raise FhirError(Kind.DUPLICATE, _TAKEN, ("email",))
    service, organization = _Service(context, principal), coordinator.organization
    practitioner = _entry_of(service, them, known.reference if known else "")
    account_id = _account_elsewhere(context, practitioner, organization) if practitioner else ""
    if practitioner and not account_id:
        _refuse_stranger(service, practitioner, organization)
    owner = service.read(organization)
    with context.store.write() as session:
        # INVARIANT: one at a time for one number: entry, role and invitation are there together, and once.
        session.lock(hash64(f"professional:{them.number}"))
        if any(each.email == them.email for each in waiting(session, organization)):
            raise FhirError(Kind.DUPLICATE, "They have an invitation already. Send that again", ("email",))
        role_made = ""
        if not account_id:
            practitioner, role_made = _put_into_directory(session, service, practitioner, organization, them)
        # INVARIANT: one link for one person: an earlier one may have gone to a mistyped address. What it made is this
        # one's from now on, so that it ends with it.
        role_made = rows.withdraw(session, practitioner, organization) or role_made
        place = _Place(organization, str(owner.get("name", "")), practitioner, account_id, role_made)
        return _send(session, service, coordinator, them, place)


def resend(context: Context, principal: Principal, coordinator: Account, request_id: str) -> None:
    """Send a colleague a new link; the old one no longer works.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's and for one that was used; THROTTLED (429).
    """
    now, token = context.now(), codes.new_token()
    _count(context, coordinator)
    with context.store.write() as session:
        found = invited(session, coordinator.organization, request_id)
        if not rows.renew(session, found.id, codes.token_hash(token), now + SET_UP_WITHIN):
            raise FhirError(Kind.NOT_FOUND, "There is no such invitation in your organisation")
        its = {"name": found.name, "organization": found.organization_name, "token": token}
        queue(session, Notice.PROFESSIONAL_INVITED, found.email, now, **its)
        about = f"request {found.id}"
        record_administration(context, session, principal, action="resend-set-up", description=about)


def _count(context: Context, coordinator: Account) -> None:
    """Count an e-mail that a coordinator has sent, also where nothing comes of it."""
    with context.store.write() as session:
        is_allowed = limits.allow(session, context.now(), (INVITE, coordinator.id))
    if not is_allowed:
        raise FhirError(Kind.THROTTLED, "Too many invitations. Wait an hour and try again")


@dataclass(frozen=True, slots=True)
class _Service:
    """What the service looks up for a coordinator."""

    context: Context
    principal: Principal

    def search(self, kind: str, *query: tuple[str, str]) -> list[dict[str, Any]]:
        bundle = self._perform(Interaction(Code.SEARCH, type=kind, query=query))
        return [entry["resource"] for entry in bundle.get("entry", ())]

    def read(self, reference: str) -> dict[str, Any]:
        kind, _, logical_id = reference.partition("/")
        return self._perform(Interaction(Code.READ, type=kind, id=logical_id))

    def _perform(self, interaction: Interaction) -> dict[str, Any]:
        made = tokens.operator(self.context.now(), f"{self.principal.name} (through this service)")
        operator = replace(made, client_id=tokens.PORTAL, purpose="PATADMIN")
        found: dict[str, Any] = json.loads(perform(interaction, operator, self.context).content)
        return found


@dataclass(frozen=True, slots=True)
class _Place:
    """Where somebody is to work.

    Attributes:
        organization, name: The organisation and what it is called.
        practitioner: Their entry in the directory.
        account_id: Of the account that is to get one more role, "" for one to be made.
        role: The role that the invitation made, "" where they had one.
    """

    organization: str
    name: str
    practitioner: str
    account_id: str
    role: str


def _checked(typed: Colleague) -> Colleague:
    given, family, job = plain_name(typed.given), plain_name(typed.family), _plain(typed.job)
    email, number = plain_email(typed.email), "".join(typed.number.split())
    wrong = {
        "given": not given and "Enter their first name, in letters of one alphabet",
        "family": not family and "Enter their last name, in letters of one alphabet",
        "email": not email and "Enter their work e-mail address, like name@example.com",
        "job": not job and "Enter their job",
        "number": not _system_of(number) and "Enter their smartcard number (12 digits) or GMC number (7 digits)",
    }
    issues = tuple(Issue("error", Kind.INVALID_VALUE.issue_code, text, (name,)) for name, text in wrong.items() if text)
    if issues:
        raise FhirError(Kind.INVALID_VALUE, issues[0].diagnostics, issues=issues)
    return Colleague(given, family, email, job, number)


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFC", " ".join(text.split()))
    return plain if plain.isprintable() and len(plain) <= _LONGEST else ""


def _system_of(number: str) -> str:
    if _USER_ID.fullmatch(number):
        return USER_ID
    return GMC if _GMC.fullmatch(number) else ""


def _entry_of(service: _Service, them: Colleague, owner: str) -> str:
    """Return the entry of the directory with the number, "" where there is none.

    `owner` is the entry of whoever has, or left with, this e-mail address, "" for nobody: no other person gets it.
    """
    found = service.search("Practitioner", ("identifier", f"{_system_of(them.number)}|{them.number}"))
    if owner and owner not in {f"Practitioner/{entry['id']}" for entry in found}:
        raise FhirError(Kind.DUPLICATE, _TAKEN, ("email",))
    if not found:
        return ""
    families = {str(name.get("family", "")).casefold() for entry in found for name in entry.get("name", ())}
    if len(found) > 1 or found[0].get("active") is False or them.family.casefold() not in families:
        text = "The directory knows somebody else by this number. Check it with them, or ask the service desk"
        raise FhirError(Kind.INVALID_VALUE, text, ("number",))
    return f"Practitioner/{found[0]['id']}"


def _refuse_stranger(service: _Service, practitioner: str, organization: str) -> None:
    """Refuse to vouch for somebody whom the directory knows, who has no account, and was never here."""
    # INVARIANT: a patient may share with the entry itself. Who is known, but was never here, is nobody's to vouch for.
    if not service.search("PractitionerRole", ("practitioner", practitioner), ("organization", organization)):
        raise FhirError(Kind.INVALID_VALUE, _NOWHERE, ("number",))


def _refuse_shared(session: Session, context: Context, practitioner: str, organization: str) -> None:
    """Refuse to vouch for somebody who has no account and works for others, or an account since the caller looked."""
    # The lock of everything that opens an account of this person.
    session.lock(hash64(f"account:{practitioner}"))
    if any(each.active for each in accounts.by_reference(session, practitioner)):
        raise FhirError(Kind.DUPLICATE, "This person has got an account just now. Invite them again", ("number",))
    # INVARIANT: an account counts as every role of its person: nobody vouches for what is another organisation's.
    belongs = closure(session, practitioner, to_us(context.now())).organizations
    if set(belongs) - {key_of_reference(organization)}:
        raise FhirError(Kind.INVALID_VALUE, _ELSEWHERE, ("number",))


def _put_into_directory(
    session: Session, service: _Service, practitioner: str, organization: str, them: Colleague
) -> tuple[str, str]:
    """Make entry and role where they are not there yet; return the entry, and the role that was made or ""."""
    job, system = service_job(session, service.principal, service.context), _system_of(them.number)
    if practitioner:
        _refuse_shared(session, service.context, practitioner, organization)
    else:
        if staff_directory.is_taken(session, "Practitioner", system, them.number):
            raise FhirError(Kind.DUPLICATE, "Somebody else invited them just now", ("number",))
        name = {"use": "official", "family": them.family, "given": them.given.split()}
        identifier = {"system": system, "value": them.number}
        entry = {"resourceType": "Practitioner", "active": True, "identifier": [identifier], "name": [name]}
        practitioner = create(job, entry)
    made = ""
    if not works_for(session, service.context, practitioner, organization):
        shown = f"{them.given} {them.family}"
        made = create(job, role(practitioner, organization, shown, them.job, service.context.now()))
    finishing.finish(job)
    return practitioner, made


def _account_elsewhere(context: Context, practitioner: str, organization: str) -> str:
    """Return the id of the account of a professional who works for others, "" where there is none.

    Raises:
        FhirError: DUPLICATE (409) where the account is no professional's, or of somebody who works here, too.
    """
    with context.store.read() as session:
        theirs = next((each for each in accounts.by_reference(session, practitioner) if each.active), None)
        if theirs is None:
            return ""
        if not _is_professional(theirs) or works_for(session, context, practitioner, organization):
            raise FhirError(Kind.DUPLICATE, "This person has an account already", ("number",))
    return theirs.id


def _is_professional(account: Account) -> bool:
    return account.active and account.role == Role.PROFESSIONAL


def _send(session: Session, service: _Service, coordinator: Account, them: Colleague, place: _Place) -> str:
    context, now, token = service.context, service.context.now(), codes.new_token()
    new = AccountRequest(
        id=str(uuid.uuid4()),
        name=f"{them.given} {them.family}",
        email=them.email,
        job=them.job,
        organization_name=place.name,
        registration=them.number,
        reason="Invited by the coordinator of the organisation",
        asked_at=now,
    )
    rows.add(session, new)
    rows.check(
        session,
        new.id,
        by=coordinator.id,
        evidence=new.reason,
        practitioner=place.practitioner,
        organization=place.organization,
        now=now,
    )
    rows.decide(
        session,
        new.id,
        state=RequestState.APPROVED,
        by=coordinator.id,
        token_hash=codes.token_hash(token),
        token_expires_at=now + SET_UP_WITHIN,
        account_id=place.account_id,
        now=now,
    )
    rows.keep_role(session, new.id, place.role)
    told = {"name": new.name, "organization": place.name, "token": token}
    queue(session, Notice.PROFESSIONAL_INVITED, them.email, now, **told)
    about = f"request {new.id} {place.practitioner}"
    record_administration(
        context, session, service.principal, action="invite-professional", description=about, status=201
    )
    return new.id
