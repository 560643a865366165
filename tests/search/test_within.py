"""Searches within a patient's record: rows of several patients are found by each, and no other row is looked for."""

from collections.abc import Iterator
from itertools import count, product
from typing import Any

import pytest

from fhir_server.access.ownership import patients_of
from fhir_server.search.model import SearchRequest
from fhir_server.search.parse import parse
from fhir_server.search.within import patient_of
from fhir_server.spec.compartments import owning_parameters
from fhir_server.spec.definitions import with_additions
from fhir_server.spec.extract import nodes
from fhir_server.store.keys import reference_key
from fhir_server.store.visibility import Visibility
from tests.databases import Databases
from tests.search.world import ALL, BASE, DEFINITIONS, HIDDEN, SOME, World
from tests.spec.filled import fill

Json = dict[str, Any]


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.empty())
    yield made
    made.close()


def _observation(logical_id: str, subject: str, *performers: str, day: int = 1) -> Json:
    return {
        "resourceType": "Observation",
        "id": logical_id,
        "status": "final",
        "code": {"coding": [{"system": "http://a", "code": "x" if day < 5 else "y"}]},
        "effectiveDateTime": f"2026-01-0{day}",
        "subject": {"reference": subject},
        "performer": [{"reference": each} for each in performers],
    }


def test_a_row_of_several_patients_is_found_by_each_of_them_and_by_what_they_are_in_it(world: World) -> None:
    world.add(
        [
            *({"resourceType": "Patient", "id": each} for each in "abc"),
            _observation("of-a", "Patient/a", day=1),
            _observation("of-a-by-b", "Patient/a", "Patient/b", day=2),
            _observation("of-b-by-a", "Patient/b", "Patient/a", day=3),
            _observation("of-a-foreign", "http://elsewhere.example.org/fhir/Patient/a", day=4),
            _observation("of-group", "Group/a", "Patient/a", day=5),
            _observation("of-c", "Patient/c", day=6),
        ]
    )
    asked = {
        ("patient", "a"): ["of-a-by-b", "of-a"],
        ("patient", "b"): ["of-b-by-a"],
        ("subject", "Patient/a"): ["of-a-by-b", "of-a"],
        ("subject:Patient", "b"): ["of-b-by-a"],
        ("subject", "a"): ["of-group", "of-a-by-b", "of-a"],
        ("subject", "Group/a"): ["of-group"],
        ("performer", "Patient/a"): ["of-group", "of-b-by-a"],
        ("performer", "Patient/b"): ["of-a-by-b"],
        ("patient", "a,b"): ["of-b-by-a", "of-a-by-b", "of-a"],
        ("patient", "nobody"): [],
    }
    for (name, value), expected in asked.items():
        for query in (
            [(name, value)],
            [(name, value), ("code", "http://a|x")],
            [("date", "lt2026-01-05"), (name, value)],
        ):
            left = [each for each in expected if len(query) == 1 or each != "of-group"]
            assert sorted(world.ids("Observation", *query)) == sorted(left), query
            counted, _ = world.search("Observation", [*query, ("_count", "0")])
            assert counted.total == len(left), query


def test_a_chain_within_a_record_finds_what_it_finds_alone_of_that_record(world: World) -> None:
    """Within a record a chain asks the index rows of its targets; alone it starts from them."""
    staff: list[Json] = [
        {
            "resourceType": "Practitioner",
            "id": "p1",
            "gender": "male",
            "name": [{"family": "Ashworth"}, {"text": "Ash"}],
        },
        {"resourceType": "Practitioner", "id": "p2", "gender": "female", "name": [{"family": "Ashworth"}]},
        {"resourceType": "Practitioner", "id": "p3", "name": [{"family": "Berg"}]},
        {"resourceType": "Organization", "id": "p1", "name": "Ashworth"},
        {"resourceType": "PractitionerRole", "id": "p1", "practitioner": {"reference": "Practitioner/p1"}},
    ]
    hidden: Json = {"resourceType": "Practitioner", "id": "p9", "gender": "male", "name": [{"family": "Ashworth"}]}
    one, other, hidden_one = "Practitioner/p1", "Practitioner/p3", "Practitioner/p9"
    by = [
        (),
        (one,),
        ("Practitioner/p2", other),
        (other,),
        ("Organization/p1",),
        ("PractitionerRole/p1",),
        (hidden_one,),
    ]
    by += [(hidden_one, "Practitioner/p2"), ("Practitioner/gone",)]
    measured = [
        _observation(f"{patient}{number}", f"Patient/{patient}", *performers)
        for patient in "ab"
        for number, performers in enumerate(by)
    ]
    world.add([*({"resourceType": "Patient", "id": each} for each in "ab"), *staff, *measured])
    world.add([hidden], label=HIDDEN)
    chains = [
        ("performer:Practitioner.name", "Ash"),
        ("performer:Practitioner.name", "ashworth,be"),
        ("performer:Practitioner.name:exact", "Ashworth"),
        ("performer:Practitioner.family:contains", "wor"),
        ("performer.name", "ashworth"),
        ("performer:Organization.name", "ashworth"),
        ("performer:Practitioner.gender", "male"),
        ("performer:Practitioner.gender:not", "male"),
        ("performer:Practitioner.gender:missing", "true"),
        ("performer:PractitionerRole.practitioner.family", "ashworth"),
        ("performer:Practitioner.family", "nobody"),
    ]
    found, sights = 0, list[Visibility]([ALL, SOME])
    for chain, visibility in product(chains, sights):
        alone = world.ids("Observation", chain, ("_count", "100"), visibility=visibility)
        for patient in "ab":
            inside = world.ids("Observation", ("patient", patient), chain, visibility=visibility)
            assert sorted(inside) == sorted(each for each in alone if each[0] == patient), (chain, visibility)
            found += len(inside)
        assert visibility is ALL or not {"a6", "b6"} & set(alone), "its performer is hidden"
    assert found > len(chains)


