"""Full text finds what a brute-force reading of the words finds, on both databases, and never fails."""

import random
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, text

from fhir_server.search import index
from fhir_server.search.bundle import searchset
from fhir_server.search.parse import parse
from fhir_server.spec.json import decode, encode
from fhir_server.spec.outcome import FhirError
from fhir_server.store import derived, text_index
from fhir_server.store.derived import Derived
from fhir_server.store.keys import reference_key
from tests.databases import Databases
from tests.search.world import BASE, DEFINITIONS, World

Json = dict[str, Any]
XHTML = "http://www.w3.org/1999/xhtml"

_RANDOM = random.Random(20_260_102)
_VOCABULARY = [
    *("bone", "Bone", "BONES", "liver", "métastases", "me\u0301tastases", "metastatic", "and", "or", "not", "near"),
    *(
        "E66.9",
        "heart-attack",
        "O'Brien",
        "a",
        "a*",
        "\"'",
        "¿",
        "Straße",
        "Ωμέγα",
        "が",
        "か",
        "糖尿病",
        "尿",
        "naïve!",
    ),
]


def _observation(number: int) -> Json:
    resource: Json = {"resourceType": "Observation", "id": f"o{number}", "status": "final"}
    resource["code"] = {"text": " ".join(_RANDOM.choices(_VOCABULARY, k=_RANDOM.randrange(1, 7)))}
    if _RANDOM.random() < 0.7:
        shown = " ".join(_RANDOM.choices(_VOCABULARY, k=_RANDOM.randrange(1, 9)))
        escaped = shown.replace("&", "&amp;").replace("<", "&lt;")
        resource["text"] = {"status": "generated", "div": f'<div xmlns="{XHTML}"><p>{escaped}</p></div>'}
    return resource


OBSERVATIONS = [_observation(number) for number in range(80)]


def _build(url: str) -> None:
    world = World(url)
    world.add(OBSERVATIONS)
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-text", _build))
    yield made
    made.close()


def _words(shown: str) -> list[str]:
    """Read words letter by letter: marks of Latin and Greek letters are dropped, Han and kana stand alone."""
    found = [""]
    for whole in unicodedata.normalize("NFC", shown.casefold()):
        letter = whole
        if unicodedata.decomposition(whole) and unicodedata.normalize("NFD", whole)[0] < "\u0530":
            letter = unicodedata.normalize("NFD", whole)[0]
        if letter in "がか糖尿病":
            found += [letter, ""]
        elif letter.isalnum():
            found[-1] += letter
        else:
            found.append("")
    return [word for word in found if word]


def _narrative(resource: Json) -> list[str]:
    div = resource.get("text", {}).get("div")
    return _words(" ".join(ET.fromstring(div).itertext())) if div else []  # noqa: S314 - our own


def _content(resource: Json) -> list[list[str]]:
    """Read the texts in the order in which they were sent."""
    generated = _words(resource.get("text", {}).get("status", ""))
    return [_words(resource["status"]), _words(resource["code"]["text"]), generated, _narrative(resource)]


@dataclass(frozen=True)
class _Query:
    """A query as a tree, with what it says and what it means."""

    operator: str
    parts: tuple["_Query", ...] = ()
    shown: str = ""

    def __str__(self) -> str:
        if self.parts:
            return f"({f' {self.operator} '.join(map(str, self.parts))})"
        return {"word": self.shown, "phrase": f'"{self.shown}"', "prefix": f"{self.shown}*"}[self.operator]

    def holds(self, of: list[str]) -> bool:
        if self.parts:
            some = any if self.operator.strip().upper() == "OR" else all
            return some(part.holds(of) for part in self.parts)
        wanted = _words(self.shown)
        last = wanted[-1]
        for start in range(len(of) - len(wanted) + 1):
            *others, final = of[start : start + len(wanted)]
            ends = final.startswith(last) if self.operator == "prefix" else final == last
            if others == wanted[:-1] and ends:
                return True
        return False


