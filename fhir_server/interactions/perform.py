"""THE ROAD. Every interaction with a record comes down `perform`: decide, run, audit durably, answer.

* A write: decision, change and AuditEvent in one transaction; nothing is answered before it is committed.
* A read: decision and query on one snapshot; the AuditEvent is committed before the answer is handed out.
* A refusal: an AuditEvent of its own, then the error. If the event cannot be written, nothing is disclosed (fails
  closed).
"""

from __future__ import annotations

from fhir_server.access.principal import Principal
from fhir_server.interactions import audit, bundle, even_time, finishing, road, uploads
from fhir_server.interactions.audit_parts import Agent
from fhir_server.interactions.model import Code, Context, Interaction, Outcome, Trace
from fhir_server.spec.outcome import FhirError
from fhir_server.store import events
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session


def perform(interaction: Interaction, principal: Principal, context: Context) -> Outcome:
    """Run one interaction for a caller and return what may leave the server.

    Raises:
        FhirError: Every refusal, after its AuditEvent is durable.
    """
    if interaction.code in {Code.BATCH, Code.TRANSACTION}:
        return bundle.process(interaction, principal, context, perform)
    trace, started = Trace(), even_time.now()
    try:
        if road.verb_of(interaction, context).writes:
            with context.store.write() as session:
                job = road.open_job(session, interaction, principal, context, trace)
                outcome = road.run(job, interaction)
                finishing.finish(job)
                if interaction.upload is not None:
                    uploads.fill(session, job.pending.written.values(), interaction.upload)
                events.append(session, road.events_of(job, interaction, outcome.status))
            even_time.answered(started, interaction.code, trace, principal)
            return outcome
        with context.store.read() as session:
            job = road.open_job(session, interaction, principal, context, trace)
            outcome = road.run(job, interaction)
            found = road.events_of(job, interaction, outcome.status)
    except FhirError as error:
        road.record_refusal(interaction, principal, context, trace, error)
        even_time.refused(started, error)
        raise
    road.record(context, found)
    even_time.answered(started, interaction.code, trace, principal)
    return outcome


def record_sign_in(
    context: Context,
    account: Account | None,
    *,
    succeeded: bool,
    client_id: str,
    description: str = "",
    started: bool = True,
    session: Session | None = None,
) -> None:
    """Make the AuditEvent of a sign-in, a failed one or (`started=False`) a sign-out durable.

    Args:
        context: Where it happened.
        account: Whose; None where no account is known by that name.
        succeeded: Whether they are in.
        client_id: `portal` or an OAuth client.
        description: Why not: a fixed sentence of ours, never what was typed.
        started: False for a sign-out.
        session: The transaction of what it brings about, such as an account that is opened; without one the event is
            committed on its own.
    """
    reference = (account.reference or f"account:{account.id}") if account else ""
    agent = Agent(
        reference,
        account.name if account else "",
        account.role if account else "",
        account.organization if account else "",
        client_id,
        context.address,
    )
    patient_id = reference.removeprefix("Patient/") if reference.startswith("Patient/") else ""
    event = audit.login_event(
        agent, context, succeeded=succeeded, reason=description, patient_id=patient_id, started=started
    )
    if session is None:
        road.record(context, [event])
    else:
        events.append(session, [event])


def record_administration(
    context: Context,
    principal: Principal,
    *,
    action: str,
    description: str = "",
    status: int = 200,
    session: Session | None = None,
) -> None:
    """Make the AuditEvent of a use of the administration API durable.

    Args:
        context: Where it happened.
        principal: Who did it.
        action: What they did, such as `register-client`.
        description: To what: ids and kinds, never what a record says.
        status: HTTP status of the answer; from 400 on it was refused.
        session: The transaction of the change, so that neither is there without the other; without one the event is
            committed on its own.

    Raises:
        FhirError: UNAVAILABLE (503) when it cannot be written: then nothing may be disclosed.
    """
    event = audit.administration_event(principal, context, action=action, description=description, status=status)
    if session is None:
        road.record(context, [event])
    else:
        events.append(session, [event])
