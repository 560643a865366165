"""Hold values to the least, the most and the longest that a profile allows (https://hl7.org/fhir/R4/elementdefinition.html).

Comes in: `minValue[x]`, `maxValue[x]` and `maxLength` of an ElementDefinition. Goes out: what is wrong with a value.
Only what is certain is wrong: the year 2020 may be after May 2020, and grams say nothing of litres.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

from fhir_server.spec.primitives import PRIMITIVES
from fhir_server.spec.ucum import unit
from fhir_server.spec.values import date_interval

_UCUM = "http://unitsofmeasure.org"
_DATED = frozenset({"date", "dateTime", "instant"})
_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"})

Interval = tuple[Any, Any]


class Limits(NamedTuple):
    """The least and the most, each as (type, value), None where there is none; and how many characters."""

    least: tuple[str, Any] | None
    most: tuple[str, Any] | None
    length: int | None


def limits_of(definition: Mapping[str, Any]) -> Limits | None:
    """Return the limits of an ElementDefinition, None where it has none."""
    length = definition.get("maxLength")
    found = Limits(
        _typed(definition, "minValue"), _typed(definition, "maxValue"), length if type(length) is int else None
    )
    return found if any(each is not None for each in found) else None


def find_excess(limits: Limits, type_name: str, value: Any) -> str:
    """Return what a value must be and is not, "" where nothing is certainly wrong with it."""
    if limits.length is not None and type(value) is str and len(value) > limits.length:
        return f"must have at most {limits.length} characters"
    if limits.least and _is_before(type_name, value, limits.least):
        return f"must be at least {_shown(limits.least[1])}"
    if limits.most and _is_before(type_name, value, limits.most, beyond=True):
        return f"must be at most {_shown(limits.most[1])}"
    return ""


def _typed(definition: Mapping[str, Any], prefix: str) -> tuple[str, Any] | None:
    for name, value in definition.items():
        if name.startswith(prefix):
            kind = name.removeprefix(prefix)
            return kind[:1].lower() + kind[1:] if kind != "Quantity" else kind, value
    return None


def _is_before(type_name: str, value: Any, limit: tuple[str, Any], *, beyond: bool = False) -> bool:
    """Return whether all of a value is before all of a limit; with `beyond`, after it."""
    kind, bound = limit
    for types, measure in _MEASURES:
        if type_name in types and kind in types:
            both = measure(value, bound)
            if both is None:
                return False
            (low, high), (least, most) = both
            return bool(low > most) if beyond else bool(high < least)
    return False


def _numbers(value: Any, bound: Any) -> tuple[Interval, Interval] | None:
    if not all(isinstance(each, (int, Decimal)) and type(each) is not bool for each in (value, bound)):
        return None
    return (value, value), (bound, bound)


def _times(value: Any, bound: Any) -> tuple[Interval, Interval] | None:
    return ((value, value), (bound, bound)) if type(value) is str and type(bound) is str else None


def _days(value: Any, bound: Any) -> tuple[Interval, Interval] | None:
    if type(value) is not str or type(bound) is not str:
        return None
    try:
        (low, high), (least, most) = date_interval(value), date_interval(bound)
    except ValueError:
        return None
    # The intervals are open at their end.
    return (low, high - 1), (least, most - 1)


def _quantities(value: Any, bound: Any) -> tuple[Interval, Interval] | None:
    if type(value) is not dict or not isinstance(bound, Mapping):
        return None
    first, second = _measured(value), _measured(bound)
    if first is None or second is None or first[0] != second[0]:
        return None
    return (first[1], first[1]), (second[1], second[1])


def _measured(quantity: Mapping[str, Any]) -> tuple[Any, Fraction] | None:
    """Return what a quantity measures and how much of it there is."""
    number, system, code = (quantity.get(name) for name in ("value", "system", "code"))
    # As a fraction, 1E999999 has a million digits.
    if not isinstance(number, (int, Decimal)) or not PRIMITIVES["decimal"].accepts(number):
        return None
    if system == _UCUM and type(code) is str and (found := unit(code)) is not None:
        return (_UCUM, found.dimension), (Fraction(number) + found.offset) * found.factor
    name = code if type(code) is str else quantity.get("unit")
    return (system if type(system) is str else None, name if type(name) is str else None), Fraction(number)


_MEASURES: tuple[tuple[frozenset[str], Callable[[Any, Any], tuple[Interval, Interval] | None]], ...] = (
    (_NUMBERS, _numbers),
    (_DATED, _days),
    (frozenset({"time"}), _times),
    (_QUANTITIES, _quantities),
)


def _shown(bound: Any) -> str:
    if isinstance(bound, Mapping):
        return f"{bound.get('value')} {bound.get('unit') or bound.get('code') or ''}".strip()
    return str(bound)
