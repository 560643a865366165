"""Decide whether a resource is FHIR R4: known elements, JSON types, cardinalities, formats, required codes, references.

Comes in: decoded JSON from outside. Goes out: nothing, or one `FhirError` that names every problem by its FHIRPath
location. It holds the invariants of severity error that `invariants.py` compiles and those of all types, which
`checks.py`, `contained.py` and `narrative.py` have by hand.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from fhir_server.spec.checks import EnoughError, Place, Problem, Run
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.spec.shapes import check_resource

Json = dict[str, Any]
_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"


def validate(definitions: Definitions, resource: Json) -> None:
    """Accept a resource, with all it contains.

    Raises:
        FhirError: With one issue per problem, at most 100. 400 where the structure is wrong (unknown element, wrong
            JSON type), else 422 (missing element, malformed value, foreign code, broken invariant).
    """
    if issues := tuple(map(_issue, _problems(definitions, resource))):
        structural = any(each.code == "structure" for each in issues)
        kind = Kind.MALFORMED if structural else Kind.INVALID_CONTENT
        raise FhirError(kind, issues[0].diagnostics, issues[0].expression, issues)


def find_issues(definitions: Definitions, resource: Json, profiles: Iterable[str] = ()) -> tuple[Issue, ...]:
    """Return every problem of a resource as an error, at most 100, and what was not looked at as a warning.

    Args:
        definitions: What FHIR R4 says.
        resource: Decoded JSON from outside.
        profiles: URLs of profiles to hold it to, beside those it claims in `meta.profile`.
    """
    meta = resource.get("meta")
    claimed = meta.get("profile") if type(meta) is dict else None
    named = [*profiles, *(claimed if type(claimed) is list else ())]
    own = f"{_STRUCTURE}{resource.get('resourceType')}"
    warnings = (
        Issue("warning", "not-supported", "A profile that is named was not looked at; the rules of FHIR R4 were.")
        for name in dict.fromkeys(each for each in named if type(each) is str)
        if name.partition("|")[0] != own
    )
    return (*map(_issue, _problems(definitions, resource)), *dict.fromkeys(warnings))


def _problems(definitions: Definitions, resource: Json) -> list[Problem]:
    run = Run(definitions, resource, resource)
    resource_type = resource.get("resourceType")
    is_known = type(resource_type) is str and resource_type in definitions.resource_types
    root: Place = (None, str(resource_type) if is_known else "Resource")
    with suppress(EnoughError):
        check_resource(resource, resource, root, run)
    return run.problems


def _issue(problem: Problem) -> Issue:
    location = _location(problem.place)
    return Issue("error", problem.code, f"{location} {problem.text}.", (location,))


def _location(place: Place) -> str:
    parts: list[str] = []
    at: Any = place
    while at is not None:
        at, segment = at
        parts.append(f"[{segment}]" if type(segment) is int else f".{segment}")
    return "".join(reversed(parts)).removeprefix(".")
