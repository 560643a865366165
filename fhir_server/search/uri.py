"""URIs: compared to the letter, or along their path (https://hl7.org/fhir/R4/search.html#uri)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.search.model import Match, Reading
from fhir_server.search.string import prefix_range
from fhir_server.search.syntax import invalid, unescape
from fhir_server.spec.definitions import SearchParameter

TABLE = "index_uri"
MODIFIERS = frozenset({"", "below", "above"})
VALUES_LIMIT = 300
HEAD_CHARACTERS = 160

_URN = "urn:"


def write(_kind: str, value: Any, _parameter: SearchParameter, _reading: Reading) -> Iterator[Mapping[str, Any]]:
    """Yield the columns of the rows of one node."""
    if isinstance(value, str):
        yield {"head": value[:HEAD_CHARACTERS], "uri": value}


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
    match modifier:
        case "below":
            return Match(TABLE, Below(located), rank=4)
        case "above":
            return Match(TABLE, Equal(tuple(above for value in located for above in _ancestors(value))), rank=4)
        case _:
            return Match(TABLE, Equal(tuple(values)), rank=2)


@dataclass(frozen=True, slots=True)
class Equal:
    """One of these URIs."""

    values: tuple[str, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_uri`."""
        heads = sorted({value[:HEAD_CHARACTERS] for value in self.values})
        return and_(index.c.head.in_(heads), index.c.uri.in_(self.values))


@dataclass(frozen=True, slots=True)
class Below:
    """One of these URLs, or one further down its path."""

    values: tuple[str, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_uri`."""
        ways = [Equal(self.values).on(index)]
        for value in self.values:
            folder = value if value.endswith("/") else value + "/"
            ways.append(
                and_(
                    prefix_range(index.c.head, folder[:HEAD_CHARACTERS]),
                    *([index.c.uri.startswith(folder, autoescape=True)] if len(folder) > HEAD_CHARACTERS else []),
                )
            )
        return or_(*ways)


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
