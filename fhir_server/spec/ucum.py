"""Units of measure as UCUM has them (https://ucum.org/ucum): what a code measures, and how many of its base units.

Comes in: a UCUM code, case-sensitive. Goes out: its `Unit`, or None for a text that is no UCUM unit. All arithmetic is
rational, so that 500 mg and 0.5 g are the same number to the last digit. The table of atoms is read from the artefact
when the first code is asked for.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import msgspec

ARTEFACT = Path(__file__).with_name("ucum.msgpack")
SYSTEM = "http://unitsofmeasure.org"

_CODE_CHARACTERS = 128
_KELVIN = "K1"
# Kelvin are (value + offset) * factor (UCUM §21 and §22, table of special units).
_TEMPERATURES: Mapping[str, tuple[Fraction, Fraction]] = {
    "Cel": (Fraction(1), Fraction("273.15")),
    "[degF]": (Fraction(5, 9), Fraction("459.67")),
    "[degRe]": (Fraction(5, 4), Fraction("218.52")),
}
# Far beyond any unit in use, and short of what overflows a double or takes long to multiply.
_FACTOR_LIMIT = Fraction(10) ** 250

_ANNOTATION = re.compile(r"\{[^{}]*\}")
_ATOM = re.compile(r"10[*^]|(?:[!-'*,:-Z\\^-z|~]|\[[!-Z\\^-z|~]+\])+")
_EXPONENT = re.compile(r"[+-]?[0-9]{1,2}")
_FACTOR = re.compile(r"[1-9][0-9]{0,63}")

Dimensions = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Unit:
    """What one of a unit is: (value + offset) * factor of the base units of its dimension.

    Attributes:
        dimension: Base units with their exponents in a fixed order, such as `g1.m-3`; "" for a mere number. Units of
            one dimension are commensurable, others never.
        factor: Positive.
        offset: 0 but for temperatures whose zero is not absolute.
    """

    dimension: str
    factor: Fraction
    offset: Fraction = Fraction(0)


@lru_cache(maxsize=2_048)
def unit(code: str) -> Unit | None:
    """Return what a code stands for; None where it is not in the grammar of UCUM or names an unknown atom.

    Annotations in braces say nothing (UCUM §12). A temperature with an offset is no factor of a product (§21).
    """
    if not 0 < len(code) <= _CODE_CHARACTERS:
        return None
    try:
        if (temperature := _temperature(_ANNOTATION.sub("", code))) is not None:
            return temperature
        reader = _Reader(code)
        factor, dimensions = reader.whole()
    except _NotUcumError:
        return None
    return Unit(_written(dimensions), factor) if _is_sane(factor) else None


class _NotUcumError(Exception):
    """The text is no unit."""


class _Content(msgspec.Struct):
    """The artefact; see `build_units.compile_units`."""

    units: dict[str, tuple[bool, bool, str, str]]
    prefixes: dict[str, str]


@cache
def _content() -> _Content:
    return msgspec.msgpack.decode(ARTEFACT.read_bytes(), type=_Content)


def _temperature(code: str) -> Unit | None:
    if code in _TEMPERATURES:
        factor, offset = _TEMPERATURES[code]
        return Unit(_KELVIN, factor, offset)
    prefix, celsius, rest = code.partition("Cel")
    if celsius and not rest and prefix in _content().prefixes:
        factor = Fraction(_content().prefixes[prefix])
        return Unit(_KELVIN, factor, _TEMPERATURES["Cel"][1] / factor)
    return None


@lru_cache(maxsize=1_024)
def _atom(code: str) -> tuple[Fraction, Dimensions]:
    """Return an atom, with or without a prefix, in base units; the atom itself where both readings are possible."""
    content = _content()
    if code in content.units:
        return _defined(code)
    for size in (2, 1):
        prefix, rest = code[:size], code[size:]
        if prefix in content.prefixes and rest in content.units and content.units[rest][0]:
            factor, dimensions = _defined(rest)
            return Fraction(content.prefixes[prefix]) * factor, dimensions
    raise _NotUcumError


def _defined(code: str) -> tuple[Fraction, Dimensions]:
    if code in _TEMPERATURES:
        raise _NotUcumError
    _, alone, factor, definition = _content().units[code]
    if alone:
        return Fraction(1), {code: 1}
    inner, dimensions = _Reader(definition).whole()
    return Fraction(factor) * inner, dimensions


class _Reader:
    """Reads a term from left to right; `/` divides by the next component only (UCUM §10)."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._at = 0

    def whole(self) -> tuple[Fraction, Dimensions]:
        """Return factor and dimensions of the whole code."""
        found = self._term(inverted=self._take("/"))
        if self._at != len(self._code):
            raise _NotUcumError
        return found

    def _take(self, character: str) -> bool:
        taken = self._code.startswith(character, self._at)
        self._at += taken
        return taken

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._code, self._at)
        self._at = found.end() if found else self._at
        return found[0] if found else ""

    def _term(self, *, inverted: bool = False) -> tuple[Fraction, Dimensions]:
        factor, dimensions = Fraction(1), defaultdict[str, int](int)
        while True:
            its_factor, its_dimensions, exponent = self._component()
            power = -exponent if inverted else exponent
            factor *= its_factor**power
            for base, its_power in its_dimensions.items():
                dimensions[base] += its_power * power
            if self._take("."):
                inverted = False
            elif self._take("/"):
                inverted = True
            else:
                return factor, dimensions

    def _component(self) -> tuple[Fraction, Dimensions, int]:
        if self._take("("):
            factor, dimensions = self._term()
            if not self._take(")"):
                raise _NotUcumError
            return factor, dimensions, 1
        if atom := self._match(_ATOM):
            factor, dimensions = _atom(atom)
            exponent = int(self._match(_EXPONENT) or 1)
            self._match(_ANNOTATION)
            return factor, dimensions, exponent
        number = self._match(_FACTOR)
        if not (self._match(_ANNOTATION) or number):
            raise _NotUcumError
        return Fraction(number or 1), {}, 1


def _is_sane(factor: Fraction) -> bool:
    return 1 / _FACTOR_LIMIT < factor < _FACTOR_LIMIT


def _written(dimensions: Dimensions) -> str:
    return ".".join(f"{base}{power}" for base, power in sorted(dimensions.items()) if power)
