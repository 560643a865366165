"""What a kick-off of `$export` asks for, from its URL and its Parameters (https://hl7.org/fhir/uv/bulkdata/STU2/export.html)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.access.decide import gate
from fhir_server.interactions.job import Job
from fhir_server.interactions.locating import parse_query
from fhir_server.interactions.model import Interaction
from fhir_server.operations.parameters import as_text
from fhir_server.search import syntax
from fhir_server.search.exported import Listing, request_of
from fhir_server.search.projection import elements_projection
from fhir_server.search.terminology import Terminology
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import date_interval, parse_reference
from fhir_server.store.instants import to_us
from fhir_server.store.keys import NONE, reference_key

FORMATS = ("application/fhir+ndjson", "application/ndjson", "ndjson")
_PARAMETERS = ("_outputFormat", "_since", "_type", "_typeFilter", "_elements")
_OF_PATIENTS = (*_PARAMETERS, "patient")
_ONCE = frozenset({"_outputFormat", "_since"})
_ON_ITS_OWN = "AuditEvent"
_FILTERS_LIMIT = 50
_PATIENTS_LIMIT = 1_000
_NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]{1,63}\?)")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An export, understood.

    Attributes:
        types: Resource types, in the order in which they are listed.
        records: Only what is of a patient's record.
        patients: Logical ids of the patients it is limited to; none for all.
        group: Logical id of the Group it is limited to, "" for none.
        since_us: Only what was updated after this instant, microseconds since the epoch.
        filters: `_typeFilter` as (type, query).
        elements: Names of `_elements`.
        ignored: What a lenient caller asked for and is not done, in words.
    """

    types: tuple[str, ...]
    records: bool
    patients: tuple[str, ...] = ()
    group: str = ""
    since_us: int | None = None
    filters: tuple[tuple[str, str], ...] = ()
    elements: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()

    def listing(self, name: str) -> Listing:
        """Return what to list of one type."""
        return Listing(
            name,
            self.since_us,
            tuple(_pairs_of(query) for kind, query in self.filters if kind == name),
            tuple(reference_key("Patient", each) for each in self.patients),
            reference_key("Group", self.group) if self.group else NONE,
        )

    def elements_of(self, name: str) -> str:
        """Return the elements that are wanted of a type, "" for whole resources."""
        return ",".join(each for each in self.elements if each.partition(".")[0] in {name, each})


def understand(job: Job, interaction: Interaction) -> Wanted:
    """Return what is to be exported.

    Raises:
        FhirError: INVALID_VALUE or NOT_SUPPORTED (400) naming a parameter that is not understood; FORBIDDEN (403) for a
            named type that the token may not search and read, or where there is none.
    """
    allowed = (
        _PARAMETERS if not interaction.type or (interaction.id and interaction.type == "Patient") else _OF_PATIENTS
    )
    given: dict[str, list[str]] = {}
    ignored: list[str] = []
    for name, value in as_text(job, interaction):
        if name not in allowed:
            if interaction.handling != "lenient":
                raise syntax.unsupported(name, f"is not one of $export here. Supported: {', '.join(allowed)}.")
            ignored.append(f"{syntax.shown(name)} is not supported and was ignored.")
        elif name in _ONCE and name in given:
            raise syntax.invalid(name, "may be given once.")
        elif value:
            given.setdefault(name, []).append(value)
    if (wanted := given.get("_outputFormat", [FORMATS[0]])[0].replace(" ", "+")) not in FORMATS:
        raise syntax.invalid("_outputFormat", f"is {FORMATS[0]}, not {syntax.shown(wanted)}.")
    elements = tuple(filter(None, ",".join(given.get("_elements", ())).split(",")))
    elements_projection(job.definitions, ",".join(elements))
    types = _types(job, interaction, given.get("_type", ()))
    return Wanted(
        types,
        records=bool(interaction.type),
        patients=(interaction.id,) if interaction.id and interaction.type == "Patient" else _patients(job, given),
        group=interaction.id if interaction.type == "Group" else "",
        since_us=_since(job, given["_since"][0]) if "_since" in given else None,
        filters=_filters(job, types, given.get("_typeFilter", ()), is_chosen="_type" in given),
        elements=elements,
        ignored=tuple(ignored),
    )


