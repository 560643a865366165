"""The mechanics of the road, shared by single interactions and Bundle entries: verbs, decision, audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from fhir_server.access.callers import confirm
from fhir_server.access.decide import Decision, decide, gate, running_emergencies
from fhir_server.access.principal import Caller, Principal
from fhir_server.access.visibility import NOTHING
from fhir_server.interactions import audit, history, reading, searching, writing
from fhir_server.interactions.job import Job, Pending
from fhir_server.interactions.model import Code, Context, Interaction, Operation, Outcome, Trace
from fhir_server.search import scopes
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import belonging, events
from fhir_server.store.database import Session
from fhir_server.store.keys import key_of_reference, reference_key


class Verb(NamedTuple):
    """How an interaction runs: its function, the SMART right it needs, and whether it writes."""

    run: Callable[[Job, Interaction], Outcome]
    right: str
    writes: bool


VERBS: dict[Code, Verb] = {
    Code.READ: Verb(reading.read, "r", writes=False),
    Code.VREAD: Verb(reading.vread, "r", writes=False),
    Code.HISTORY: Verb(history.instance, "r", writes=False),
    Code.HISTORY_TYPE: Verb(history.of_type, "s", writes=False),
    Code.HISTORY_SYSTEM: Verb(history.of_system, "s", writes=False),
    Code.SEARCH: Verb(searching.search, "s", writes=False),
    Code.SEARCH_SYSTEM: Verb(searching.search_system, "s", writes=False),
    Code.CREATE: Verb(writing.create, "c", writes=True),
    Code.UPDATE: Verb(writing.update, "u", writes=True),
    Code.PATCH: Verb(writing.patch, "u", writes=True),
    Code.DELETE: Verb(writing.delete, "d", writes=True),
    Code.CAPABILITIES: Verb(reading.capabilities, "r", writes=False),
}
_OF_NO_TYPE = frozenset({Code.OPERATION, Code.SEARCH_SYSTEM, Code.HISTORY_SYSTEM, Code.CAPABILITIES})


def open_job(session: Session, interaction: Interaction, principal: Principal, context: Context, trace: Trace) -> Job:
    """Decide and return the job that an interaction runs in.

    Raises:
        FhirError: FORBIDDEN (403) for what the token or role may never do.
    """
    verb = verb_of(interaction, context)
    if interaction.code not in _OF_NO_TYPE:
        gate(principal, verb.right, interaction.type)
    narrow = partial(scopes.narrowing, context.definitions, context.fhir_base)
    decision = decide(session, principal, narrow, context.now(), verb.right)
    trace.emergencies = decision.emergencies
    return Job(session, principal, context, decision, trace, Pending())


def run(job: Job, interaction: Interaction) -> Outcome:
    """Run the function of an interaction."""
    return verb_of(interaction, job.context).run(job, interaction)


def entry_job(job: Job, interaction: Interaction) -> Job:
    """Return the job of one Bundle entry in the transaction of another job: own decision, own trace, shared writes."""
    own = open_job(job.session, interaction, job.principal, job.context, Trace())
    return replace(own, pending=job.pending)


def record(context: Context, found: list[events.Event], after: Session | None = None) -> None:
    """Make AuditEvents durable.

    Args:
        context: With the recorder.
        found: What happened.
        after: What was read for it, which ends here.

    Raises:
        FhirError: UNAVAILABLE (503) when that fails: then nothing may be disclosed.
    """
    if context.recorder is None:
        raise FhirError(Kind.UNAVAILABLE, "There is no audit recorder")
    try:
        context.recorder.record(found, after)
    except FhirError:
        raise
    except Exception as error:
        raise FhirError(Kind.UNAVAILABLE, "The audit log cannot be written") from error


def record_refusal(
    interaction: Interaction, principal: Principal, context: Context, trace: Trace, error: FhirError
) -> None:
    """Write the AuditEvent of a refusal; the patient aimed at is on it also when the caller was told 404."""
    with context.store.read() as session:
        confirm(session, principal)
        if interaction.type and interaction.id and not trace.patients:
            key = reference_key(interaction.type, interaction.id)
            trace.touch(belonging.owners(session, (key,))[0], interaction.type, interaction.id)
        # What the role or token may never do was refused before anybody looked for an emergency.
        emergencies = trace.emergencies or running_emergencies(session, principal, context.now())
        refused = Decision(NOTHING, NOTHING, emergencies)
        job = Job(session, principal, context, refused, trace, Pending())
        record(context, events_of(job, interaction, error.status, error), session)


def events_of(job: Job, interaction: Interaction, status: int, error: FhirError | None = None) -> list[events.Event]:
    """Return the AuditEvents of an interaction, one per patient."""
    undisclosed = error is not None or not job.trace.entities
    subject = job.principal.subject
    told = {} if undisclosed else job.trace.told()
    if job.principal.caller is Caller.PATIENT:
        told[key_of_reference(subject)] = subject.partition("/")[2]
    patients = belonging.ids_of(job.session, job.trace.patients, afresh=undisclosed, told=told)
    emergencies = {access.patient: access.id for access in reversed(job.decision.emergencies)}
    found: list[events.Event] = []
    # INVARIANT: an emergency is named on the log of its own patient only, whoever else an answer is about.
    for grant_id in dict.fromkeys(map(emergencies.get, patients)) or (None,):
        group = {key: logical_id for key, logical_id in patients.items() if emergencies.get(key) == grant_id}
        entities = job.trace.entities
        if len(group) < len(patients):
            entities = [entity for entity in entities if group.keys() & set(entity[3])]
        found += audit.disclosure_events(
            interaction,
            job.principal,
            job.context,
            status=status,
            patients=group,
            entities=entities,
            error=error,
            break_glass_grant_id=grant_id,
        )
    return found


def verb_of(interaction: Interaction, context: Context) -> Verb:
    """Return how an interaction runs.

    Raises:
        FhirError: NOT_SUPPORTED or UNKNOWN_TYPE for what the server does not do.
    """
    if interaction.code is Code.OPERATION:
        operation = _operation(interaction, context)
        return Verb(operation.run, "r", operation.writes)
    if interaction.code not in VERBS:
        raise FhirError(Kind.NOT_SUPPORTED, f"{interaction.code.value} is not supported here")
    return VERBS[interaction.code]


def _operation(interaction: Interaction, context: Context) -> Operation:
    operation = context.operations.get(interaction.operation)
    level = "instance" if interaction.id else "type" if interaction.type else "system"
    if (
        operation is None
        or level not in operation.levels
        or (interaction.type and {interaction.type, "Resource"}.isdisjoint(operation.types))
    ):
        raise FhirError(
            Kind.UNKNOWN_TYPE, f"${interaction.operation[:64]} is not an operation of this server at this URL"
        )
    if operation.writes and interaction.by_get:
        raise FhirError(Kind.METHOD_NOT_ALLOWED, f"${operation.code} changes the record and needs POST")
    return operation
