"""Search parameters beside those of FHIR: what one may be, and the definitions with some of them in force.

Comes in: validated SearchParameter resources. Goes out: `Definitions`, or a `FhirError` 422 that names the element.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.spec import extract, paths
from fhir_server.spec.definitions import Definitions, DefinitionsError, with_additions
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
    if not _CODE.fullmatch(code):
        raise _refusal("code", "begins with a letter, and has at most 64 letters, digits and hyphens")
    if code in _RESERVED:
        raise _refusal(
            "code", f"is not one of those that this server gives a meaning to: {', '.join(sorted(_RESERVED))}"
        )
    if kind not in _INDEXED:
        raise _refusal("type", f"is one of {', '.join(_INDEXED)}")
    if not resource.get("expression"):
        raise _refusal("expression", "is needed: it says where the values are")
    if is_known(definitions, str(resource["url"])):
        raise _refusal("url", "belongs to another search parameter")
    try:
        paths.parse(str(resource["expression"]))
    except (paths.UnsupportedExpressionError, ValueError) as error:
        raise _refusal("expression", "is beyond the FHIRPath that search parameters of R4 use") from error
    try:
        made = with_additions(definitions, [resource])
    except DefinitionsError as error:
        raise _refusal("code", "is free for every base type, and each base is a type of R4") from error
    _check_routes(made, resource, kind)


def _check_routes(made: Definitions, resource: Mapping[str, Any], kind: str) -> None:
    every = base_types(made, resource) or tuple(sorted(made.resource_types))[:_SAMPLED_TYPES]
    for name in every:
        ends = {route.type for route in made.routes(name, str(resource["expression"]))}
        allowed = ends & _INDEXED[kind]
        # A writer of numbers takes any number for one of its own; the others leave alone what is not theirs.
        if not allowed or (kind in {"number", "quantity"} and ends != allowed):
            what = f"leads, from {name}, to {', '.join(sorted(_INDEXED[kind]))} for the type {kind}"
            raise _refusal("expression", what)
        extract.nodes(made, {"resourceType": name})


def _refusal(element: str, allowed: str) -> FhirError:
    where = f"SearchParameter.{element}"
    return FhirError(Kind.INVALID_CONTENT, f"{where} {allowed}", (where,))
