"""Validate what a job writes: FHIR R4, the profiles in force, and the value sets that these bind to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fhir_server.access.visibility import Gate
from fhir_server.interactions.job import Job
from fhir_server.search.terminology import Terminology
from fhir_server.search.valueset import Codes, NotExpandable
from fhir_server.spec import validate as validation
from fhir_server.spec.checks import Lookup, Membership
from fhir_server.spec.outcome import Issue


def validate(job: Job, resource: Mapping[str, Any]) -> None:
    """Accept a resource, with all it contains.

    Raises:
        FhirError: 400 or 422 with one issue per problem (`spec.validate`).
    """
    validation.validate(job.definitions, dict(resource), codes_of(job))


def find_issues(job: Job, resource: Mapping[str, Any], profiles: Iterable[str]) -> tuple[Issue, ...]:
    """Return every problem of a resource, warnings too."""
    return validation.find_issues(job.definitions, dict(resource), profiles, codes_of(job))


def codes_of(job: Job) -> Lookup:
    """Return the look-up of value sets: FHIR's own, kept from then on, and the stored ones as they are now."""
    kept = job.definitions.profiles.compiled

    def look_up(canonical: str) -> Membership | None:
        key = ("codes", canonical)
        if key not in kept:
            kept[key] = _expanded(Terminology(job.definitions), canonical)
        found = kept[key]
        if found is None:
            # Which profile a value set belongs to is the operator's choice, so the answer is the same for all callers.
            everything = Gate(0, everything=True)
            stored = Terminology(job.definitions, job.context.fhir_base, job.session, everything)
            found = _expanded(stored, canonical)
        return None if found is None else _membership(found)

    return look_up


def _expanded(terminology: Terminology, canonical: str) -> Codes | None:
    try:
        return terminology.codes(canonical)
    except NotExpandable:
        return None


def _membership(codes: Codes) -> Membership:
    def is_member(system: str | None, code: str) -> bool:
        if system is None:
            return any((code in part.codes) is not part.all_but for part in codes.values())
        part = codes.get(system)
        return part is not None and (code in part.codes) is not part.all_but

    return is_member
