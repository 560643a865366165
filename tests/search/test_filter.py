"""`_filter` answers what a brute-force reading of its grammar and of the resources answers, on both databases."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.filter_syntax import DEPTH_LIMIT, OPERATORS, TESTS_LIMIT
from fhir_server.search.parse import parse
from fhir_server.search.run import statement_of
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import ALL, BASE, DEFINITIONS, HIDDEN, SOME, World

Json = dict[str, Any]
Holds = Callable[[Json], bool]

_RANDOM = random.Random(20_261_122)
_NAMES = ["Peter", "Petersen", "Ann", "Joanna", "O'Neil", "ann", "Zoë", "100% Pure_"]
_DAYS = ["2019", "2020", "2020-02", "2020-02-29", "2020-03-01", "1999-12-31"]
_GENDERS = ["male", "female", "unknown"]
_SYSTEM = "http://a.test"
_ORGANIZATIONS = {f"g{number}": name for number, name in enumerate(["North Wing", "South Wing", "Annex"])}


def _patient(number: int) -> Json:
    given = [_RANDOM.choice(_NAMES) for _ in range(_RANDOM.randrange(3))]
    values = [f"v{_RANDOM.randrange(4)}" for _ in range(_RANDOM.randrange(3))]
    found: Json = {"resourceType": "Patient", "id": f"p{number}"}
    if given:
        found["name"] = [{"given": given}]
    if values:
        found["identifier"] = [{"system": _SYSTEM, "value": value} for value in values]
    for name, choices in (("birthDate", _DAYS), ("gender", _GENDERS), ("managingOrganization", list(_ORGANIZATIONS))):
        if _RANDOM.random() < 0.75:
            found[name] = _RANDOM.choice(choices)
    if "managingOrganization" in found:
        found["managingOrganization"] = {"reference": f"Organization/{found['managingOrganization']}"}
    return found


PATIENTS = [_patient(number) for number in range(90)]
OTHERS: list[Json] = [
    *({"resourceType": "Organization", "id": logical_id, "name": name} for logical_id, name in _ORGANIZATIONS.items()),
    *(
        {
            "resourceType": "Observation",
            "id": f"o{number}",
            "status": "final",
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "subject": {"reference": f"Patient/p{number}"},
            "valueQuantity": {"value": number, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"},
        }
        for number, code in enumerate(["718-7", "2093-3", "718-7"])
    ),
    {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "content": [{"attachment": {"url": "http://a.test/1"}}],
        "relatesTo": [
            {"code": "replaces", "target": {"reference": "DocumentReference/d2"}},
            {"code": "signs", "target": {"reference": "DocumentReference/d3"}},
        ],
    },
    {
        "resourceType": "Group",
        "id": "r1",
        "type": "person",
        "actual": False,
        "characteristic": [
            {"code": {"coding": [{"code": "sex"}]}, "valueCodeableConcept": {"coding": [{"code": "f"}]}},
            {"code": {"coding": [{"code": "smokes"}]}, "valueBoolean": True},
        ],
    },
]  # fmt: skip


def _build(url: str) -> None:
    world = World(url)
    world.add([*PATIENTS, *OTHERS])
    world.add([{"resourceType": "Organization", "id": "secret", "name": "Annex"}], label=HIDDEN)
    world.add([{**PATIENTS[0], "id": "q1", "managingOrganization": {"reference": "Organization/secret"}}])
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-filter", _build))
    yield made
    made.close()


def _found(world: World, text: str, kind: str = "Patient", **more: Any) -> list[str]:
    return sorted(set(world.ids(kind, ("_filter", text), ("_count", "1000"), **more)) - {"q1"})


def _span(text: str) -> tuple[datetime, datetime]:
    year, month, day = (*(int(part) for part in text.split("-")), 1, 1)[:3]
    start = datetime(year, month, day, tzinfo=UTC)
    if len(text) == len("YYYY"):
        return start, start.replace(year=year + 1)
    return start, (start + timedelta(days=31)).replace(day=1) if len(text) == len("YYYY-MM") else start + timedelta(1)


def _text_holds(operator: str, mine: str, wanted: str) -> bool:
    left, right = (text.casefold().replace("'", "").replace("ë", "e") for text in (mine, wanted))
    left, right = (text.replace("%", "").replace("_", "").strip() for text in (left, right))
    return {
        "eq": left == right,
        "ne": left != right,
        "co": right in left,
        "sw": left.startswith(right),
        "ew": left.endswith(right),
        "gt": left > right,
        "lt": left < right,
        "ge": left >= right,
        "le": left <= right,
    }[operator]


def _date_holds(operator: str, mine: str, wanted: str) -> bool:
    (low, high), (start, end) = _span(mine), _span(wanted)
    inside = start <= low and high <= end
    return {
        "eq": inside,
        "ne": not inside,
        "gt": high > end,
        "lt": low < start,
        "ge": high > end or inside,
        "le": low < start or inside,
        "sa": low >= end,
        "eb": high <= start,
        "po": low < end and high > start,
        "co": low <= start and end <= high,
    }[operator]


def _given(patient: Json) -> list[str]:
    return [text for name in patient.get("name", ()) for text in name["given"]]


def _organization(patient: Json) -> list[str]:
    reference = patient.get("managingOrganization", {}).get("reference", "")
    return [_ORGANIZATIONS[reference.partition("/")[2]]] if reference else []


def _some(values: Callable[[Json], list[str]], holds: Callable[[str], bool]) -> Holds:
    return lambda patient: any(map(holds, values(patient)))


def _elements(name: str) -> Callable[[Json], list[str]]:
    return lambda patient: [patient[name]] if name in patient else []


def _values(patient: Json) -> list[str]:
    return [each["value"] for each in patient.get("identifier", ())]


_TEXT_OPERATORS = st.sampled_from(["eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le"])
_DATE_OPERATORS = st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "po", "co"])
_SAME = st.sampled_from(["eq", "ne"])
_SETS: dict[str, Callable[[Json], list[str]]] = {
    "given": _given,
    "birthdate": _elements("birthDate"),
    "gender": _elements("gender"),
    "identifier": _values,
    "organization": _organization,
}


@st.composite
def _tests(draw: st.DrawFn) -> tuple[str, Holds]:
    kind = draw(st.sampled_from([*_SETS, "organization.name", "pr"]))
    if kind == "pr":
        name, present = draw(st.sampled_from(list(_SETS))), draw(st.booleans())
        return f"{name} pr {str(present).lower()}", lambda patient: bool(_SETS[name](patient)) is present
    if kind in {"given", "organization.name"}:
        source = _given if kind == "given" else _organization
        operator = draw(_TEXT_OPERATORS)
        whole = draw(st.sampled_from(_NAMES if kind == "given" else list(_ORGANIZATIONS.values())))
        start = draw(st.integers(0, len(whole) - 1))
        text = whole[start : draw(st.integers(start + 1, len(whole)))]
        if not any(character.isalnum() for character in text):
            text = whole
        return f"{kind} {operator} {json.dumps(text)}", _some(source, lambda mine: _text_holds(operator, mine, text))
    if kind == "birthdate":
        operator, day = draw(_DATE_OPERATORS), draw(st.sampled_from(_DAYS))
        return f"birthdate {operator} {day}", _some(_SETS[kind], lambda mine: _date_holds(operator, mine, day))
    operator = draw(_SAME)
    if kind == "gender":
        code = draw(st.sampled_from(_GENDERS))
        return f"gender {operator} {code}", _some(_SETS[kind], lambda mine: (mine == code) is (operator == "eq"))
    if kind == "identifier":
        value = draw(st.sampled_from(["v0", "v1", "v9"]))
        return (
            f"identifier {operator} {_SYSTEM}|{value}",
            _some(_values, lambda mine: (mine == value) is (operator == "eq")),
        )
    logical_id = draw(st.sampled_from(list(_ORGANIZATIONS)))
    wanted = _ORGANIZATIONS[logical_id]
    verb = "re" if operator == "eq" else "ne"
    return (
        f"organization {verb} Organization/{logical_id}",
        _some(_organization, lambda mine: (mine == wanted) is (operator == "eq")),
    )


@st.composite
def _joined(draw: st.DrawFn, inner: st.SearchStrategy[tuple[str, Holds]]) -> tuple[str, Holds]:
    """Join from left to right, without precedence; parentheses around what is joined."""
    text, holds = draw(inner)
    for _ in range(draw(st.integers(0, 2))):
        word = draw(st.sampled_from(["and", "or"]))
        further, also = draw(inner)
        text, holds = f"{text} {word} {further}", _both(word, holds, also)
    if draw(st.booleans()):
        return f"not({text})", lambda patient, holds=holds: not holds(patient)
    return f"({text})", holds


def _both(word: str, left: Holds, right: Holds) -> Holds:
    if word == "and":
        return lambda patient: left(patient) and right(patient)
    return lambda patient: left(patient) or right(patient)


def test_a_filter_finds_what_its_words_say(world: World) -> None:
    @given(st.recursive(_tests(), _joined, max_leaves=6))
    def law(asked: tuple[str, Holds]) -> None:
        text, holds = asked
        assert _found(world, text) == sorted(each["id"] for each in PATIENTS if holds(each)), text

    law()


@pytest.mark.parametrize(
    "kind,text,expected",
    [
        ("Observation", "code eq loinc|718-7", ["o0", "o2"]),
        ("Observation", "code ne loinc|718-7", ["o1"]),
        ("Observation", "value-quantity gt 0.5|ucum|mg and value-quantity lt 2||mg", ["o1"]),
        ("Observation", "code-value-quantity eq loinc|718-7$ge1|ucum|mg", ["o2"]),
        ("Observation", "code-value-quantity[code eq loinc|718-7].value-quantity lt 1", ["o0"]),
        ("Observation", "subject:Patient.birthdate pr true and subject re Patient/p1", None),
        ("Observation", "_id eq o1 or _id eq o2 and _lastUpdated gt 2000", ["o1", "o2"]),
        ("Observation", "_lastUpdated po 2000", []),
        ("Group", "characteristic[code eq sex].value eq f", ["r1"]),
        ("Group", "characteristic[value eq true and code ne sex].code eq smokes", ["r1"]),
        ("Group", "characteristic[code eq smokes].value eq f", []),
        ("Group", "characteristic-value[characteristic eq smokes].value eq true", ["r1"]),
        ("DocumentReference", "relatesTo[code eq replaces].target re DocumentReference/d2", ["d1"]),
        ("DocumentReference", "relatesTo[code eq signs].target re DocumentReference/d2", []),
        ("DocumentReference", "relationship eq DocumentReference/d3$signs", ["d1"]),
        ("Patient", "_has:Observation:patient:code eq loinc|2093-3", ["p1"]),
        ("Patient", "_id eq p1 and _has:Observation:patient:value-quantity gt 5", []),
        ("Patient", 'organization[name sw "south"].name ew "wing" and _id eq p99', []),
    ],
)
def test_a_filter_reaches_what_every_search_reaches(
    world: World, kind: str, text: str, expected: list[str] | None
) -> None:
    found = _found(world, text, kind)
    assert found == (["o1"] if "birthDate" in PATIENTS[1] else []) if expected is None else found == expected


def test_a_bracket_holds_for_the_resource_that_the_rest_of_the_path_is_about(world: World) -> None:
    wings = [each["id"] for each in PATIENTS if _organization(each) == ["South Wing"]]
    assert wings
    assert _found(world, 'organization[name sw "south"].name ew "wing"') == sorted(wings)
    assert _found(world, 'organization[name sw "north"].name sw "south"') == []
    assert _found(world, "subject[gender pr true].birthdate pr true", "Observation") == [
        each["id"] for each in OTHERS
        if each["resourceType"] == "Observation" and {"gender", "birthDate"} <= set(PATIENTS[int(each["id"][1:])])
    ]  # fmt: skip


def test_filters_that_are_repeated_must_all_hold(world: World) -> None:
    query = [("_filter", "gender eq male"), ("_filter", "birthdate pr true"), ("_count", "1000")]
    assert set(world.ids("Patient", *query)) - {"q1"} == set(_found(world, "gender eq male and birthdate pr true"))


def test_a_filter_does_not_pass_through_what_is_hidden(world: World) -> None:
    for text in ('organization.name eq "annex"', 'organization[name eq "annex"].name pr true'):
        query = [("_filter", f"{text} and _id eq q1")]
        assert world.ids("Patient", *query) == ["q1"]
        assert world.ids("Patient", *query, visibility=SOME) == []
    query = [("_filter", 'not(organization.name eq "annex") and _id eq q1')]
    assert world.ids("Patient", *query, visibility=SOME) == ["q1"]


@pytest.mark.parametrize(
    "text,said",
    [
        ("given", "character 6"),
        ("given zz peter", r"one of eq, ne.*po"),
        ("given eq", "character 6"),
        ('given eq "peter', "JSON string"),
        ('given eq "\\ud800"', "JSON string"),
        ('given eq "a\\u0000b"', "NUL"),
        ("(given eq peter", r"'\)' expected"),
        ("given eq peter)", "'and', 'or' or the end"),
        ("given eq peter given eq ann", "'and', 'or' or the end"),
        ("given eq peter and ", "name of a search parameter"),
        ("not given eq peter", "one of eq"),
        ("organization[name eq a] eq b", "after ']'"),
        ("organization[name eq a.name eq b", r"'\]' expected"),
        ("gender gt male", "'gender', a token. Supported: eq, ne, in"),
        ("birthdate re x", "'birthdate', a date. Supported: eq"),
        ("birthdate eq ge2020", "YYYY"),
        ("birthdate pr maybe", "true or false"),
        ("given:exact eq Peter", "no modifier"),
        ("nosuch eq 1", "nosuch.*Supported: .*birthdate"),
        ("given.name eq a", "no reference"),
        ("organization.nosuch eq a", "not supported for any of Organization"),
        ("_has:Observation:patient eq 1", "_has:"),
        ("gender in nosuch", "gender:in|value set"),
        ("given gt " + "a" * 80, "at most 64"),
        ("(" * (DEPTH_LIMIT + 1) + "given eq a" + ")" * (DEPTH_LIMIT + 1), "deep"),
        (" or ".join("given eq a and given eq b" for _ in range(DEPTH_LIMIT)), "deep"),
        (" or ".join(["given eq a"] * (TESTS_LIMIT + 1)), "at most 40 tests"),
        ("given eq " + "a" * 9_000, "8192 characters"),
        ("organization." * 9 + "name eq a", "at most 6 hops|not supported for any"),
        ("(" * 60_000, "deep|8192"),
        ("given eq a'; DROP TABLE resource; --", "character"),
    ],
)
def test_a_filter_that_is_not_understood_is_refused_with_what_would_be(text: str, said: str) -> None:
    with pytest.raises(FhirError, match=said) as refused:
        parse(DEFINITIONS, "Patient", [("_filter", text)], fhir_base=BASE)
    assert refused.value.status == 400


def test_the_largest_filter_runs(world: World) -> None:
    deep = "given eq a"
    for level in range(DEPTH_LIMIT - 1):
        deep = f"not({deep})" if level % 2 else f"({deep} or organization.partof.name co x)"
    assert isinstance(_found(world, deep), list)
    assert _found(world, " and ".join(["given eq peter"] * TESTS_LIMIT)) == _found(world, "given eq peter")
    assert len(OPERATORS) == 19


@pytest.mark.parametrize(
    "kind,name,value",
    [
        ("Patient", "_filter", "family eq adams or identifier eq 1"),
        ("Patient", "_filter", "given eq a or organization.name eq b"),
        ("Patient", "_text", "a"),
        ("", "_id", "a,b"),
    ],
)
def test_no_database_looks_at_every_resource_for_alternatives(world: World, kind: str, name: str, value: str) -> None:
    request = parse(DEFINITIONS, kind, [(name, value)], fhir_base=BASE)
    with world.store.read() as session:
        dialect = session.store.engine.dialect
        found = statement_of(session, ALL, request)[0].compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        if session.is_postgresql:
            # Of a few rows PostgreSQL looks at all, whatever it is asked; of many it starts from one set of keys.
            assert (" UNION " in str(found)) is (name == "_filter")
            return
        plan = [row[3] for row in session.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {found}")]
    assert [step for step in plan if step.startswith(("SCAN resource", "SCAN index_text_2"))] == []
