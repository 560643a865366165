"""THE ROAD. Every interaction with a record comes down `perform`: decide, run, audit durably, answer.

* A write: decision, change and AuditEvent in one transaction; nothing is answered before it is committed.
* A read: decision and query on one snapshot; the AuditEvent is committed before the answer is handed out.
* A refusal: an AuditEvent of its own, then the error. If the event cannot be written, nothing is disclosed (fails
  closed).
"""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.access.callers import confirm
from fhir_server.access.principal import Principal
from fhir_server.interactions import audit, bundle, even_time, finishing, road, uploads
from fhir_server.interactions.audit_parts import Agent
from fhir_server.interactions.model import Code, Context, Interaction, Outcome, Trace
from fhir_server.spec.outcome import FhirError
from fhir_server.store import events
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session


def perform(
    interaction: Interaction,
    principal: Principal,
    context: Context,
    *,
    noted: Callable[[Session, Outcome], None] | None = None,
) -> Outcome:
    """Run one interaction for a caller and return what may leave the server.

    Args:
        interaction: Which.
        principal: Who asks.
        context: Where it happens.
        noted: Writes what else has to be there with a write and not without it, such as the AuditEvent of the act that
            it is part of, in the write's transaction.

    Raises:
        FhirError: Every refusal, after its AuditEvent is durable.
        Outdated: The caller was remembered (`access.callers`) and is not who it was: nothing was answered or recorded.
    """
    if interaction.code in {Code.BATCH, Code.TRANSACTION}:
        return bundle.process(interaction, principal, context, perform)
    trace, started, is_recording = Trace(), even_time.now(), False
    try:
        if road.verb_of(interaction, context).writes:
            with context.store.write() as session:
                job = road.open_job(session, interaction, principal, context, trace)
                outcome = road.run(job, interaction)
                finishing.finish(job)
                if interaction.upload is not None:
                    uploads.fill(session, job.pending.written.values(), interaction.upload)
                events.append(session, road.events_of(job, interaction, outcome.status))
                if noted is not None:
                    noted(session, outcome)
            even_time.answered(started, interaction.code, trace, principal)
            return outcome
        with context.store.read() as session:
            job = road.open_job(session, interaction, principal, context, trace)
            outcome = road.run(job, interaction)
            found = road.events_of(job, interaction, outcome.status)
            confirm(session, principal)
            is_recording = True
            road.record(context, found, session)
    except FhirError as error:
        if not is_recording:
            road.record_refusal(interaction, principal, context, trace, error)
            even_time.refused(started, error)
        raise
    even_time.answered(started, interaction.code, trace, principal)
    return outcome


def record_sign_in(
    context: Context,
    session: Session,
    account: Account | None,
    *,
    client_id: str,
    description: str = "",
    succeeded: bool = True,
    started: bool = True,
) -> None:
    """Write the AuditEvent of a sign-in, or (`started=False`) a sign-out, in the transaction of what it brings about.

    Args:
        context: Where it happened.
        session: The transaction: of a session that begins, an account that is opened, a try that is counted.
        account: Whose; None where no account is known by that name.
        client_id: `portal` or an OAuth client.
        description: What else was done, or why it was refused: a fixed sentence of ours, never what was typed.
        succeeded: Whether they are in.
        started: False for a sign-out.
    """
    found = _sign_in(context, account, client_id, succeeded=succeeded, description=description, started=started)
    events.append(session, [found])


def record_refused_sign_in(context: Context, account: Account | None, *, client_id: str, description: str) -> None:
    """Make the AuditEvent of a sign-in that failed durable, and that changed nothing.

    Raises:
        FhirError: UNAVAILABLE (503) when it cannot be written: then nothing may be disclosed.
    """
    road.record(context, [_sign_in(context, account, client_id, succeeded=False, description=description)])


def record_administration(
    context: Context,
    session: Session,
    principal: Principal,
    *,
    action: str,
    description: str = "",
    status: int = 200,
) -> None:
    """Write the AuditEvent of an act, in the transaction of the change: neither is there without the other.

    Args:
        context: Where it happened.
        session: The transaction.
        principal: Who did it.
        action: What they did, such as `register-client`.
        description: To what: ids and kinds, never what a record says.
        status: HTTP status of the answer; from 400 on it was refused.
    """
    events.append(
        session,
        [audit.administration_event(principal, context, action=action, description=description, status=status)],
    )


def record_without_change(
    context: Context, principal: Principal, *, action: str, description: str = "", status: int = 200
) -> None:
    """Make the AuditEvent of a use durable that changed nothing: something was looked at, or refused.

    Raises:
        FhirError: UNAVAILABLE (503) when it cannot be written: then nothing may be disclosed.
    """
    event = audit.administration_event(principal, context, action=action, description=description, status=status)
    road.record(context, [event])


def _sign_in(
    context: Context,
    account: Account | None,
    client_id: str,
    *,
    succeeded: bool,
    description: str,
    started: bool = True,
) -> events.Event:
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
    return audit.login_event(
        agent, context, succeeded=succeeded, reason=description, patient_id=patient_id, started=started
    )
