"""A Consent that this service writes for a patient: it denies, beside the patient's own, until somebody takes it back.

Sharing as it was chosen stays as it is and counts again afterwards. Emergency access stays possible.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from fhir_server.access import tokens
from fhir_server.access.decide import Decision
from fhir_server.access.visibility import Gate
from fhir_server.interactions import past_the_gate, road, writing
from fhir_server.interactions.audit_parts import CANONICAL
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Interaction, Trace
from fhir_server.spec.values import instant_text
from fhir_server.store import events
from fhir_server.store.instants import to_us
from fhir_server.store.resources import Version

SYSTEM: Final = f"{CANONICAL}/suspension"
"""System of `Consent.identifier` of such a Consent; the value says why."""
_HL7: Final = "http://terminology.hl7.org/CodeSystem"
_BREAK_GLASS_ONLY: Final = "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"
_MOST: Final = 10


class Suspended(StrEnum):
    """Why sharing is suspended."""

    MERGE = "merge"
    """Of everybody, until the person has looked at the joined record."""
    DEATH = "death"
    """Of family and carers."""


def as_service(job: Job, name: str) -> Job:
    """Return a job of the service itself in the same transaction, for what follows from what somebody else wrote."""
    now = job.context.now()
    everything = Gate(to_us(now), everything=True)
    principal = replace(tokens.operator(now, name), client_id=tokens.PORTAL, purpose="PATADMIN")
    return replace(job, principal=principal, decision=Decision(everything, everything), trace=Trace())


def suspend(job: Job, patient_id: str, why: Suspended, actors: Iterable[str] = ()) -> None:
    """Suspend sharing of a record with these actors, or with everybody, and put that on the patient's log.

    Args:
        job: One of the service itself (`as_service`).
        patient_id: Whose record.
        why: Said by the Consent.
        actors: Literal references; none means everybody.
    """
    consent_id = job.context.new_id()
    writing.insert(job, "Consent", consent_id, _consent(job, patient_id, why, tuple(actors)))
    record(job, Interaction(Code.CREATE, type="Consent", id=consent_id), 201)


def resume(job: Job, patient_id: str, why: Suspended) -> None:
    """Take a suspension back."""
    for old, consent in _suspensions(job, patient_id, why):
        if consent.get("status") == "active":
            writing.replace_version(job, old, {**consent, "status": "inactive"})
            record(job, Interaction(Code.UPDATE, type="Consent", id=old.id), 200)


def record(job: Job, interaction: Interaction, status: int) -> None:
    """Write the AuditEvents of what a job did, in its transaction."""
    events.append(job.session, road.events_of(job, interaction, status))


def _suspensions(job: Job, patient_id: str, why: Suspended) -> list[tuple[Version, dict[str, Any]]]:
    job.pending.flush(job.session)
    about = (("patient", f"Patient/{patient_id}"), ("identifier", f"{SYSTEM}|{why}"))
    return past_the_gate.current(job, "Consent", about, _MOST)


def _consent(job: Job, patient_id: str, why: Suspended, actors: tuple[str, ...]) -> Mapping[str, Any]:
    role = _concept("v3-ParticipationType", "IRCP")
    named = [{"role": role, "reference": {"reference": actor}} for actor in actors]
    return {
        "resourceType": "Consent",
        "identifier": [{"system": SYSTEM, "value": str(why)}],
        "status": "active",
        "scope": _concept("consentscope", "patient-privacy"),
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "dateTime": instant_text(job.context.now()),
        "policy": [{"uri": _BREAK_GLASS_ONLY}],
        "provision": {"type": "deny", **({"actor": named} if named else {})},
    }


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{_HL7}/{system}", "code": code}]}
