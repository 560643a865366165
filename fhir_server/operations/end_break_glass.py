"""`Patient/[id]/$end-break-glass`: the end of an emergency access, by hand, by sign-out or by the clock."""

from __future__ import annotations

from fhir_server.interactions import audit
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Context, Interaction, Operation, Outcome
from fhir_server.operations.emergencies import close
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Issue, Kind, operation_outcome
from fhir_server.store import emergencies, grants
from fhir_server.store.database import Session
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.instants import to_us
from fhir_server.store.keys import reference_key


def end(job: Job, interaction: Interaction) -> Outcome:
    """End the caller's emergency access to this patient at once.

    Raises:
        FhirError: NOT_FOUND (404) where the caller has none.
    """
    patient = reference_key("Patient", interaction.id)
    running = [access for access in job.decision.emergencies if access.patient == patient]
    if not running:
        raise FhirError(Kind.NOT_FOUND, "There is no emergency access of yours to this patient")
    agent = audit.agent_of(job.principal, job.context)
    for access in running:
        close(job.session, job.context, access, agent)
    job.trace.touch((patient,), "Patient", interaction.id)
    issue = Issue("information", "informational", "The emergency access has ended")
    return Outcome(200, json.encode(operation_outcome((issue,))), "OperationOutcome")


def end_of_session(context: Context, practitioner: int, session_id: str) -> None:
    """End every emergency access that lives only as long as this sign-in."""
    with context.store.write() as session:
        for access in grants.live_emergencies(session, practitioner, to_us(context.now())):
            if access.session == session_id:
                close(session, context, access)


def record_expired(context: Context) -> int:
    """Record the end of each access whose time or sign-in is over (nobody can read by it any more); return how many."""
    with context.store.read() as session:
        over = _over(session, context)
    if not over:
        return 0
    with context.store.write() as session:
        for access in _over(session, context):
            close(session, context, access)
    return len(over)


def _over(session: Session, context: Context) -> tuple[EmergencyAccess, ...]:
    now_us = to_us(context.now())
    return (*grants.unrecorded_ends(session, now_us), *emergencies.abandoned(session, now_us))


OPERATION = Operation("end-break-glass", ("Patient",), ("instance",), writes=True, run=end)