_WITH_LETTERS = [word for word in _VOCABULARY if _words(word) and word not in {"and", "or", "a*"}]
_LEAVES = st.one_of(
    st.sampled_from(_WITH_LETTERS).map(lambda word: _Query("word", shown=word)),
    st.sampled_from(_WITH_LETTERS).map(lambda word: _Query("prefix", shown=word[: max(1, len(word) - 2)])),
    st.lists(st.sampled_from(_WITH_LETTERS), min_size=1, max_size=3).map(
        lambda found: _Query("phrase", shown=" ".join(found))
    ),
)
_QUERIES = st.recursive(
    _LEAVES,
    lambda inner: st.builds(
        _Query, st.sampled_from(["AND", "and", "OR", "or", ""]), st.lists(inner, min_size=2, max_size=3).map(tuple)
    ),
    max_leaves=6,
).filter(lambda query: "," not in str(query))


def test_a_query_finds_the_resources_whose_words_it_describes(world: World) -> None:
    @given(query=_QUERIES, narrative=st.booleans())
    def law(query: _Query, *, narrative: bool) -> None:
        def holds(resource: Json) -> bool:
            words = _narrative(resource) if narrative else [word for each in _content(resource) for word in each]
            return query.holds(words)

        code = "_text" if narrative else "_content"
        found = world.ids("Observation", (code, str(query)), ("_count", "1000"))
        expected = [each["id"] for each in OBSERVATIONS if holds(each)]
        assert sorted(found) == sorted(expected), str(query)

    law()


ODD = [
    *('"', '"a', "(", ")", "((a", "a))b(", "AND", "OR a", "a OR", "a AND OR b", "NEAR(a b, 5)", "words:a", "^a", "-a"),
    *("a NOT b", "a+b", "{a b}", "a & b | !c", "a <-> b", "a:*", "'a' <2> 'b'", "a\\'b", "a*b*", "* a", "a' OR 1=1 --"),
    *(
        '"a" * "b"',
        "\x00a",
        "\ud7ff a",
        "\U0010ffff a",
        "a;DROP TABLE index_text_words;",
        "%s %(a)s ? :a $1",
        "\u2028a",
    ),
    *("a " * 90, "a" * 8_000, "(" * 20 + "a" + ")" * 20, '"' * 4_001 + "a", "糖" * 90),
]


def test_whatever_is_written_is_words_or_a_refusal(world: World) -> None:
    for code in ("_text", "_content"):
        for odd in ODD:
            status = 200
            try:
                world.search("Observation", [(code, odd), ("_sort", "_score")])
            except FhirError as error:
                status = error.status if "sql" not in error.diagnostics.lower() else 500
            assert status in {200, 400}, odd


@pytest.mark.parametrize(
    "name,value,said",
    [
        ("_text", "-", "at least one word"),
        ("_content", "( OR )", "at least one word"),
        ("_content", "a " * 101, "more than 100 words"),
        ("_content", "(" * 22 + "a", "deeper than 20"),
        ("_content", "a" * 65_000, "longer than"),
        ("_content:exact", "a", "Supported: :missing"),
        ("_text:missing", "maybe", "true or false"),
        ("_sort", "_score", "_text or _content"),
        ("_sort", "-_score", "leave out the minus"),
    ],
)
def test_a_refusal_names_the_parameter_and_what_is_allowed(name: str, value: str, said: str) -> None:
    with pytest.raises(FhirError, match=said) as refused:
        parse(DEFINITIONS, "Observation", [(name, value)], fhir_base=BASE)
    assert refused.value.status == 400


