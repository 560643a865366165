"""`Patient/[id]/$preview-consent`: what a Consent would change, before it is saved (interfaces.md §6).

The Consent is validated and compiled as a write would; the gate then counts over the stored grants with the compiled
ones in their place. Nothing is written and nothing locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.access.consent import compile_consent
from fhir_server.access.decide import gate
from fhir_server.interactions import effects
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations import subjects
from fhir_server.operations.counting import counts, counts_with, kind_parts
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate
from fhir_server.store import resources
from fhir_server.store.grants import Grant
from fhir_server.store.keys import reference_key


def preview(job: Job, interaction: Interaction) -> Outcome:
    """Return one `count` for each type and label that the actor sees before or after, as Parameters.

    Raises:
        FhirError: NOT_FOUND (404) for a record that does not exist for whoever asks, or whose Consents they may not
            read; FORBIDDEN (403) for a kind of caller or token that may not write a Consent; 400, 409 or 422 where
            saving the Consent would be refused.
    """
    if interaction.by_get:
        raise FhirError(Kind.METHOD_NOT_ALLOWED, "$preview-consent takes a Consent and needs POST")
    given = subjects.parameters(job, interaction, "consent", "actor", "purpose")
    actor, purpose = subjects.actor_of(job, given, required=True), subjects.purpose_of(given)
    if subjects.is_officer(job):
        raise FhirError(Kind.FORBIDDEN, "Only the patient and a full proxy may ask this")
    subjects.check_caller(job, "Patient")
    consent = _consent(given)
    gate(job.principal, "u" if consent.get("id") else "c", "Consent")
    patient = subjects.patient_asked_about(job, interaction)
    key, compiled = _compiled(job, consent, interaction.id)
    # Criteria that need a look at content may be among the proposed ones, whatever the actor has now.
    view = subjects.gate_of_actor(job, actor, purpose, exact=True)
    before = counts(job, view, patient)
    after = counts_with(job, view, patient, key, compiled)
    parameters = [
        {
            "name": "count",
            "part": [
                *kind_parts(*kind),
                {"name": "before", "valueUnsignedInt": before.get(kind, 0)},
                {"name": "after", "valueUnsignedInt": after.get(kind, 0)},
            ],
        }
        for kind in sorted({*before, *after})
    ]
    return Outcome(200, json.encode({"resourceType": "Parameters", "parameter": parameters}), "Parameters")


def _consent(given: Mapping[str, Any]) -> dict[str, Any]:
    found = given.get("consent")
    if not isinstance(found, Mapping) or found.get("resourceType") != "Consent":
        raise subjects.invalid("consent", "must be a Consent resource")
    return dict(found)


def _compiled(job: Job, consent: dict[str, Any], patient_id: str) -> tuple[int, tuple[Grant, ...]]:
    """Return the key of the Consent, that of the one it replaces where there is one, and its grants.

    Raises:
        FhirError: As writing it would.
    """
    stored = None
    if consent.get("id"):
        stored = resources.get(job.session, job.decision.readable, "Consent", str(consent["id"]))
    logical_id = stored.id if stored is not None else job.context.new_id()
    validate(job.definitions, {**consent, "id": logical_id})
    if consent.get("patient", {}).get("reference") != f"Patient/{patient_id}":
        element = "Consent.patient.reference"
        raise FhirError(Kind.BUSINESS_RULE, f"{element} must be Patient/{patient_id}, as the URL says", (element,))
    key = reference_key("Consent", logical_id)
    compiled = compile_consent(consent, key, job.definitions.resource_types)
    if compiled:
        effects.check_beside_others(job, compiled)
    return key, compiled


OPERATION = Operation("preview-consent", ("Patient",), ("instance",), writes=False, run=preview)
