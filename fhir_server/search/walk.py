"""Walk the rows of a code in the order of the page, so that the first page of a million matches is a few look-ups.

To sort, a database has to take every match before it knows the first. `index_token` holds the rows of each code in
clinical order already: of a window of these, the rows that exist for the caller and meet the other criteria make the
page if they fill it. If not, a wider window may; else the search is answered as any other (`search.run`).

INVARIANT: a window says only which keys to ask `readable` for, and a page is taken from one only where the whole
search would give the same page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    UnaryExpression,
    func,
    literal,
    literal_column,
    select,
    tuple_,
    union,
)

from fhir_server.search import date, index, quantity, text
from fhir_server.search.criteria import HotDate, Indexed, LastUpdated, Missing, is_narrow
from fhir_server.search.cursor import Place
from fhir_server.search.keys import of_parameters
from fhir_server.search.model import Criterion, Scope, SearchRequest, SortKey
from fhir_server.search.rows import row_columns
from fhir_server.search.token import TABLE, TokenTest
from fhir_server.spec.definitions import Definitions
from fhir_server.store.index_rows import NO_DATE, alias
from fhir_server.store.visibility import Visibility, readable

WINDOWS = (200, 2_000, 20_000)
_CODES_LIMIT = 8
_COMMON_RANK = 3
_COMMON = frozenset({TABLE, date.TABLE, quantity.TABLE})


def newest_first(definitions: Definitions, types: Sequence[str], criteria: Sequence[Criterion]) -> tuple[SortKey, ...]:
    """Return the order of a search that asks for none: newest first where an index has that, else by surrogate key."""
    code = index.hot_date(definitions, types[0]) if len(types) == 1 else ""
    if not code or text.is_scored(criteria) or not (is_narrow(criteria) or leader(criteria)):
        return ()
    return (SortKey(code, (definitions.search_parameters(types[0])[code],), descending=True, hot=True),)


def leader(criteria: Sequence[Criterion]) -> Indexed | None:
    """Return the criterion whose rows to walk; None where another criterion may leave few rows, and should lead."""
    first = min(filter(_is_codes, criteria), key=lambda each: each.rank, default=None)
    is_first = first is not None and all(each is first or _is_common(each) for each in criteria)
    return first if is_first else None


def _is_codes(criterion: Criterion) -> TypeGuard[Indexed]:
    if not isinstance(criterion, Indexed) or criterion.table != TABLE or criterion.negated:
        return False
    test = criterion.test
    if not isinstance(test, TokenTest) or test.systems or len(criterion.params) != 1 or criterion.rank < _COMMON_RANK:
        return False
    return len(_ways(test)) <= _CODES_LIMIT


def _is_common(criterion: Criterion) -> bool:
    if isinstance(criterion, Indexed):
        return criterion.table in _COMMON and criterion.rank >= _COMMON_RANK
    return isinstance(criterion, (Missing, HotDate, LastUpdated))


def is_walkable(request: SearchRequest, place: Place) -> bool:
    """Return whether a walk may find a page: of one type, in the order of the index."""
    if len(request.types) != 1 or len(request.sort) > 1 or leader(request.criteria) is None:
        return False
    if not request.sort:
        return True
    if not request.sort[0].hot:
        return False
    if request.sort[0].descending:
        return True
    # Resources without a time come last in either order; the index has them before all others.
    return place.position[0] is not None if place.position else not place.backwards


def is_partial(request: SearchRequest) -> bool:
    """Return whether a window leaves out resources without a time, so that what it holds is not all there is."""
    return bool(request.sort) and not request.sort[0].descending


def next_window(tried: int, found: int, wanted: int) -> int | None:
    """Return the window to try after one that held too few rows, None where none is likely to fill the page."""
    wider = [window for window in WINDOWS if window > tried]
    if tried == WINDOWS[0] and not found:
        return wider[0]
    return next((window for window in wider if found * window >= wanted * tried), None)


def page(
    visibility: Visibility, request: SearchRequest, criteria: Sequence[Criterion], place: Place, window: int
) -> Select[Any]:
    """Return the statement of one page, and one row more, out of a window of the leading criterion's rows.

    Args:
        visibility: Which rows exist.
        request: The search.
        criteria: Those of the search, as they stand in the statement.
        place: The page; values of its position as they stand in the statement.
        window: How many rows to look at.
    """
    first = leader(criteria)
    assert first is not None  # noqa: S101 - what `is_walkable` says
    walked, row = _window(first, request, place, window).subquery(), readable(visibility, request.types)
    scope = Scope(visibility, narrow=True)
    # Index rows are looked at before the resource is: most of those that fail cost no more than that.
    held = [
        (replace(each, codes=()) if isinstance(each, Indexed) else each).condition(
            walked if isinstance(each, (Indexed, Missing)) else row, scope, leads=False
        )
        for each in criteria
        if each is not first
    ]
    position = [*([row.c.date_lo] if request.sort else []), row.c.key]
    return (
        select(*row_columns(row), *(column.label(f"order_{number}") for number, column in enumerate(position)))
        .select_from(walked.join(row, row.c.key == walked.c.key))
        .where(*held)
        .order_by(*_order(walked, _descends(request, place)))
        .limit(literal_column(str(request.count + 1)))
    )


def walked(request: SearchRequest, criteria: Sequence[Criterion], place: Place, window: int) -> Select[Any]:
    """Return the statement that counts the rows in a window: fewer than its width are all that there are."""
    first = leader(criteria)
    assert first is not None  # noqa: S101 - what `is_walkable` says
    return select(func.count()).select_from(_window(first, request, place, window).subquery())


def _descends(request: SearchRequest, place: Place) -> bool:
    return (bool(request.sort) and request.sort[0].descending) is not place.backwards


def _order(rows: FromClause, descends: bool) -> list[UnaryExpression[Any]]:  # noqa: FBT001 - one of two directions
    columns = (rows.c.date, rows.c.key)
    return [column.desc() if descends else column.asc() for column in columns]


def _window(first: Indexed, request: SearchRequest, place: Place, width: int) -> Select[Any]:
    """Return the first times and keys, in the order of the page, of resources with one of the codes."""
    descends = _descends(request, place)
    limit: ColumnElement[int] = literal_column(str(width), Integer())
    assert isinstance(first.test, TokenTest)  # noqa: S101 - what `leader` looks for
    ways = []
    for system, code in _ways(first.test):
        rows = alias(TABLE)
        held = [of_parameters(rows, first.params), rows.c.code == code]
        held += [rows.c.system == system] if system is not None else []
        held += _within(rows, request, place, descends=descends)
        way = select(rows.c.date, rows.c.key).where(*held).order_by(*_order(rows, descends)).limit(limit)
        # INVARIANT: each counts resources: one may have the code in several systems.
        ways.append(way if system is not None else way.distinct())
    if len(ways) == 1:
        return ways[0]
    each = [way.subquery() for way in ways]
    either = union(*(select(way.c.date, way.c.key) for way in each)).subquery()
    return select(either.c.date, either.c.key).order_by(*_order(either, descends)).limit(limit)


def _within(rows: FromClause, request: SearchRequest, place: Place, *, descends: bool) -> Iterator[ColumnElement[bool]]:
    """Yield that rows come after the position (before it on the way back), and are where the order has them."""
    if is_partial(request):
        # Without a time they come last, which is not where the index has them.
        yield rows.c.date > NO_DATE
    if place.position:
        *times, key = place.position
        time = times[0] if times and times[0] is not None else NO_DATE
        here, there = tuple_(rows.c.date, rows.c.key), tuple_(_bound(time), _bound(key))
        yield here < there if descends else here > there


def _ways(test: TokenTest) -> list[tuple[int | None, int]]:
    """Return the codes of a test, each with its system where that is said."""
    return [*((None, code) for code in test.codes), *((s, code) for s, codes in test.of_system for code in codes)]


def _bound(value: Any) -> ColumnElement[int]:
    return value if isinstance(value, ColumnElement) else literal(value, BigInteger)