def test_64_kilobytes_of_any_syntax_are_refused_or_answered(world: World) -> None:
    for piece in ("(", '"', "a ", "a*", "a OR ", "\x00", "&|!", "糖"):
        with pytest.raises(FhirError) as refused:
            world.search("Observation", [("_content", piece * (65_536 // len(piece)))])
        assert refused.value.status == 400


def test_missing_tells_who_has_a_narrative(world: World) -> None:
    without = sorted(each["id"] for each in OBSERVATIONS if not _narrative(each))
    assert sorted(world.ids("Observation", ("_text:missing", "true"), ("_count", "1000"))) == without


def test_the_best_match_comes_first_and_pages_hold_every_match_once(world: World) -> None:
    query = [("_content", "bone OR liver OR metas*"), ("_sort", "_score")]
    whole, request = world.search("Observation", [*query, ("_count", "1000")])
    scores = [row.score or 0 for row in whole.matches]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 5
    assert all(0 < each < 10_000 for each in scores)
    paged: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page, _ = world.search("Observation", [*query, ("_count", "7"), ("_cursor", cursor)])
        paged += [row.id for row in page.matches]
        cursor = page.next_cursor
    assert paged == [row.id for row in whole.matches]
    entries = decode(searchset(whole, request, fhir_base=BASE, path="Observation"), 10_000_000)["entry"]
    assert [float(entry["search"]["score"]) for entry in entries] == [each / 10_000 for each in scores]


def test_a_score_is_the_same_on_every_database_and_without_other_documents(world: World) -> None:
    one = {"resourceType": "Basic", "id": "b", "code": {"text": "bone bone liver"}}
    world.add([one])
    page, _ = world.search("Basic", [("_content", "bone liver OR metas*")])
    length = 3
    bone, liver = (200 * 10_000 * n // (200 * n + 100 + length) for n in (2, 1))
    assert [row.score for row in page.matches] == [(bone + liver + 0) // 3]


def test_text_is_reached_through_chains(world: World) -> None:
    world.add(
        [
            {
                "resourceType": "Patient",
                "id": "p",
                "text": {"status": "generated", "div": f'<div xmlns="{XHTML}">Ann</div>'},
            },
            {
                "resourceType": "Condition",
                "id": "c",
                "subject": {"reference": "Patient/p"},
                "code": {"text": "fracture of the wrist"},
            },
        ]
    )
    assert world.ids("Condition", ("subject:Patient._text", "ann"), ("_content", "wrist")) == ["c"]
    assert world.ids("Condition", ("subject._text", "ann")) == ["c"]
    assert world.ids("Patient", ("_has:Condition:subject:_content", "fracture")) == ["p"]
    assert sorted(world.ids("", ("_content", "wrist OR ann"))) == ["c", "p"]


def test_replacing_and_deleting_index_rows_forgets_their_words(world: World) -> None:
    resource = {"resourceType": "Basic", "id": "b", "code": {"text": "forgettable"}}
    world.add([resource])
    assert world.ids("Basic", ("_content", "forgettable")) == ["b"]
    key = reference_key("Basic", "b")
    resource["code"] = {"text": "memorable"}
    found = index.derive(DEFINITIONS, decode(encode(resource), 10_000), key=key, patient=0, fhir_base=BASE)
    with world.store.write() as session:
        derived.replace(session, [Derived(key, 0, *found.hot, found.rows)])
    assert world.ids("Basic", ("_content", "forgettable")) == []
    assert world.ids("Basic", ("_content", "memorable")) == ["b"]
    with world.store.write() as session:
        session.connection.execute(delete(text_index.text).where(text_index.text.c.key == key))
        if not session.is_postgresql:
            checked = "INSERT INTO index_text_words (index_text_words, rank) VALUES ('integrity-check', 1)"
            session.connection.execute(text(checked))
    assert world.ids("Basic", ("_content", "memorable")) == []


def test_what_a_reader_does_not_read_is_no_word() -> None:
    resource = {
        "resourceType": "Observation",
        "id": "idword",
        "meta": {"profile": ["http://profileword"], "tag": [{"display": "tagword"}]},
        "subject": {"reference": "Patient/referenceword", "display": "Shown"},
        "code": {"coding": [{"system": "http://systemword", "code": "codeword", "display": "Display"}]},
        "contained": [{"resourceType": "Basic", "id": "x", "code": {"text": "Inside"}}],
        "extension": [{"url": "http://urlword", "valueString": "extended"}],
        "text": {
            "status": "generated",
            "div": f'<div xmlns="{XHTML}" title="titleword">H<b>el</b>lo<br/>all &amp; 1</div>',
        },
    }
    rows = index.derive(DEFINITIONS, resource, key=1, patient=0, fhir_base=BASE).rows["index_text"]
    assert [row[-1] for row in rows] == [
        "hello all 1",
        "shown codeword display inside extended generated hello all 1",
    ]
