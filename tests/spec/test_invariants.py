"""Invariants: those that FHIR states are the ones held, but for a reasoned list."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.spec.build_definitions import EXAMPLES
from fhir_server.spec.build_packages import fetch, read_resources
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.invariant_functions import truth
from fhir_server.spec.invariants import compile_expression, constraints, rules

# Written by hand in `checks.py` and `shapes.py`: the price of evaluating them at every element would be too high. But
# dom-5: a label on a contained resource is not refused, its container takes it over.
BY_HAND = frozenset({"ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "txt-1", "txt-2", "ref-1", "per-1"})

# Invariants that do not compile, and why.
BEYOND = {
    "csd-1": "combine(); codes of a CodeSystem may be many",
    "ctm-1": "resolve(): what a reference leads to may be hidden from the caller",
    "eld-2": "iif()",
    "ig-1": "%context",
    "ig-2": "%context",
    "obs-7": "written by hand: its price would grow with the square of the size",
    "que-7": "type of a choice",
    "ras-2": "type of a choice",
    "sdf-8": "its price would grow with the square of the size",
    "sdf-8a": "its price would grow with the square of the size",
    "sdf-9": "children()",
}


def stated() -> dict[str, dict[str, str]]:
    """Return by path and key what the StructureDefinitions state as an error."""
    found: dict[str, dict[str, str]] = {}
    for definition in read_resources(fetch(EXAMPLES), ("StructureDefinition",)):
        if definition["kind"] not in {"resource", "complex-type"} or definition.get("derivation") == "constraint":
            continue
        for element in definition["snapshot"]["element"]:
            for each in element.get("constraint", ()):
                if each["severity"] == "error" and each["key"] not in BY_HAND:
                    found.setdefault(element["path"], {})[each["key"]] = each["expression"]
    return dict(sorted(found.items()))


def test_the_file_is_what_fhir_states() -> None:
    assert constraints() == stated()


@pytest.mark.parametrize(
    "expression, value, expected",
    [
        ("a.exists() implies b.exists()", {"a": 1}, False),
        ("a.exists() implies b.exists()", {"a": 1, "b": 0}, True),
        ("a.empty() or b = 'x'", {"a": 1, "b": "x"}, True),
        ("a.empty() or b = 'x'", {"a": 1}, None),
        ("a and b", {"a": False}, False),
        ("a.exists() xor b.exists()", {"a": 1, "b": 1}, False),
        ("a = true", {"a": 1}, False),
        ("a in ('x' | 'y')", {"a": "y"}, True),
        ("a.all(b = 'x')", {"a": [{"b": "x"}, {"b": "y"}]}, False),
        ("a.all(b = 'x')", {"a": [{"b": "x"}, {}]}, False),
        ("a.all(b = 'x')", {}, True),
        ("a.where(b = 'x').exists()", {"a": [{"b": "x"}]}, True),
        ("a.count() + b.count() > 1", {"a": [1], "b": [2]}, True),
        ("low <= high", {"low": {"value": 2}, "high": {"value": 1}}, False),
        ("low <= high", {"low": {"value": 2, "unit": "g"}, "high": {"value": 1, "unit": "kg"}}, None),
        ("a.matches('^x$')", {"a": "xx"}, False),
        ("descendants().linkId.isDistinct()", {"item": [{"linkId": "1", "item": [{"linkId": "1"}]}]}, False),
        ("a.exists()", {"_a": {"extension": []}}, True),
        ("value.empty()", {"valueQuantity": {}}, False),
        ("value.empty()", {"valueSet": "x"}, True),
        ("%resource.type = 'x'", {}, True),
    ],
)
def test_an_expression_is_evaluated(definitions: Definitions, expression: str, value: Any, expected: object) -> None:
    made = compile_expression(definitions, expression, "Basic")
    assert truth(made([value], {"type": "x"})) is expected


def test_every_invariant_compiles_but_those_with_a_reason(definitions: Definitions) -> None:
    made = {(path, rule.key) for path in constraints() for rule in rules(definitions, path)}
    missing = {key for path, found in constraints().items() for key in found if (path, key) not in made}
    assert missing == BEYOND.keys()
