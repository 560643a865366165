"""Compile the invariants of FHIR R4, written in FHIRPath, to Python functions.

Comes in: `invariants.json`, the constraints of severity error as the StructureDefinitions state them. Goes out: per
type or inline structure the rules that an object must pass. What is beyond this subset of FHIRPath, or whose price
would grow faster than the resource, does not compile and is left out (`tests/spec/test_invariants.py` lists it).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from fhir_server.spec.checks import Json, Place, Run
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.invariant_functions import (
    FUNCTIONS,
    LAMBDAS,
    OPERATORS,
    Items,
    UncompilableError,
    truth,
)
from fhir_server.spec.paths import RESOURCE_ROOT

Expression = Callable[[Items, Any], Items]
"""From the items in hand, and the resource around them, to items."""

SOURCE = Path(__file__).with_name("invariants.json")
_TOKEN = re.compile(r"\s*('(?:[^'\\]|\\.)*'|[%$]?[A-Za-z_]\w*|[0-9]+|<=|>=|!=|[()=<>|+&.,])")
_PRECEDENCE = (
    ("implies",), ("or", "xor"), ("and",), ("in",), ("=", "!="), ("<", ">", "<=", ">="), ("|",), ("+", "&"),
)  # fmt: skip
_CONSTANTS: Mapping[str, Items] = {"true": [True], "false": [False], "%ucum": ["http://unitsofmeasure.org"]}
_ESCAPED = re.compile(r"\\(.)")


class Rule(NamedTuple):
    """One invariant: key, FHIRPath, and whether an object of its context (second: the resource around it) breaks it."""

    key: str
    text: str
    breaks: Callable[[Any, Any], bool]


@cache
def constraints() -> Mapping[str, Mapping[str, str]]:
    """Return by path and key the expressions that FHIR states."""
    found: dict[str, dict[str, str]] = json.loads(SOURCE.read_bytes())
    return found


def rules(definitions: Definitions, context: str) -> tuple[Rule, ...]:
    """Return the invariants of a type, inline structure or element that compile."""
    return tuple(_compiled(definitions, context))


def hold(found: tuple[Rule, ...], value: Json, place: Place, run: Run) -> None:
    """Note each of these invariants that an object breaks."""
    for rule in found:
        if rule.breaks(value, run.resource):
            run.add(place, "invariant", f"must satisfy {rule.text} ({rule.key})")


def _compiled(definitions: Definitions, context: str) -> Iterator[Rule]:
    for key, text in constraints().get(context, {}).items():
        try:
            yield Rule(key, text, _breaks(compile_expression(definitions, text, context.partition(".")[0])))
        except UncompilableError:
            continue


def _breaks(expression: Expression) -> Callable[[Any, Any], bool]:
    def breaks(value: Any, resource: Any) -> bool:
        return truth(expression([value], resource)) is False

    return breaks


def compile_expression(definitions: Definitions, text: str, root: str) -> Expression:
    """Return an expression as a function.

    Args:
        definitions: For the names of choices in JSON.
        text: FHIRPath.
        root: Name of the type that the expression may begin with.

    Raises:
        UncompilableError: It is beyond the subset.
    """
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if not match:
            raise UncompilableError(text[at:])
        tokens.append(match[1])
        at = match.end()
    parser = _Parser(_choices(definitions), tokens, root)
    made = parser.binary(0)
    if parser.at < len(tokens):
        raise UncompilableError(tokens[parser.at])
    return made


def _choices(definitions: Definitions) -> Mapping[str, tuple[str, ...]]:
    """Return by the name of a choice all its names in JSON, in any type."""
    if found := definitions.compiled.get(("choices", "")):
        return found  # type: ignore[no-any-return]
    names: dict[str, dict[str, None]] = {}
    for type_name in constraints():
        for children in definitions.fields(type_name).values():
            if children and children[0].element.choice:
                names.setdefault(children[0].element.name, {}).update({each.json_name: None for each in children})
    # Elsewhere the same name may be no choice: the value of a Quantity, and that of an Observation.
    made = {name: (name, *found) for name, found in names.items()}
    definitions.compiled[("choices", "")] = made
    return made


@dataclass
class _Parser:
    choices: Mapping[str, tuple[str, ...]]
    tokens: list[str]
    root: str
    at: int = 0

    def binary(self, level: int) -> Expression:
        if level == len(_PRECEDENCE):
            return self.path()
        left = self.binary(level + 1)
        while self.next() in _PRECEDENCE[level]:
            operator = OPERATORS[self.take()]
            left = _joined(operator, left, self.binary(level + 1))
        return left

    def path(self) -> Expression:
        made = self.start()
        while self.next() == ".":
            self.take()
            made = _then(made, self.step(self.take()))
        return made

    def start(self) -> Expression:
        if self.next() == "(":
            self.take()
            made = self.binary(0)
            self.expect(")")
            return made
        token = self.take()
        if token[0] == "'":
            return _constant([_ESCAPED.sub(r"\1", token[1:-1])])
        if token.isdigit():
            return _constant([int(token)])
        if token in _CONSTANTS:
            return _constant(_CONSTANTS[token])
        if token in {"$this", self.root}:
            return lambda focus, _resource: focus
        return self.resource() if token.startswith("%") else self.step(token)

    def resource(self) -> Expression:
        if self.tokens[self.at - 1] != RESOURCE_ROOT:
            raise UncompilableError(self.tokens[self.at - 1])
        # INVARIANT: one plain member and no more, for inside `all(…)` it is looked up once for every item.
        self.expect(".")
        name = self.take()
        if self.next() == ".":
            raise UncompilableError(RESOURCE_ROOT)

        def found(_focus: Items, resource: Any) -> Items:
            value = resource.get(name)
            return [value] if type(value) is str else []

        return found

    def step(self, name: str) -> Expression:
        if not re.match(r"[A-Za-z]", name):
            raise UncompilableError(name)
        if self.next() != "(":
            return _member(self.choices.get(name, (name,)))
        self.take()
        if name == "is":
            function = _is_type(self.take())
            self.expect(")")
            return function
        arguments = []
        while self.next() != ")":
            arguments.append(self.binary(0))
            if self.next() == ",":
                self.take()
        self.take()
        return _call(name, arguments)

    def next(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        if self.at >= len(self.tokens):
            raise UncompilableError("end")
        self.at += 1
        return self.tokens[self.at - 1]

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise UncompilableError(token)


def _constant(items: Items) -> Expression:
    return lambda _focus, _resource: items


def _joined(operator: Callable[[Items, Items], Items], left: Expression, right: Expression) -> Expression:
    return lambda focus, resource: operator(left(focus, resource), right(focus, resource))


def _then(first: Expression, second: Expression) -> Expression:
    return lambda focus, resource: second(first(focus, resource), resource)


def _is_type(name: str) -> Expression:
    if not name[0].isupper():
        raise UncompilableError(name)
    return lambda focus, _resource: [type(each) is dict and each.get("resourceType") == name for each in focus]


def _member(names: tuple[str, ...]) -> Expression:
    """Return the step to the members of these names; of a primitive without a value to what stands in for it."""
    pairs = tuple((name, f"_{name}") for name in names)

    def step(focus: Items, _resource: Any) -> Items:
        found: Items = []
        for item in focus:
            if type(item) is not dict:
                continue
            for name, twin in pairs:
                value = item.get(name)
                if value is None and (value := item.get(twin)) is None:
                    continue
                if type(value) is list:
                    found += [each for each in value if each is not None]
                else:
                    found.append(value)
        return found

    return step


def _call(name: str, arguments: list[Expression]) -> Expression:
    if name in LAMBDAS and len(arguments) == 1:
        function, condition = LAMBDAS[name], arguments[0]
        return lambda focus, resource: function(focus, lambda item: condition([item], resource))
    if name == "trace":
        return lambda focus, _resource: focus
    if name not in FUNCTIONS or len(arguments) != FUNCTIONS[name].arguments:
        raise UncompilableError(name)
    plain = FUNCTIONS[name].run
    if not arguments:
        return lambda focus, _resource: plain(focus, [])
    argument = arguments[0]
    return lambda focus, resource: plain(focus, argument(focus, resource))
