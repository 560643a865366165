"""Strings: how names, addresses and texts are indexed and matched (https://hl7.org/fhir/R4/search.html#string).

A row holds the folded text, its first characters apart (`head`) so that the index stays narrow, and the text as
written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.search.model import Match, Reading
from fhir_server.search.syntax import invalid, unescape
from fhir_server.spec.definitions import SearchParameter
from fhir_server.spec.values import fold

TABLE = "index_string"
MODIFIERS = frozenset({"", "exact", "contains"})
VALUES_LIMIT = 300
HEAD_CHARACTERS = 64

_PARTS = {
    "HumanName": ("family", "given", "prefix", "suffix", "text"),
    "Address": ("line", "city", "district", "state", "country", "postalCode", "text"),
    "CodeableConcept": ("text",),
}
_LAST_CODE_POINT = 0x10FFFF
_ASCII_PUNCTUATION = {code: None for code in range(128) if unicodedata.category(chr(code)).startswith("P")}
_SURROGATES = range(0xD800, 0xE000)


def write(kind: str, value: Any, _parameter: SearchParameter, _reading: Reading) -> Iterator[Mapping[str, Any]]:
    """Yield the columns of the rows of one node."""
    if isinstance(value, str):
        yield row(value)
        return
    for name in _PARTS.get(kind, ()):
        part = value.get(name)
        for text in part if isinstance(part, list) else (part,):
            if isinstance(text, str):
                yield row(text)


def row(text: str) -> Mapping[str, Any]:
    """Return the columns of one text."""
    folded = comparable(text)
    return {"head": folded[:HEAD_CHARACTERS], "rest": folded[HEAD_CHARACTERS:], "exact": text}


def comparable(text: str) -> str:
    """Return the text as it is compared: folded, and without punctuation unless it has nothing else.

    "Punctuation and non-significant whitespace … should also be ignored".
    """
    folded = fold(text)
    if folded.isalnum():
        return folded
    if folded.isascii():
        kept = folded.translate(_ASCII_PUNCTUATION)
    else:
        kept = "".join(character for character in folded if not unicodedata.category(character).startswith("P"))
    return " ".join(kept.split()) or folded


def read(parameter: SearchParameter, modifier: str, texts: Sequence[str], _reading: Reading) -> Match:
    """Understand a list of alternatives.

    Raises:
        FhirError: 400 when a value has no letters to compare.
    """
    plain = [unescape(text) for text in texts]
    if modifier == "exact":
        return Match(TABLE, Exactly(tuple(plain)), rank=3)
    folded = tuple(comparable(text) for text in plain)
    if not all(folded):
        raise invalid(parameter.code, "needs at least one letter, digit or sign to compare.")
    if modifier == "contains":
        return Match(TABLE, Contains(folded), rank=7)
    return Match(TABLE, StartsWith(folded), rank=3)


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The folded text starts with one of these."""

    values: tuple[str, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`."""
        return or_(*(_starts_with(index, value) for value in self.values))


@dataclass(frozen=True, slots=True)
class Contains:
    """The folded text contains one of these."""

    values: tuple[str, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`."""
        folded = index.c.head + index.c.rest
        return or_(*(folded.contains(value, autoescape=True) for value in self.values))


@dataclass(frozen=True, slots=True)
class Exactly:
    """The text as written is one of these."""

    values: tuple[str, ...]

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`; the head lets the index find it."""
        heads = {comparable(value)[:HEAD_CHARACTERS] for value in self.values}
        return and_(index.c.head.in_(sorted(heads)), index.c.exact.in_(self.values))


def _starts_with(index: FromClause, value: str) -> ColumnElement[bool]:
    head, rest = value[:HEAD_CHARACTERS], value[HEAD_CHARACTERS:]
    if rest:
        return and_(index.c.head == head, index.c.rest.startswith(rest, autoescape=True))
    return prefix_range(index.c.head, head)


def prefix_range(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """Return that a column, ordered by code point, starts with a prefix, as a range that any plan can use."""
    above = successor(prefix)
    return and_(column >= prefix, column < above) if above else column >= prefix


def successor(prefix: str) -> str:
    """Return the least text above every text with this prefix, "" where there is none."""
    kept = prefix.rstrip(chr(_LAST_CODE_POINT))
    if not kept:
        return ""
    following = ord(kept[-1]) + 1
    if following in _SURROGATES:
        following = _SURROGATES.stop
    return kept[:-1] + chr(following)


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare."""
    return index.c.head, index.c.head
