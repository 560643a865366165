"""From a token or a session to a `Principal`: the only place where one is built.

Tokens are opaque: 256 random bits, looked up by SHA-256, so that revoking one takes effect on the next request.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from fhir_server.access import scopes
from fhir_server.access.closure import closure_of
from fhir_server.access.principal import PRIVACY_OFFICER, Caller, Principal
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import memberships
from fhir_server.store import tokens as rows
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import NONE, key_of_reference
from fhir_server.store.memberships import Standing

PORTAL = "portal"
_CALLERS = {
    "Patient": Caller.PATIENT,
    "RelatedPerson": Caller.RELATED,
    "Practitioner": Caller.PROFESSIONAL,
    "Organization": Caller.ORGANIZATION,
    "Device": Caller.DEVICE,
}


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What an access token is to stand for.

    Attributes:
        subject: `Patient/…`, `RelatedPerson/…`, `Practitioner/…`, `Organization/…`, `account:<id>` or `system`.
        expires_in_s: Lifetime in seconds, above 0.
        grant_id: The permission it belongs to; revoking that ends it. "" makes a new one.
        key_thumbprint: The key that its user has to prove at each use (RFC 9449 §6); "" for a bearer token.
    """

    subject: str
    client_id: str
    scope: str
    auth_time: datetime
    expires_in_s: int
    purpose: str = "TREAT"
    organization: str = ""
    patient: str = ""
    account_id: str = ""
    trusted: bool = False
    may_break_glass: bool = False
    grant_id: str = ""
    key_thumbprint: str = ""


def issue(session: Session, grant: TokenGrant, now: datetime) -> str:
    """Mint an opaque access token and store its hash.

    Raises:
        ValueError: When the lifetime is not positive: a token that never ends is not to be had.
    """
    if grant.expires_in_s <= 0:
        raise ValueError(grant.expires_in_s)
    # The prefix keeps a token from looking like an option on a command line, and lets scanners find one that leaked.
    token = f"fhs_{secrets.token_urlsafe(32)}"
    rows.add(
        session,
        rows.TokenRow(
            token_hash=hash_of(token),
            grant_id=grant.grant_id or str(uuid.uuid4()),
            client_id=grant.client_id,
            subject=grant.subject,
            subject_key=key_of_reference(grant.subject),
            account_id=grant.account_id or None,
            patient=grant.patient or None,
            scope=grant.scope,
            purpose=grant.purpose,
            organization=grant.organization or None,
            trusted=grant.trusted,
            may_break_glass=grant.may_break_glass,
            auth_time=to_us(grant.auth_time),
            issued_at=to_us(now),
            expires_at=to_us(now + timedelta(seconds=grant.expires_in_s)),
            key_thumbprint=grant.key_thumbprint or None,
        ),
    )
    return token


def resolve(session: Session, token: str, now: datetime, *, proven_key: str = "") -> Principal:
    """Return who this access token stands for.

    Args:
        session: A transaction.
        token: As it was presented.
        now: Aware UTC.
        proven_key: Thumbprint of the key that whoever presents it proved to hold (RFC 9449 §7.1), "" for none.

    Raises:
        FhirError: UNAUTHENTICATED for an unknown, expired or revoked token, for an inactive client or account, and for
            one that is bound to another key than was proven.
    """
    return resolved(session, token, now, proven_key=proven_key)[0]


def resolved(session: Session, token: str, now: datetime, *, proven_key: str = "") -> tuple[Principal, datetime]:
    """Return who this access token stands for, as `resolve`, and until when."""
    found = rows.live(session, hash_of(token), to_us(now))
    if found is None:
        raise FhirError(Kind.UNAUTHENTICATED, "The access token is unknown, expired or revoked")
    row = found.row
    # INVARIANT: both ways: a bound token is no bearer token, and a proof adds nothing to a token that is not bound.
    if (row.key_thumbprint or "") != proven_key:
        raise FhirError(Kind.UNAUTHENTICATED, "The access token is not bound to the key that was proven")
    caller = Caller.OPERATOR if row.trusted else _caller(row.subject)
    # Made in one go, as each request asks: copying one to add its closure would cost as much as the rest.
    closed = _closed(caller, row.subject, row.organization or "", row.client_id, found.standing)
    principal = Principal(
        caller=caller,
        subject=row.subject,
        actors=closed.actors,
        organizations=closed.organizations,
        organization=closed.organization,
        scopes=_scopes(row.scope),
        patient=row.patient or "",
        purpose=row.purpose,
        client_id=row.client_id,
        role=found.role,
        name=found.name or row.subject,
        trusted=bool(row.trusted),  # the driver's plain types: SQLite's truth is 0 or 1
        may_break_glass=bool(row.may_break_glass),
        auth_time=from_us(row.auth_time),
        session_id=row.grant_id,
        in_emergency=closed.in_emergency,
        has_rare=closed.has_rare,
    )
    return principal, from_us(row.expires_at)


def for_account(
    session: Session, account: Account, auth_time: datetime, session_id: str, now: datetime, *, working_for: str = ""
) -> Principal:
    """Return who a portal session stands for: its user with all that the user may do.

    `working_for` is the organisation that a professional chose of several, "" for that of the account.
    """
    subject = account.reference or f"account:{account.id}"
    principal = Principal(
        caller=_caller(subject),
        subject=subject,
        actors=(),
        organizations=(),
        organization=account.organization,
        scopes=scopes.EVERYTHING,
        patient="",
        purpose=_purpose(_caller(subject), account.role),
        client_id=PORTAL,
        role=account.role,
        name=account.name,
        trusted=False,
        may_break_glass=account.may_break_glass,
        auth_time=auth_time,
        session_id=session_id,
    )
    return _at_work(_with_closure(principal, _standing(session, principal, now)), working_for)


