"""Compile the invariants of FHIR R4, written in FHIRPath, to Python functions.

Comes in: `invariants.json`, the constraints of severity error as the StructureDefinitions state them. Goes out: per
type or inline structure the rules that an object must pass. What is beyond this subset of FHIRPath, or whose price
would grow faster than the resource, is written as plain code in `invariants_by_hand.py`, or `checks.py` for obs-7.
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
    MATCHED_LENGTH,
    OPERATORS,
    Items,
    TooManyItemsError,
    UncompilableError,
    bounded,
    is_cheap,
    truth,
)
from fhir_server.spec.invariants_by_hand import BY_HAND
from fhir_server.spec.paths import RESOURCE_ROOT
from fhir_server.spec.primitives import PRIMITIVES

Expression = Callable[[Items, Any], Items]
"""From the items in hand, and the resource around them, to items."""

SOURCE = Path(__file__).with_name("invariants.json")
_TOKEN = re.compile(r"\s*('(?:[^'\\]|\\.)*'|`[A-Za-z_]\w*`|[%$]?[A-Za-z_]\w*|[0-9]+|<=|>=|!=|[()=<>|+&.,\[\]])")
_PRECEDENCE = (
    ("implies",), ("or", "xor"), ("and",), ("in",), ("=", "!="), ("<", ">", "<=", ">="), ("|",), ("+", "&"),
)  # fmt: skip
_CONSTANTS: Mapping[str, Items] = {"true": [True], "false": [False], "%ucum": ["http://unitsofmeasure.org"]}
_ESCAPED = re.compile(r"\\(.)")
_BY_HAND = frozenset(
    {"ele-1", "ext-1", "dom-2", "dom-3", "dom-4", "dom-5", "dom-6", "txt-1", "txt-2", "ref-1", "per-1", "obs-7"}
)
"""Keys of invariants of R4 that are held without being compiled, or left out with a reason, or best practice."""
EMPTY_BREAKS = frozenset({"drt-1", "grp-1", "opd-2", "opd-3", "que-13", "ras-1", "vsd-9"})
"""Keys of invariants that say what a missing element would have to be: to compare it gives nothing, which is no yes.

Elsewhere nothing is not held against a resource, such as the order of two dates that their precision leaves open.
"""
_TOLD_ONLY = frozenset({"org-1"})
"""Those that `$validate` tells and a write does not refuse (docs/adr/0022)."""
_TOKENS_LIMIT = 300
_NESTING_LIMIT = 16
_CAST_TOKENS = len((".", "ofType", "(", "Quantity", ")"))


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


def is_of_base(key: str, text: str) -> bool:
    """Return whether an invariant of a profile repeats one of R4, which is held wherever the type is."""
    return key in _BY_HAND or any(found.get(key) == text for found in constraints().values())


def compile_rule(definitions: Definitions, key: str, text: str, root: str) -> Rule:
    """Return an invariant of a profile, which comes from outside: its size and price are bounded.

    Args:
        definitions: For the names of choices in JSON.
        key: Its key.
        text: FHIRPath.
        root: Type of the profile.

    Raises:
        UncompilableError: It is beyond the subset, or would cost too much.
    """
    made = compile_expression(definitions, text, root, outside=True)

    def breaks(value: Any, resource: Any) -> bool:
        try:
            return truth(made([value], resource)) is False
        except TooManyItemsError:
            return True

    return Rule(key, text, breaks)


def hold(found: tuple[Rule, ...], value: Json, place: Place, run: Run) -> None:
    """Note each of these invariants that an object breaks."""
    for rule in found:
        if rule.breaks(value, run.resource):
            text = f"must satisfy {rule.text} ({rule.key})"
            if rule.key in _TOLD_ONLY:
                run.advise(place, "invariant", text, "error")
            else:
                run.add(place, "invariant", text)


def _compiled(definitions: Definitions, context: str) -> Iterator[Rule]:
    for key, text in constraints().get(context, {}).items():
        if key in BY_HAND:
            yield Rule(key, text, BY_HAND[key])
            continue
        try:
            expression = compile_expression(definitions, text, context.partition(".")[0])
        except UncompilableError:
            continue
        yield Rule(key, text, _breaks(expression, (False, None) if key in EMPTY_BREAKS else (False,)))


def _breaks(expression: Expression, bad: tuple[bool | None, ...]) -> Callable[[Any, Any], bool]:
    def breaks(value: Any, resource: Any) -> bool:
        return truth(expression([value], resource)) in bad

    return breaks


def compile_expression(definitions: Definitions, text: str, root: str, *, outside: bool = False) -> Expression:
    """Return an expression as a function.

    Args:
        definitions: For the names of choices in JSON.
        text: FHIRPath.
        root: Name of the type that the expression may begin with.
        outside: It is not FHIR's own: held to limits of size and price.

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
    if outside:
        _check_size(tokens)
    parser = _Parser(_choices(definitions, root if outside else ""), tokens, root, outside)
    made = parser.binary(0)
    if parser.at < len(tokens):
        raise UncompilableError(tokens[parser.at])
    return made


