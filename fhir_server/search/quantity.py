"""Numbers and quantities: a range of values, and for a quantity its unit (https://hl7.org/fhir/R4/search.html#quantity).

`eq`, `ne` and `ap` take the significant figures of the search value into account, the other prefixes compare with it
exactly. A UCUM unit compares with every commensurable one, in base units; any other unit only with itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, not_, or_

from fhir_server.search import keys, sampled, units
from fhir_server.search.model import Match, Reading
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, split, split_prefix, unescape
from fhir_server.spec.definitions import SearchParameter
from fhir_server.spec.values import decimal_range

TABLE = "index_quantity"
MODIFIERS = frozenset({""})
VALUES_LIMIT = 100

_CURRENCIES = "urn:iso:std:iso:4217"
_NUMBER = "[number] with an optional prefix eq, ne, gt, lt, ge, le, sa, eb or ap before it"
_SYNTAX = {
    "number": f"is {_NUMBER}.",
    "quantity": f"is [number], [number]|[system], [number]|[system]|[code] or [number]||[code or unit], {_NUMBER}.",
}
_APPROXIMATION = Decimal("0.1")
_BELOW, _ABOVE, _OPEN = frozenset({"<", "<="}), frozenset({">", ">="}), frozenset({"<", ">"})

Number = Decimal | float


class Columns(NamedTuple):
    """Columns of `index_quantity` that a value fills, in their order."""

    lo: float
    hi: float
    system: int
    code: int
    unit: int
    dimension: int
    canonical_lo: float
    canonical_hi: float


def write(kind: str, value: Any, _parameter: SearchParameter, _reading: Reading) -> Iterator[Columns]:
    """Yield the columns of the rows of one node."""
    match kind:
        case "Range":
            low, high = value.get("low") or {}, value.get("high") or {}
            if (bounds := (low.get("value"), high.get("value"))) != (None, None):
                yield _row(*bounds, *_unit_of({**high, **low}))
        case "Money":
            if (amount := value.get("value")) is not None:
                yield _row(amount, amount, _CURRENCIES, value.get("currency"), value.get("currency"))
        case "SampledData":
            if points := sampled.bounds(value):
                yield _row(*points, *_unit_of(value.get("origin") or {}))
        case _ if isinstance(value, dict):
            if (amount := value.get("value")) is not None:
                comparator = value.get("comparator")
                ends = (None if comparator in _BELOW else amount, None if comparator in _ABOVE else amount)
                yield _row(*ends, *_unit_of(value), is_open=comparator in _OPEN)
        case _ if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            yield _row(value, value, None, None, None)


def _unit_of(quantity: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    return quantity.get("system"), quantity.get("code"), quantity.get("unit")


def _row(
    low: Number | None,
    high: Number | None,
    system: str | None,
    code: str | None,
    unit: str | None,
    *,
    is_open: bool = False,
) -> Columns:
    """Return the columns of an interval that has no end where it has None, and not its other end where it is open."""
    scale = units.scale(system, code)
    lo, hi = _ends(low, high, units.AS_WRITTEN, is_open=is_open)
    canonical = _ends(low, high, scale, is_open=is_open) if scale.dimension else (lo, hi)
    named = (keys.text_key(system), keys.text_key(code), keys.text_key(unit))
    return Columns(lo, hi, *named, scale.dimension, *canonical)


def _ends(low: Number | None, high: Number | None, scale: units.Scale, *, is_open: bool) -> tuple[float, float]:
    if low is high and low is not None:
        return (lo := scale.canonical(low)), lo
    lo = -math.inf if low is None else scale.canonical(low)
    hi = math.inf if high is None else scale.canonical(high)
    if is_open:
        return (lo, math.nextafter(hi, lo)) if low is None else (math.nextafter(lo, hi), hi)
    return lo, hi


def read(parameter: SearchParameter, _modifier: str, texts: Sequence[str], _reading: Reading) -> Match:
    """Understand a list of alternatives.

    Raises:
        FhirError: 400 when a value is no number or quantity.
    """
    return Match(TABLE, QuantityTest(tuple(_comparison(parameter, text) for text in texts)), rank=7)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One search value.

    Attributes:
        prefix: How to compare.
        exact: The number itself.
        lo, hi: The range [lo, hi) that its figures stand for.
        system, code: Key of the unit's system and code, () for any.
        dimension: Key of what a UCUM unit measures; then the numbers are in base units, and the code says no more.
        loose: `||code`: the code may also stand as the unit's text, of whatever system.
    """

    prefix: str
    exact: float = value_field()
    lo: float = value_field()
    hi: float = value_field()
    system: tuple[int, ...] = value_field(default=())
    code: tuple[int, ...] = value_field(default=())
    dimension: tuple[int, ...] = value_field(default=())
    loose: bool = False


