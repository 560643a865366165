"""The words of a resource, as full text search compares them: folded, letters and digits only.

Comes in: texts and validated resources. Goes out: words. Both databases are given these, never a text, so both find the
same. A script that is written without spaces gives a word per character; a query finds them next to each other.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.parsers import expat

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.values import fold
from fhir_server.store.keys import hash32

TABLE = "index_text"
NARRATIVE = hash32("_text")
CONTENT = hash32("_content")
"""Keys of the two rows of a resource, the same for every type."""
WORD_CHARACTERS = 64
WORDS_LIMIT = 16_000
_CHARACTERS_LIMIT = 150_000

_ASCII_WORD = re.compile("[a-z0-9]+")
# Thai, Lao, Myanmar, Khmer, kana and Han, as far as folding leaves them.
_WITHOUT_SPACES = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF), (0x3400, 0x4DBF)),
    *((0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
)

_TEXTS = frozenset({"string", "markdown", "code"})
_INSIDE_A_WORD = frozenset(
    {
        *("a", "abbr", "acronym", "b", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd"),
        *("s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var"),
    }
)
# Strings and codes that say nothing to a reader.
_LEFT_OUT = frozenset({"id", "language", "reference"})


def rows(definitions: Definitions, resource: Mapping[str, Any]) -> Iterator[tuple[int, tuple[str]]]:
    """Yield parameter key and column of the index rows of a resource: one of its narrative, one of all its text."""
    if narrative := of_narrative(resource):
        yield NARRATIVE, (narrative,)
    if content := of_content(definitions, resource):
        yield CONTENT, (content,)


def words(text: str) -> list[str]:
    """Return the words of a text, in order."""
    folded = fold(text)
    found = _ASCII_WORD.findall(folded) if folded.isascii() else "".join(map(_spaced, folded)).split()
    return [word[:WORD_CHARACTERS] for word in found]


def _spaced(character: str) -> str:
    """Return a character as it stands in a word, a space for what stands in none."""
    if not (character.isalnum() or unicodedata.category(character).startswith("M")):
        return " "
    code = ord(character)
    return f" {character} " if any(low <= code <= high for low, high in _WITHOUT_SPACES) else character


def of_narrative(resource: Mapping[str, Any]) -> str:
    """Return the words of a resource's narrative with spaces between them, "" where it has none."""
    div = resource.get("text", {}).get("div")
    return _joined([_visible(div)]) if div else ""


def of_content(definitions: Definitions, resource: Mapping[str, Any]) -> str:
    """Return the words of all texts of a resource, its narrative too, with spaces between them.

    Texts are what a reader reads: strings, codes and their displays, markdown, narratives; of the resource itself,
    of what it contains, of extensions. Not: URIs, references, instants, numbers, attached bytes, `meta`.
    """
    found: list[str] = []
    _gather(found, definitions, resource, resource["resourceType"])
    return _joined(found)


def _joined(texts: list[str]) -> str:
    found = words(" ".join(texts))[:WORDS_LIMIT]
    joined = " ".join(found)
    return joined if len(joined) <= _CHARACTERS_LIMIT else joined[:_CHARACTERS_LIMIT].rpartition(" ")[0]


class _Fields(NamedTuple):
    """What to do with the members of a structure."""

    texts: frozenset[str]
    narratives: frozenset[str]
    structures: Mapping[str, str]


_known: dict[str, _Fields] = {}
"""By path; the structures of R4 are the same in all definitions."""


def _fields(definitions: Definitions, path: str) -> _Fields:
    if (found := _known.get(path)) is not None:
        return found
    children = [child for each in definitions.fields(path).values() for child in each]
    texts = frozenset(child.json_name for child in children if child.type in _TEXTS) - _LEFT_OUT
    narratives = frozenset(child.json_name for child in children if child.type == "xhtml")
    structures = {
        child.json_name: child.context
        for child in children
        if child.type != "Meta" and definitions.fields(child.context)
    }
    return _known.setdefault(path, _Fields(texts, narratives, structures))


def _gather(found: list[str], definitions: Definitions, element: Mapping[str, Any], path: str) -> None:
    fields = _known.get(path) or _fields(definitions, path)
    texts, structures = fields.texts, fields.structures
    for name, value in element.items():
        if name in texts:
            if isinstance(value, list):
                found += filter(None, value)
            else:
                found.append(value)
        elif (context := structures.get(name)) is not None:
            for each in value if isinstance(value, list) else (value,):
                if each is not None:
                    _gather(found, definitions, each, each["resourceType"] if context == "Resource" else context)
        elif name in fields.narratives:
            found.append(_visible(value))


def _visible(div: str) -> str:
    """Return what a reader of XHTML sees, "" for what is none."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.parts.append
    try:
        parser.Parse(div, True)
    except expat.ExpatError:
        return ""
    return "".join(reader.parts)


class _Reader:
    """Collects text; what an element ends or begins does not run into its neighbour, but for marks inside a word."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        if name not in _INSIDE_A_WORD:
            self.parts.append(" ")

    def end(self, name: str) -> None:
        if name not in _INSIDE_A_WORD:
            self.parts.append(" ")
