"""Whose a resource is, and under which label: worked out once, on write.

Patients come from exactly the parameters of the R4 CompartmentDefinition, plus contained resources, and, for Binary
and Provenance, from the resources they point at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.access import labels
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.extract import nodes
from fhir_server.spec.values import parse_reference
from fhir_server.store.keys import reference_key

APPOINTMENT_REQUEST = "https://fhir-server.example.org/CodeSystem/appointment-request"
"""Codes of what a patient asks about an appointment, and of the Task by which whoever booked it hears of it."""

# Categories of Observation that nobody has to explain: what is measured, asked or seen at a visit.
_NO_RESULTS = frozenset({"vital-signs", "social-history", "survey", "exam", "activity", "therapy"})


def patients_of(definitions: Definitions, resource: dict[str, Any], fhir_base: str) -> tuple[int, ...]:
    """Return the keys of the patients whose compartment the resource is in."""
    kind = str(resource["resourceType"])
    found: dict[int, None] = {}
    if kind == "Patient" and "id" in resource:
        found[reference_key("Patient", str(resource["id"]))] = None
    codes = frozenset(definitions.compartment_parameters("Patient", kind))
    if kind == "Patient":
        # A record that a person's other one was joined to is theirs; it would be nobody's if the other had to permit.
        codes -= {"link"}
        links = [link.get("other") for link in resource.get("link", ()) if link.get("type") != "replaces"]
        found.update(dict.fromkeys(_patient_keys(links, fhir_base)))
    for _, values in nodes(definitions, resource, codes):
        found.update(dict.fromkeys(_patient_keys((value for _, value in values), fhir_base)))
    if kind == "Task" and _is_of_appointment(resource):
        # R4 has no Task in the compartment of a patient; what somebody does about a patient's request belongs there.
        found.update(dict.fromkeys(_patient_keys((resource.get("for"),), fhir_base)))
    for inner in resource.get("contained", ()):
        found.update(dict.fromkeys(patients_of(definitions, {**inner, "id": ""}, fhir_base)))
    found.pop(reference_key("Patient", ""), None)
    return tuple(found)


def _is_of_appointment(task: Mapping[str, Any]) -> bool:
    return any(coding.get("system") == APPOINTMENT_REQUEST for coding in task.get("code", {}).get("coding", ()))


def _patient_keys(values: Iterable[Any], fhir_base: str) -> Iterable[int]:
    for value in values:
        text = value.get("reference") if isinstance(value, Mapping) else value
        if isinstance(text, str):
            reference = parse_reference(text, fhir_base)
            if reference.type == "Patient" and reference.id:
                yield reference_key("Patient", reference.id)


def linked_keys(resource: Mapping[str, Any], fhir_base: str) -> tuple[int, ...]:
    """Return the keys of the resources of this server that a Binary or Provenance takes its patients and label from."""
    if resource["resourceType"] == "Binary":
        targets = [resource.get("securityContext")]
    elif resource["resourceType"] == "Provenance":
        targets = list(resource.get("target", ()))
    else:
        return ()
    found = [parse_reference(target.get("reference", ""), fhir_base) for target in targets if target]
    return tuple(reference_key(each.type, each.id) for each in found if each.type and each.id)


def own_label(resource: Mapping[str, Any], organization: Mapping[str, Any] | None) -> int:
    """Return the label bits of a resource by its sender, else by its source; sensitive contained resources raise it.

    A Patient has none of its own: who somebody is belongs to whatever of theirs is shared. A Provenance of a Consent is
    withheld like the Consent: it would tell that something is hidden.
    """
    mask = labels.sent(resource)
    if not mask and resource["resourceType"] != "Patient":
        mask = labels.GENERAL if resource["resourceType"] == "Consent" else labels.by_source(resource, organization)
    for inner in resource.get("contained", ()):
        mask |= labels.sent(inner) & ~labels.GENERAL | labels.withheld_from_patient(inner)
    mask |= labels.withheld_from_patient(resource)
    return mask | (labels.WITHHELD if _tells_of_consent(resource) else 0)


def is_result(resource: Mapping[str, Any]) -> bool:
    """Return whether a resource is a result that somebody may want to explain before the patient reads it."""
    if resource["resourceType"] == "DiagnosticReport":
        return True
    if resource["resourceType"] != "Observation":
        return False
    found = {coding.get("code") for each in resource.get("category", ()) for coding in each.get("coding", ())}
    return not found or bool(found - _NO_RESULTS)


def is_dead(patient: Mapping[str, Any]) -> bool:
    """Return whether a Patient is recorded as dead."""
    return patient.get("deceasedBoolean") is True or "deceasedDateTime" in patient


def own_confidentiality(resource: Mapping[str, Any]) -> int:
    """Return the level of a resource: the highest of its own and what it contains."""
    return max(map(labels.confidentiality, (resource, *resource.get("contained", ()))))


def _tells_of_consent(resource: Mapping[str, Any]) -> bool:
    if resource["resourceType"] != "Provenance":
        return False
    return any("Consent/" in str(target.get("reference", "")) for target in resource.get("target", ()) if target)
