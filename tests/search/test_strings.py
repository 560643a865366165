"""Strings of several parts, in any script: each part is a value of its own (https://hl7.org/fhir/R4/search.html#string)."""

import unicodedata
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.databases import Databases
from tests.search.world import World

Json = dict[str, Any]

PARTS = [
    *("Ann", "ANNA", "Ann-Marie", "Zoë", "Zoe\u0308", "O'Neill", "van der Berg", "  spaced\t out ", "が", "か", "ガス"),
    *("שָׁלוֹם", "שלום", "Straße", "STRASSE", "İstanbul", "ﬁsh", "Ⅳ", "50%", "a_b", "12 High Street", "SW1A 1AA", "हिन्दी"),
]
NAME = ("text", "family", "given", "prefix", "suffix")
ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")
_LISTS = {"given", "prefix", "suffix", "line"}


def _of_parts(names: tuple[str, ...], shift: int) -> Json:
    """Return a name or address whose parts are taken from the list, one after the other."""
    found: Json = {}
    for offset, name in enumerate(names):
        part = PARTS[(shift * 3 + offset * 5) % len(PARTS)]
        if (shift + offset) % 3:
            found[name] = [part, PARTS[(shift + offset) % len(PARTS)]] if name in _LISTS else part
    return found


PATIENTS: list[Json] = [
    {"resourceType": "Patient", "id": f"p{n}", "name": [_of_parts(NAME, n)], "address": [_of_parts(ADDRESS, n + 7)]}
    for n in range(40)
]


def _build(url: str) -> None:
    world = World(url)
    world.add(PATIENTS)
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-strings", _build))
    yield made
    made.close()


def _plain(text: str) -> str:
    """Fold by the words of the specification: no case, no combining marks (but a kana's voice), no punctuation."""
    kept = []
    for character in unicodedata.normalize("NFKC", text.casefold()):
        letter = character if "\u3040" <= character <= "\u30ff" else unicodedata.normalize("NFKD", character)
        for each in letter:
            mark = unicodedata.category(each) == "Mn" and not "\u0900" <= each <= "\u097f"
            if not mark and not unicodedata.category(each).startswith("P"):
                kept.append(each)
    return " ".join("".join(kept).casefold().split())


def _values(structure: Json) -> list[str]:
    return [text for part in structure.values() for text in (part if isinstance(part, list) else [part])]


def _later(name: Json) -> list[str]:
    """Return what follows each gap or hyphen between the words of a family name, or of a name as a whole."""
    texts = [name[part].strip() for part in ("family", "text") if part in name]
    places = [(text, index) for text in texts for index in range(1, len(text)) if text[index - 1] in " \t-"]
    return [text[index:] for text, index in places if text[index] not in " \t-"]


_PIECES = st.sampled_from(PARTS).flatmap(
    lambda part: st.tuples(st.integers(0, len(part)), st.integers(0, len(part))).map(
        lambda ends: part[min(ends) : max(ends)]
    )
)


@pytest.mark.parametrize("code", ["name", "address"])
def test_any_part_of_a_name_or_address_is_found_by_its_start_or_middle_or_whole(world: World, code: str) -> None:
    @given(
        piece=st.one_of(_PIECES, st.sampled_from([*PARTS, "der", "berg", "marie", "out"])),
        modifier=st.sampled_from(["", ":contains", ":exact"]),
    )
    def law(piece: str, modifier: str) -> None:
        def holds(value: str) -> bool:
            if modifier == ":exact":
                return value == piece
            return _plain(piece) in _plain(value) if modifier else _plain(value).startswith(_plain(piece))

        if _plain(piece):
            expected = [
                each["id"]
                for each in PATIENTS
                if any(holds(value) for value in _values(each[code][0]))
                or (not modifier and code == "name" and any(holds(value) for value in _later(each["name"][0])))
            ]
            found = world.ids("Patient", (code + modifier, piece), ("_count", "1000"))
            assert sorted(found) == sorted(expected), (piece, modifier)

    law()


@pytest.mark.parametrize(
    "query,found",
    [
        (("name", "zoe"), True),
        (("name:exact", "Zoë"), True),
        (("name:exact", "zoë"), False),
        (("name", "か"), True),
        (("name:contains", "BERG"), True),
        (("name", "der"), False),
        (("name:exact", "O'neill"), False),
        # "Servers SHOULD search the parts of a family name independently."
        (("family", "quiñones"), True),
        (("name", "Quinones-P"), True),
        (("family", "perez"), True),
        (("name", "peter"), True),
        (("family", "inones"), False),
        (("family:exact", "Quinones"), False),
        (("_filter", "family eq perez"), False),
        (("_filter", 'family eq "carreno quinones-perez"'), True),
    ],
)
def test_modifiers_compare_as_the_specification_says(world: World, query: tuple[str, str], *, found: bool) -> None:
    parts = ["Zoë", "が", "か", "van der Berg", "O'Neill"]
    spanish = {"family": "Carreno Quinones-Perez", "text": "Maria Petersen"}
    world.add([{"resourceType": "Practitioner", "id": "one", "name": [{"given": parts}, spanish]}])
    assert bool(world.ids("Practitioner", query)) is found
