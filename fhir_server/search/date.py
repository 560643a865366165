"""Dates: every date, instant, Period and Timing is an interval, half open, in microseconds.

Comparison follows https://hl7.org/fhir/R4/search.html#prefix word by word: a search value is an interval too, and
`eq` asks whether it contains the one in the resource.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.search.model import Match, Reading
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, split_prefix, unescape
from fhir_server.spec.definitions import SearchParameter
from fhir_server.spec.values import OPEN_END, OPEN_START, date_interval, period_interval, timing_interval

TABLE = "index_date"
MODIFIERS = frozenset({""})
VALUES_LIMIT = 100

_APPROXIMATION = 10  # a tenth of the distance between now and the value
_SYNTAX = (
    "is a date YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss[.SSS]] with an optional zone "
    "(Z, +hh:mm; + written as %2B), after an optional prefix eq, ne, gt, lt, ge, le, sa, eb or ap."
)


def interval_of(kind: str, value: Any) -> tuple[int, int] | None:
    """Return the interval of one node, None where it fixes no time (a text, an age)."""
    with suppress(ValueError):
        match kind:
            case "Period":
                return period_interval(value)
            case "Timing":
                return timing_interval(value)
            case "date" | "dateTime" | "instant":
                start, end = date_interval(value)
                # "A fixed point in time with an interval smaller than the precision of the system"; so is a time with
                # a fraction of a second, however many zeros it is searched with.
                return (start, start + 1) if kind == "instant" or "." in value else (start, end)
    return None


def write(kind: str, value: Any, _parameter: SearchParameter, _reading: Reading) -> Sequence[tuple[int, int]]:
    """Return the columns of the rows of one node: `lo`, `hi`."""
    interval = interval_of(kind, value)
    return (interval,) if interval else ()


def read(parameter: SearchParameter, _modifier: str, texts: Sequence[str], reading: Reading) -> Match:
    """Understand a list of alternatives.

    Raises:
        FhirError: 400 when a value is no date.
    """
    return Match(TABLE, DateTest(tuple(_comparison(parameter, text, reading) for text in texts)), rank=7)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One search value: how to compare, and the interval [lo, hi) that it stands for."""

    prefix: str
    lo: int = value_field()
    hi: int = value_field()


def _comparison(parameter: SearchParameter, text: str, reading: Reading) -> Comparison:
    prefix, rest = split_prefix(unescape(text))
    try:
        # In a query string a bare + is a space: take it for the sign of the zone that it was meant to be.
        lo, hi = date_interval(rest.replace(" ", "+"))
    except ValueError as error:
        raise invalid(parameter.code, _SYNTAX) from error
    if prefix == "ap":
        margin = abs(reading.now_us - lo) // _APPROXIMATION
        return Comparison(prefix, max(lo - margin, OPEN_START), min(hi + margin, OPEN_END))
    return Comparison(prefix, lo, hi)


@dataclass(frozen=True, slots=True)
class DateTest:
    """One of these comparisons."""

    comparisons: tuple[Comparison, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_date`."""
        return self.holds(index.c.lo, index.c.hi)

    def holds(self, lo: ColumnElement[int], hi: ColumnElement[int]) -> ColumnElement[bool]:
        """Return the condition on an interval [lo, hi)."""
        return or_(*(_compare(lo, hi, each.prefix, each.lo, each.hi) for each in self.comparisons))

    def begins(self, lo: ColumnElement[int]) -> ColumnElement[bool] | None:
        """Return what a match says of the start of its interval, for an index of it; None where it may be any."""
        bounds = [_begins(lo, each.prefix, each.lo, each.hi) for each in self.comparisons]
        known = [bound for bound in bounds if bound is not None]
        return or_(*known) if len(known) == len(bounds) else None


def _begins(lo: ColumnElement[int], prefix: str, from_: int, to: int) -> ColumnElement[bool] | None:
    match prefix:
        case "eq":
            return and_(lo >= from_, lo < to)
        case "lt":
            return lo < from_
        case "le" | "ap":
            return lo < to
        case "eb":
            return lo <= from_
        case "sa":
            return lo >= to
        case _:
            return None


def _compare(lo: ColumnElement[int], hi: ColumnElement[int], prefix: str, from_: int, to: int) -> ColumnElement[bool]:
    """Return the comparison of a row's interval with [from_, to).

    The operand of `eq`, `ge` and `le` that follows from the others is there for the index.
    """
    comparisons: dict[str, ColumnElement[bool]] = {
        "eq": and_(lo >= from_, lo < to, hi <= to),
        "ne": or_(lo < from_, hi > to),
        "gt": hi > to,
        "lt": lo < from_,
        "ge": and_(hi > from_, or_(hi > to, lo >= from_)),
        "le": and_(lo < to, or_(lo < from_, hi <= to)),
        "sa": lo >= to,
        "eb": hi <= from_,
        "ap": and_(lo < to, hi > from_),
    }
    return comparisons[prefix]


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare."""
    return index.c.lo, index.c.lo
