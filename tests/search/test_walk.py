"""Searches by code, which walk an index: the same pages as brute force gives, whichever window fills them."""

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search import walk
from fhir_server.search.cursor import Place
from fhir_server.search.model import SearchPage
from fhir_server.store.keys import reference_key
from tests.databases import Databases
from tests.search.world import DEFINITIONS, NOW_US, World

Json = dict[str, Any]
Query = list[tuple[str, str]]

_RANDOM = random.Random(31)
_DAYS = ["2019-01-01", "2019-06-01", "2020-02-29"]
_SYSTEMS = ["http://a", "http://b"]
_GRAM = {"system": "http://unitsofmeasure.org", "code": "g"}
_VALUES: list[Json] = [
    *({"valueQuantity": {"value": number}} for number in range(5)),
    {"valueQuantity": {"value": 4, **_GRAM}},
    {"valueQuantity": {"value": 1, "comparator": ">"}},
    {"valueSampledData": {"origin": {"value": 0}, "period": 1, "dimensions": 1, "data": "1 4 2"}},
    {},
    {"valueString": "4"},
]
"""What is measured: one number, of which index rows of codes tell, and all else, of which they do not."""


def _observation(number: int) -> Json:
    codings = [
        {"system": system, "code": code}
        for system in _SYSTEMS
        for code in ("x", "y", "Y", "z")
        if _RANDOM.random() < 0.4
    ]
    found: Json = {
        "resourceType": "Observation",
        "id": f"o{number}",
        "status": _RANDOM.choice(["final", "amended"]),
        "code": {"coding": codings} if codings else {"text": "t"},
    }
    if _RANDOM.random() < 0.8:
        found["effectiveDateTime"] = _RANDOM.choice(_DAYS)
    return found | _RANDOM.choice(_VALUES)


_OBSERVATIONS = [_observation(number) for number in range(120)]
_PATIENTS: list[Json] = [
    {
        "resourceType": "Patient",
        "id": f"p{number}",
        "gender": _RANDOM.choice(["male", "female", "other"]),
        "name": [{"family": _RANDOM.choice(["Chan", "Chander", "Smith"]), "given": ["Charles", "Ann"]}],
    }
    for number in range(30)
]


_UPDATED = {NOW_US + hour * 3_600_000_000: _OBSERVATIONS[hour::5] for hour in range(5)}
_UPDATED_AT = {each["id"]: at for at, resources in _UPDATED.items() for each in resources}
_HOUR = datetime.fromtimestamp((NOW_US + 2 * 3_600_000_000) / 1_000_000, tz=UTC).isoformat().replace("+00:00", "Z")


def _build(url: str) -> None:
    world = World(url)
    for updated_at, resources in _UPDATED.items():
        world.add(resources, updated_at=updated_at)
    world.add(_PATIENTS)
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-walk", _build))
    yield made
    made.close()


@pytest.fixture(params=[(2, 7, 25), walk.WINDOWS], ids=["narrow", "wide"])
def windows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, ...]:
    """Make windows so narrow that pages need several, and the whole search after them."""
    chosen: tuple[int, ...] = request.param
    monkeypatch.setattr(walk, "WINDOWS", chosen)
    return chosen


def _has(resource: Json, code: str) -> bool:
    for wanted in code.split(","):
        system, bar, value = wanted.rpartition("|")
        for coding in resource["code"].get("coding", ()):
            if coding["code"].casefold() == value.casefold() and (not bar or coding["system"] == system):
                return True
    return False


def _ends(resource: Json) -> tuple[float, float] | None:
    if "valueSampledData" in resource:
        return 1, 4
    if "valueQuantity" not in resource:
        return None
    number = resource["valueQuantity"]["value"]
    return (number + 0.1, math.inf) if "comparator" in resource["valueQuantity"] else (number, number)


