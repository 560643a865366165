"""A professional leaves an organisation: what of their account ends, in one transaction with its AuditEvent.

The right itself is the PractitionerRole: the caller ends that over the road; nothing here opens or closes a record.
"""

from __future__ import annotations

from datetime import datetime

from fhir_server.access.closure import closure
from fhir_server.identity.accounts import Role
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import (
    account_requests,
    accounts,
    closures,
    devices,
    logins,
    memberships,
    oauth,
    pending_proofs,
    sessions,
    sharing_requests,
)
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us
from fhir_server.store.keys import key_of_reference

__all__ = ["Account", "end_access", "has_left", "let_go", "member", "team"]


def team(session: Session, organization: str, now: datetime) -> tuple[Account, ...]:
    """Return the active accounts of professionals who work for an organisation, for it alone or others too, by name."""
    if not organization:
        return ()
    here = memberships.members(session, key_of_reference(organization), to_us(now))
    return tuple(
        each
        for each in accounts.with_role(session, Role.PROFESSIONAL)
        if each.organization == organization or key_of_reference(each.reference) in here
    )


def member(session: Session, organization: str, account_id: str, now: datetime) -> Account:
    """Return one professional of an organisation.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's and for one who left.
    """
    found = next((each for each in team(session, organization, now) if each.id == account_id), None)
    if found is None:
        raise FhirError(Kind.NOT_FOUND, "There is no such professional in your organisation")
    return found


def end_access(session: Session, leaver: Account, organization: str, now: datetime) -> tuple[str, ...]:
    """End sessions, apps, remembered devices and open requests of somebody at once; return the sessions that ended.

    Somebody who works nowhere else cannot sign in any more; others sign in again, as what they still are. The caller
    has ended the role in the organisation. INVARIANT: no invitation from before brings them back.
    """
    account_requests.withdraw(session, leaver.reference, organization)
    ended = sessions.end_all(session, leaver.id, now)
    for grant in oauth.grants_of(session, leaver.id, now):
        oauth.revoke_grant(session, grant.id, now)
    devices.remove(session, leaver.id)
    pending_proofs.end_all(session, leaver.id, now)
    sharing_requests.end_of(session, leaver.reference, now)
    left = closure(session, leaver.reference, to_us(now))
    if not left.organizations:
        accounts.set_active(session, leaver.id, active=False, now=now)
    elif key_of_reference(leaver.organization) not in left.organizations:
        elsewhere = next(iter(sorted(left.organization_ids.values())), "")
        accounts.set_organization(session, leaver.id, f"Organization/{elsewhere}" if elsewhere else "")
    queue(session, Notice.SECURITY_CHANGED, leaver.email, now, what="An organisation ended your access to its work.")
    return ended


def has_left(session: Session, account: Account) -> bool:
    """Return whether an account is that of a professional who left, and closed for no other reason."""
    was_theirs = account.role == Role.PROFESSIONAL and account.email_confirmed_at is not None
    return was_theirs and not account.active and not closures.is_held(session, account)


def let_go(session: Session, leaver: Account) -> None:
    """Take the address and the ways in from the account of somebody who left and comes back with a new one.

    INVARIANT: they come back as somebody new: the old account stays closed for good, with all that was set up for it,
    such as second proofs, apps and emergency access.
    """
    accounts.forget_email(session, leaver.id)
    logins.remove_links(session, leaver.id)
