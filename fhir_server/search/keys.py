"""Keys that only search gives a meaning to: of codes, and of index rows beside a parameter's own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    any_,
    cast,
    column,
    false,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from fhir_server.spec.definitions import SearchParameter
from fhir_server.store.dialects import Either
from fhir_server.store.keys import NONE, hash32, hash64

SEVERAL = -1
"""Hot code of a resource with more than one code: its index rows tell which."""

OF_TYPE = ":of-type"
BELOW = ":below"
LATER = ":later"

CANONICAL = hash32("canonical")
"""Key of the `index_reference` row by which a resource with a canonical URL can be found by it, as references do."""


def code_key(code: str) -> int:
    """Return the key of a code, without regard to case ("when in doubt … case-insensitive", R4 search, token)."""
    return hash64(code.casefold())


def text_key(text: str | None) -> int:
    """Return the key of a text whose case matters (system, identifier, unit), 0 for none."""
    return hash64(text) if text else NONE


@lru_cache(maxsize=8_192)
def derived(param: str, suffix: str) -> int:
    """Return the key of index rows beside a parameter's own, such as `Patient.identifier` `:of-type`."""
    return hash32(param + suffix)


def of(parameter: SearchParameter, suffix: str = "") -> int:
    """Return the key of a parameter's index rows, or of those beside them."""
    return derived(f"{parameter.resource_type}.{parameter.code}", suffix) if suffix else parameter.key


def part(position: int) -> str:
    """Return the suffix of the rows of one part of a composite."""
    return f"${position}"


def of_parameters(index: FromClause, params: Sequence[int]) -> ColumnElement[bool]:
    """Return that an index row belongs to one of these parameters.

    The keys are written out, not bound: they are few and known, and a plan made once for all values still knows how
    many rows a parameter has.
    """
    if not params:
        return false()
    written = ", ".join(str(int(param)) for param in params)
    found: ColumnElement[int] = index.c.param
    if len(params) == 1:
        return found == literal_column(written, Integer())
    # One element, not one for each key: a search of every type has a key for each, and each would be compiled.
    return found.bool_op("IN")(literal_column(f"({written})"))


def among(found: ColumnElement[int], listed: str) -> ColumnElement[bool]:
    """Return that a key is one of those listed with commas: one bound value however many they are."""
    return Either(postgresql=found == any_(_array(listed)), elsewhere=found.in_(_rows(listed)))


def _array(listed: str) -> ColumnElement[Sequence[int]]:
    return cast(_between("{", listed, "}"), ARRAY(BigInteger))


def _rows(listed: str) -> ColumnElement[int]:
    found = func.json_each(_between("[", listed, "]")).table_valued(column("value", BigInteger))
    return select(found.c.value).scalar_subquery()


def _between(opening: str, text: str, closing: str) -> ColumnElement[str]:
    signs = [literal_column(f"'{sign}'", Text) for sign in (opening, closing)]
    return signs[0] + text + signs[1]