def test_what_names_a_record_is_one_patient_in_a_parameter_that_makes_a_resource_theirs() -> None:
    def searched(kind: str, *query: tuple[str, str], compartment: tuple[str, str] | None = None) -> int | None:
        request: SearchRequest = parse(DEFINITIONS, kind, query, fhir_base=BASE, compartment=compartment)
        return patient_of(request.criteria)

    a = reference_key("Patient", "a")
    assert searched("Observation", ("code", "x"), ("patient", "a")) == a
    assert searched("Observation", ("subject", f"{BASE}/Patient/a")) == a
    assert searched("Observation", compartment=("Patient", "a")) == a
    assert searched("Encounter", ("patient", "a"), ("subject", "Patient/b")) == a
    for query in (("subject", "a"), ("patient", "a,b"), ("performer", "Practitioner/a"), ("encounter", "Encounter/a")):
        assert searched("Observation", query) is None, query
    for query in (("patient:missing", "true"), ("patient.name", "Ann"), ("patient:not", "a")):
        request = parse(DEFINITIONS, "Observation", [query], fhir_base=BASE, handling="lenient")
        assert patient_of(request.criteria) is None, query
    assert searched("Patient", ("link", "Patient/a")) is None
    assert searched("Patient", compartment=("Patient", "a")) is None
    assert searched("Observation", compartment=("Practitioner", "a")) is None
    assert searched("Observation", ("subject", "Patient/a/_history/1")) is None


def test_a_parameter_that_names_records_finds_nothing_in_what_is_not_of_the_record() -> None:
    found = 0
    for kind in sorted(DEFINITIONS.resource_types):
        owning, numbers = owning_parameters(DEFINITIONS, kind), count()
        resource = _of_patients(fill(DEFINITIONS, kind, 0), numbers)
        owners = set(patients_of(DEFINITIONS, resource, BASE))
        for parameter, values in nodes(DEFINITIONS, resource):
            if parameter.key in owning:
                texts = [value["reference"] for _, value in values if isinstance(value, dict) and "reference" in value]
                assert {reference_key("Patient", text.partition("/")[2]) for text in texts} <= owners, parameter.url
                found += len(texts)
    assert found > len(DEFINITIONS.compartment_parameters("Patient", "Observation"))


def test_a_parameter_of_the_operators_own_names_a_record_where_it_finds_nothing_else() -> None:
    def own(code: str, expression: str) -> Json:
        url = f"https://record.example/{code}"
        return {"url": url, "code": code, "base": ["Observation"], "type": "reference", "expression": expression}

    before = owning_parameters(DEFINITIONS, "Observation")
    ways = {
        "whose": "Observation.subject",
        "about": "Observation.subject | Observation.focus",
        "in": "Observation.focus",
    }
    made = with_additions(DEFINITIONS, [own(code, expression) for code, expression in ways.items()])
    known = made.search_parameters("Observation")
    assert owning_parameters(made, "Observation") == {*before, known["whose"].key}
    assert owning_parameters(DEFINITIONS, "Observation") == before


def _of_patients(value: Any, numbers: Iterator[int]) -> Any:
    """Return a resource whose every reference is to a Patient of its own."""
    if isinstance(value, list):
        return [_of_patients(each, numbers) for each in value]
    if not isinstance(value, dict):
        return value
    made = {name: _of_patients(each, numbers) for name, each in value.items() if name != "contained"}
    return made | {"reference": f"Patient/p{next(numbers)}"} if isinstance(value.get("reference"), str) else made