def _measures(resource: Json, value: str) -> bool:
    number, bar, _ = value[2:].partition("|")
    ends, wanted = _ends(resource), float(number)
    if ends is None or (bar and "system" not in resource.get("valueQuantity", {})):
        return False
    low, high = ends
    within = wanted - 0.5 <= low and high < wanted + 0.5
    prefixes = {"gt": high > wanted, "lt": low < wanted, "le": low <= wanted, "eq": within, "ne": not within}
    return prefixes[value[:2]]


def _meets(resource: Json, others: Query) -> bool:
    for name, value in others:
        match name:
            case "status":
                held = resource["status"] == value
            case "status:not":
                held = resource["status"] != value
            case "value-quantity":
                held = _measures(resource, value)
            case "value-quantity:missing":
                held = (_ends(resource) is None) == (value == "true")
            case "_lastUpdated":
                held = _UPDATED_AT[resource["id"]] >= NOW_US + 2 * 3_600_000_000
            case "date" if value.startswith("ge"):
                held = resource.get("effectiveDateTime", "0") >= value[2:]
            case _:
                held = resource.get("effectiveDateTime", "9") < value[2:]
        if not held:
            return False
    return True


def _expected(code: str, others: Query, sort: str) -> list[str]:
    found = [each for each in _OBSERVATIONS if (not code or _has(each, code)) and _meets(each, others)]
    backwards = not sort or sort.startswith("-")
    found.sort(key=lambda each: reference_key("Observation", each["id"]), reverse=backwards)
    if sort.endswith("_lastUpdated"):
        return [each["id"] for each in sorted(found, key=lambda each: _UPDATED_AT[each["id"]], reverse=backwards)]
    dated = [each for each in found if "effectiveDateTime" in each]
    dated.sort(key=lambda each: str(each["effectiveDateTime"]), reverse=backwards)
    return [each["id"] for each in (*dated, *(each for each in found if each not in dated))]


_CODES = st.lists(
    st.sampled_from(["x", "y", "Z", "http://a|x", "http://b|y", "http://a|z", "w"]), max_size=3, unique=True
).map(",".join)
_OTHERS = st.lists(
    st.sampled_from(
        [
            ("status", "final"),
            ("status:not", "final"),
            *(
                ("value-quantity", value)
                for value in ("gt3", "le1", "eq4", "ne4", "lt2", "gt3|http://unitsofmeasure.org|g")
            ),
            ("value-quantity:missing", "true"),
            ("date", "ge2020-01-01"),
            ("date", "lt2020-01-01"),
            ("_lastUpdated", f"ge{_HOUR}"),
        ]
    ),
    max_size=2,
    unique_by=lambda each: each[0],
)


def _ids(page: SearchPage) -> list[str]:
    return [row.id for row in page.matches]


def _pages(world: World, kind: str, query: Query, page: SearchPage, way: str) -> list[list[str]]:
    pages = [_ids(page)]
    while cursor := getattr(page, way):
        page, _ = world.search(kind, [*query, ("_cursor", cursor)])
        pages.append(_ids(page))
    return pages


@pytest.mark.usefixtures("windows")
def test_pages_that_are_walked_to_are_what_brute_force_finds(world: World) -> None:
    @given(
        code=_CODES,
        others=_OTHERS,
        sort=st.sampled_from(["", "date", "-date", "_lastUpdated", "-_lastUpdated"]),
        size=st.integers(1, 30),
    )
    def law(code: str, others: Query, sort: str, size: int) -> None:
        query = [("code", code), *others, ("_sort", sort), ("_count", str(size))]
        first, request = world.search("Observation", query)
        assert walk.of(request, request.criteria, Place())
        expected = _expected(code, others, sort)
        assert list(chain.from_iterable(_pages(world, "Observation", query, first, "next_cursor"))) == expected
        if first.last_cursor:
            last, _ = world.search("Observation", [*query, ("_cursor", first.last_cursor)])
            backwards = _pages(world, "Observation", query, last, "previous_cursor")
            assert list(chain.from_iterable(reversed(backwards))) == expected

    law()


def _female(patient: Json) -> bool:
    return str(patient["gender"]) == "female"


