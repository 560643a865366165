"""`_list` finds what is on a list that the caller may read, and what is current, on both databases."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import BASE, HIDDEN, SOME, World

Json = dict[str, Any]

_RANDOM = random.Random(20_260_403)
_STATES = ("active", "recurrence", "relapse", "inactive", "remission", "resolved", "")
_VERIFIED = ("confirmed", "unconfirmed", "refuted", "entered-in-error", "")
_TARGETS = [
    f"{kind}/{letter}{number}" for kind, letter in (("Condition", "c"), ("Patient", "p")) for number in range(6)
]
_FUNCTIONAL = ("$current-problems", "$current-medications", "$current-allergies", "$current-drug-allergies")


def _coded(code: str) -> Json:
    return {"coding": [{"code": code}]} if code else {"text": "none"}


def _clinical(kind: str, number: int) -> Json:
    subject = {"reference": f"Patient/p{number % 6}"}
    made = {
        "resourceType": kind,
        "id": f"{kind[0].lower()}{number}",
        "patient" if kind[0] == "A" else "subject": subject,
    }
    verified, category = _RANDOM.choice(_VERIFIED), _RANDOM.choice(["food", "medication", "environment", "biologic"])
    return {
        **made,
        "clinicalStatus": _coded(_RANDOM.choice(_STATES)),
        "verificationStatus": _coded(verified),
        "category": [category] if kind == "AllergyIntolerance" else [_coded("problem-list-item")],
    }


def _medication(kind: str, number: int) -> Json:
    made = {"resourceType": kind, "id": f"{kind}{number}".lower(), "status": _RANDOM.choice(["active", "completed"])}
    intent = {"intent": _RANDOM.choice(["order", "plan"])} if kind == "MedicationRequest" else {}
    return {**made, **intent, "subject": {"reference": "Patient/p1"}, "medicationCodeableConcept": {"text": "m"}}


def _list(number: int) -> Json:
    entries = []
    for target in _RANDOM.sample(_TARGETS, 5):
        written = _RANDOM.choice(["{}", BASE + "/{}", "{}/_history/1"]).format(target)
        entries.append(
            {"item": {"reference": written}, **_RANDOM.choice([{}, {}, {"deleted": False}, {"deleted": True}])}
        )
    entries.append({"item": {"display": "nothing to point to"}})
    return {"resourceType": "List", "id": f"l{number}", "status": "current", "mode": "working", "entry": entries}


PATIENTS = [{"resourceType": "Patient", "id": f"p{number}"} for number in range(6)]
CLINICAL = [_clinical(kind, number) for kind in ("Condition", "AllergyIntolerance") for number in range(40)]
MEDICATIONS = [
    _medication(kind, number) for kind in ("MedicationRequest", "MedicationStatement") for number in range(8)
]
LISTS = [_list(number) for number in range(8)]
RESOURCES = [*PATIENTS, *CLINICAL, *MEDICATIONS]


def _build(url: str) -> None:
    world = World(url)
    world.add([*RESOURCES, *LISTS])
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-lists", _build))
    yield made
    made.close()


def _is_on(resource: Json, name: str) -> bool:
    """Read the lists as they are written; and what is current as docs/search.md has it."""
    kind = resource["resourceType"]
    if not name.startswith("$"):
        wanted: Json = next((each for each in LISTS if each["id"] == name), {"entry": []})
        kept = [each["item"].get("reference", "") for each in wanted["entry"] if not each.get("deleted")]
        here = {text.removeprefix(BASE + "/").partition("/_history")[0] for text in kept}
        return f"{kind}/{resource['id']}" in here
    if name == "$current-medications":
        orders = kind == "MedicationRequest" and resource["intent"] == "order"
        return resource.get("status") == "active" and (orders or kind == "MedicationStatement")
    if kind != ("Condition" if name == "$current-problems" else "AllergyIntolerance"):
        return False
    state, verified = (
        resource[each].get("coding", [{"code": ""}])[0]["code"] for each in ("clinicalStatus", "verificationStatus")
    )
    if verified in {"refuted", "entered-in-error"}:
        return False
    if name == "$current-problems":
        return state in {"active", "recurrence", "relapse"}
    drug: bool = name == "$current-allergies" or resource["category"][0] in {"medication", "biologic"}
    return state not in {"inactive", "resolved"} and drug


def test_list_finds_what_the_lists_hold_and_other_parameters_narrow_it(world: World) -> None:
    names = st.sampled_from([*(each["id"] for each in LISTS), "nowhere", *_FUNCTIONAL])
    kinds = st.sampled_from(
        ["", "Condition", "Patient", "AllergyIntolerance", "MedicationRequest", "MedicationStatement"]
    )

    @given(names=st.lists(names, min_size=1, max_size=3), other=st.none() | names, kind=kinds)
    def law(names: list[str], other: str | None, kind: str) -> None:
        query = [("_list", ",".join(names)), ("_count", "1000"), *([("_list", other)] if other else [])]
        expected = [
            each["id"]
            for each in RESOURCES
            if kind in {"", each["resourceType"]}
            and any(_is_on(each, name) for name in names)
            and (other is None or _is_on(each, other))
        ]
        assert sorted(world.ids(kind, *query)) == sorted(expected), query

    law()


def test_lists_are_followed_along_chains(world: World) -> None:
    for number in range(len(LISTS)):
        listed = {each["id"] for each in PATIENTS if _is_on(each, f"l{number}")}
        expected = [each["id"] for each in CLINICAL if each.get("subject", {}).get("reference", "")[8:] in listed]
        found = world.ids("Condition", ("subject:Patient._list", f"List/l{number}"), ("_count", "1000"))
        assert sorted(found) == sorted(expected)
    current = {each["patient"]["reference"][8:] for each in CLINICAL if _is_on(each, "$current-allergies")}
    found = world.ids("Patient", ("_has:AllergyIntolerance:patient:_list", "$current-allergies"))
    assert sorted(found) == sorted(current)
    assert set(world.ids("AllergyIntolerance", ("patient", "p1"), ("_list", "$current-allergies"))) == {
        each["id"]
        for each in CLINICAL
        if each.get("patient", {}).get("reference") == "Patient/p1" and _is_on(each, "$current-allergies")
    }


def test_a_deleted_entry_is_still_an_item_of_its_list(databases: Databases) -> None:
    world = World(databases.empty())
    entry = {"deleted": True, "item": {"reference": "Patient/p0"}}
    world.add([PATIENTS[0], {**LISTS[0], "entry": [entry]}])
    assert world.ids("List", ("item", "Patient/p0")) == ["l0"]
    assert world.ids("Patient", ("_list", "l0")) == []
    world.close()


def test_a_hidden_list_is_as_empty_as_an_absent_one(databases: Databases) -> None:
    world = World(databases.empty())
    entry = [{"item": {"reference": "Patient/p0"}}]
    world.add([PATIENTS[0], {**LISTS[0], "entry": entry}])
    world.add([{**LISTS[1], "entry": entry}], label=HIDDEN)
    for name, expected in (("l0", ["p0"]), ("l1", []), ("l9", []), ("l0,l1", ["p0"])):
        assert world.ids("Patient", ("_list", name), visibility=SOME) == expected
    assert world.ids("Patient", ("_list", "l1")) == ["p0"]
    world.close()


@pytest.mark.parametrize(
    "query, said",
    [
        (("_list", "$current-friends"), r"Supported: \$current-problems"),
        (("_list", "Patient/p0"), "id of a List of this server"),
        (("_list", "http://elsewhere.test/List/1"), "id of a List of this server"),
        (("_list", "List/l0/_history/1"), "id of a List of this server"),
        (("_list:not", "l0"), "takes no modifier"),
        (("_list", ",".join(f"l{number}" for number in range(5_000))), "at most"),
        (("_query", "anything"), "this server has none"),
        (("subject:Patient._query", "anything"), "this server has none"),
    ],
)
def test_what_is_no_list_is_refused(world: World, query: tuple[str, str], said: str) -> None:
    with pytest.raises(FhirError, match=said) as refused:
        world.ids("Condition", query)
    assert refused.value.status == 400


def test_odd_names_of_lists_are_literal(world: World) -> None:
    for name in ("%", "_", "l0' OR 1=1 --", "*", "l0 ", "L0", "\\"):
        assert world.ids("Condition", ("_list", name)) == []
