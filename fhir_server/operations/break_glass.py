"""`Patient/$break-glass`: emergency access to one record (interfaces.md §6, access.md §6).

Everything happens in one transaction: the grant, the AuditEvent 110127, the privacy officer's Task with what is
unusual, the messages to the patient and to carers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fhir_server.access import break_glass
from fhir_server.identity import limits
from fhir_server.interactions import audit, past_the_gate
from fhir_server.interactions.conditional import NHS_NUMBER
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.notify.outbox import queue
from fhir_server.notify.templates import Notice
from fhir_server.operations.emergencies import close, emergency_of
from fhir_server.operations.reviews import Review, ask
from fhir_server.operations.unusual_use import Flag, flags
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Issue, Kind, operation_outcome
from fhir_server.spec.validate import validate
from fhir_server.spec.values import instant_text
from fhir_server.store import accounts, emergencies, events, notice_choices, resources
from fhir_server.store.grants import EmergencyAccess
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.resources import Version

_NUMBER = re.compile(r"[0-9]{10}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNKNOWN = "No record matches this NHS number and date of birth"


def start(job: Job, interaction: Interaction) -> Outcome:
    """Start an emergency access and return its patient, end and AuditEvent as Parameters.

    A start during one's own access to the same patient ends that one.

    Raises:
        FhirError: FORBIDDEN (403) for a caller, patient or sign-in that does not allow it; INVALID_VALUE (400) for an
            incomplete reason; THROTTLED (429) after ten people who are not known under their number and date of birth,
            each of which is answered with 404.
    """
    now = job.context.now()
    # First of all whom it is about: the event of a refusal names the patient, whatever it is refused for.
    patient = _aimed_at(job, interaction)
    break_glass.check_caller(job.principal, now)
    parameters = _parameters(job, interaction.resource)
    reason = _reason(parameters)
    break_glass.check_reason(reason)
    search = (limits.EMERGENCY_SEARCH, job.principal.subject)
    if not interaction.id:
        _check_person(parameters)
        if not limits.allow(job.session, now, search):
            raise FhirError(Kind.THROTTLED, "Too many searches for people who were not found; try again in an hour")
    if patient is None or patient.content is None:
        return _refused(Kind.NOT_FOUND, _UNKNOWN)
    if not interaction.id:
        limits.give_back(job.session, search)
    break_glass.check_patient(job.session, job.principal, patient.id, now)
    unusual = flags(job, json.decode(patient.content, len(patient.content) + 1), now)
    review = Review(
        patient.id, job.principal.subject, now, reason.system, reason.code, reason.text.strip(), flags=unusual
    )
    if Flag.OWN_RECORD in unusual:
        # Tell the privacy officer.
        ask(job, review)
        return _refused(Kind.FORBIDDEN, break_glass.NOT_POSSIBLE)
    for earlier in job.decision.emergencies:
        if earlier.patient == patient.key:
            close(job.session, job.context, earlier, audit.agent_of(job.principal, job.context))
    lifetime = timedelta(minutes=job.context.break_glass_minutes)
    access = break_glass.start(job.session, job.principal, patient.id, reason, now=now, lifetime=lifetime)
    event = audit.emergency_event(
        emergency_of(access), audit.agent_of(job.principal, job.context), job.context, started=True
    )
    events.append(job.session, [event])
    ask(job, replace(review, event_id=event.id, grant_id=access.id))
    _tell(job, access)
    return _started(access, event.id)


def _aimed_at(job: Job, interaction: Interaction) -> Version | None:
    """Return the patient that a call is about and note it for the log, None where nobody is found."""
    patient_id = interaction.id or _find(job, interaction.resource)
    stored = resources.current(job.session, "Patient", patient_id) if patient_id else None
    if stored is None or stored.deleted:
        return None
    job.trace.touch((stored.key,), "Patient", stored.id, stored.version)
    return stored


def _find(job: Job, resource: Mapping[str, Any] | None) -> str:
    """Return the id of the patient with this NHS number and date of birth, "" for none."""
    number, birth_date = _person(_by_name(resource))
    # INVARIANT: both whole; they become search values, where a list, a prefix or a mere year would find anybody.
    if not _NUMBER.fullmatch(number) or not _DAY.fullmatch(birth_date):
        return ""
    criteria = (("identifier", f"{NHS_NUMBER}|{number}"), ("birthdate", birth_date))
    try:
        found = past_the_gate.find(job, "Patient", criteria, 2)
    except FhirError:  # A day that is none, such as 30 February: checking the parameters will say so.
        return ""
    return found[0].id if len(found) == 1 else ""


def _person(parameters: Mapping[str, Mapping[str, Any]]) -> tuple[str, str]:
    """Return NHS number and date of birth as they were sent, "" for what is missing or of another system."""
    identifier = parameters.get("identifier", {}).get("valueIdentifier")
    if not isinstance(identifier, Mapping) or identifier.get("system") != NHS_NUMBER:
        return "", ""
    return str(identifier.get("value", "")).replace(" ", ""), str(parameters.get("birthDate", {}).get("valueDate", ""))


def _check_person(parameters: Mapping[str, Mapping[str, Any]]) -> None:
    number, birth_date = _person(parameters)
    if not _NUMBER.fullmatch(number) or not _DAY.fullmatch(birth_date):
        raise FhirError(
            Kind.INVALID_VALUE,
            "identifier (NHS number, 10 digits) and birthDate (YYYY-MM-DD) are required unless called on Patient/[id]",
            ("Parameters.parameter",),
        )


def _refused(kind: Kind, why: str) -> Outcome:
    """Refuse by an answer, not an error, so that what the transaction noted about it is kept."""
    issue = Issue("error", kind.issue_code, why)
    return Outcome(kind.status, json.encode(operation_outcome((issue,))), "OperationOutcome")


def _tell(job: Job, access: EmergencyAccess) -> None:
    """Queue the messages: to the patient, and to carers who may see something of the record and asked to be told."""
    session, now = job.session, job.context.now()
    for account in accounts.by_reference(session, f"Patient/{access.patient_id}"):
        if account.active:
            queue(session, Notice.ACCESS_LOG, account.email, now)
    for carer in emergencies.people_permitted(session, access.patient, to_us(now)):
        for account in accounts.by_reference(session, carer):
            if account.active and notice_choices.wants(session, account.id, notice_choices.EMERGENCIES):
                queue(session, Notice.SHARED_RECORD, account.email, now)


def _started(access: EmergencyAccess, event_id: str) -> Outcome:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": f"Patient/{access.patient_id}"}},
            {"name": "expires", "valueInstant": instant_text(from_us(access.expires_at))},
            {"name": "auditEvent", "valueReference": {"reference": f"AuditEvent/{event_id}"}},
        ],
    }
    return Outcome(200, json.encode(body), "Parameters")


def _by_name(resource: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    """Return parameters by name, as far as what was sent is Parameters at all."""
    sent = resource.get("parameter") if resource is not None else None
    return {str(item.get("name")): item for item in sent if isinstance(item, Mapping)} if isinstance(sent, list) else {}


def _parameters(job: Job, resource: Mapping[str, Any] | None) -> dict[str, Mapping[str, Any]]:
    if resource is None or resource.get("resourceType") != "Parameters":
        raise FhirError(Kind.MALFORMED, "The body must be a Parameters resource", ("Parameters",))
    validate(job.definitions, dict(resource))
    return _by_name(resource)


def _reason(parameters: Mapping[str, Mapping[str, Any]]) -> break_glass.Reason:
    coding = parameters.get("reasonCode", {}).get("valueCoding", {})
    return break_glass.Reason(
        str(coding.get("system", "")),
        str(coding.get("code", "")),
        str(parameters.get("reason", {}).get("valueString", "")),
        parameters.get("declaration", {}).get("valueBoolean") is True,
    )


OPERATION = Operation("break-glass", ("Patient",), ("type", "instance"), writes=True, run=start)
