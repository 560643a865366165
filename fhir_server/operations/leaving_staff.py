"""A professional leaves an organisation: their roles there and what their account could go on with, in one transaction.

Coordinators' pages and programs come through `leave`.
"""

from __future__ import annotations

from typing import Final

from fhir_server.access.principal import Principal
from fhir_server.identity import leaving
from fhir_server.interactions import finishing, past_the_gate
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Context
from fhir_server.interactions.perform import record_administration
from fhir_server.operations import end_break_glass
from fhir_server.operations.joining_staff import end_role
from fhir_server.operations.service_acts import service_job
from fhir_server.store.accounts import Account
from fhir_server.store.keys import key_of_reference

_MOST_ROLES: Final = 100


def leave(context: Context, principal: Principal, coordinator: Account, account_id: str) -> None:
    """End the roles of a professional in the coordinator's organisation, and every session, app and request of theirs.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's professional and for one who left.
    """
    with context.store.write() as session:
        leaver = leaving.member(session, coordinator.organization, account_id, context.now())
        job = service_job(session, principal, context)
        _end_roles(job, leaver.reference, coordinator.organization)
        finishing.finish(job)
        ended = leaving.end_access(session, leaver, coordinator.organization, context.now())
        about = f"account {leaver.id}"
        record_administration(context, session, principal, action="professional-leaves", description=about)
    for session_id in ended:
        # What ran in a session is over with it; this puts its end on the log now.
        end_break_glass.end_of_session(context, key_of_reference(leaver.reference), session_id)


def _end_roles(job: Job, practitioner: str, organization: str) -> None:
    about = (("practitioner", practitioner), ("organization", organization))
    for old, role in past_the_gate.current(job, "PractitionerRole", about, _MOST_ROLES):
        end_role(job, old, role)
