"""Search parameters beside those of FHIR: what one may be, and the definitions with some of them in force.

Comes in: validated SearchParameter resources. Goes out: `Definitions`, or a `FhirError` 422 that names the element.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.spec import extract, paths
from fhir_server.spec.definitions import Definitions, DefinitionsError, definition_of, with_additions
from fhir_server.spec.outcome import FhirError, Kind

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_STRINGS = frozenset({"string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid"})
_INDEXED: Mapping[str, frozenset[str]] = {
    "string": _STRINGS | {"HumanName", "Address", "CodeableConcept"},
    "token": _STRINGS - {"markdown"} | {"CodeableConcept", "Coding", "Identifier", "ContactPoint", "boolean"},
    "reference": frozenset({"Reference", "canonical", "uri"}),
    "date": frozenset({"date", "dateTime", "instant", "Period", "Timing"}),
    "number": frozenset({"decimal", "integer", "positiveInt", "unsignedInt"}),
    "quantity": frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "Money", "Range", "SampledData"}),
    "uri": frozenset({"uri", "url", "canonical", "oid", "uuid"}),
}
"""By type of parameter, the datatypes it may lead to."""
# INVARIANT: the hot columns are filled by these, and Consents are judged by those: no type may get one later on.
_RESERVED = frozenset(
    {
        *("code", "vaccine-code", "type", "service-type", "class", "category", "date", "onset-date", "authoredon"),
        *("effective-time", "authored-on", "authored", "period", "created", "issued", "patient", "subject"),
    }
)
_SAMPLED_TYPES = 3
_COMPOSITE = "composite"
_PARTS_MINIMUM, _PARTS_LIMIT = 2, 5


def extended(base: Definitions, resources: Sequence[Mapping[str, Any]], unready: frozenset[str]) -> Definitions:
    """Return the definitions with these parameters, each of which `check` has accepted.

    Args:
        base: The definitions without any of them.
        resources: SearchParameter resources.
        unready: URLs of those that are indexed but not searched with yet.
    """
    return replace(with_additions(base, resources), unready=unready, base=base)


def is_known(definitions: Definitions, url: str) -> bool:
    """Return whether a parameter of this URL is part of the definitions."""
    return url in definitions.parameter_urls


def base_types(definitions: Definitions, resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the resource types that a parameter is on; none means every type."""
    bases = resource["base"]
    return () if any(definitions.type(base).abstract for base in bases) else tuple(bases)


def check(definitions: Definitions, resource: Mapping[str, Any]) -> None:
    """Accept a SearchParameter that this server can put in force.

    Raises:
        FhirError: INVALID_CONTENT (422) naming the element, and what it may be.
    """
    kind, code = str(resource["type"]), str(resource["code"])
    is_composite = kind == _COMPOSITE
    if not _CODE.fullmatch(code):
        raise _refusal("code", "begins with a letter, and has at most 64 letters, digits and hyphens")
    if code in _RESERVED:
        raise _refusal(
            "code", f"is not one of those that this server gives a meaning to: {', '.join(sorted(_RESERVED))}"
        )
    if kind not in _INDEXED and not is_composite:
        raise _refusal("type", f"is one of {', '.join((*_INDEXED, _COMPOSITE))}")
    if not resource.get("expression"):
        raise _refusal("expression", "is needed: it says where the values are")
    if is_known(definitions, str(resource["url"])):
        raise _refusal("url", "belongs to another search parameter")
    try:
        paths.parse(str(resource["expression"]))
    except (paths.UnsupportedExpressionError, ValueError) as error:
        raise _refusal("expression", "is beyond the FHIRPath that search parameters of R4 use") from error
    if is_composite:
        _check_components(definitions, resource)
    try:
        made = with_additions(definitions, [resource])
    except DefinitionsError as error:
        raise _refusal("code", "is free for every base type, and each base is a type of R4") from error
    if is_composite:
        _check_parts(made, resource)
    else:
        _check_routes(made, resource, kind)


