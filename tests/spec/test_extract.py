"""Extraction finds exactly what a FHIRPath engine finds, value by value."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.models import models

from fhir_server.spec.definitions import Definitions, SearchParameter
from fhir_server.spec.extract import composite_nodes, nodes
from tests.spec.examples import Json, read_examples
from tests.spec.filled import fill

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
# The smallest examples of each type; all 5,306 of them in the nightly profile.
EXAMPLES_PER_TYPE, LARGEST_BYTES = (10**6, 10**9) if NIGHTLY else (2, 30_000)
FILLED_PER_TYPE = 12 if NIGHTLY else 2

# By type and code of a parameter, why extraction finds other values than the engine. None does.
DIFFERENCES: dict[tuple[str, str], str] = {}
Evaluate = Callable[[Json], list[Any]]


def canonical(values: list[Any]) -> set[str]:
    """Return values as a set, for a union in FHIRPath drops what it has already."""
    return {json.dumps(value, sort_keys=True, default=float) for value in values}


class Engine:
    """The independent oracle: fhirpathpy, taught to resolve references by their text."""

    def __init__(self) -> None:
        self._resource: Json = {}
        self._compile = cache(self._compile_uncached)

    def evaluate(self, resource: Json, expression: str) -> list[Any]:
        self._resource = resource
        return list(self._compile(expression)(deepcopy(resource)))

    def _compile_uncached(self, expression: str) -> Any:
        functions = {
            "resolve": {"fn": self._resolve, "arity": {0: []}},
            "hasExtension": {"fn": self._has_extension, "arity": {1: ["String"]}},
        }
        return fhirpathpy.compile(expression, models["r4"], {"userInvocationTable": functions})

    def _resolve(self, references: list[Json]) -> list[ResourceNode]:
        types = [self._target_type(reference) for reference in references]
        return [ResourceNode({"resourceType": each}, None) for each in types if each]

    def _target_type(self, reference: Json) -> str:
        text = reference.get("reference", "")
        for contained in self._resource.get("contained", []):
            if text == f"#{contained.get('id')}":
                return str(contained["resourceType"])
        if match := re.search(r"(?:^|/)([A-Z][A-Za-z]+)/[^/]+(?:/_history/[^/]+)?$", text):
            return match[1]
        return str(reference.get("type", ""))

    def _has_extension(self, elements: list[Json], url: str) -> list[bool]:
        return [any(each["url"] == url for element in elements for each in element.get("extension", []))]


def expression_for(parameter: SearchParameter) -> str:
    """Return the alternatives of an expression that start at the type; everything else is empty there."""
    # InsurancePlan's name is `name | alias`, which starts at no type.
    own = re.compile(rf"\(*(?:{parameter.resource_type}|Resource|DomainResource)\b|[a-z]")
    alternatives = [each.strip() for each in parameter.expression.split("|")]
    kept = " | ".join(each for each in alternatives if own.match(each))
    return filtering(re.sub(r"\b(?:Domain)?Resource\.", f"{parameter.resource_type}.", kept))


def filtering(expression: str) -> str:
    """Return an expression with `ofType` for `as`, which FHIRPath limits to one value and search applies to many."""
    expression = re.sub(r"([\w.]+) as (\w+)", r"\1.ofType(\2)", expression)
    return expression.replace(".as(", ".ofType(").replace("(DateTime)", "(dateTime)")


def seen_from(element: str, expression: str) -> str:
    """Return the expression of a component, from the root of the resource."""
    alternatives = [f"{element}.{each.strip()}" for each in filtering(expression).split("|")]
    return " | ".join(alternatives).replace(f"{element}.%resource", element.partition(".")[0])


def as_search_value(parameter: SearchParameter, value: Any) -> Any:
    """Return what we index where FHIRPath stops at a whole extension or resource."""
    if isinstance(value, dict) and "url" in value and "extension(" in parameter.expression:
        return next((item for name, item in value.items() if name.startswith("value")), None)
    if isinstance(value, dict) and parameter.expression == "Bundle.entry[0].resource":
        return (
            {"reference": f"{value['resourceType']}/{value['id']}"}
            if value["resourceType"] in parameter.targets
            else None
        )
    return value


def sample(definitions: Definitions) -> list[Any]:
    by_type: dict[str, list[tuple[int, str, bytes]]] = {}
    for name, raw in read_examples(definitions, LARGEST_BYTES):
        by_type.setdefault(name.partition("-")[0], []).append((len(raw), name, raw))
    chosen = [each for found in by_type.values() for each in sorted(found)[:EXAMPLES_PER_TYPE]]
    return [json.loads(raw) for _, _, raw in chosen]


@pytest.fixture(scope="module")
def examples(definitions: Definitions) -> list[Json]:
    return sample(definitions)


def made_up(definitions: Definitions) -> list[Json]:
    """Return resources with a value in every element, for what no official example has."""
    return [fill(definitions, each, v) for each in sorted(definitions.resource_types) for v in range(FILLED_PER_TYPE)]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def check_nodes(definitions: Definitions, engine: Engine, resource: Json) -> list[str]:
    """Return the parameters where engine and extraction differ."""
    found = {parameter.code: [value for _, value in values] for parameter, values in nodes(definitions, resource)}
    different = []
    for code, parameter in definitions.search_parameters(resource["resourceType"]).items():
        if parameter.type == "composite" or (parameter.resource_type, code) in DIFFERENCES:
            continue
        values = engine.evaluate(resource, expression_for(parameter))
        expected = [as_search_value(parameter, value) for value in values]
        if canonical([value for value in expected if value is not None]) != canonical(found.get(code, [])):
            different.append(f"{resource['resourceType']}/{resource.get('id')} {code}: {expected} != {found.get(code)}")
    return different


def check_composites(definitions: Definitions, engine: Engine, resource: Json) -> list[str]:
    """Return the composite parameters where engine and extraction differ."""
    found = dict(composite_nodes(definitions, resource))
    different = []
    for parameter in definitions.search_parameters(resource["resourceType"]).values():
        if parameter.type != "composite" or (parameter.resource_type, parameter.code) in DIFFERENCES:
            continue
        expected = []
        for base in expression_for(parameter).split(" | "):
            for index, _ in enumerate(engine.evaluate(resource, base)):
                parts = [
                    canonical(engine.evaluate(resource, seen_from(f"{base}[{index}]", component.expression)))
                    for component in parameter.components
                ]
                if all(parts):
                    expected.append(parts)
        actual = [[canonical([value for _, value in part]) for part in parts] for parts in found.get(parameter, [])]
        if actual != expected:
            different.append(
                f"{resource['resourceType']}/{resource.get('id')} {parameter.code}: {expected} != {actual}"
            )
    return different


def test_every_parameter_finds_what_a_fhirpath_engine_finds(
    definitions: Definitions, engine: Engine, examples: list[Json]
) -> None:
    assert [each for resource in examples for each in check_nodes(definitions, engine, resource)] == []


def test_every_composite_finds_what_a_fhirpath_engine_finds(
    definitions: Definitions, engine: Engine, examples: list[Json]
) -> None:
    assert [each for resource in examples for each in check_composites(definitions, engine, resource)] == []


def test_what_no_example_has_is_found_as_a_fhirpath_engine_finds_it(definitions: Definitions, engine: Engine) -> None:
    for resource in made_up(definitions):
        assert check_nodes(definitions, engine, resource) == []
        assert check_composites(definitions, engine, resource) == []


def test_of_every_type_most_parameters_have_values_that_were_compared(
    definitions: Definitions, examples: list[Json]
) -> None:
    missing = {
        (name, code)
        for name in definitions.resource_types
        for code in definitions.search_parameters(name)
        if not code.startswith("_")
    }
    every = len(missing)
    for resource in [*examples, *made_up(definitions)]:
        for parameter, _ in [*nodes(definitions, resource), *composite_nodes(definitions, resource)]:
            missing.discard((resource["resourceType"], parameter.code))
    # The sample of CI leaves some out; what the nightly profile compares leaves out none.
    assert len(missing) < every / 10
    assert not NIGHTLY or missing == set()
