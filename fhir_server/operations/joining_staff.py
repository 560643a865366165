"""A professional with an account says yes to work for one more organisation: nothing is theirs there before.

What a role in an organisation is when it begins, and when it ends.

INVARIANT: such an invitation opens no account and changes nobody else's. Role, use of the link, message and AuditEvents
are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from fhir_server.access.closure import closure
from fhir_server.access.principal import Principal
from fhir_server.identity import account_changes, account_requests
from fhir_server.identity.account_requests import AccountRequest
from fhir_server.identity.accounts import Role
from fhir_server.interactions import finishing, suspension, writing
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Context, Interaction, Trace
from fhir_server.interactions.perform import record_administration
from fhir_server.operations.service_acts import create, service_job
from fhir_server.spec.values import instant_text
from fhir_server.store import account_requests as rows
from fhir_server.store import accounts, workplaces
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us
from fhir_server.store.keys import hash64, key_of_reference
from fhir_server.store.resources import Version

_TOLD = "Your account now counts for one more organisation that you work for."


def works_for(session: Session, context: Context, practitioner: str, organization: str) -> bool:
    """Return whether somebody has a role in an organisation now."""
    return key_of_reference(organization) in closure(session, practitioner, to_us(context.now())).organizations


def is_for(request: AccountRequest, account: Account) -> bool:
    """Return whether an invitation is for this account, which is still its person's."""
    is_theirs = request.account_id == account.id and request.practitioner == account.reference
    return is_theirs and account.active and account.role == Role.PROFESSIONAL


def join(context: Context, principal: Principal, account: Account, token: str) -> bool:
    """Give the owner of an account the role that they are invited to; False for a link that is not theirs or is used.

    Args:
        context: Where it happens.
        principal: Who is signed in.
        account: Theirs.
        token: Of the link.
    """
    now = context.now()
    with context.store.write() as session:
        # The lock of everything that opens an account of this person: of two at once, one finds the link used.
        session.lock(hash64(f"account:{account.reference}"))
        request, own = account_requests.of_link(session, token, now), accounts.by_id(session, account.id)
        if request is None or own is None or not is_for(request, own) or not rows.complete(session, request.id, own.id):
            return False
        if not works_for(session, context, request.practitioner, request.organization):
            job = service_job(session, principal, context)
            create(job, role(request.practitioner, request.organization, own.name, request.job, now))
            finishing.finish(job)
        workplaces.join(session, own.id, request.organization, now)
        account_changes.tell(session, own, _TOLD, now)
        about = f"request {request.id} {request.organization}"
        record_administration(context, session, principal, action="join-organisation", description=about)
    return True


def end_role(job: Job, old: Version, role: Mapping[str, Any]) -> None:
    """End a role now, unless it has ended, with its AuditEvent; `finishing.finish` ends the job."""
    # A role that does not say whether it is active is.
    if role.get("active") is False:
        return
    period = {**role.get("period", {}), "end": instant_text(job.context.now())}
    own = replace(job, trace=Trace())
    writing.replace_version(own, old, {**role, "active": False, "period": period})
    suspension.record(own, Interaction(Code.UPDATE, type="PractitionerRole", id=old.id), 200)


def role(practitioner: str, organization: str, name: str, job: str, now: datetime) -> dict[str, Any]:
    """Return the PractitionerRole of somebody who works for an organisation from now on."""
    return {
        "resourceType": "PractitionerRole",
        "active": True,
        "period": {"start": instant_text(now)},
        "practitioner": {"reference": practitioner, "display": name},
        "organization": {"reference": organization},
        "code": [{"text": job}],
    }
