"""`[type]/[id]/$explain-access`: why an actor can see a resource, or cannot (interfaces.md §6).

The answer is the gate's own: its verdict about this record for the gate that the actor would read through, with every
provision that hit. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from fhir_server.access import facts
from fhir_server.access.visibility import DIRECTORY_TYPES
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations import counting, subjects
from fhir_server.operations.reasons import Question, Rule
from fhir_server.operations.subjects import Named
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import belonging, grants, resources, tallies
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.keys import key_of_reference
from fhir_server.store.resources import Version

TYPES: Final = (*counting.TYPES, *sorted(DIRECTORY_TYPES))


def explain(job: Job, interaction: Interaction) -> Outcome:
    """Return `decision`, `reason` and the rules that apply, as Parameters.

    Raises:
        FhirError: NOT_FOUND (404) for what does not exist for whoever asks, hidden and absent alike; GONE (410) for
            what was deleted and visible; FORBIDDEN (403) for a kind of caller or token that never gets an answer;
            INVALID_VALUE (400) naming a parameter.
    """
    given = subjects.parameters(job, interaction, "actor", "purpose")
    actor, purpose = subjects.actor_of(job, given, required=True), subjects.purpose_of(given)
    subjects.check_caller(job, interaction.type)
    stored = _stored(job, interaction)
    patients = belonging.owners(job.session, (stored.key,))[0]
    if not _may_ask(job, interaction.type, patients):
        raise subjects.not_found(interaction)
    job.trace.touch(patients, stored.type, stored.id, stored.version)
    record = facts.record_of(job.session, stored.key)
    if record is None:
        raise FhirError(Kind.GONE, f"{interaction.type}/{interaction.id} was deleted")
    now_us = job.decision.readable.at_us
    running = tuple(
        access for patient in patients for access in tallies.live_emergencies_on(job.session, patient, now_us)
    )
    gate = subjects.gate_of_actor(job, actor, purpose, running)
    asked = Question(gate, record, grants.of_patients(job.session, patients), _own(actor, running))
    found = asked.verdict()
    consents = subjects.consents_of(job, patients)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "decision", "valueCode": "permit" if found.visible else "deny"},
            {"name": "reason", "valueCode": found.reason.value},
            {"name": "text", "valueString": asked.in_words()},
            *(_rule(rule, consents) for rule in asked.rules()),
        ],
    }
    return Outcome(200, json.encode(body), "Parameters")


def _own(actor: str, running: Iterable[EmergencyAccess]) -> tuple[EmergencyAccess, ...]:
    return tuple(access for access in running if access.practitioner == key_of_reference(actor))


def _rule(rule: Rule, consents: Mapping[int, Named]) -> dict[str, Any]:
    part: list[dict[str, Any]] = []
    if rule.consent in consents:
        part.append({"name": "consent", "valueReference": {"reference": f"Consent/{consents[rule.consent].id}"}})
        part.append({"name": "provision", "valueString": rule.node})
    part.append({"name": "matched", "valueCode": "permit" if rule.permit else "deny"})
    part.append({"name": "stands", "valueBoolean": rule.stands})
    part.append({"name": "reason", "valueString": rule.text})
    return {"name": "rule", "part": part}


def _stored(job: Job, interaction: Interaction) -> Version:
    """Return the row that is asked about; one that whoever asks cannot see is absent (but to the privacy officer)."""
    kind, logical_id = interaction.type, interaction.id
    if subjects.is_officer(job):
        found = resources.current(job.session, kind, logical_id)
    else:
        found = resources.get(job.session, job.decision.readable, kind, logical_id)
    if found is None:
        raise subjects.not_found(interaction)
    return found


def _may_ask(job: Job, resource_type: str, patients: Sequence[int]) -> bool:
    if not patients and resource_type not in DIRECTORY_TYPES:
        return job.decision.readable.everything or subjects.is_officer(job)
    return subjects.may_ask(job, patients)


OPERATION = Operation("explain-access", TYPES, ("instance",), writes=False, run=explain)