def _at_work(principal: Principal, organization: str) -> Principal:
    """Return a professional at work for the organisation that they chose, as long as they have a role in it.

    It says whose is what they write. What they may see is what all their roles let them see, as before.
    """
    is_theirs = bool(organization) and key_of_reference(organization) in principal.organizations
    if principal.caller is not Caller.PROFESSIONAL or not is_theirs or organization == principal.organization:
        return principal
    # INVARIANT: emergency access was given for the work of one organisation, and is not taken along to another.
    return replace(principal, organization=organization, may_break_glass=False)


def _purpose(caller: Caller, role: str) -> str:
    """Return what a portal's user looks at records for, as the log says it."""
    if caller is Caller.STAFF:
        return "HCOMPL" if role == PRIVACY_OFFICER else "PATADMIN"
    return "PATRQT" if caller is Caller.PATIENT else "TREAT"


def operator(now: datetime, name: str = "operator") -> Principal:
    """Return the record's operator at the command line: everything, every use audited as such."""
    return Principal(
        caller=Caller.OPERATOR,
        subject="system",
        actors=(),
        organizations=(),
        organization="",
        scopes=scopes.EVERYTHING,
        patient="",
        purpose="HSYSADMIN",
        client_id="command-line",
        role="",
        name=name,
        trusted=True,
        may_break_glass=False,
        auth_time=now,
        session_id="",
    )


def feed(session: Session, organization: str, now: datetime, client_id: str) -> Principal:
    """Return an organisation's own system, as the loader of its data uses it."""
    principal = replace(
        operator(now, organization),
        caller=Caller.ORGANIZATION,
        subject=organization,
        purpose="TREAT",
        client_id=client_id,
        trusted=False,
    )
    return _with_closure(principal, _standing(session, principal, now))


def professional(session: Session, reference: str, organization: str, now: datetime, session_id: str) -> Principal:
    """Return a practitioner who signed in just now, as the demo's past emergencies are replayed by one."""
    principal = replace(
        operator(now, reference),
        caller=Caller.PROFESSIONAL,
        subject=reference,
        organization=organization,
        purpose="TREAT",
        client_id=PORTAL,
        role="professional",
        trusted=False,
        may_break_glass=True,
        session_id=session_id,
    )
    return _with_closure(principal, _standing(session, principal, now))


def renewed(session: Session, principal: Principal, now: datetime) -> Principal:
    """Return a principal with the roles, teams and organisations of now, for work that goes on without its token."""
    return _with_closure(principal, _standing(session, principal, now))


def revoke(session: Session, token: str, now: datetime) -> None:
    """End one access token at once."""
    rows.revoke(session, hash_of(token), to_us(now))


def revoke_grant(session: Session, grant_id: str, now: datetime) -> None:
    """End every access token of a grant at once."""
    rows.revoke_grant(session, grant_id, to_us(now))


@lru_cache(maxsize=1_024)
def _scopes(stored: str) -> scopes.Scopes:
    """Return the scopes of a stored token: few texts, and each request asks for one."""
    return scopes.parse(stored)


def hash_of(token: str) -> bytes:
    """Return what is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _caller(subject: str) -> Caller:
    return _CALLERS.get(subject.partition("/")[0], Caller.STAFF)


def _standing(session: Session, principal: Principal, now: datetime) -> Standing:
    return memberships.standing(session, key_of_reference(principal.subject), to_us(now))


def _with_closure(principal: Principal, standing: Standing) -> Principal:
    """Add the subjects closure, see `access.closure`."""
    found = _closed(principal.caller, principal.subject, principal.organization, principal.client_id, standing)
    return replace(principal, **found._asdict())


class _Closed(NamedTuple):
    """What the closure adds to a principal; fields as there."""

    actors: tuple[int, ...]
    organizations: tuple[int, ...]
    organization: str
    in_emergency: bool = True
    has_rare: bool = True


def _closed(caller: Caller, subject: str, organization: str, client_id: str, standing: Standing) -> _Closed:
    if caller is Caller.OPERATOR:
        return _Closed((), (), organization)
    if caller is Caller.STAFF:
        return _Closed((), (key_of_reference(organization),) if organization else (), organization)
    found = closure_of(subject, standing)
    if caller is Caller.ORGANIZATION:
        return _Closed(found.actors, (key_of_reference(subject),), subject, has_rare=found.has_rare)
    if caller is not Caller.PROFESSIONAL:
        return _Closed(found.actors, (), organization, has_rare=found.has_rare)
    # INVARIANT: an organisation counts only while a current PractitionerRole says so; a token's or account's word
    # adds none.
    named = key_of_reference(organization) if organization else NONE
    acting_for = organization if named in found.organizations else ""
    # Where several would do none is taken: whoever adds a role for somebody must not become the author of their data.
    if not acting_for and len(found.organizations) == 1:
        only = found.organization_ids.get(found.organizations[0])
        acting_for = f"Organization/{only}" if only else ""
    in_emergency = found.in_emergency or client_id == PORTAL
    return _Closed(found.actors, found.organizations, acting_for, in_emergency, found.has_rare)