def _chan(patient: Json) -> bool:
    return str(patient["name"][0]["family"]).startswith("Chan")


@pytest.mark.usefixtures("windows")
@pytest.mark.parametrize(
    "query, tests",
    [
        ([("gender", "female")], [_female]),
        ([("family", "chan")], [_chan]),
        ([("name", "cha")], []),
        ([("family", "chan"), ("gender", "female")], [_chan, _female]),
        ([("_lastUpdated", "ge2000-01-01")], []),
        ([("gender:not", "male"), ("gender:not", "other")], [_female]),
    ],
)
def test_what_has_no_time_is_found_page_by_page_in_the_order_of_its_keys(
    world: World, query: Query, tests: list[Callable[[Json], bool]]
) -> None:
    asked = [*query, ("_count", "4")]
    expected = sorted(reference_key("Patient", each["id"]) for each in _PATIENTS if all(test(each) for test in tests))
    first, request = world.search("Patient", asked)
    assert walk.of(request, request.criteria, Place())
    pages = list(chain.from_iterable(_pages(world, "Patient", asked, first, "next_cursor")))
    assert [reference_key("Patient", each) for each in pages] == expected
    last, _ = world.search("Patient", [*asked, ("_cursor", first.last_cursor or "")])
    assert list(chain.from_iterable(reversed(_pages(world, "Patient", asked, last, "previous_cursor")))) == pages


@pytest.mark.usefixtures("windows")
def test_the_total_is_that_of_all_windows(world: World) -> None:
    expected = _expected("x", [], "")
    page, _ = world.search("Observation", [("code", "x"), ("_count", "3"), ("_total", "accurate")])
    assert page.total == len(expected)


@pytest.mark.parametrize(
    "query, walks",
    [
        ([("code", "x")], "code"),
        ([("code", "x"), ("status", "final")], "code"),
        ([("code", "x"), ("patient.name", "Ann")], "code"),
        ([("code", "x"), ("_sort", "-_lastUpdated")], "type"),
        ([("code:not", "x")], "type"),
        ([("code", ",".join("abcdefghi"))], "type"),
        ([("date", "2020")], "type"),
        ([], "type"),
        ([("value-string", "word"), ("code", "x")], "key"),
        ([("value-string", "word"), ("_sort", "-date")], ""),
        ([("code", "x"), ("patient", "Patient/p1")], ""),
        ([("code", "x"), ("identifier", "1")], ""),
        ([("code", "x"), ("patient.identifier", "1")], ""),
        ([("code", "x"), ("_content", "word")], ""),
        ([("code", "x"), ("_sort", "status")], ""),
    ],
)
def test_what_may_leave_few_rows_leads_instead(world: World, query: Query, walks: str) -> None:
    _, request = world.search("Observation", query)
    way = walk.of(request, request.criteria, Place())
    assert ("" if way is None else "key" if way.by_key else "code" if way.first else "type") == walks


def test_a_patients_resources_come_newest_first(world: World) -> None:
    _, request = world.search("Observation", [("patient", "Patient/p1")])
    assert [(key.code, key.descending) for key in request.sort] == [("date", True)]
    assert walk.newest_first(DEFINITIONS, ("Patient",), request.criteria) == ()


def test_a_window_is_followed_by_one_that_may_fill_the_page(world: World) -> None:
    _, request = world.search("Observation", [("code", "x"), ("status", "final"), ("_count", "20")])
    way = walk.of(request, request.criteria, Place())
    assert way is not None
    assert [walk.next_window(way, 200, found) for found in (0, 1, 5)] == [2_000, 20_000, 2_000]
    assert [walk.next_window(way, 2_000, found) for found in (0, 1, 20)] == [None, None, 20_000]
    _, request = world.search("Observation", [("code", "x"), ("patient.name", "Ann"), ("_count", "20")])
    way = walk.of(request, request.criteria, Place())
    assert way is not None
    assert walk.next_window(way, 200, 0) is None
