"""Decide whether a resource is FHIR R4: known elements, JSON types, cardinalities, formats, required codes, references.

Comes in: decoded JSON from outside. Goes out: nothing, or one `FhirError` that names every problem by its FHIRPath
location. It holds the invariants of severity error that `invariants.py` compiles and those of all types, which
`checks.py`, `contained.py` and `narrative.py` have by hand, and the profiles that are claimed or required
(`profile_check.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.spec.advice import advise
from fhir_server.spec.checks import EnoughError, Lookup, Place, Problem, Run
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.spec.profile_check import check_asked, check_required
from fhir_server.spec.shapes import check_resource

Json = dict[str, Any]


def validate(definitions: Definitions, resource: Json, codes: Lookup | None = None) -> None:
    """Accept a resource, with all it contains.

    Args:
        definitions: What FHIR R4 says, and the profiles that are known.
        resource: Decoded JSON from outside.
        codes: Looks up value sets that profiles bind to, beyond those that R4 itself requires.

    Raises:
        FhirError: With one issue per problem, at most 100. 400 where the structure is wrong (unknown element, wrong
            JSON type), else 422 (missing element, malformed value, foreign code, broken invariant, broken profile).
    """
    run = Run(definitions, resource, resource, codes=codes)
    _check(resource, run)
    if run.problems:
        issues = tuple(map(_issue, run.problems))
        # What a profile forbids has other codes.
        is_malformed = any(each.code == "structure" for each in issues)
        kind = Kind.MALFORMED if is_malformed else Kind.INVALID_CONTENT
        raise FhirError(kind, issues[0].diagnostics, issues[0].expression, issues)


def find_issues(
    definitions: Definitions, resource: Json, profiles: Iterable[str] = (), codes: Lookup | None = None
) -> tuple[Issue, ...]:
    """Return every problem of a resource, at most 100, warnings and what was not looked at among them.

    Args:
        definitions: What FHIR R4 says, and the profiles that are known.
        resource: Decoded JSON from outside.
        profiles: URLs of profiles to hold it to, beside those it claims in `meta.profile`.
        codes: Looks up value sets.
    """
    run = Run(definitions, resource, resource, advice=True, codes=codes)
    _check(resource, run, profiles)
    return tuple(dict.fromkeys(map(_issue, run.problems)))


def _check(resource: Json, run: Run, profiles: Iterable[str] = ()) -> None:
    definitions, resource_type = run.definitions, resource.get("resourceType")
    is_known = type(resource_type) is str and resource_type in definitions.resource_types
    root: Place = (None, str(resource_type) if is_known else "Resource")
    try:
        check_resource(resource, resource, root, run)
        if is_known and definitions.profiles.required:
            check_required(resource, root, run)
        if is_known and run.advice:
            check_asked(profiles, resource, root, run)
            advise(resource, root, run)
    except EnoughError:
        return


def _issue(problem: Problem) -> Issue:
    location = _location(problem.place)
    return Issue(problem.severity, problem.code, f"{location} {problem.text}.", (location,))


def _location(place: Place) -> str:
    parts: list[str] = []
    at: Any = place
    while at is not None:
        at, segment = at
        parts.append(f"[{segment}]" if type(segment) is int else f".{segment}")
    return "".join(reversed(parts)).removeprefix(".")
