"""A professional leaves an organisation: what of their account ends, in one transaction with its AuditEvent.

The right itself is the PractitionerRole: the caller ends that over the road; nothing here opens or closes a record.
"""

from __future__ import annotations

from dataclasses import replace
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
    workplaces,
)
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us
from fhir_server.store.keys import key_of_reference

__all__ = ["Account", "end_access", "has_left", "is_named_only", "let_go", "member", "shown", "team"]


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


def shown(session: Session, organization: str, now: datetime) -> tuple[Account, ...]:
    """Return the team as its coordinator sees it: without the address of whom the organisation only named.

    INVARIANT: an organisation's own system writes a role for anybody in the directory. What is somebody's own, such as
    their address, is for the organisation of their account and for those that they said yes to.
    """
    joined = workplaces.members(session, organization)
    return tuple(
        each if each.organization == organization or each.id in joined else replace(each, email="")
        for each in team(session, organization, now)
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


def is_named_only(session: Session, account: Account, organization: str) -> bool:
    """Return whether an organisation's system says that somebody works there, and they never did."""
    return organization not in {account.organization, *workplaces.joined(session, account.id)}


def end_access(session: Session, leaver: Account, organization: str, now: datetime) -> tuple[str, ...]:
    """End sessions, apps, remembered devices and open requests of somebody at once; return the sessions that ended.

    Somebody who works nowhere else cannot sign in any more; others sign in again, as what they still are. The caller
    has ended the role in the organisation; of whom the organisation only named, that is all there is to end.
    INVARIANT: no invitation from before brings them back.
    """
    account_requests.withdraw(session, leaver.reference, organization)
    named_only, joined = is_named_only(session, leaver, organization), workplaces.joined(session, leaver.id)
    workplaces.leave(session, leaver.id, organization)
    queue(session, Notice.SECURITY_CHANGED, leaver.email, now, what="An organisation ended your access to its work.")
    if named_only:
        return ()
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
        current = (each for each in joined if key_of_reference(each) in left.organizations)
        accounts.set_organization(session, leaver.id, next(current, ""))
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