def _check_size(tokens: list[str]) -> None:
    depth = deepest = 0
    for each in tokens:
        depth += (each == "(") - (each == ")")
        deepest = max(deepest, depth)
    if len(tokens) > _TOKENS_LIMIT or deepest > _NESTING_LIMIT:
        raise UncompilableError("size")


def _choices(definitions: Definitions, root: str) -> Mapping[str, tuple[str, ...]]:
    """Return by the name of a choice all its names in JSON, in any type that FHIR has invariants of, and in `root`."""
    if found := definitions.compiled.get(("choices", root)):
        return found  # type: ignore[no-any-return]
    names: dict[str, dict[str, None]] = {}
    inner = definitions.type(root).fields if root and definitions.is_type(root) else ()
    for context in (*constraints(), *inner):
        for children in definitions.fields(context).values():
            if children and children[0].element.choice:
                names.setdefault(children[0].element.name, {}).update({each.json_name: None for each in children})
    # Elsewhere the same name may be no choice: the value of a Quantity, and that of an Observation.
    made = {name: (name, *found) for name, found in names.items()}
    definitions.compiled[("choices", root)] = made
    return made


@dataclass
class _Parser:
    choices: Mapping[str, tuple[str, ...]]
    tokens: list[str]
    root: str
    outside: bool = False
    at: int = 0
    lambdas: int = 0

    def binary(self, level: int) -> Expression:
        if level == len(_PRECEDENCE):
            return self.path()
        left = self.binary(level + 1)
        while self.next() in _PRECEDENCE[level]:
            name = self.take()
            operator = bounded(OPERATORS[name]) if self.outside and name == "|" else OPERATORS[name]
            left = _joined(operator, left, self.binary(level + 1))
        return left

    def path(self) -> Expression:
        made = self.start()
        while self.next() in {".", "["}:
            if self.take() == ".":
                made = _then(made, self.step(self.take()))
                continue
            made = _then(made, _item_at(self.take()))
            self.expect("]")
        return made

    def start(self) -> Expression:
        if self.next() == "(":
            self.take()
            made = self.binary(0)
            self.expect(")")
            return made
        if self.tokens[self.at : self.at + 2] == ["$this", "as"]:
            self.at += 2
            return _cast(self.take())
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
        if not re.match(r"[A-Za-z`]", name):
            raise UncompilableError(name)
        if self.next() != "(":
            name = name.strip("`")
            return _member(self.of_type(name) or self.choices.get(name, (name,)))
        self.take()
        if name == "is":
            function = _is_type(self.take())
            self.expect(")")
            return function
        if self.outside:
            self.check_price(name)
        self.lambdas += name in LAMBDAS
        arguments = []
        while self.next() != ")":
            arguments.append(self.binary(0))
            if self.next() == ",":
                self.take()
        self.take()
        self.lambdas -= name in LAMBDAS
        return _call(name, arguments, outside=self.outside)

    def of_type(self, name: str) -> tuple[str, ...]:
        """Take `.ofType(T)` or `.as(T)` behind a choice, whose JSON name says the type; return that name."""
        ahead = self.tokens[self.at : self.at + _CAST_TOKENS]
        if name not in self.choices or len(ahead) < _CAST_TOKENS or ahead[0] != ".":
            return ()
        if ahead[1] not in {"ofType", "as"} or (ahead[2], ahead[4]) != ("(", ")"):
            return ()
        self.at += _CAST_TOKENS
        return (name + ahead[3][0].upper() + ahead[3][1:],)

    def check_price(self, name: str) -> None:
        if name == "descendants" and self.lambdas:
            raise UncompilableError(name)
        if name == "matches" and not (self.next()[:1] == "'" and is_cheap(_ESCAPED.sub(r"\1", self.next()[1:-1]))):
            raise UncompilableError(name)

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


def _cast(type_name: str) -> Expression:
    """Return what leaves the items of a primitive type, told by their form, for JSON names no type here."""
    primitive = PRIMITIVES.get(type_name)
    if primitive is None:
        raise UncompilableError(type_name)
    accepts = primitive.accepts
    return lambda focus, _resource: [each for each in focus if accepts(each)]


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


def _item_at(position: str) -> Expression:
    if not position.isdigit():
        raise UncompilableError(position)
    at = int(position)
    return lambda focus, _resource: focus[at : at + 1]


def _call(name: str, arguments: list[Expression], *, outside: bool) -> Expression:
    if name in LAMBDAS and len(arguments) == 1:
        function, condition = (bounded(LAMBDAS[name]) if outside else LAMBDAS[name]), arguments[0]
        return lambda focus, resource: function(focus, lambda item: condition([item], resource))
    if name == "trace":
        return lambda focus, _resource: focus
    if name not in FUNCTIONS or len(arguments) != FUNCTIONS[name].arguments:
        raise UncompilableError(name)
    plain = FUNCTIONS[name].run
    if not arguments:
        return lambda focus, _resource: plain(focus, [])
    argument = arguments[0]
    if outside and name == "matches":
        return lambda focus, resource: plain([_short(each) for each in focus], argument(focus, resource))
    return lambda focus, resource: plain(focus, argument(focus, resource))


def _short(item: Any) -> Any:
    return None if type(item) is str and len(item) > MATCHED_LENGTH else item
