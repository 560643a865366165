"""What an export lists of one type, in the order of the last update: an index has it, and news join at its end.

Comes in: types, filters and whose records. Goes out: a `SearchRequest`, run like every other search under the
visibility of the caller. INVARIANT: a filter that is not understood is refused, never passed over: passing it over
would export more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, FromClause, or_, select

from fhir_server.search import syntax
from fhir_server.search.criteria import AllOf, AnyOf
from fhir_server.search.date import Comparison, DateTest
from fhir_server.search.model import Criterion, Scope, SearchRequest, Terms
from fhir_server.search.on_row import LastUpdated
from fhir_server.search.parse import parse
from fhir_server.search.prepare import value as value_field
from fhir_server.spec.definitions import Definitions
from fhir_server.store import index_rows
from fhir_server.store.visibility import RULES

PAGE_COUNT = 1_000
_SHAPING = frozenset(
    {
        "_sort", "_count", "_total", "_summary", "_elements", "_include", "_revinclude", "_contained",
        "_containedType", "_cursor", "_type", "_format", "_pretty",
    }
)  # fmt: skip
"""Parameters that say how a result looks, not what is in it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What to list of one type.

    Attributes:
        type: Resource type.
        since_us: Only what was updated after this instant, microseconds since the epoch; None without limit.
        filters: Search queries as pairs, of which a resource meets one; none for all.
        patients: Keys of the patients whose records it is limited to; none for all.
        group: Key of the Group whose members' records it is limited to; 0 for all.
    """

    type: str
    since_us: int | None = None
    filters: tuple[tuple[tuple[str, str], ...], ...] = ()
    patients: tuple[int, ...] = ()
    group: int = 0


def request_of(
    listing: Listing, definitions: Definitions, *, fhir_base: str, terms: Terms, now_us: int
) -> SearchRequest:
    """Return the search that lists what was asked for.

    Raises:
        FhirError: 400 naming what is not understood in a filter.
    """

    def parsed(query: Sequence[tuple[str, str]]) -> SearchRequest:
        return parse(definitions, listing.type, query, fhir_base=fhir_base, now_us=now_us, terms=terms)

    base = parsed((("_sort", "_lastUpdated"), ("_count", str(PAGE_COUNT))))
    criteria: list[Criterion] = []
    if listing.since_us is not None:
        criteria.append(LastUpdated(DateTest((Comparison("ge", listing.since_us + 1, listing.since_us + 2),))))
    if listing.patients or listing.group:
        member = definitions.search_parameters("Group")["member"].key
        criteria.append(_OfPatients(member, listing.patients, listing.group))
    alternatives = []
    for query in listing.filters:
        for name, _ in query:
            if name.partition(":")[0] in _SHAPING:
                raise syntax.unsupported(name, "says how a result looks: a _typeFilter takes criteria only.")
        alternatives.append(parsed(query).criteria)
    # One without criteria lets everything through.
    if alternatives and all(alternatives):
        criteria += alternatives[0] if len(alternatives) == 1 else [AnyOf(tuple(map(AllOf, alternatives)))]
    return replace(base, criteria=(*base.criteria, *criteria))


@dataclass(frozen=True, slots=True)
class _OfPatients:
    """The resource is of the record of one of these patients, or of a member of the Group."""

    member: int
    patients: tuple[int, ...] = value_field()
    group: int = value_field()
    rank: int = 1

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        further = RULES.resource_patient.alias()
        found: list[ColumnElement[bool]] = []
        if self.patients:
            shared = select(further.c.key).where(further.c.patient.in_(self.patients))
            found += [row.c.patient.in_(self.patients), row.c.key.in_(shared)]
        else:
            index = index_rows.alias("index_reference")
            members = select(index.c.target).where(index.c.key == self.group, index.c.param == self.member)
            shared = select(further.c.key).where(further.c.patient.in_(members))
            found += [row.c.patient.in_(members), row.c.key.in_(shared)]
        return or_(*found)
