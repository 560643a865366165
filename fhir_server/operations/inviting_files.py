"""Invite the people of uploaded files in the background, each line through the same function as one person's page."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.identity import account_requests, invitation_files, invitations
from fhir_server.identity.accounts import Role
from fhir_server.identity.invitations import Person
from fhir_server.interactions.model import Context
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.operations import cancelling_staff
from fhir_server.operations.inviting import invite
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, invitation_batches
from fhir_server.store import invitations as invitation_rows
from fhir_server.store.accounts import Account
from fhir_server.store.invitation_batches import Batch, BatchRow

_AT_ONCE: Final = 25
"""Lines per turn: a worker has messages to deliver in between."""
_LEASE: Final = timedelta(minutes=5)
_LATER: Final = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT})
_NAMESPACE: Final = uuid.UUID("6a4d8a0e-5d0f-4b0e-9a51-3f5d2f6f7c11")


def work(context: Context) -> int:
    """Invite the next people of the file whose turn it is; return how many lines were done."""
    with context.store.read() as session:
        if not invitation_batches.any_due(session, context.now()):
            return 0
    now = context.now()
    with context.store.write() as session:
        batch = invitation_batches.lease(session, now, now + _LEASE)
        rows = invitation_batches.rows(session, batch.id, state="waiting", limit=_AT_ONCE) if batch else ()
        account = accounts.by_id(session, batch.uploaded_by) if batch else None
        allowed = account is not None and account.active and account.role == Role.COORDINATOR
        principal = tokens.for_account(session, account, now, "", now) if account and allowed else None
    if batch is None:
        return 0
    is_over = len(rows) < _AT_ONCE
    for row in rows:
        is_over = _do(context, batch, row, account, principal) and is_over
    with context.store.write() as session:
        invitation_batches.release(session, batch.id, context.now(), is_over=is_over)
        if is_over and account is not None and account.active:
            queue(session, Notice.INVITATIONS_DONE, account.email, context.now(), batch=batch.id)
    return len(rows)


def upkeep(context: Context) -> int:
    """Send reminders; forget files, requests and messages whose time is over. Return how many."""
    done = invitations.remind_due(context.store, context.now()) + cancelling_staff.lapse(context)
    with context.store.write() as session:
        forgotten = invitation_files.prune(session, context.now())
        return done + forgotten + account_requests.prune(session, context.now())


def _do(context: Context, batch: Batch, row: BatchRow, account: Account | None, principal: Principal | None) -> bool:
    """Do one line and keep what came of it; False where it has to be tried again."""
    invitation_id = str(uuid.uuid5(_NAMESPACE, f"{batch.id}/{row.line}"))
    state, reason = "invited", ""
    with context.store.read() as session:
        # Stopped between the invitation and this row's result: the invitation is there, and is not made twice.
        made = invitation_rows.by_id(session, invitation_id)
    try:
        if account is None or principal is None:
            state, reason, invitation_id = "refused", "The account that uploaded the file may not invite any more", ""
        elif made is None:
            invite(context, principal, account, _person(row), invitation_id=invitation_id)
    except FhirError as error:
        if error.kind in _LATER:
            return False
        state = "duplicate" if error.kind is Kind.DUPLICATE else "refused"
        said = [issue.diagnostics for issue in error.issues if issue.diagnostics]
        reason, invitation_id = "; ".join(said) or error.diagnostics, ""
    with context.store.write() as session:
        invitation_batches.done(session, batch.id, row.line, state=state, reason=reason, invitation_id=invitation_id)
    return True


def _person(row: BatchRow) -> Person:
    return Person(**{name: row.details.get(name, "") for name in invitation_files.COLUMNS}, patient="")
