"""`Patient/[id]/$disable-sharing` and `$enable-sharing`: the privacy office closes a record to everybody, and opens it.

What they write is a Consent of policy "deny" like the patient's own, so that everything else knows it already. The
patient reads on the access log who did it and why, is told by e-mail that there is something new, and may undo it: the
record stays theirs. What the patient closed, nobody else opens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fhir_server.access import tokens
from fhir_server.access.consent import POLICY_DENY, SCOPE, disables_sharing
from fhir_server.access.decide import Decision
from fhir_server.access.visibility import Gate
from fhir_server.identity import carers
from fhir_server.interactions import audit, past_the_gate, writing
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome, Trace
from fhir_server.operations import subjects
from fhir_server.operations.reviews import named_officer
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import instant_text
from fhir_server.store import events, resources
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.keys import NONE, key_of_reference
from fhir_server.store.resources import Version

SHORTEST_REASON: Final = 10
LONGEST_REASON: Final = 1000
_MOST_CONSENTS: Final = 1_000
_HL7: Final = "http://terminology.hl7.org/CodeSystem/"


def disable(job: Job, interaction: Interaction) -> Outcome:
    """Close a record to everybody but its patient, emergency access included. Returns the Consent.

    Raises:
        FhirError: FORBIDDEN (403) for anybody but a privacy officer; NOT_FOUND (404) for an unknown patient;
            INVALID_VALUE (400) for a reason that is missing, too short or too long; BUSINESS_RULE (422) where sharing
            is switched off already.
    """
    reason = _allowed(job, interaction)
    if _denying(job, interaction.id):
        raise FhirError(Kind.BUSINESS_RULE, "Sharing is switched off already", ("Patient.id",))
    stored = writing.insert(_as_operator(job), "Consent", job.context.new_id(), _deny(job, interaction.id))
    _tell(job, interaction, reason)
    return replace(stored, status=200)


def enable(job: Job, interaction: Interaction) -> Outcome:
    """End what the privacy office closed; the patient's other choices work as before. Returns the last Consent ended.

    Raises:
        FhirError: As for `disable`; BUSINESS_RULE (422) where sharing is on, and where the patient switched it off.
    """
    reason = _allowed(job, interaction)
    denying = _denying(job, interaction.id)
    if not denying:
        raise FhirError(Kind.BUSINESS_RULE, "Sharing is not switched off", ("Patient.id",))
    if not all(_by_office(old, body) for old, body in denying):
        text = "The patient switched sharing off; nobody else switches it on again"
        raise FhirError(Kind.BUSINESS_RULE, text, ("Consent.performer",))
    outcomes = [
        writing.replace_version(_as_operator(job), old, {**body, "status": "inactive"}) for old, body in denying
    ]
    _tell(job, interaction, reason)
    return replace(outcomes[-1], status=200)


def _allowed(job: Job, interaction: Interaction) -> str:
    """Return the reason, once it is clear that this caller may do this to this patient."""
    given = subjects.parameters(job, interaction, "reason")
    if not subjects.is_officer(job) or not job.principal.scopes.allows("u", "Consent"):
        job.trace.aim(interaction.id)
        raise FhirError(Kind.FORBIDDEN, "Only a privacy officer may switch a patient's sharing off or on here")
    reason = " ".join(str(given.get("reason", "")).split())
    if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise subjects.invalid("reason", f"must have {SHORTEST_REASON} to {LONGEST_REASON} characters")
    stored = resources.current(job.session, "Patient", interaction.id)
    if stored is None or stored.deleted:
        raise subjects.not_found(interaction)
    job.session.lock(stored.key)
    return reason


def _denying(job: Job, patient_id: str) -> list[tuple[Version, dict[str, Any]]]:
    """Return the active Consents that switch all sharing of a patient off."""
    about = (("patient", f"Patient/{patient_id}"), ("status", "active"))
    found = past_the_gate.current(job, "Consent", about, _MOST_CONSENTS)
    return [(each, body) for each, body in found if disables_sharing(body)]


def _by_office(stored: Version, body: Mapping[str, Any]) -> bool:
    """Return whether the privacy office decided so: this service wrote it, and it names neither patient nor family.

    INVARIANT: what the patient or a full proxy wrote is theirs, whether it names a performer or not.
    """
    named = [str(each.get("reference", "")) for each in body.get("performer", ())]
    family = ("Patient/", "RelatedPerson/")
    return stored.author == NONE and bool(named) and not any(each.startswith(family) for each in named)


def _as_operator(job: Job) -> Job:
    """Return the job of the service itself, in the same transaction: no privacy officer writes a Consent.

    What it touches is not noted: one event on the patient's log says who did it and why.
    """
    now = job.context.now()
    everything = Gate(to_us(now), everything=True)
    principal = tokens.operator(now, f"{job.principal.name} (through this service)")
    return replace(job, principal=principal, decision=Decision(everything, everything), trace=Trace())


def _deny(job: Job, patient_id: str) -> dict[str, Any]:
    scope = {"system": f"{_HL7}consentscope", "code": SCOPE, "display": "Privacy Consent"}
    category = {"system": "http://loinc.org", "code": "59284-0", "display": "Consent Document"}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [scope]},
        "category": [{"coding": [category]}],
        "patient": {"reference": f"Patient/{patient_id}"},
        "dateTime": instant_text(from_us(to_us(job.context.now()))),
        "performer": [named_officer(job.principal)],
        "policy": [{"uri": POLICY_DENY}],
        "provision": {"type": "deny"},
    }


def _tell(job: Job, interaction: Interaction, reason: str) -> None:
    told = replace(interaction, query=(("reason", reason),), resource=None)
    patient = f"Patient/{interaction.id}"
    patients = {key_of_reference(patient): interaction.id}
    events.append(job.session, audit.disclosure_events(told, job.principal, job.context, status=200, patients=patients))
    carers.tell(job.session, patient, job.context.now())


OPERATIONS: Final = (
    Operation("disable-sharing", ("Patient",), ("instance",), writes=True, run=disable),
    Operation("enable-sharing", ("Patient",), ("instance",), writes=True, run=enable),
)
