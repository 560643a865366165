"""The compiler of invariants says what a FHIRPath engine says: of official examples, made-up resources and mutants."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from hashlib import blake2b
from typing import Any

import orjson
import pytest
from fhirpathpy import apply_parsed_path
from fhirpathpy.engine.nodes import ResourceNode
from fhirpathpy.engine.util import get_data
from fhirpathpy.models import models
from fhirpathpy.parser import parse

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.invariant_functions import truth
from fhir_server.spec.invariants import EMPTY_BREAKS, Rule, constraints, rules
from fhir_server.spec.json import decode
from tests.spec.examples import Json, read_examples
from tests.spec.filled import fill

NIGHTLY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
# Every how-many-th example is looked at, and how many mutants are made of each resource.
EXAMPLES_STEP, LARGEST_BYTES = (1, 10**9) if NIGHTLY else (80, 20_000)
MUTANTS = 4 if NIGHTLY else 1
# The examples are dealt to so many tests, for workers to share: `-n 2`, or one of them by its number.
PARTS = 16 if NIGHTLY else 1
FILLED_PER_TYPE = 12 if NIGHTLY else 2
ELEMENTS_LIMIT = 400

# By path and key, why the engine is not asked, or the compiled rule says something else.
DIFFERENCES: dict[tuple[str, str], str] = {
    ("Range", "rng-2"): "the engine does not compare quantities",
    ("CareTeam.participant", "ctm-1"): "the engine resolves no reference",
    ("Questionnaire.item.enableWhen", "que-7"): "to the engine a boolean of FHIR is no Boolean",
    ("StructureDefinition.snapshot", "sdf-8"): "an element without a path is told as that, and not once more",
    ("StructureDefinition.differential", "sdf-8a"): "the engine reads the dot of replaceMatches() as any character",
    ("Timing.repeat", "tim-9"): "`when in (…)` is an error where there are several; such a Timing is let pass",
}

Element = tuple[str, Json, Json]
"""Path of the constraints, the object, and the resource around it."""

# An answer that depends on the object alone is asked for once: most Codings and References come again and again.
LOOKS_AROUND = ("%resource", "%rootResource", "%context", "resolve()")
agreed: set[bytes] = set()
rules_of: dict[str, tuple[Rule, ...]] = {}


@cache
def parsed(expression: str) -> Any:
    return parse(expression)


def compiled(definitions: Definitions, context: str) -> tuple[Rule, ...]:
    if context not in rules_of:
        rules_of[context] = rules(definitions, context)
    return rules_of[context]


def has_value(items: list[Any]) -> list[bool]:
    return [len(items) == 1 and get_data(items[0]) is not None and not isinstance(get_data(items[0]), dict)]


OPTIONS = {"userInvocationTable": {"hasValue": {"fn": has_value, "arity": {0: []}}}, "traceFn": lambda *_: None}


def engine_breaks(context: str, key: str, expression: str, value: Json, resource: Json) -> bool:
    node: Any = value
    # An expression may begin with the name of its resource type, of which a node knows nothing.
    if context != value.get("resourceType"):
        node = ResourceNode.create_node(node, context.removesuffix("[x]"))
    found = apply_parsed_path(node, parsed(expression), {"resource": resource}, models["r4"], OPTIONS)
    return truth(list(found)) in ((False, None) if key in EMPTY_BREAKS else (False,))


def elements(definitions: Definitions, context: str, value: Json, resource: Json) -> Iterator[Element]:
    """Yield every object with the paths whose constraints apply to it."""
    if context in constraints():
        yield context, value, resource
    for children in definitions.fields(context).values():
        for child in children:
            held = value.get(child.json_name)
            for item in held if isinstance(held, list) else [held]:
                if not isinstance(item, dict):
                    continue
                if child.element.path != child.context and child.element.path in constraints():
                    yield child.element.path, item, resource
                inner = item.get("resourceType") if child.type == "Resource" else child.context
                yield from elements(definitions, inner or "", item, item if child.type == "Resource" else resource)


def differences(definitions: Definitions, resource: Json) -> list[str]:
    found = []
    kind = resource["resourceType"]
    before = orjson.dumps(resource, default=str)
    for number, (context, value, around) in enumerate(elements(definitions, kind, resource, resource)):
        if number >= ELEMENTS_LIMIT:
            break
        told = blake2b(orjson.dumps((context, value), default=str), digest_size=16).digest()
        for rule in compiled(definitions, context):
            known = told + rule.key.encode()
            if (context, rule.key) in DIFFERENCES or known in agreed:
                continue
            expected = engine_breaks(context, rule.key, rule.text, value, around)
            if rule.breaks(value, around) is not expected:
                found.append(f"{kind}/{resource.get('id')} {context} {rule.key}: the engine says {expected}: {value}")
            elif not any(name in rule.text for name in LOOKS_AROUND):
                agreed.add(known)
    # Copies for the engine took most of the time; it is to leave alone what it is given.
    assert orjson.dumps(resource, default=str) == before
    return found


def mutants(resource: Json, count: int, seed: int) -> Iterator[Json]:
    """Yield copies with members left out, doubled or given the value of another."""
    drawn = random.Random(seed)
    for _ in range(count):
        made = deepcopy(resource)
        for _ in range(drawn.randint(1, 4)):
            holders = [each for each in objects(made) if len(each) > 1]
            if not holders:
                break
            holder = drawn.choice(holders)
            name = drawn.choice([each for each in holder if each != "resourceType"])
            if drawn.random() < 0.7:
                del holder[name]
            elif isinstance(holder[name], list):
                holder[name] = holder[name] * 2
            elif isinstance(holder[name], str):
                holder[name] = drawn.choice(["", "x", "other", "1", "http://unitsofmeasure.org", "a.b"])
        yield made


def objects(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each)


@pytest.mark.parametrize("part", range(PARTS))
def test_of_examples_and_their_mutants_the_engine_says_the_same(definitions: Definitions, part: int) -> None:
    for number, (name, raw) in enumerate(read_examples(definitions, LARGEST_BYTES)):
        if number % EXAMPLES_STEP or number // EXAMPLES_STEP % PARTS != part:
            continue
        resource = decode(raw, len(raw) + 1)
        for each in (resource, *mutants(resource, MUTANTS, number)):
            assert differences(definitions, each) == [], name


@pytest.mark.parametrize("variant", range(FILLED_PER_TYPE))
def test_of_made_up_resources_and_their_mutants_the_engine_says_the_same(
    definitions: Definitions, variant: int
) -> None:
    for number, kind in enumerate(sorted(definitions.resource_types)):
        resource = fill(definitions, kind, variant)
        for each in (resource, *mutants(resource, MUTANTS, number)):
            assert differences(definitions, each) == [], kind