def _types(job: Job, interaction: Interaction, values: list[str] | tuple[()]) -> tuple[str, ...]:
    """Return the types to list: those named, or all that the token may search and read."""
    named = sorted({name for value in values for name in value.split(",") if name})
    for name in named:
        if name not in job.definitions.resource_types:
            raise syntax.invalid("_type", f"names {syntax.shown(name)}, which is no resource type.")
        if name == _ON_ITS_OWN:
            raise syntax.unsupported("_type", f"cannot name {_ON_ITS_OWN}: use /{_ON_ITS_OWN}?…")
        if interaction.type and not _is_of_records(job, name):
            raise syntax.invalid("_type", f"names {name}, of which nothing is ever part of a patient's record.")
        for right in "rs":
            gate(job.principal, right, name)
    if named:
        return tuple(named)
    scopes = job.principal.scopes
    found = tuple(
        name
        for name in sorted(job.definitions.resource_types - {_ON_ITS_OWN})
        if not interaction.type or _is_of_records(job, name)
        if scopes.allows("r", name) and scopes.allows("s", name)
    )
    if not found:
        raise FhirError(Kind.FORBIDDEN, "The access token has no scope to read and search any type")
    return found


def _is_of_records(job: Job, name: str) -> bool:
    """Return whether resources of a type can be part of a patient's record; a Binary is by its `securityContext`."""
    return name == "Binary" or bool(job.definitions.compartment_parameters("Patient", name))


def _patients(job: Job, given: Mapping[str, list[str]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in (each for values in given.get("patient", ()) for each in values.split(",")):
        reference = parse_reference(value, job.context.fhir_base)
        if reference.type != "Patient" or not reference.id:
            raise syntax.invalid("patient", "is a reference to a Patient of this server, such as Patient/1.")
        found[reference.id] = None
    if len(found) > _PATIENTS_LIMIT:
        raise syntax.invalid("patient", f"may be given {_PATIENTS_LIMIT} times; a Group may have more members.")
    return tuple(found)


def _since(job: Job, value: str) -> int:
    # In a query string a bare + is a space: take it for the sign of the zone that it was meant to be.
    text = value.replace(" ", "+")
    try:
        since_us = date_interval(text)[0] if _INSTANT.fullmatch(text) else None
    except ValueError:
        since_us = None
    if since_us is None or since_us > to_us(job.context.now()):
        raise syntax.invalid("_since", "is an instant of the past, YYYY-MM-DDThh:mm:ssZ.")
    return since_us


def _filters(
    job: Job, types: tuple[str, ...], values: list[str] | tuple[()], *, is_chosen: bool
) -> tuple[tuple[str, str], ...]:
    """Return each filter as (type, query), after trying that it is understood."""
    found = []
    for text in (each for value in values for each in _NEXT_FILTER.split(value)):
        name, mark, query = text.partition("?")
        if not mark or name not in job.definitions.resource_types:
            raise syntax.invalid("_typeFilter", "is a type and search criteria, such as Observation?status=final.")
        if name not in types:
            where = "_type" if is_chosen else "the types that are exported"
            raise syntax.invalid("_typeFilter", f"is about {name}, which is not among {where}.")
        found.append((name, query))
    if len(found) > _FILTERS_LIMIT:
        raise syntax.invalid("_typeFilter", f"may be given {_FILTERS_LIMIT} times.")
    terms = Terminology(job.definitions, job.context.fhir_base, job.session, job.decision.readable)
    for name, query in found:
        listing = Listing(name, filters=(_pairs_of(query),))
        now_us = to_us(job.context.now())
        request_of(listing, job.definitions, fhir_base=job.context.fhir_base, terms=terms, now_us=now_us)
    return tuple(found)


def _pairs_of(query: str) -> tuple[tuple[str, str], ...]:
    return parse_query(query)
