"""URIs: compared to the letter, or along their path (https://hl7.org/fhir/R4/search.html#uri)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.search import string
from fhir_server.search.model import Match, Reading
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, unescape
from fhir_server.spec.definitions import SearchParameter

TABLE = "index_uri"
MODIFIERS = frozenset({"", "below", "above"})
VALUES_LIMIT = 300
_BELOW_LIMIT = 100
_ABOVE_LIMIT = 1_000
"""Values of `:below`, each of which is some conditions in a row; folders that the values of `:above` are in."""
HEAD_CHARACTERS = 160

_URN = "urn:"


def write(kind: str, value: Any, _parameter: SearchParameter, _reading: Reading) -> Iterator[tuple[str, str]]:
    """Yield the columns of the rows of one node, `head` and `uri`; a canonical is found without its version, too."""
    if isinstance(value, str):
        yield value[:HEAD_CHARACTERS], value
        if kind == "canonical" and (plain := value.partition("|")[0]) not in {"", value}:
            yield plain[:HEAD_CHARACTERS], plain


def read(parameter: SearchParameter, modifier: str, texts: Sequence[str], _reading: Reading) -> Match:
    """Understand a list of alternatives.

    Raises:
        FhirError: 400 when a value is empty.
    """
    values = [unescape(text) for text in texts]
    if not all(values):
        raise invalid(parameter.code, "is a URI.")
    # Neither modifier applies to URNs: they have no path.
    located = tuple(value for value in values if not value.startswith(_URN))
    if modifier == "below" and len(located) > _BELOW_LIMIT:
        raise invalid(f"{parameter.code}:below", f"lists at most {_BELOW_LIMIT} URLs.")
    if modifier == "above" and sum(value.count("/") for value in located) > _ABOVE_LIMIT:
        raise invalid(f"{parameter.code}:above", f"lists URLs with at most {_ABOVE_LIMIT} slashes in all.")
    match modifier:
        case "below":
            return Match(TABLE, Below.of(located), rank=4)
        case "above":
            return Match(TABLE, Equal.to([above for value in located for above in _ancestors(value)]), rank=4)
        case _:
            return Match(TABLE, Equal.to(values), rank=2)


@dataclass(frozen=True, slots=True)
class Equal:
    """One of these URIs; their heads let the index find them."""

    heads: tuple[str, ...] = value_field()
    values: tuple[str, ...] = value_field()

    @classmethod
    def to(cls, values: Sequence[str]) -> Equal:
        """Return the test for these URIs."""
        return cls(tuple(sorted({value[:HEAD_CHARACTERS] for value in values})), tuple(values))

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_uri`."""
        return and_(index.c.head.in_(self.heads), index.c.uri.in_(self.values))


@dataclass(frozen=True, slots=True)
class Below:
    """One of these URLs, or one further down its path, or a version of it: bounds of the head, pattern of the whole."""

    equal: Equal
    folders: tuple[tuple[str, str, str], ...] = value_field()

    @classmethod
    def of(cls, values: Sequence[str]) -> Below:
        """Return the test for these URLs."""
        folders = [start for value in values for start in _beginnings(value)]
        heads = [folder[:HEAD_CHARACTERS] for folder in folders]
        bounds = zip(heads, map(string.successor, heads), folders, strict=True)
        return cls(Equal.to(values), tuple((low, high, string.literal(folder) + "%") for low, high, folder in bounds))

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_uri`."""
        ways = [self.equal.on(index)]
        for low, high, pattern in self.folders:
            below = and_(index.c.head >= low, index.c.head < high, index.c.uri.like(pattern, escape=string.ESCAPE))
            ways.append(below)
        return or_(*ways)


def _beginnings(value: str) -> Iterator[str]:
    """Yield what the URLs below begin with: paths, and business versions, which canonical URLs have after a bar."""
    if "|" in value:
        yield value + "."
    elif value.endswith("/"):
        yield value
    else:
        yield value + "/"
        yield value + "|"


def _ancestors(value: str) -> Iterator[str]:
    """Yield the URL and the URLs that it is below, with and without their final slash."""
    yield value
    scheme, separator, rest = value.partition("://")
    segments = rest.split("/")
    for length in range(1, len(segments)):
        folder = f"{scheme}{separator}{'/'.join(segments[:length])}"
        yield folder
        yield folder + "/"


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare."""
    return index.c.head, index.c.head
