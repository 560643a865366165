"""What the CompartmentDefinition of patients says of search parameters, worked out once per resource type."""

from __future__ import annotations

from fhir_server.spec.definitions import Definitions, SearchParameter

_PURPOSE = "owning"
_PATIENTS_ONLY = ".where(resolve() is Patient)"


def owning_parameters(definitions: Definitions, resource_type: str) -> frozenset[int]:
    """Return the keys of the parameters of a type whose every reference to a Patient makes a resource the patient's.

    These are the ones that the CompartmentDefinition names, by which whose a resource is is worked out
    (https://hl7.org/fhir/R4/compartmentdefinition-patient.html), and those that find no other elements, such as
    `patient` beside `subject`. None of Patient itself: its `link` is about two records.
    """
    found: frozenset[int] | None = definitions.compiled.get((_PURPOSE, resource_type))
    if found is None:
        found = definitions.compiled[_PURPOSE, resource_type] = _owning_parameters(definitions, resource_type)
    return found


def _owning_parameters(definitions: Definitions, resource_type: str) -> frozenset[int]:
    if resource_type == "Patient":
        return frozenset()
    known = definitions.search_parameters(resource_type)
    named = [known[code] for code in definitions.compartment_parameters("Patient", resource_type) if code in known]
    reached = {way for parameter in named for way in _ways(definitions, resource_type, parameter)}
    references = (each for each in known.values() if each.type == "reference")
    return frozenset(each.key for each in references if _ways(definitions, resource_type, each) <= reached)


def _ways(definitions: Definitions, resource_type: str, parameter: SearchParameter) -> frozenset[str]:
    """Return the alternatives of a parameter's expression that are not about another type."""
    ways = (way.strip().removesuffix(_PATIENTS_ONLY) for way in parameter.expression.split("|"))
    others = definitions.resource_types - {resource_type}
    return frozenset(way for way in ways if way.partition(".")[0] not in others) or frozenset({parameter.url})
