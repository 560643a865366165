"""Walk an index in the order of the page, so that the first page of a million matches is a few look-ups.

To sort, a database has to take every match, and decide whether it exists for the caller, before it knows the first.
Some orders are there already: `index_token` has the rows of each code by clinical time, `resource` those of each type
by clinical time and by last update; and where any order will do, keys are sorted before anything is decided. Of a
window of these, the rows that exist for the caller and meet the other criteria make the page if they fill it. If not,
a wider window may; else the search is answered as any other (`search.run`).

INVARIANT: a window says only which keys to ask `readable` for, and a page is taken from one only where the whole
search would give the same page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
    or_,
    select,
    tuple_,
    union,
)

from fhir_server.search import date, index, quantity, text
from fhir_server.search.criteria import Chain, Has, HotDate, Indexed, Missing
from fhir_server.search.cursor import Place
from fhir_server.search.keys import of_parameters
from fhir_server.search.leading import is_narrow
from fhir_server.search.model import Criterion, Scope, SearchRequest, SortKey
from fhir_server.search.on_row import LastUpdated
from fhir_server.search.rows import row_columns
from fhir_server.search.token import TABLE, TokenTest
from fhir_server.search.token_sets import CodesTest
from fhir_server.spec.definitions import Definitions
from fhir_server.store.index_rows import NO_DATE, alias, of_type
from fhir_server.store.visibility import Look, Visibility, readable

WINDOWS = (200, 2_000, 20_000)
_UPDATED = "_lastUpdated"
_CODES_LIMIT = 8
_COMMON_RANK = 3
_COMMON = frozenset({TABLE, date.TABLE, quantity.TABLE})


def newest_first(definitions: Definitions, types: Sequence[str], criteria: Sequence[Criterion]) -> tuple[SortKey, ...]:
    """Return the order of a search that asks for none: newest first where an index has that, else by surrogate key."""
    code = index.hot_date(definitions, types[0]) if len(types) == 1 else ""
    if not code or text.is_scored(criteria) or not (is_narrow(criteria) or _may_walk(criteria)):
        return ()
    return (SortKey(code, (definitions.search_parameters(types[0])[code],), descending=True, hot=True),)


@dataclass(frozen=True, slots=True)
class Walk:
    """Which rows to walk, and how.

    Attributes:
        request: The search.
        place: The page; values of its position as they stand in the statement.
        first: The criterion whose rows are walked; None for the rows of the type.
        others: The other criteria.
        by_key: In the order of keys, whatever rows `first` is about; else those of a few codes, by time.
    """

    request: SearchRequest
    place: Place
    first: Indexed | None
    others: tuple[Criterion, ...]
    by_key: bool = False

    @property
    def is_partial(self) -> bool:
        """Return whether windows leave out resources without a time, so that what one holds is not all there is."""
        return self._is_by_time and (self.first is None or not self.request.sort[0].descending)

    @property
    def is_sparse(self) -> bool:
        """Return whether other criteria are such that a window without a match says that matches are few."""
        return any(isinstance(each, (Chain, Has)) for each in self.others)

    @property
    def _is_by_time(self) -> bool:
        return bool(self.request.sort) and self.request.sort[0].hot

    @property
    def _is_by_update(self) -> bool:
        return self.first is None and bool(self.request.sort) and not self._is_by_time

    @property
    def _descends(self) -> bool:
        return (bool(self.request.sort) and self.request.sort[0].descending) is not self.place.backwards

    def page(self, visibility: Visibility, width: int, look: Look = Look.EXACT) -> Select[Any]:
        """Return the statement of the page, and one row more, out of a window of so many rows."""
        rows, row = self._window(width).subquery(), readable(visibility, self.request.types, look=look)
        scope = Scope(visibility, narrow=True)
        # Index rows are looked at before the resource is: most of those that fail cost no more than that.
        held = [
            (replace(each, codes=()) if isinstance(each, Indexed) else each).condition(
                rows if isinstance(each, (Indexed, Missing, Chain, Has)) else row, scope, leads=False
            )
            for each in self.others
        ]
        times = [row.c.date_lo if self._is_by_time else row.c.updated_at] if self.request.sort else []
        position = [column.label(f"order_{number}") for number, column in enumerate([*times, row.c.key])]
        settled = [row.c.settled] if look is Look.LIKELY else []
        return (
            select(*row_columns(row), *settled, *position)
            .select_from(rows.join(row, row.c.key == rows.c.key))
            .where(*held)
            .order_by(*self._order(rows))
            .limit(_limit(self.request.count + 1))
        )

    def looked_at(self, width: int) -> Select[Any]:
        """Return the statement that counts the rows in a window: fewer than its width are all that there are."""
        return select(func.count()).select_from(self._window(width).subquery())

    def _window(self, width: int) -> Select[Any]:
        """Return the first times and keys, in the order of the page, of what is walked."""
        if self.first is None:
            return self._some_of(of_type(self.request.types[0]), (), width)
        if self.by_key:
            rows = alias(self.first.table)
            return self._some_of(
                rows, (of_parameters(rows, self.first.params), self.first.test.on(rows)), width
            ).distinct()
        assert isinstance(self.first.test, TokenTest)  # noqa: S101 - what `_is_codes` says
        ways = []
        for system, code in _ways(self.first.test):
            rows = alias(TABLE)
            held = [of_parameters(rows, self.first.params), rows.c.code == code]
            held += [] if system is None else [rows.c.system == system]
            way = self._some_of(rows, held, width)
            # INVARIANT: each counts resources: one may have the code in several systems.
            ways.append(way.distinct() if system is None else way)
        if len(ways) == 1:
            return ways[0]
        each = [way.subquery() for way in ways]
        either = union(*(select(way.c.time, way.c.key) for way in each)).subquery()
        return select(either.c.time, either.c.key).order_by(*self._order(either)).limit(_limit(width))

    def _some_of(self, rows: FromClause, held: Sequence[ColumnElement[bool]], width: int) -> Select[Any]:
        if self.by_key:
            time: ColumnElement[int] = literal_column("0", BigInteger())
        else:
            time = rows.c.updated_at if self._is_by_update else rows.c.date
        taken = select(time.label("time"), rows.c.key).where(*held, *self._measured(rows), *self._within(rows, time))
        return taken.order_by(*self._ordered(time, rows.c.key)).limit(_limit(width))

    def _measured(self, rows: FromClause) -> Iterator[ColumnElement[bool]]:
        """Yield what rows of tokens say of numbers that are asked for: no other row can be of a match."""
        if self.first is None or self.first.table != TABLE:
            return
        for each in self.others:
            if isinstance(each, Indexed) and each.on_tokens and isinstance(each.test, quantity.QuantityTest):
                asked = each.test.of_number(rows.c.value)
                if asked is not None:
                    yield or_(rows.c.value.is_(None), asked)

    def _order(self, rows: FromClause) -> list[UnaryExpression[Any]]:
        return self._ordered(rows.c.time, rows.c.key)

    def _ordered(self, *columns: ColumnElement[int]) -> list[UnaryExpression[Any]]:
        """Return time and key in the direction of the page; the time only where there is one."""
        return [column.desc() if self._descends else column.asc() for column in columns[int(self.by_key) :]]

    def _within(self, rows: FromClause, time: ColumnElement[int]) -> Iterator[ColumnElement[bool]]:
        """Yield that rows come after the position (before it, on the way back), at a time that may pass."""
        if self.first is None and not self.request.sort:
            # None of this type has a time: by that, the index has them by key.
            yield time.is_(None)
        if self.is_partial:
            # Those without a time come last, which is not where the index has them.
            yield time.is_not(None) if self.first is None else time > NO_DATE
        for each in self.others:
            if isinstance(each, HotDate) and self._is_by_time and (bound := each.test.begins(time)) is not None:
                yield bound
            elif isinstance(each, LastUpdated) and self._is_by_update:
                yield each.test.holds(time, time + 1)
        if self.place.position:
            *times, key = self.place.position
            if self.by_key or (not self.request.sort and self.first is None):
                yield rows.c.key < _bound(key) if self._descends else rows.c.key > _bound(key)
                return
            place = tuple_(_bound(times[0] if times and times[0] is not None else NO_DATE), _bound(key))
            here = tuple_(time, rows.c.key)
            yield here < place if self._descends else here > place


def of(request: SearchRequest, criteria: Sequence[Criterion], place: Place) -> Walk | None:
    """Return how to walk to a page; None where no index has its order, or another way finds the matches sooner.

    Args:
        request: The search.
        criteria: Its criteria, as they stand in the statement.
        place: The page; values of its position as they stand in the statement.
    """
    if len(request.types) != 1 or len(request.sort) > 1:
        return None
    if not _may_walk(criteria):
        return None if request.sort else _by_key(request, criteria, place)
    first = _leader(criteria)
    # Without a time they come last in either order, and an index has them before all others.
    is_dated = place.position[0] is not None if place.position else not place.backwards
    match request.sort:
        case () if request.undated:
            return _walk(request, criteria, place, first)
        case (sort,) if sort.code == _UPDATED:
            return _walk(request, criteria, place, None)
        case (sort,) if sort.hot and (is_dated or (first is not None and sort.descending)):
            return _walk(request, criteria, place, first)
        case _:
            return None


def _by_key(request: SearchRequest, criteria: Sequence[Criterion], place: Place) -> Walk | None:
    """Return how to walk what the narrowest criterion is about, None where that has few rows or is no index's."""
    first = min(criteria, key=lambda each: (each.rank, isinstance(each, Indexed)))
    serves = all(isinstance(each, (Indexed, Missing, Chain, HotDate, LastUpdated)) for each in criteria)
    if not serves or is_narrow(criteria) or text.is_scored(criteria):
        return None
    if not isinstance(first, Indexed) or first.negated or isinstance(first.test, CodesTest):
        return None
    return replace(_walk(request, criteria, place, first), by_key=True)


