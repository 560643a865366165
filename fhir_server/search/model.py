"""What a search is after parsing, and what it finds: frozen values.

Comes in: nothing, these are the words of the room. `parse` makes a `SearchRequest`, `run` turns it into a
`SearchPage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import ColumnElement, FromClause

from fhir_server.search.valueset import Codes
from fhir_server.spec.definitions import Definitions, SearchParameter
from fhir_server.spec.outcome import Issue
from fhir_server.store.visibility import Visibility


class Terms(Protocol):
    """What is known to the caller of codes, and of resources that are part of others (`search.terminology`)."""

    def codes(self, name: str, /) -> Codes:
        """Return what is in a value set; `NotExpandable` where that cannot be told."""
        ...

    def subsumed(self, url: str, code: str, /, *, above: bool) -> frozenset[str]:
        """Return a code and those below, or above, it; `NotExpandable` where that cannot be told."""
        ...

    def are_contained(self, types: tuple[str, ...], /) -> bool:
        """Return whether any resource contains one of these types."""
        ...

    def related(self, kind: str, param: int, starts: Sequence[int], /, *, above: bool) -> Sequence[int]:
        """Return the keys of resources and of those below, or above, them; 400 where these are too many."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """What a shape needs to understand a value.

    Attributes:
        definitions: R4 definitions.
        fhir_base: Service base URL without trailing slash.
        now_us: Instant of the request, microseconds since the epoch (prefix `ap`).
        terms: What is known of codes; None for the write face, which asks nothing of them.
    """

    definitions: Definitions
    fhir_base: str
    now_us: int
    terms: Terms | None = None


class Test(Protocol):
    """What a row of one index table must satisfy."""

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of the index table; every value bound."""
        ...


@dataclass(frozen=True, slots=True)
class Match:
    """A value list that was understood: which index table to look into and for what.

    Attributes:
        table: Name of the index table.
        test: What a row must satisfy.
        suffix: Part of the key that the write face derived from the parameter's, "" for its own (see `search.keys`).
        negated: Resources without such a row match.
        rank: Rough share of rows that match, 0 one, 9 most; the smallest leads the query on SQLite.
            INVARIANT: 0 and 1 are few rows whatever the values are (a patient's, an identifier's): such a search is
            planned once for all values.
        hot: Code keys one of which every match has, as the hot column `code` would hold it; () when unknown.
        also: Suffixes of further rows any of which will do.
    """

    table: str
    test: Test
    suffix: str = ""
    negated: bool = False
    rank: int = 5
    hot: tuple[int, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows a criterion may reach: everything it joins comes from here.

    Attributes:
        visibility: Which rows exist.
        narrow: The leading criterion leaves few rows whatever its values are: the others are looked up for those.
    """

    visibility: Visibility
    narrow: bool = False


class Criterion(Protocol):
    """One condition of a search on a readable row."""

    @property
    def rank(self) -> int:
        """Rough share of rows that match, 0 one, 9 most."""
        ...

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on `row`, a `readable`; every further hop is another `readable` of the scope.

        Args:
            row: The readable rows to restrict.
            scope: Where further rows come from.
            leads: Whether the query should start from this criterion's index.
        """
        ...


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of `_sort`.

    Attributes:
        code: Parameter code.
        parameters: That parameter for each searched type; empty for `_id` and `_lastUpdated`.
        descending: Order.
        hot: Whether the hot date columns hold it.
    """

    code: str
    parameters: tuple[SearchParameter, ...]
    descending: bool
    hot: bool = False


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include` or `_revinclude`.

    Attributes:
        source_types: Types whose references are followed; empty for every type.
        params: Keys of the reference parameters; empty for all of them (`*`).
        target_type: Only targets of this type; "" for any.
        iterate: Applied to included resources too.
        reverse: `_revinclude`.
        by_url: The references may be canonical URLs.
    """

    source_types: tuple[str, ...]
    params: tuple[int, ...]
    target_type: str
    iterate: bool
    reverse: bool
    by_url: bool


class Projection(Protocol):
    """What `_elements` or `_summary` leaves of a resource."""

    def apply(self, resource_type: str, content: bytes, *, included: bool) -> bytes:
        """Return the bytes to serve, with the SUBSETTED tag where anything may be missing."""
        ...


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A parsed search.

    Attributes:
        resource_type: Searched type, "" at system level.
        types: Types to search; empty for every type.
        criteria: All must hold.
        sort: Keys in order, those of `_sort` or of the order that costs least; empty sorts by the surrogate key.
        count: Page size; 0 asks for the total only.
        total_wanted: Whether the exact total was asked for.
        total_unwanted: Whether no total was asked for, though it costs nothing where one page holds all.
        includes: What to add to the page.
        projection: What `_elements` or `_summary` leaves, None for whole resources.
        cursor: Sealed position, "" for the first page.
        understood: The parameters as understood, in order, without the cursor: the self link.
        outcomes: Warnings about what was ignored (lenient handling).
        contained_alone: Of containers, only the contained resources that match are wanted.
        undated: Of one type whose resources have no clinical time.
    """

    resource_type: str
    types: tuple[str, ...]
    criteria: tuple[Criterion, ...]
    sort: tuple[SortKey, ...] = ()
    count: int = 50
    total_wanted: bool = False
    total_unwanted: bool = False
    includes: tuple[Include, ...] = ()
    projection: Projection | None = None
    cursor: str = ""
    understood: tuple[tuple[str, str], ...] = ()
    outcomes: tuple[Issue, ...] = ()
    contained_alone: bool = False
    undated: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One resource found.

    Attributes:
        key: Surrogate key (`store.keys.reference_key`).
        type: Resource type.
        id: Logical id.
        version: Version id.
        updated_at: Microseconds since the epoch.
        patient: Key of the first patient it belongs to, 0 for none.
        multi: It belongs to further patients (`store.belonging.further_patients`).
        content: JSON bytes as stored.
        score: How well it meets a full text search, in ten thousandths; None for any other search.
    """

    key: int
    type: str
    id: str
    version: int
    updated_at: int
    patient: int
    multi: bool
    content: bytes
    score: int | None = None


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of results.

    Attributes:
        matches: In order.
        includes: Each once, none of them a match of this page.
        outcomes: Warnings for the caller.
        total: Number of matches that exist for the caller, None when it was not asked for and is not known for nothing.
        next_cursor: Sealed position of the next page, None at the end.
        previous_cursor: That of the page before, None at the start.
        last_cursor: That of the last page, None where there is one page only.
    """

    matches: tuple[Row, ...]
    includes: tuple[Row, ...]
    outcomes: tuple[Issue, ...]
    total: int | None
    next_cursor: str | None
    previous_cursor: str | None = None
    last_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One match of a conditional interaction."""

    key: int
    id: str
    version: int
