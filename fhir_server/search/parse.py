"""Understand a whole search: every parameter is either understood or named in a refusal or warning.

Comes in: the decoded query in order. Goes out: a `SearchRequest` whose `understood` states exactly what will be
answered.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.search import contained, filters, index, results, syntax, walk, within
from fhir_server.search.build import Builder
from fhir_server.search.compartment import InCompartment
from fhir_server.search.model import Criterion, Include, Projection, Reading, SearchRequest, SortKey, Terms
from fhir_server.search.projection import elements_projection, summary_projection
from fhir_server.search.terminology import Terminology
from fhir_server.search.text import check_sort
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.store.keys import reference_key

PARAMETERS_LIMIT = 100
_REFUSALS_SHOWN = 10
CURSOR = "_cursor"
_IGNORED = frozenset({"_format", "_pretty"})
_US_PER_NS = 1_000
_RESULT = frozenset(
    {"_sort", "_count", "_total", "_summary", "_elements", "_type", "_contained", "_containedType", CURSOR}
)


def parse(  # noqa: PLR0913 - each is a fact of its own about the request
    definitions: Definitions,
    resource_type: str,
    query: Sequence[tuple[str, str]],
    *,
    fhir_base: str,
    handling: str = "strict",
    compartment: tuple[str, str] | None = None,
    types: tuple[str, ...] = (),
    now_us: int | None = None,
    terms: Terms | None = None,
) -> SearchRequest:
    """Understand a search.

    Args:
        definitions: R4 definitions.
        resource_type: Type to search, "" for the whole system.
        query: Decoded (name, value) pairs in order.
        fhir_base: Service base URL without trailing slash.
        handling: `strict` refuses what is not supported, `lenient` warns and goes on without it.
        compartment: Only resources in this compartment, such as ("Patient", "1").
        types: What a search of the whole system covers where it names no types itself; none means every type.
        now_us: Instant that `ap` measures from; by default the clock's.
        terms: What is known of codes; by default what FHIR itself says.

    Raises:
        FhirError: 404 for an unknown type; 400 naming the parameter and what is supported or allowed.
    """
    if resource_type and resource_type not in definitions.resource_types:
        raise FhirError(Kind.UNKNOWN_TYPE, f"{syntax.shown(resource_type)} is not a resource type of FHIR R4")
    if len(query) > PARAMETERS_LIMIT:
        raise FhirError(Kind.INVALID_VALUE, f"A search has at most {PARAMETERS_LIMIT} parameters")
    now_us = time.time_ns() // _US_PER_NS if now_us is None else now_us
    reading = Reading(definitions, fhir_base, now_us, terms or Terminology(definitions))
    types = (resource_type,) if resource_type else named_types(definitions, query) or types
    parser = _Parser(Builder(reading), types, handling == "lenient", bool(resource_type))
    refused = [error for name, value in query if (error := parser.refusal(name, value))]
    if refused:
        raise _all_of(refused)
    if parser.looks_inside:
        parser.look_inside(compartment)
    if compartment:
        parser.criteria.append(_compartment(definitions, types, compartment))
    return parser.request(resource_type)


def named_types(definitions: Definitions, query: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """Return the types that `_type` limits a search of the whole system to; none where it is not given.

    Raises:
        FhirError: 400 when it names what is no resource type, or is given twice.
    """
    values = [value for name, value in query if name == "_type" and value]
    if len(values) > 1:
        raise syntax.invalid("_type", "may be given once, with a list of types.")
    names = tuple(dict.fromkeys(filter(None, values[0].split(",")))) if values else ()
    for name in names:
        if name not in definitions.resource_types:
            raise syntax.invalid("_type", f"names {syntax.shown(name)}, which is no resource type.")
    return names


def _compartment(definitions: Definitions, types: tuple[str, ...], compartment: tuple[str, str]) -> Criterion:
    kind, logical_id = compartment
    every = types or tuple(sorted(definitions.resource_types))
    codes = [(name, code) for name in every for code in definitions.compartment_parameters(kind, name)]
    found = [definitions.search_parameters(name).get(code) for name, code in codes]
    params = tuple(each.key for each in found if each is not None and each.type == "reference")
    if not codes:
        what = every[0] if len(every) == 1 else "the searched types"
        raise FhirError(Kind.NOT_SUPPORTED, f"No resource of {what} is ever in the compartment of a {kind}")
    rank = 1 if kind == "Patient" else 2
    centre = reference_key(kind, logical_id)
    return InCompartment(params, (kind, "_id") in codes, rank, centre, of_patient=kind == "Patient")


def _all_of(refused: Sequence[FhirError]) -> FhirError:
    """Return one refusal that says what is wrong with each parameter, so that nobody mends them one by one."""
    first, *others = refused
    if not others:
        return first
    issues = [issue for error in refused[:_REFUSALS_SHOWN] for issue in error.issues]
    if more := len(refused) - _REFUSALS_SHOWN if len(refused) > _REFUSALS_SHOWN else 0:
        issues.append(Issue("error", first.kind.issue_code, f"So it is with {more} further parameters."))
    return FhirError(first.kind, first.diagnostics, issues=tuple(issues))


@dataclass(slots=True)
class _Parser:
    """Collects what the parameters say, one after the other."""

    builder: Builder
    types: tuple[str, ...]
    lenient: bool
    searches_one_type: bool
    criteria: list[Criterion] = field(default_factory=list)
    understood: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[Issue] = field(default_factory=list)
    sort: tuple[SortKey, ...] = ()
    includes: list[Include] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)

    def refusal(self, name: str, value: str) -> FhirError | None:
        """Understand one parameter; return why it is refused, None where it is not."""
        try:
            self.take(name, value)
        except FhirError as error:
            if error.status != Kind.INVALID_VALUE.status:
                raise
            return error
        return None

    def take(self, name: str, value: str) -> None:
        """Understand one parameter, or warn that it is left out (lenient)."""
        if name in _IGNORED or not value:
            return
        try:
            for understood in self._understand(name, value):
                self.understood.append(understood)
        except FhirError as error:
            if not self.lenient or error.kind is not Kind.NOT_SUPPORTED:
                raise
            text = f"{error.diagnostics} It was ignored."
            self.warnings.append(Issue("warning", Kind.NOT_SUPPORTED.issue_code, text))

    def _understand(self, name: str, value: str) -> Iterator[tuple[str, str]]:
        """Yield the parameter as understood."""
        definitions = self.builder.reading.definitions
        if name.partition(":")[0] in {"_include", "_revinclude"}:
            self.includes += results.includes(definitions, self.types, name, [value])
            if len(self.includes) > results.INCLUDES_LIMIT:
                raise syntax.invalid(name, f"may be given {results.INCLUDES_LIMIT} times.")
            yield name, value
        elif name in _RESULT:
            yield from self._shape(name, value)
        elif name == "_filter":
            self.criteria.append(filters.criterion(self.builder, self.types, value))
            yield name, value
        else:
            criterion = self.builder.criterion(self.types, name, value)
            if criterion is not None:
                self.criteria.append(criterion)
                yield name, value

    def _shape(self, name: str, value: str) -> Iterator[tuple[str, str]]:
        if name in self.results:
            raise syntax.invalid(name, "may be given once.")
        self.results[name] = value
        match name:
            case "_count":
                self.results[name] = results.count(value)
                yield name, str(self.results[name])
                return
            case "_sort":
                self.sort = results.sort_keys(self.builder, self.types, value)
            case "_total":
                results.choice(name, value, results.TOTALS)
            case "_summary":
                results.choice(name, value, results.SUMMARIES)
            case "_contained":
                results.choice(name, value, results.CONTAINED)
            case "_containedType":
                results.choice(name, value, results.CONTAINED_TYPES)
            case "_type" if self.searches_one_type:
                raise syntax.unsupported(name, "is for searches of the whole system; the URL names the type here.")
            case "_cursor":
                return
        yield name, value

    @property
    def looks_inside(self) -> bool:
        """Return whether contained resources are searched for."""
        return str(self.results.get("_contained", "false")) != "false"

    def look_inside(self, compartment: tuple[str, str] | None) -> None:
        """Let the criteria be of contained resources, so that containers of any type are found.

        Raises:
            FhirError: 400 for what is not said of contained resources.
        """
        alone = self.results.get("_containedType") == "contained"
        if compartment or any(key.code not in index.ON_THE_ROW for key in self.sort):
            raise syntax.unsupported("_contained", "takes no compartment, and orders by _id and _lastUpdated only.")
        if alone and ("_elements" in self.results or self.results.get("_summary", "false") not in {"false", "count"}):
            raise syntax.unsupported("_containedType", "is container where _elements or _summary leaves parts out.")
        known = self.builder.supported(self.types)
        for name, _ in self.understood:
            code = name.partition(":")[0]
            if code in known and known[code].type == "composite":
                raise syntax.unsupported("_contained", contained.BEYOND)
        every = self.types or tuple(sorted(self.builder.reading.definitions.resource_types))
        both = self.results["_contained"] == "both"
        self.criteria = [contained.criterion(every, self.criteria, both=both)]
        if self.searches_one_type:
            self.types = ()

    def request(self, resource_type: str) -> SearchRequest:
        """Return the search as a whole.

        Raises:
            FhirError: 400 when two parameters contradict each other.
        """
        self.criteria = list(dict.fromkeys(self.criteria))
        summary, elements = self.results.get("_summary", "false"), self.results.get("_elements", "")
        if summary == "text" and self.includes:
            raise syntax.invalid("_summary", "cannot be text together with _include or _revinclude.")
        check_sort(self.sort, self.criteria)
        definitions = self.builder.reading.definitions
        projection: Projection | None = None
        if elements:
            projection = elements_projection(definitions, elements)
        elif summary in {"true", "text", "data"}:
            projection = summary_projection(definitions, summary)
        count = 0 if summary == "count" else self.results.get("_count", results.DEFAULT_COUNT)
        return SearchRequest(
            resource_type,
            self.types,
            tuple(self.criteria) if self.looks_inside else within.within(definitions, self.types, self.criteria),
            self.sort or (() if self.looks_inside else walk.newest_first(definitions, self.types, self.criteria)),
            count,
            self.results.get("_total", "none") != "none",
            self.results.get("_total") == "none",
            tuple(dict.fromkeys(self.includes)),
            projection,
            self.results.get(CURSOR, ""),
            tuple(self.understood),
            tuple(self.warnings),
            self.looks_inside and self.results.get("_containedType") == "contained",
            len(self.types) == 1 and not index.hot_date(definitions, self.types[0]),
        )
