"""Conditional interactions: what a search criterion finds (https://hl7.org/fhir/R4/http.html#ccreate).

Matching is over the rows that exist for the caller. One exception, a mandate: a registered feed finds a *person* by
NHS number over
the whole index (nhs.md §4), learns the logical id and nothing else, and the body's birth date has to agree.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.access import policy
from fhir_server.access.visibility import Gate
from fhir_server.interactions.job import Job
from fhir_server.search import run
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import belonging, resources
from fhir_server.store.keys import hash64

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
_ONE_PERSON = re.compile(re.escape(NHS_NUMBER) + r"\|[0-9]{10}")
"""INVARIANT: the mandate is to find one person by the whole number; a system alone or a list would find anybody."""


@dataclass(frozen=True, slots=True)
class Match:
    """The one resource that a criterion found; `by_mandate` when it may be hidden from the caller."""

    type: str
    id: str
    version: int
    patients: tuple[int, ...]
    by_mandate: bool


def find(job: Job, resource_type: str, criteria: Sequence[tuple[str, str]]) -> Match | None:
    """Return the single match, None for none.

    Two requests with the same criterion wait for each other, so that neither creates what the other just did.

    Raises:
        FhirError: MULTIPLE_MATCHES (412) for two or more; 400 for criteria that are not understood.
    """
    return next(iter(find_several(job, resource_type, criteria, 1)), None)


def find_several(job: Job, resource_type: str, criteria: Sequence[tuple[str, str]], most: int) -> list[Match]:
    """Return the matches, at most so many; as `find` in everything else.

    Raises:
        FhirError: MULTIPLE_MATCHES (412) for more than `most`; 400 for criteria that are not understood.
    """
    if not any(value for _, value in criteria):
        raise FhirError(Kind.INVALID_VALUE, "A conditional interaction needs at least one search criterion")
    job.session.lock(hash64(f"{resource_type}?{sorted(criteria)}"))
    job.pending.flush(job.session)
    mandate = _is_mandate(job, resource_type, criteria)
    visibility = Gate(0, everything=True) if mandate else job.decision.readable
    found = run.find(
        job.session,
        visibility,
        resource_type,
        criteria,
        definitions=job.definitions,
        fhir_base=job.context.fhir_base,
        limit=most + 1,
    )
    if len(found) > most:
        count = "one" if most == 1 else most
        raise FhirError(Kind.MULTIPLE_MATCHES, f"More than {count} {resource_type} matches the criteria")
    return [
        Match(resource_type, each.id, each.version, belonging.owners(job.session, (each.key,))[0], mandate)
        for each in found
    ]


def check_birth_date(job: Job, match: Match, body: Mapping[str, Any]) -> None:
    """Refuse a match by mandate whose birth date is not the body's: it may be another person.

    Raises:
        FhirError: CONFLICT (409).
    """
    if not match.by_mandate:
        return
    stored = resources.current(job.session, match.type, match.id)
    known = json.decode(stored.content, len(stored.content) + 1).get("birthDate") if stored and stored.content else None
    if not known or body.get("birthDate") != known:
        raise FhirError(Kind.CONFLICT, "The NHS number is known with another date of birth", ("Patient.birthDate",))


def _is_mandate(job: Job, resource_type: str, criteria: Sequence[tuple[str, str]]) -> bool:
    if resource_type != "Patient" or len(criteria) != 1 or not policy.matches_everyone(job.principal):
        return False
    name, value = criteria[0]
    return name == "identifier" and _ONE_PERSON.fullmatch(value) is not None
