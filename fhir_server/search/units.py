"""Quantities in canonical units: which unit codes are comparable, and a value in the base units of its dimension.

Comes in: a number and the system and code of its unit, as stored or as searched for. Goes out: a key that equal
dimensions share, and the value as the double nearest to the exact one. INVARIANT: conversion is rational and rounded
once, so that one quantity written in two units becomes one double, and the order of values never turns around.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache

from fhir_server.spec import ucum
from fhir_server.store.keys import NONE, hash64

# More digits than any measurement has; a hostile number costs no more than these.
_CONTEXT = Context(prec=64, Emin=-999_999, Emax=999_999)
_EXPONENT_LIMIT = 400


@dataclass(frozen=True, slots=True)
class Scale:
    """How values of a unit become canonical: (value * times + plus) / over.

    Attributes:
        dimension: Key of what it measures; units with the same are commensurable.
    """

    dimension: int
    times: int = 1
    plus: int = 0
    over: int = 1

    def canonical(self, number: Decimal | float) -> float:
        """Return a value in base units, to the nearest double; infinities stay what they are."""
        if self.dimension == NONE and not isinstance(number, int):
            return float(number)
        if isinstance(number, float):
            if not math.isfinite(number):
                return number
        elif isinstance(number, Decimal):
            number = _CONTEXT.plus(number)
            if abs(number.adjusted()) > _EXPONENT_LIMIT:
                return float(number)
        value, parts = number.as_integer_ratio()
        try:
            return (value * self.times + parts * self.plus) / (parts * self.over)
        except OverflowError:
            return math.copysign(math.inf, value)


AS_WRITTEN = Scale(NONE)
"""What has no unit, or one that only its own text knows."""


@lru_cache(maxsize=2_048)
def scale(system: str | None, code: str | None) -> Scale:
    """Return how a unit becomes canonical, `AS_WRITTEN` for one that is not of UCUM or that UCUM does not know."""
    if system != ucum.SYSTEM or not code or (unit := ucum.unit(code)) is None:
        return AS_WRITTEN
    plus = unit.offset * unit.factor
    over = Fraction(unit.factor.denominator * plus.denominator)
    return Scale(
        hash64(f"{ucum.SYSTEM}|{unit.dimension}"),
        int(unit.factor * over),
        int(plus * over),
        int(over),
    )