def check_remains(old: Mapping[str, Any], new: Mapping[str, Any] | None, others: Sequence[Mapping[str, Any]]) -> None:
    """Accept that a parameter in force is changed, or taken back, as far as composites are made of it.

    Args:
        old: The SearchParameter that is in force.
        new: What takes its place; None for nothing.
        others: The other SearchParameter resources in force.

    Raises:
        FhirError: BUSINESS_RULE (422) naming a composite that would lose a part, or compare it otherwise.
    """
    if new is not None and (new["url"], new["type"]) == (old["url"], old["type"]):
        return
    for other in others:
        if is_made_of(other, old):
            raise FhirError(
                Kind.BUSINESS_RULE,
                f"The search parameter {other['code']} is made of this one: its url and type stay as long as "
                "that one is in force",
                ("SearchParameter",),
            )


def is_made_of(composite: Mapping[str, Any], part: Mapping[str, Any]) -> bool:
    """Return whether one SearchParameter is a part of another."""
    return any(definition_of(component) == part["url"] for component in composite.get("component", ()))


def _check_components(definitions: Definitions, resource: Mapping[str, Any]) -> None:
    """Accept what a composite says of its parts, as far as they can be judged by themselves."""
    components = resource.get("component", ())
    if not _PARTS_MINIMUM <= len(components) <= _PARTS_LIMIT:
        raise _refusal("component", f"is given {_PARTS_MINIMUM} to {_PARTS_LIMIT} times for a composite")
    for number, component in enumerate(components):
        where = f"component[{number}]"
        part = definitions.parameter_type(definition_of(component))
        if part not in _INDEXED:
            raise _refusal(
                f"{where}.definition",
                f"is the URL of a search parameter of this server of the type {', '.join(_INDEXED)}",
            )
        try:
            alternatives = paths.parse(str(component["expression"]))
        except (paths.UnsupportedExpressionError, ValueError) as error:
            raise _refusal(f"{where}.expression", "is beyond the FHIRPath that search parameters of R4 use") from error
        if not all(isinstance(each, paths.Path) for each in alternatives):
            raise _refusal(f"{where}.expression", "leads to elements; it is no condition")


def _check_parts(made: Definitions, resource: Mapping[str, Any]) -> None:
    """Accept that the parts of a composite lead, on every type, from its element to what their types compare."""
    for name in _sample(made, resource):
        starts = made.element_routes(name, str(resource["expression"]))
        if not starts:
            raise _refusal("expression", f"leads, from {name}, to the element whose parts are compared")
        for number, component in enumerate(resource["component"]):
            kind = made.parameter_type(definition_of(component))
            expression = str(component["expression"])
            ends = {end.type for start in starts for end, _ in extract.part_routes(made, name, start, expression)}
            if not _is_indexed(kind, ends):
                raise _refusal(
                    f"component[{number}].expression",
                    f"leads, from {resource['expression']}, to {', '.join(sorted(_INDEXED[kind]))} for the type {kind}",
                )
        extract.composite_nodes(made, {"resourceType": name})


def _sample(made: Definitions, resource: Mapping[str, Any]) -> Sequence[str]:
    """Return the types that an expression is tried on: those a parameter is on, or a few where that is every type."""
    return base_types(made, resource) or tuple(sorted(made.resource_types))[:_SAMPLED_TYPES]


def _is_indexed(kind: str, ends: set[str]) -> bool:
    """Return whether a parameter of some type may lead to these datatypes."""
    allowed = ends & _INDEXED[kind]
    # A writer of numbers takes any number for one of its own; the others leave alone what is not theirs.
    return bool(allowed) and (kind not in {"number", "quantity"} or ends == allowed)


def _check_routes(made: Definitions, resource: Mapping[str, Any], kind: str) -> None:
    for name in _sample(made, resource):
        if not _is_indexed(kind, {route.type for route in made.routes(name, str(resource["expression"]))}):
            what = f"leads, from {name}, to {', '.join(sorted(_INDEXED[kind]))} for the type {kind}"
            raise _refusal("expression", what)
        extract.nodes(made, {"resourceType": name})


def _refusal(element: str, allowed: str) -> FhirError:
    where = f"SearchParameter.{element}"
    return FhirError(Kind.INVALID_CONTENT, f"{where} {allowed}", (where,))