def _walk(request: SearchRequest, criteria: Sequence[Criterion], place: Place, first: Indexed | None) -> Walk:
    return Walk(request, place, first, tuple(each for each in criteria if each is not first))


def next_window(walk: Walk, tried: int, found: int) -> int | None:
    """Return the window to try after one that held too few rows, None where none is likely to fill the page."""
    wider = [window for window in WINDOWS if window > tried]
    if tried == WINDOWS[0] and not found and not walk.is_sparse:
        return wider[0]
    return next((window for window in wider if found * window > walk.request.count * tried), None)


def _may_walk(criteria: Sequence[Criterion]) -> bool:
    """Return whether no criterion is likely to leave so few rows that it should lead."""
    return all(_is_common(each) for each in criteria)


def _is_common(criterion: Criterion) -> bool:
    if isinstance(criterion, Indexed):
        return criterion.table in _COMMON and criterion.rank >= _COMMON_RANK
    if isinstance(criterion, (Chain, Has)):
        return criterion.criterion.rank >= _COMMON_RANK
    return isinstance(criterion, (Missing, HotDate, LastUpdated))


def _leader(criteria: Sequence[Criterion]) -> Indexed | None:
    """Return the criterion whose rows to walk, None where none has a few codes."""
    return min(filter(_is_codes, criteria), key=lambda each: each.rank, default=None)


def _is_codes(criterion: Criterion) -> TypeGuard[Indexed]:
    if not isinstance(criterion, Indexed) or criterion.table != TABLE or criterion.negated:
        return False
    test = criterion.test
    return isinstance(test, TokenTest) and not test.systems and 0 < len(_ways(test)) <= _CODES_LIMIT


def _ways(test: TokenTest) -> list[tuple[int | None, int]]:
    """Return the codes of a test, each with its system where that is said."""
    return [*((None, code) for code in test.codes), *((s, code) for s, codes in test.of_system for code in codes)]


def _limit(count: int) -> ColumnElement[int]:
    """Return a count as text: with a bound one PostgreSQL would plan for a tenth of all rows."""
    return literal_column(str(count), Integer())


def _bound(value: Any) -> ColumnElement[int]:
    return value if isinstance(value, ColumnElement) else literal(value, BigInteger)
