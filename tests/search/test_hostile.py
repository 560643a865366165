"""Whatever a caller writes is a literal value or a refusal that names the parameter."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import event

from fhir_server.search import cursor
from fhir_server.search.parse import parse
from fhir_server.search.run import find, run
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import ALL, BASE, DEFINITIONS, PAGE_KEY, World

ODD_TEXTS = [
    "%",
    "_",
    "\\",
    "a%' OR 1=1 --",
    "'; DROP TABLE resource; --",
    '"',
    "\u0000",
    "\ud7ff\U0010ffff",
    "((((a+)+)+)+$",
]

EVERY_KIND = [
    *("family", "family:exact", "family:contains", "identifier", "identifier:of-type", "_id", "birthdate"),
    *("gender:missing", "organization", "general-practitioner.name", "_has:Observation:patient:code", "_tag"),
    *("_profile", "_profile:below", "_lastUpdated", "_sort", "_include", "_elements", "_count", "_cursor"),
]


ENDLESS = [each for each in EVERY_KIND if each not in {"_cursor", "_elements"}]
STEPS_LIMIT = 20_000_000


def _build(url: str) -> None:
    world = World(url)
    world.add(
        {
            "resourceType": "Patient",
            "id": f"p{number}",
            "identifier": [{"system": "http://a.test", "value": f"v{number}"}],
            "name": [{"family": family}],
        }
        for number, family in enumerate(["Adams", "Brown", "Clark", "100% Pure", "under_score"])
    )
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-hostile", _build))
    yield made
    made.close()


def test_odd_texts_are_literal_or_refused_in_every_kind_of_parameter(world: World) -> None:
    for name in EVERY_KIND:
        for text in ODD_TEXTS:
            try:
                page, _ = world.search("Patient", [(name, text)])
            except FhirError as error:
                refused = (error.status, "sql" in error.diagnostics.lower())
            else:
                refused = (400, False)
                assert name in {"_elements", "family:contains", "family"} or not page.matches
            assert refused == (400, False)


def test_wildcards_of_the_database_are_plain_characters(world: World) -> None:
    assert world.ids("Patient", ("family", "100%")) == ["p3"]
    assert world.ids("Patient", ("family:exact", "under_score")) == ["p4"]
    assert world.ids("Patient", ("family", "%dams")) == []
    assert world.ids("Patient", ("family:exact", "Adam_")) == []


def test_a_list_has_a_limit_that_the_refusal_names(world: World) -> None:
    many = ",".join(f"v{number}" for number in range(10_000))
    with pytest.raises(FhirError, match="at most 1000"):
        world.search("Patient", [("identifier", many)])
    allowed = ",".join(f"http://a.test|v{number}" for number in range(1_000))
    assert len(world.ids("Patient", ("identifier", allowed))) == 5
    systems = ",".join(f"http://{number}.test|v1" for number in range(1_000))
    assert world.ids("Patient", ("identifier", systems)) == []
    dates = ",".join(f"lt19{number % 100:02d}" for number in range(100))
    assert world.ids("Patient", ("birthdate", dates)) == []
    assert world.ids("Patient", *[("birthdate", dates)] * 2) == []
    with pytest.raises(FhirError, match="at most 100"):
        world.search("Patient", [("birthdate", dates + ",lt1900")])
    with pytest.raises(FhirError, match="more than 2000 values, of which a date counts for 8"):
        world.search("Patient", [("birthdate", dates)] * 3)
    with pytest.raises(FhirError, match="more than 2000 values"):
        world.search("Observation", [("code-value-quantity", ",".join(["a$1"] * 63))] * 2)


def status(world: World, kind: str, query: list[tuple[str, str]]) -> int:
    try:
        world.search(kind, query)
    except FhirError as error:
        return error.status
    return 200


@contextmanager
def little_work(world: World) -> Iterator[None]:
    """Hold that SQLite takes few steps in the block, and that PostgreSQL would not go on for long.

    A step of SQLite's machine is some ten nanoseconds, and their number does not depend on what else the computer does.
    """
    thousands = [0]

    def another() -> int:
        thousands[0] += 1
        return thousands[0] > STEPS_LIMIT // 1_000

    def watched(connection: Any, *_: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_progress_handler(another, 1_000)

    event.listen(world.store.engine, "checkout", watched)
    try:
        yield
    finally:
        event.remove(world.store.engine, "checkout", watched)
    assert thousands[0] <= STEPS_LIMIT // 1_000
    with world.store.read() as session:
        if session.is_postgresql:
            assert session.connection.exec_driver_sql("SHOW statement_timeout").scalar() == "30s"


def test_a_query_of_64_kilobytes_is_answered_or_refused(world: World) -> None:
    with little_work(world):
        for query in (
            [("family", "a" * 8_000)],
            [("family:exact", "\\" * 8_000)],
            [("_profile:above", "http://a/" + "b/" * 4_000)],
        ):
            with suppress(FhirError):
                world.search("Patient", query)
        for name in ENDLESS:
            with pytest.raises(FhirError) as refused:
                world.search("Patient", [(name, "a" * 65_000)])
            assert refused.value.status == 400
            assert len(refused.value.diagnostics) < 2_000
        with pytest.raises(FhirError, match="at most 100"):
            world.search("Patient", [("family", "a")] * 101)


def _understand(kind: str, name: str, value: str) -> None:
    request = parse(DEFINITIONS, kind, [(name, value)], fhir_base=BASE)
    cursor.unseal(request.cursor, page_key=PAGE_KEY, binding="", understood=())


@pytest.mark.parametrize(
    "name,value,said",
    [
        ("nosuch", "1", "nosuch.*Supported: .*birthdate"),
        ("birthdate", "23 May 2009", "YYYY-MM-DD"),
        ("birthdate", "2020-02-30", "YYYY-MM-DD"),
        ("birthdate", "2020-13", "YYYY-MM-DD"),
        ("birthdate:exact", "2020", "Supported: :missing"),
        ("gender:missing", "perhaps", "true or false"),
        ("identifier", "a|b|c", r"\[system\]\|\[code\]"),
        ("_count", "-1", "whole number"),
        ("_sort", "nosuch", "nosuch.*Supported"),
        ("_include", "Patient:nosuch", "reference parameters of Patient"),
        ("_include", "Nothing:at:all", r"\[type\]"),
        ("family.name", "x", "no reference"),
        ("organization:Nothing.name", "x", "Supported"),
        ("_has:Observation:code:code", "x", "reference parameter"),
        ("_summary", "some", "one of true, text"),
        ("_total", "lots", "one of none"),
        ("_type", "Nothing", "no resource type"),
        ("_text:below", "anything", "not supported"),
        ("_filter", "name zz a", "one of eq, ne"),
        ("_cursor", "AAAA", "page link"),
    ],
)
def test_a_refusal_names_the_parameter_and_what_is_allowed(name: str, value: str, said: str) -> None:
    kind = "" if name == "_type" else "Patient"
    with pytest.raises(FhirError, match=said) as refused:
        _understand(kind, name, value)
    assert refused.value.status == 400


def test_a_chain_has_a_greatest_depth() -> None:
    for name in ("link:Patient." * 9 + "name", "_has:Patient:link:" * 9 + "name", "entity." * 7 + "identifier"):
        kind = "Provenance" if name.startswith("entity") else "Patient"
        with pytest.raises(FhirError, match="at most 6 hops"):
            parse(DEFINITIONS, kind, [(name, "x")], fhir_base=BASE)


def test_a_cursor_serves_its_caller_and_its_query_only(world: World) -> None:
    def page(query: list[tuple[str, str]], binding: str) -> str | None:
        request = parse(DEFINITIONS, "Patient", query, fhir_base=BASE)
        with world.store.read() as session:
            found = run(session, ALL, request, page_key=PAGE_KEY, binding=binding, definitions=DEFINITIONS)
        return found.next_cursor

    query = [("_count", "2"), ("_sort", "family")]
    sealed = page(query, "anna")
    assert sealed
    assert page([*query, ("_cursor", sealed)], "anna")
    for other, binding in (
        (query, "bert"),
        ([("_count", "2"), ("_sort", "-family")], "anna"),
        ([("_count", "3")], "anna"),
    ):
        with pytest.raises(FhirError, match="page link"):
            page([*other, ("_cursor", sealed)], binding)
    altered = ("B" if sealed[20] == "A" else "A").join((sealed[:20], sealed[21:]))
    for broken in (altered, sealed[:-4], "", "x" * 5_000, "é"):
        if broken:
            with pytest.raises(FhirError, match="page link"):
                page([*query, ("_cursor", broken)], "anna")


def test_lenient_handling_warns_and_leaves_out_what_it_ignored(world: World) -> None:
    page, request = world.search("Patient", [("nosuch", "1"), ("family", "adams")], handling="lenient")
    assert [row.id for row in page.matches] == ["p0"]
    assert [issue.severity for issue in page.outcomes] == ["warning"]
    assert request.understood == (("family", "adams"),)


def test_a_conditional_request_needs_a_criterion(world: World) -> None:
    with world.store.read() as session:
        for criteria in ([], [("family", "")], [("_sort", "family")], [("_count", "1")]):
            with pytest.raises(FhirError):
                find(session, ALL, "Patient", criteria, definitions=DEFINITIONS, fhir_base=BASE)
        found = find(
            session, ALL, "Patient", [("identifier", "http://a.test|v1")], definitions=DEFINITIONS, fhir_base=BASE
        )
    assert [each.id for each in found] == ["p1"]


WORST: list[tuple[str, list[tuple[str, str]]]] = [
    ("", [("_tag", f"a{number}") for number in range(100)]),
    ("", [("_tag:not", f"a{number}") for number in range(100)]),
    ("", [("_profile:below", "http://a/" + "b/" * 100)] * 100),
    ("", [("_type", ",".join(sorted(DEFINITIONS.resource_types))), ("_tag", ",".join(["http://a|b"] * 1_000))]),
    ("Patient", [("organization.partof.partof.partof.partof.name:contains", "x")] * 20),
    ("Patient", [("_filter", "not(given eq a)")] * 100),
    ("Patient", [("_filter", " or ".join(["organization.partof.partof.partof.name co x"] * 20))]),
    ("Patient", [("_filter", "name" + " " * 8_000 + "eq x")]),
    ("Patient", [("_filter", "(" * 8_000)]),
    ("Patient", [("_filter", "organization[" * 600)]),
    ("Patient", [("_filter", 'name eq "' + "\\\\" * 4_000 + '"')]),
    ("Patient", [("_filter", "a:" * 4_000 + " eq x")]),
    ("Patient", [("_revinclude:iterate", "*")] * 50),
    ("Patient", [("_sort", "family;DROP TABLE resource; --")]),
    ("Patient", [("_sort", ",".join(["family"] * 10_000))]),
    ("Patient", [("_elements", ",".join(["name"] * 10_000))]),
    ("Patient", [("_has:Observation:patient:" * 6 + "code", ",".join(["x"] * 10_000))]),
    ("Observation", [("focus.subject.general-practitioner.organization.name", "x")] * 10),
    (
        "Observation",
        [("_filter", " and ".join(f"{code} pr false" for code in DEFINITIONS.search_parameters("Observation")))],
    ),
    ("Patient", [(f"{code}:missing", "true") for code in DEFINITIONS.search_parameters("Patient")]),
    ("Provenance", [("entity", ",".join(f"x{number}" for number in range(1_000)))]),
    ("Task", [("focus", f"x{number}") for number in range(100)]),
    ("Organization", [("partof:below", f"x{number}") for number in range(100)]),
]


@pytest.mark.parametrize("number", range(len(WORST)))
def test_the_worst_that_a_query_can_ask_is_answered_or_refused(world: World, number: int) -> None:
    kind, query = WORST[number]
    with little_work(world):
        assert status(world, kind, query) in {200, 400}


def test_an_id_that_may_be_of_any_type_counts_for_more(world: World) -> None:
    many = ",".join(f"x{number}" for number in range(1_000))
    with pytest.raises(FhirError, match="an id without its type"):
        world.search("Provenance", [("entity", many)])
    assert world.ids("Provenance", ("entity", many.replace("x", "Patient/x"))) == []
    assert world.ids("Observation", ("subject", many)) == []


@pytest.mark.parametrize(
    "kind,path",
    [
        ("Organization", "_has:Observation:performer:performer:Organization._has:Observation:performer:code"),
        ("Observation", "performer:Organization._has:Observation:performer:performer:Organization.name"),
        ("Observation", "has-member.has-member.has-member.has-member.has-member.code"),
    ],
)
def test_a_chain_that_spreads_looks_at_each_row_a_few_times(databases: Databases, kind: str, path: str) -> None:
    made = World(databases.prepared("search-crowd", _crowd))
    with little_work(made):
        assert made.ids(kind, ("_id:not", "x"), (path, "zz")) == []
        assert made.ids(kind, ("_id", "o,o1"), (path, "zz")) == []
        assert made.ids(kind, ("_filter", f'_id ne x and {path} eq "zz"')) == []
    assert len(made.ids(kind, ("_id", "o,o1"), (path, "one"))) == 1
    made.close()


def _crowd(url: str) -> None:
    """Fill a record in which many point to one, and each to many."""
    world = World(url)
    world.add([{"resourceType": "Organization", "id": "o", "name": "one"}])
    world.add(
        {
            "resourceType": "Observation",
            "id": f"o{number}",
            "status": "final",
            "code": {"coding": [{"code": "one"}]},
            "performer": [{"reference": "Organization/o"}],
            "hasMember": [{"reference": f"Observation/o{(number * 7 + step) % 300}"} for step in range(20)],
        }
        for number in range(300)
    )
    world.close()


LISTS = [
    *("family", "identifier", "identifier:text", "identifier:of-type", "birthdate", "organization", "gender:in"),
    *("_tag", "_security:text", "_profile:below", "_id", "_lastUpdated", "_text", "_content", "_list", "_source:above"),
    *("organization:identifier", "general-practitioner.name", "_has:Observation:patient:code", "link:Patient"),
]


@pytest.mark.parametrize("count", [100, 300, 1_000, 10_000])
def test_a_list_of_any_length_is_answered_or_refused_by_name(world: World, count: int) -> None:
    for name in LISTS:
        for value in ("v{}", "19{:02.2}", "http://a.test/{}|v", "a|b|{}", "50% {}_\\"):
            values = ",".join(value.format(str(number)) for number in range(count))
            with little_work(world):
                assert (status(world, "Patient", [(name, values)]), name) in {(200, name), (400, name)}


def test_odd_texts_are_literal_or_refused_in_a_filter(world: World) -> None:
    for text in [*ODD_TEXTS, "%s", "%(x)s", ":x", "$1", "?", "/* x */", "a\tb"]:
        for operator in ("eq", "ne", "co", "sw", "ew", "gt", "le"):
            quoted = json.dumps(text)
            with suppress(FhirError):
                found = world.ids("Patient", ("_filter", f"family {operator} {quoted}"))
                if operator == "eq":
                    assert found == []
    assert world.ids("Patient", ("_filter", 'family co "0% p"')) == ["p3"]
    assert world.ids("Patient", ("_filter", 'family eq "under_score"')) == ["p4"]
    assert world.ids("Patient", ("_filter", 'family eq "underXscore"')) == []
