"""`Patient/$break-glass`: emergency access to one record (interfaces.md §6, access.md §6).

Everything happens in one transaction: the grant, the AuditEvent 110127, the privacy officer's Task, the message to
the patient.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fhir_server.access import break_glass
from fhir_server.access.visibility import Gate
from fhir_server.interactions import audit, writing
from fhir_server.interactions.conditional import NHS_NUMBER
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.search import run
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate
from fhir_server.spec.values import instant_text
from fhir_server.store import accounts, events, resources
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.instants import from_us

_REVIEW_WITHIN = timedelta(days=3)
_NUMBER = re.compile(r"[0-9]{10}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNKNOWN = "No record matches this NHS number and date of birth"


def start(job: Job, interaction: Interaction) -> Outcome:
    """Start an emergency access and return its patient, end and AuditEvent as Parameters.

    Raises:
        FhirError: FORBIDDEN (403) for a caller, patient or sign-in that does not allow it; INVALID_VALUE (400) for an
            incomplete reason; NOT_FOUND (404) for a person who is not known under this number and date of birth.
    """
    now = job.context.now()
    break_glass.check_caller(job.principal, now)
    parameters = _parameters(job, interaction.resource)
    reason = _reason(parameters)
    break_glass.check_reason(reason)
    patient_id = interaction.id or _find(job, parameters)
    stored = resources.current(job.session, "Patient", patient_id)
    if stored is None or stored.deleted:
        raise FhirError(Kind.NOT_FOUND, _UNKNOWN)
    job.trace.touch((stored.key,), "Patient", patient_id, stored.version)
    lifetime = timedelta(minutes=job.context.break_glass_minutes)
    access = break_glass.start(job.session, job.principal, patient_id, reason, now=now, lifetime=lifetime)
    event = audit.emergency_event(
        emergency_of(access), audit.agent_of(job.principal, job.context), job.context, started=True
    )
    events.append(job.session, [event])
    _ask_for_review(job, access, event.id)
    for account in accounts.by_reference(job.session, f"Patient/{patient_id}"):
        queue(job.session, Notice.ACCESS_LOG, account.email, now)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": f"Patient/{patient_id}"}},
            {"name": "expires", "valueInstant": instant_text(from_us(access.expires_at))},
            {"name": "auditEvent", "valueReference": {"reference": f"AuditEvent/{event.id}"}},
        ],
    }
    return Outcome(200, json.encode(body), "Parameters")


def emergency_of(access: EmergencyAccess) -> audit.Emergency:
    """Return an emergency access as the audit room wants it."""
    return audit.Emergency(
        access.id, access.patient, access.patient_id, access.reason_system, access.reason_code, access.reason
    )


def _find(job: Job, parameters: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the id of the patient with this NHS number and date of birth; a refusal never says which was wrong."""
    identifier = parameters.get("identifier", {}).get("valueIdentifier", {})
    birth_date = parameters.get("birthDate", {}).get("valueDate", "")
    value = str(identifier.get("value", "")).replace(" ", "")
    # INVARIANT: both whole; they become search values, where a list, a prefix or a mere year would find anybody.
    if identifier.get("system") != NHS_NUMBER or not _NUMBER.fullmatch(value) or not _DAY.fullmatch(str(birth_date)):
        raise FhirError(
            Kind.INVALID_VALUE,
            "identifier (NHS number, 10 digits) and birthDate (YYYY-MM-DD) are required unless called on Patient/[id]",
            ("Parameters.parameter",),
        )
    everyone = Gate(0, everything=True)
    criteria = (("identifier", f"{NHS_NUMBER}|{value}"), ("birthdate", str(birth_date)))
    found = run.find(
        job.session,
        everyone,
        "Patient",
        criteria,
        definitions=job.definitions,
        fhir_base=job.context.fhir_base,
        limit=2,
    )
    if len(found) != 1:
        raise FhirError(Kind.NOT_FOUND, _UNKNOWN)
    return found[0].id


def _ask_for_review(job: Job, access: EmergencyAccess, event_id: str) -> None:
    """Store the Task by which somebody else judges this access."""
    due = from_us(access.started_at) + _REVIEW_WITHIN
    task = {
        "resourceType": "Task",
        "id": job.context.new_id(),
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {
            "coding": [{"system": "https://fhir-server.example.org/CodeSystem/task", "code": "review-emergency-access"}]
        },
        "focus": {"reference": f"AuditEvent/{event_id}"},
        "for": {"reference": f"Patient/{access.patient_id}"},
        "authoredOn": instant_text(from_us(access.started_at)),
        "requester": {"reference": access.practitioner_reference},
        "restriction": {"period": {"end": instant_text(due)}},
    }
    new = writing.assemble(job, task, version=1, author=0, updated_at=access.started_at)
    resources.put(job.session, new)


def _parameters(job: Job, resource: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    if resource is None or resource.get("resourceType") != "Parameters":
        raise FhirError(Kind.MALFORMED, "The body must be a Parameters resource", ("Parameters",))
    validate(job.definitions, dict(resource))
    return {str(item.get("name")): item for item in resource.get("parameter", ())}


def _reason(parameters: Mapping[str, Mapping[str, Any]]) -> break_glass.Reason:
    coding = parameters.get("reasonCode", {}).get("valueCoding", {})
    return break_glass.Reason(
        str(coding.get("system", "")),
        str(coding.get("code", "")),
        str(parameters.get("reason", {}).get("valueString", "")),
        parameters.get("declaration", {}).get("valueBoolean") is True,
    )


OPERATION = Operation("break-glass", ("Patient",), ("type", "instance"), writes=True, run=start)
