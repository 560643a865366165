"""How much of a record a gate lets through, by type and privacy label, as parts of a Parameters answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fhir_server.access import labels
from fhir_server.access.visibility import Gate
from fhir_server.interactions.job import Job
from fhir_server.store import tallies
from fhir_server.store.grants import Grant
from fhir_server.store.keys import type_key
from fhir_server.store.tallies import Tally

Counts = Mapping[tuple[str, str], int]
"""(resource type, code of the privacy label or "" where it has none or several) → how many."""

COMPARTMENT_TYPES: Final = (
    "Account", "AdverseEvent", "AllergyIntolerance", "Appointment", "AppointmentResponse", "Basic", "BodyStructure",
    "CarePlan", "CareTeam", "ChargeItem", "Claim", "ClaimResponse", "ClinicalImpression", "Communication",
    "CommunicationRequest", "Composition", "Condition", "Consent", "Coverage", "CoverageEligibilityRequest",
    "CoverageEligibilityResponse", "DetectedIssue", "DeviceRequest", "DeviceUseStatement", "DiagnosticReport",
    "DocumentManifest", "DocumentReference", "Encounter", "EnrollmentRequest", "EpisodeOfCare",
    "ExplanationOfBenefit", "FamilyMemberHistory", "Flag", "Goal", "Group", "ImagingStudy", "Immunization",
    "ImmunizationEvaluation", "ImmunizationRecommendation", "Invoice", "List", "MeasureReport", "Media",
    "MedicationAdministration", "MedicationDispense", "MedicationRequest", "MedicationStatement",
    "MolecularSequence", "NutritionOrder", "Observation", "Patient", "Person", "Procedure", "Provenance",
    "QuestionnaireResponse", "RelatedPerson", "RequestGroup", "ResearchSubject", "RiskAssessment", "Schedule",
    "ServiceRequest", "Specimen", "SupplyDelivery", "SupplyRequest", "VisionPrescription",
)  # fmt: skip
"""Types of the R4 CompartmentDefinition of Patient, but AuditEvent, which is a log and no record."""
TYPES: Final = (*COMPARTMENT_TYPES, "Binary")
_NAMES: Final = {type_key(name): name for name in TYPES}


def counts(job: Job, gate: Gate, patient: int) -> Counts:
    """Return what exists of a patient's record both for a gate and for whoever asks."""
    return _named(tallies.tally(job.session, gate, job.decision.readable, patient, TYPES))


def counts_with(job: Job, gate: Gate, patient: int, consent: int, grants: tuple[Grant, ...]) -> Counts:
    """Return what `counts` would, were these the grants of this Consent."""
    found = tallies.tally_with(job.session, gate, job.decision.readable, patient, TYPES, consent=consent, grants=grants)
    return _named(found)


def _named(found: Iterable[Tally]) -> Counts:
    counted: Counter[tuple[str, str]] = Counter()
    for each in found:
        counted[_NAMES[each.type], labels.CODE_OF.get(labels.label_of(each.label), "")] += each.rows
    return dict(sorted(counted.items()))


def kind_parts(kind: str, label: str) -> list[dict[str, Any]]:
    """Return the parts that say what is counted: the type and, where there is one, the label."""
    coded = [{"name": "label", "valueCoding": {"system": labels.SYSTEM, "code": label}}] if label else []
    return [{"name": "type", "valueCode": kind}, *coded]


def parts(counted: Counts) -> Iterator[list[dict[str, Any]]]:
    """Yield the parts of each `count`."""
    for (kind, label), number in counted.items():
        yield [*kind_parts(kind, label), {"name": "total", "valueUnsignedInt": number}]
