"""Strings: how names, addresses and texts are indexed and matched (https://hl7.org/fhir/R4/search.html#string).

A row holds the folded text, its first characters apart (`head`) so that the index stays narrow, and the text as
written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, or_

from fhir_server.search import keys
from fhir_server.search.model import Match, Reading
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, unescape
from fhir_server.spec.definitions import SearchParameter
from fhir_server.spec.values import fold

TABLE = "index_string"
MODIFIERS = frozenset({"", "exact", "contains"})
VALUES_LIMIT = 300
_SELECTIVE_CHARACTERS = 3
HEAD_CHARACTERS = 64
ESCAPE = "/"

_PARTS = {
    "HumanName": ("family", "given", "prefix", "suffix", "text"),
    "Address": ("line", "city", "district", "state", "country", "postalCode", "text"),
    "CodeableConcept": ("text",),
}
_FAMILIES = frozenset({"family", "name", "phonetic"})
_PEOPLE = frozenset({"Patient", "Person", "Practitioner", "RelatedPerson"})
_LATER = re.compile(r"(?<=[^\s\-\u2010-\u2013])[\s\-\u2010-\u2013]+(?=\S)")
_LATER_LIMIT = 8
_LAST = chr(0x10FFFF)
_ASCII_PUNCTUATION = {code: None for code in range(128) if unicodedata.category(chr(code)).startswith("P")}
_SURROGATES = range(0xD800, 0xE000)


class Columns(NamedTuple):
    """Columns of `index_string` that a text fills, in their order."""

    head: str
    rest: str
    exact: str


def write(kind: str, value: Any, _parameter: SearchParameter, _reading: Reading) -> Iterator[Columns]:
    """Yield the columns of the rows of one node."""
    if isinstance(value, str):
        yield row(value)
        return
    for name in _PARTS.get(kind, ()):
        part = value.get(name)
        for text in part if isinstance(part, list) else (part,):
            if isinstance(text, str):
                yield row(text)


def row(text: str) -> Columns:
    """Return the columns of one text; of a short one remembered, for names of codes repeat."""
    return _short(text) if len(text) <= HEAD_CHARACTERS else _columns(text)


def _columns(text: str) -> Columns:
    folded = comparable(text)
    return Columns(folded[:HEAD_CHARACTERS], folded[HEAD_CHARACTERS:], text)


_short = lru_cache(maxsize=1_024)(_columns)


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


def has_later(parameter: SearchParameter) -> bool:
    """Return whether what follows in a family name is found by itself."""
    return parameter.code in _FAMILIES and parameter.resource_type in _PEOPLE


def write_later(value: Any) -> Iterator[Columns]:
    """Yield the columns of the rows beside: a family name or whole name from its second, third, … word on.

    "Servers SHOULD search the parts of a family name independently."
    """
    for text in (value,) if isinstance(value, str) else (value.get("family"), value.get("text")):
        if isinstance(text, str):
            for found in islice(_LATER.finditer(text), _LATER_LIMIT):
                yield row(text[found.end() :])


def read(parameter: SearchParameter, modifier: str, texts: Sequence[str], _reading: Reading) -> Match:
    """Understand a list of alternatives.

    Raises:
        FhirError: 400 when a value has no letters to compare.
    """
    plain = [unescape(text) for text in texts]
    if modifier == "exact":
        heads = tuple(comparable(text)[:HEAD_CHARACTERS] for text in plain)
        return Match(TABLE, Exactly(heads, tuple(plain)), rank=3)
    folded = tuple(comparable(text) for text in plain)
    if not all(folded):
        raise invalid(parameter.code, "needs at least one letter, digit or sign to compare.")
    if modifier == "contains":
        return Match(TABLE, Contains(tuple(f"%{literal(text)}%" for text in folded)), rank=7)
    return Match(TABLE, StartsWith.of(folded), rank=3, also=(keys.LATER,) if has_later(parameter) else ())


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The folded text starts with one of these.

    Attributes:
        ranges: From the text itself up to, and without, the next one that does not start with it.
        long: Of what is longer than a head, the head and the pattern of the rest.
        is_selective: Every start is long enough that few texts have it, whatever it is.
    """

    ranges: tuple[tuple[str, str], ...] = value_field()
    long: tuple[tuple[str, str], ...] = value_field()
    is_selective: bool = False

    @classmethod
    def of(cls, values: Sequence[str]) -> StartsWith:
        """Return the test for folded texts."""
        heads = tuple((value, value[HEAD_CHARACTERS:]) for value in values)
        return cls(
            tuple((value, successor(value)) for value, rest in heads if not rest),
            tuple((value[:HEAD_CHARACTERS], literal(rest) + "%") for value, rest in heads if rest),
            all(len(value) >= _SELECTIVE_CHARACTERS for value in values),
        )

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`."""
        return or_(
            *(and_(index.c.head >= low, index.c.head < high) for low, high in self.ranges),
            *(and_(index.c.head == head, index.c.rest.like(rest, escape=ESCAPE)) for head, rest in self.long),
        )


@dataclass(frozen=True, slots=True)
class Contains:
    """The folded text contains one of these, as patterns of LIKE."""

    patterns: tuple[str, ...] = value_field()

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`."""
        folded = index.c.head + index.c.rest
        return or_(*(folded.like(pattern, escape=ESCAPE) for pattern in self.patterns))


@dataclass(frozen=True, slots=True)
class Exactly:
    """The text as written is one of these; the heads let the index find it."""

    heads: tuple[str, ...] = value_field()
    values: tuple[str, ...] = value_field()

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`."""
        return and_(index.c.head.in_(self.heads), index.c.exact.in_(self.values))


def literal(text: str) -> str:
    """Return the pattern of LIKE, with `ESCAPE`, that is just this text."""
    return text.replace(ESCAPE, ESCAPE * 2).replace("%", f"{ESCAPE}%").replace("_", f"{ESCAPE}_")


def successor(prefix: str) -> str:
    """Return a text above every text with this prefix, with no text between that has not."""
    kept = prefix.rstrip(_LAST)
    if not kept:
        return prefix + _LAST * HEAD_CHARACTERS
    following = ord(kept[-1]) + 1
    if following in _SURROGATES:
        following = _SURROGATES.stop
    return kept[:-1] + chr(following)


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare."""
    return index.c.head, index.c.head
