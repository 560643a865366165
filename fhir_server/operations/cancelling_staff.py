"""A professional's invitation is taken back: its link and its role end in one transaction, unless it was used first.

What nobody used in its time ends the same way, before it is forgotten. The entry in the directory stays: it says who
has a number, and gives no right.
"""

from __future__ import annotations

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.identity import account_requests
from fhir_server.identity.account_requests import AccountRequest, RequestState
from fhir_server.interactions import finishing
from fhir_server.interactions.model import Context
from fhir_server.interactions.perform import record_administration
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.operations.joining_staff import end_role
from fhir_server.operations.service_acts import service_job
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import account_requests as rows
from fhir_server.store import accounts, resources
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.keys import hash64

_ACTION = "cancel-set-up"
_HAS_ACCOUNT = "They have an account by now. End their access instead"


def invited(session: Session, organization: str, request_id: str) -> AccountRequest:
    """Return the invitation of an organisation that nobody has used yet.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's and for one that was used or taken back.
    """
    found = rows.by_id(session, request_id)
    is_theirs = found is not None and bool(organization) and found.organization == organization
    if found is None or not is_theirs or found.state is not RequestState.APPROVED:
        raise FhirError(Kind.NOT_FOUND, "There is no such invitation in your organisation")
    return found


def cancel(context: Context, principal: Principal, coordinator: Account, request_id: str) -> None:
    """Take an invitation back: its link is dead, and the role that it made has ended.

    Raises:
        FhirError: NOT_FOUND (404), see `invited`; DUPLICATE (409) where the person got an account of it in
            another way and works with that role: they leave, see `leaving_staff`.
    """
    with context.store.read() as session:
        practitioner = invited(session, coordinator.organization, request_id).practitioner
    with context.store.write() as session:
        _lock(session, practitioner)
        found = invited(session, coordinator.organization, request_id)
        if found.role and _works_with_it(session, found):
            raise FhirError(Kind.DUPLICATE, _HAS_ACCOUNT)
        _end(session, context, principal, found)
        if found.checked_by != found.decided_by:
            # Nobody invited them: they asked the service desk, where two people agreed, and were told so.
            queue(session, Notice.ACCOUNT_REFUSED, found.email, context.now())


def lapse(context: Context) -> int:
    """End what invitations that nobody used in their time have made; return how many there were."""
    with context.store.read() as session:
        stale = account_requests.unused(session, context.now())
    service = tokens.operator(context.now(), "Invitations that nobody used")
    done = 0
    for each in stale:
        with context.store.write() as session:
            _lock(session, each.practitioner)
            found = rows.by_id(session, each.id)
            if found is not None and found == each:
                _end(session, context, service, found, with_role=not _works_with_it(session, found))
                done += 1
    return done


def _lock(session: Session, practitioner: str) -> None:
    # INVARIANT: the lock of everything that opens an account of this person: a link is used or taken back, never both.
    session.lock(hash64(f"account:{practitioner}"))


def _works_with_it(session: Session, request: AccountRequest) -> bool:
    """Return whether the person got an account of the organisation in another way meanwhile, by a smartcard say."""
    theirs = accounts.by_reference(session, request.practitioner)
    return any(each.active and each.organization == request.organization for each in theirs)


def _end(
    session: Session, context: Context, principal: Principal, request: AccountRequest, *, with_role: bool = True
) -> None:
    rows.cancel(session, request.id)
    kind, _, logical_id = request.role.partition("/")
    role = resources.current(session, kind, logical_id) if with_role and request.role else None
    if role is not None and role.content:
        job = service_job(session, principal, context)
        end_role(job, role, json.decode(role.content, len(role.content) + 1))
        finishing.finish(job)
    record_administration(context, session, principal, action=_ACTION, description=f"request {request.id}")
