"""What is bounded of a StructureDefinition that comes from outside, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.invariant_functions import is_cheap
from fhir_server.spec.profile_check import compile_profile
from fhir_server.spec.profile_nodes import ProfileError
from fhir_server.spec.profile_registry import Profiles
from tests.spec.examples import Json
from tests.spec.profiling import found, observation, profile


def _loop() -> Json:
    return profile("Observation", url="http://example.org/a", base="http://example.org/a")


@pytest.mark.parametrize(
    "hostile",
    [
        _loop(),
        profile("Observation", *({"id": f"Observation.note:{n}", "min": 1} for n in range(2_001))),
        profile("Observation", *({"id": f"Observation.note:{n}"} for n in range(300))),
        profile("Observation", {"id": "Observation" + ".contained" * 30}),
        profile("Observation", {"id": "Patient.name"}),
        profile("Observation", {"id": "Observation.note", "max": "9" * 5_000}),
        profile("Observation", {"id": "Observation.note", "max": "many"}),
        profile("Observation", {"id": "Observation.note", "fixedAnnotation": {"text": ["x"] * 2_000}}),
        profile("Nonsense"),
        {**profile("Observation"), "differential": None},
    ],
)
def test_a_definition_that_is_none_or_too_large_is_refused(definitions: Definitions, hostile: Json) -> None:
    hostile = {name: value for name, value in hostile.items() if value is not None}
    with pytest.raises(ProfileError):
        compile_profile(replace(definitions, profiles=Profiles((hostile,))), hostile)


def test_profiles_that_multiply_work_end_in_a_refusal(definitions: Definitions) -> None:
    # Each slice is told by a profile that slices again by the next: without a bound the price is a power.
    def level(number: int) -> Mapping[str, Any]:
        inner = f"http://example.org/{number + 1}"
        slices = [
            {"id": f"Extension.extension:s{n}", "min": 1, "type": [{"code": "Extension", "profile": [inner]}]}
            for n in range(60)
        ]
        sliced = {"id": "Extension.extension", "slicing": {"discriminator": [{"type": "profile", "path": "$this"}]}}
        return profile("Extension", sliced, *slices, url=f"http://example.org/{number}")

    value: Json = {"url": "http://x", "valueCode": "x"}
    for _ in range(12):
        value = {"url": "http://x", "extension": [value] * 2}
    patient = profile(
        "Patient", {"id": "Patient.extension", "type": [{"code": "Extension", "profile": ["http://example.org/0"]}]}
    )
    levels = [dict(level(number)) for number in range(20)]
    issues = found(definitions, {"resourceType": "Patient", "extension": [value]}, *levels, patient)
    assert "too-costly" in {each.code for each in issues.values()}


@pytest.mark.parametrize(
    "pattern, cheap",
    [
        ("^[0-9]{10}$", True),
        (r"^[A-Z]([A-Za-z0-9_]){0,254}$", True),
        (r"urn:oid:[0-2](\.(0|[1-9]\d*))+", False),
        ("(a+)+$", False),
        ("(a|a)*$", False),
        ("(a*)*", False),
        (r"(a)\1", False),
        (".*.*.*.*x", False),
        ("(", False),
    ],
)
def test_only_cheap_regular_expressions_are_evaluated(pattern: str, cheap: bool) -> None:  # noqa: FBT001
    assert is_cheap(pattern) is cheap


@pytest.mark.parametrize(
    "expression",
    [
        "(" * 200 + "true" + ")" * 200,
        "true" + " and true" * 400,
        "descendants().where(descendants().where(descendants().exists()).exists()).exists()",
        "note.text.matches('(a+)+$')",
        "resolve().exists()",
    ],
)
def test_an_invariant_that_costs_too_much_is_told_and_not_evaluated(definitions: Definitions, expression: str) -> None:
    stated = {"key": "x-1", "severity": "error", "human": "x", "expression": expression}
    (issue,) = found(
        definitions, observation(), profile("Observation", {"id": "Observation", "constraint": [stated]})
    ).values()
    assert (issue.severity, issue.code) == ("warning", "not-supported")


def test_an_invariant_that_makes_very_many_items_counts_as_broken(definitions: Definitions) -> None:
    doubled = "note" + ".select($this | $this)" * 20 + ".exists()"
    stated = {"key": "x-1", "severity": "error", "human": "x", "expression": doubled}
    known = profile("Observation", {"id": "Observation", "constraint": [stated]})
    assert found(definitions, observation(note=[{"text": "x"}]), known)["Observation"].severity == "error"
