"""Contained resources are found by their own parameters, through containers that exist for the caller."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.search.contained import expanded
from fhir_server.search.run import find
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import ALL, BASE, DEFINITIONS, HIDDEN, SOME, World

Json = dict[str, Any]

_SNOMED = "http://snomed.info/sct"


def _medicine(logical_id: str, code: str, status: str, **more: Any) -> Json:
    coding = {"system": _SNOMED, "code": code, "display": f"medicine {code}"}
    return {
        "resourceType": "Medication", "id": logical_id, "code": {"coding": [coding]}, "status": status, **more
    }  # fmt: skip


def _request(logical_id: str, *contained: Json) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": logical_id,
        "status": "active",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "medicationReference": {"reference": "#m1"},
        "supportingInformation": [{"reference": f"#{each['id']}"} for each in contained[1:]],
        "contained": list(contained),
    }


def _build(url: str) -> None:
    world = World(url)
    world.add(
        [
            _medicine("own", "1", "active"),
            _request("r1", _medicine("m1", "1", "active"), _medicine("m2", "2", "inactive")),
            _request("r2", _medicine("m1", "2", "active", manufacturer={"reference": "Organization/maker"})),
            _request("r3", _medicine("m1", "3", "entered-in-error"), {"resourceType": "Patient", "id": "x"}),
            {"resourceType": "Organization", "id": "maker", "name": "Maker"},
            {**_request("s1"), "medicationReference": {"reference": "Medication/own"}, "subject": {"display": "Q"}},
        ]
    )
    world.add([_request("hidden", _medicine("m1", "1", "active"))], label=HIDDEN)
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-contained", _build))
    yield made
    made.close()


@pytest.mark.parametrize(
    "query,found",
    [
        ("code=1", {"r1"}),
        ("code=2", {"r1", "r2"}),
        ("code=1&status=active", {"r1"}),
        ("code=1&status=inactive", set()),
        ("code=2&status=active", {"r2"}),
        ("code:not=1", {"r1", "r2", "r3"}),
        ("status:not=active,inactive", {"r3"}),
        ("code:text=medicine 3", {"r3"}),
        ("code=http://snomed.info/sct|", {"r1", "r2", "r3"}),
        ("manufacturer=Organization/maker", {"r2"}),
        ("manufacturer=maker", {"r2"}),
        ("manufacturer:missing=false", {"r2"}),
        ("manufacturer:missing=true&code=2", {"r1"}),
        ("_id=m2", {"r1"}),
        ("_id:not=m1", {"r1"}),
        ("_filter=code eq 2 and not (status eq inactive)", {"r2"}),
        ("_filter=code eq 3 or manufacturer eq Organization/maker", {"r2", "r3"}),
        ("", {"r1", "r2", "r3"}),
    ],
)
def test_criteria_meet_in_one_contained_resource(world: World, query: str, found: set[str]) -> None:
    pairs = [(name, value) for name, _, value in (each.partition("=") for each in query.split("&") if each)]
    page, _ = world.search("Medication", [*pairs, ("_contained", "true"), ("_total", "accurate")], visibility=SOME)
    assert {row.id for row in page.matches} == found
    assert page.total == len(found)


@pytest.mark.parametrize(
    "query,found",
    [
        ("medication.code=1", {"r1", "s1"}),
        ("medication:Medication.code=http://snomed.info/sct|2", {"r2"}),
        ("medication.code=2,3&medication.status=active", {"r2"}),
        ("medication.code:not=1", {"r2", "r3"}),
        ("medication.manufacturer.name=mak", {"r2"}),
        ("medication.manufacturer=Organization/maker&status=active", {"r2"}),
        ("medication.code=1&subject=Patient/p", {"r1"}),
        ("_filter=medication.code eq 3 or medication.code eq 2", {"r2", "r3"}),
        ("medication.code=4", set()),
    ],
)
def test_a_chain_goes_into_what_a_resource_contains(world: World, query: str, found: set[str]) -> None:
    pairs = [(name, value) for name, _, value in (each.partition("=") for each in query.split("&"))]
    for more in ((), (("_id", "r1,r2,r3,s1"),)):
        assert set(world.ids("MedicationRequest", *pairs, *more, visibility=SOME)) == found


def test_both_finds_those_with_a_life_of_their_own_too(world: World) -> None:
    assert world.ids("Medication", ("code", "1"), ("_contained", "both"), visibility=SOME) == world.ids(
        "Medication", ("code", "1"), ("_contained", "both"), ("_containedType", "container"), visibility=SOME
    )
    assert set(world.ids("Medication", ("code", "1"), ("_contained", "both"), visibility=SOME)) == {"own", "r1"}
    assert set(world.ids("Medication", ("code", "1"), ("_contained", "both"))) == {"own", "r1", "hidden"}
    assert world.ids("Medication", ("code", "1"), ("_contained", "false")) == ["own"]
    assert world.ids("Medication", ("code", "1")) == ["own"]


def test_contained_resources_are_returned_themselves_where_that_is_asked(world: World) -> None:
    query = [("status", "active"), ("_contained", "both"), ("_containedType", "contained")]
    page, request = world.search("Medication", query, visibility=SOME)
    with world.store.read() as session:
        page = expanded(session, SOME, request, page)
    found = {row.id: row.content for row in page.matches}
    assert set(found) == {"own", "r1#m1", "r2#m1"}
    assert b'"code":"2"' in found["r2#m1"]
    assert b"contained" not in found["r2#m1"]


def test_pages_hold_every_container_once(world: World) -> None:
    for sort in ("_id", "-_lastUpdated,_id"):
        query = [("_contained", "true"), ("_count", "1"), ("_sort", sort)]
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page, _ = world.search("Medication", [*query, ("_cursor", cursor)])
            found += [row.id for row in page.matches]
            cursor = page.next_cursor
        assert sorted(found) == ["hidden", "r1", "r2", "r3"]


def test_a_container_does_not_refer_to_what_its_contained_resources_refer_to(world: World) -> None:
    assert world.ids("Organization", ("_has:Medication:manufacturer:status", "active")) == []
    page, _ = world.search("MedicationRequest", [("_id", "r2"), ("_include", "*")])
    assert page.includes == ()
    page, _ = world.search("Organization", [("_id", "maker"), ("_revinclude", "*")])
    assert page.includes == ()


@pytest.mark.parametrize(
    "query",
    [
        [("manufacturer.name", "x")],
        [("_has:MedicationRequest:medication:status", "active")],
        [("_lastUpdated", "gt2020")],
        [("_text", "x")],
        [("_sort", "code")],
        [("_containedType", "contained"), ("_elements", "code")],
        [("_containedType", "inside")],
    ],
)
def test_what_is_not_said_of_contained_resources_is_refused(world: World, query: list[tuple[str, str]]) -> None:
    with pytest.raises(FhirError) as refused:
        world.search("Medication", [*query, ("_contained", "true")])
    assert refused.value.status == 400
    with pytest.raises(FhirError):
        world.search("Medication", [*query, ("_contained", "perhaps")])


def test_a_conditional_request_never_means_a_container(world: World) -> None:
    criteria = [("code", "3"), ("_contained", "true")]
    with world.store.read() as session, pytest.raises(FhirError):
        find(session, ALL, "Medication", criteria, definitions=DEFINITIONS, fhir_base=BASE)