def _comparison(parameter: SearchParameter, text: str) -> Comparison:
    parts = [unescape(part) for part in split(text, "|")]
    prefix, number = split_prefix(parts[0])
    try:
        lo, hi = decimal_range(number)
    except ValueError as error:
        raise invalid(parameter.code, _SYNTAX[parameter.type]) from error
    exact = Decimal(number)
    if prefix == "ap":
        margin = abs(exact) * _APPROXIMATION
        lo, hi = min(lo, exact - margin), max(hi, exact + margin)
    bounds = (prefix, float(exact), float(lo), float(hi))
    match parts[1:]:
        case [] | [""] | ["", ""]:
            return Comparison(*bounds)
        case [system] if parameter.type == "quantity":
            return Comparison(*bounds, system=(keys.text_key(system),))
        case [system, code] if (scale := units.scale(system, code)).dimension and parameter.type == "quantity":
            canonical = (prefix, scale.canonical(exact), scale.canonical(lo), scale.canonical(hi))
            return Comparison(*canonical, dimension=(scale.dimension,))
        case ["", code] if parameter.type == "quantity":
            return Comparison(*bounds, code=(keys.text_key(code),), loose=True)
        case [system, code] if parameter.type == "quantity":
            return Comparison(
                *bounds,
                system=(keys.text_key(system),) if system else (),
                code=(keys.text_key(code),) if code else (),
            )
        case _:
            raise invalid(parameter.code, _SYNTAX[parameter.type])


@dataclass(frozen=True, slots=True)
class QuantityTest:
    """One of these comparisons."""

    comparisons: tuple[Comparison, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_quantity`."""
        return or_(*(_compare_row(index, each) for each in self.comparisons))

    def of_number(self, number: ColumnElement[float]) -> ColumnElement[bool] | None:
        """Return what a number has to meet whatever its unit is; None where a unit says which numbers to compare."""
        if any(each.dimension for each in self.comparisons):
            return None
        return or_(*(_compare(number, number, each) for each in self.comparisons))


def _compare_row(index: FromClause, wanted: Comparison) -> ColumnElement[bool]:
    if wanted.dimension:
        comparable = index.c.dimension.in_(wanted.dimension)
        return and_(comparable, _compare(index.c.canonical_lo, index.c.canonical_hi, wanted))
    return and_(*_unit(index, wanted), _compare(index.c.lo, index.c.hi, wanted))


def _unit(index: FromClause, wanted: Comparison) -> Iterator[ColumnElement[bool]]:
    if wanted.system:
        yield index.c.system.in_(wanted.system)
    if wanted.loose:
        yield or_(index.c.code.in_(wanted.code), index.c.unit.in_(wanted.code))
    elif wanted.code:
        yield index.c.code.in_(wanted.code)


def _compare(lo: ColumnElement[float], hi: ColumnElement[float], wanted: Comparison) -> ColumnElement[bool]:
    within = and_(lo >= wanted.lo, lo < wanted.hi, hi < wanted.hi)
    comparisons: dict[str, ColumnElement[bool]] = {
        "eq": within,
        "ne": not_(within),
        "gt": hi > wanted.exact,
        "lt": lo < wanted.exact,
        "ge": hi >= wanted.exact,
        "le": lo <= wanted.exact,
        "sa": lo > wanted.exact,
        "eb": and_(lo < wanted.exact, hi < wanted.exact),
        "ap": and_(lo <= wanted.hi, hi >= wanted.lo),
    }
    return comparisons[wanted.prefix]


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare: base units where UCUM knows the unit."""
    return index.c.canonical_lo, index.c.canonical_hi
