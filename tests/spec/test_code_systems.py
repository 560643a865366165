"""Hierarchies of code systems, in every way a CodeSystem may write them down."""

from __future__ import annotations

import pytest

from fhir_server.spec.code_systems import read
from fhir_server.spec.definitions import Definitions

PROPERTY = "http://hl7.org/fhir/concept-properties#"


def _concept(code: str, **properties: str) -> dict[str, object]:
    return {"code": code, "property": [{"code": name, "valueCode": value} for name, value in properties.items()]}


@pytest.mark.parametrize(
    "concepts",
    [
        [{"code": "a", "concept": [{"code": "b", "concept": [{"code": "c"}]}]}],
        [_concept("a"), _concept("b", parent="a"), _concept("c", subsumedBy="b")],
        [_concept("c"), _concept("b", child="c"), _concept("a", child="b")],
        [_concept("a"), {**_concept("b", isa="a"), "concept": [_concept("c")]}],
    ],
)
def test_nesting_and_properties_say_the_same(concepts: list[dict[str, object]]) -> None:
    system = read({"property": [{"code": "isa", "uri": PROPERTY + "parent"}], "concept": concepts})
    assert system.below("a") == {"a", "b", "c"}
    assert system.below("b") == {"b", "c"}
    assert system.above("c") == {"a", "b", "c"}
    assert system.above("a") == {"a"}


def test_a_circle_ends() -> None:
    assert read({"concept": [_concept("a", parent="b"), _concept("b", parent="a")]}).above("a") == {"a", "b"}


def test_a_deep_hierarchy_takes_no_recursion() -> None:
    deepest: dict[str, object] = {"code": "0"}
    for number in range(1, 5_000):
        deepest = {"code": str(number), "concept": [deepest]}
    assert len(read({"concept": [deepest]}).below("4999")) == 5_000


def test_odd_concepts_are_read_as_far_as_they_go() -> None:
    odd = {"code": "notSelectable", "valueBoolean": True}, {"code": "n", "valueInteger": 1}
    retired = {"code": "status", "valueCode": "retired"}, {"code": "p", "valueCoding": {}}
    nested = {"display": "without a code", "concept": [{"code": "a"}]}
    system = read({"concept": [nested, {"code": "b", "property": odd}, {"code": "C", "property": retired}]})
    assert list(system.codes) == ["b", "C", "a"]
    assert system.abstract == {"b"}
    assert system.inactive == {"C"}
    assert system.spelling("c") == "C"
    assert system.spelling("d") is None


def test_fhir_itself_has_hierarchies(definitions: Definitions) -> None:
    resource = definitions.terminology("CodeSystem", "http://terminology.hl7.org/CodeSystem/v3-ActReason")
    assert resource is not None
    assert "_ActAccommodationReason" in read(resource).above("ACCREQNA")
    assert definitions.terminology("CodeSystem", "http://snomed.info/sct") is None
    assert definitions.terminology("ValueSet", "http://nothing.test") is None
