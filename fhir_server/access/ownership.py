"""Whose a resource is, and under which label: worked out once, on write.

Patients come from exactly the parameters of the R4 CompartmentDefinition, plus contained resources, and, for Binary
and Provenance, from the resources they point at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.access import labels
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.extract import nodes
from fhir_server.spec.values import parse_reference
from fhir_server.store.keys import NONE, key_of_reference, reference_key

_NOT_LABELLED = frozenset({"Patient", "Consent"})


@dataclass(frozen=True, slots=True)
class Ownership:
    """What the gate needs to know of a row.

    Attributes:
        patients: Keys of every patient whose compartment it is in, in order of naming.
        label: Mask of privacy labels, `labels.UNSET` where unknown.
        confidentiality: Level of v3-Confidentiality.
        context: Key of the resource whose verdict it shares (Binary.securityContext), 0 for none.
    """

    patients: tuple[int, ...]
    label: int
    confidentiality: int
    context: int = NONE


def patients_of(definitions: Definitions, resource: Mapping[str, Any], fhir_base: str) -> tuple[int, ...]:
    """Return the keys of the patients whose compartment the resource is in."""
    kind = str(resource["resourceType"])
    found: dict[int, None] = {}
    if kind == "Patient" and "id" in resource:
        found[reference_key("Patient", str(resource["id"]))] = None
    codes = set(definitions.compartment_parameters("Patient", kind))
    for parameter, values in nodes(definitions, dict(resource)):
        if parameter.code in codes:
            found.update(dict.fromkeys(_patient_keys((value for _, value in values), fhir_base)))
    for inner in resource.get("contained", ()):
        found.update(dict.fromkeys(patients_of(definitions, {**inner, "id": ""}, fhir_base)))
    found.pop(reference_key("Patient", ""), None)
    return tuple(found)


def _patient_keys(values: Iterable[Any], fhir_base: str) -> Iterable[int]:
    for value in values:
        text = value.get("reference") if isinstance(value, Mapping) else value
        if isinstance(text, str):
            reference = parse_reference(text, fhir_base)
            if reference.type == "Patient" and reference.id:
                yield reference_key("Patient", reference.id)


def linked_keys(resource: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the keys of the resources that a Binary or Provenance takes its patients and label from."""
    if resource["resourceType"] == "Binary":
        targets = [resource.get("securityContext")]
    elif resource["resourceType"] == "Provenance":
        targets = list(resource.get("target", ()))
    else:
        return ()
    texts = [target.get("reference", "") for target in targets if target]
    return tuple(key_of_reference(_unversioned(text)) for text in texts if text)


def own_label(resource: Mapping[str, Any], organization: Mapping[str, Any] | None) -> int:
    """Return the label of a resource by its sender, else by its source; contained resources raise it."""
    mask = labels.sent(resource)
    for inner in resource.get("contained", ()):
        mask |= labels.sent(inner)
    if mask:
        return mask
    if resource["resourceType"] in _NOT_LABELLED:
        return labels.GENERAL
    return labels.by_source(resource, organization)


def _unversioned(reference: str) -> str:
    return reference.split("/_history/", maxsplit=1)[0]
