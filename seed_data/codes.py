"""Code systems and the small FHIR datatypes built from them.

Comes in: codes and displays. Goes out: Coding, CodeableConcept, Reference, meta. Must not know: people or dates.
"""

from __future__ import annotations

from typing import Any

SNOMED = "http://snomed.info/sct"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
ATC = "http://www.whocc.no/atc"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
GMC = "https://fhir.hl7.org.uk/Id/gmc-number"
SDS_USER = "https://fhir.nhs.uk/Id/sds-user-id"
SDS_ROLE = "https://fhir.nhs.uk/Id/sds-role-profile-id"
PRIVACY_LABEL = "https://fhir-server.example.org/CodeSystem/privacy-label"
JOB_ROLE = "https://fhir-server.example.org/CodeSystem/job-role"
ORGANIZATION_TYPE = "https://fhir-server.example.org/CodeSystem/organization-type"
PRACTICE_SETTING = "https://fhir.hl7.org.uk/CodeSystem/UKCore-PracticeSettingCode"
HL7 = "http://terminology.hl7.org/CodeSystem/"

GENERAL = "general"
MENTAL_HEALTH = "mental-health"
SEXUAL_HEALTH = "sexual-health"
SOCIAL_CARE = "social-care"
LABELS = (GENERAL, MENTAL_HEALTH, SEXUAL_HEALTH, SOCIAL_CARE)

_LABEL_DISPLAY = {
    GENERAL: "General health",
    MENTAL_HEALTH: "Mental health",
    SEXUAL_HEALTH: "Sexual health",
    SOCIAL_CARE: "Social care",
}


def coding(system: str, code: str, display: str | None = None) -> dict[str, str]:
    """Return a Coding."""
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(system: str, code: str, display: str | None = None, text: str | None = None) -> dict[str, Any]:
    """Return a CodeableConcept with one coding; the text falls back to the display."""
    shown = text or display
    return {"coding": [coding(system, code, display)]} | ({"text": shown} if shown else {})


def hl7(name: str, code: str, display: str | None = None) -> dict[str, Any]:
    """Return a CodeableConcept from a terminology.hl7.org code system named by its last path segment."""
    return {"coding": [coding(HL7 + name, code, display)]}


def label_coding(label: str) -> dict[str, str]:
    """Return the Coding of one privacy label."""
    return coding(PRIVACY_LABEL, label, _LABEL_DISPLAY[label])


def labelled(label: str | None) -> dict[str, Any]:
    """Return a `meta` member carrying the sender's privacy label, or nothing where the server derives it."""
    return {"meta": {"security": [label_coding(label)]}} if label else {}


def reference(target: str, display: str | None = None) -> dict[str, str]:
    """Return a relative Reference, `Type/id`."""
    return {"reference": target} | ({"display": display} if display else {})


def quantity(value: float, unit: str, code: str, comparator: str | None = None) -> dict[str, Any]:
    """Return a UCUM Quantity; `unit` is what people read, `code` the UCUM code."""
    head: dict[str, Any] = {"value": value}
    if comparator:
        head["comparator"] = comparator
    return head | {"unit": unit, "system": UCUM, "code": code}
