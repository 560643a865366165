"""The part of FHIRPath that points at elements: names, indexes, `where(…)`, `first()`, `last()` and a few more.

Comes in: an expression from outside and a parsed resource. Goes out: where in the JSON its elements are. Anything else
of the language is refused by name (https://hl7.org/fhir/R4/fhirpatch.html, https://hl7.org/fhirpath/N1/).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import PRIMITIVES, Child
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.token_reader import TokenReader

_TOKEN = re.compile(r"\s*('(?:[^'\\]|\\.)*'|%\w+|`[^`]*`|[A-Za-z_]\w*|-?[0-9]+(?:\.[0-9]+)?|[()\[\].=]|\S)", re.DOTALL)
_CHARACTERS = 1_000
_STEPS = 64
_LOOKS = 200_000
_SHOWN = 64
_LAST = -1
TWIN = "Element"
"""Context of the `_name` of a primitive: its id and extensions."""
_TRUTH = {"true": True, "false": False}
_SUPPORTED = "names of elements, [index], where(element = value and …), first(), last(), ofType(type), extension(url)"
Literal = str | bool | Decimal


@dataclass(frozen=True, slots=True)
class Field:
    """Child elements of this name; a choice (`value[x]`) goes by its name without the type."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """Only the element at this position, counted from 0; -1 for the last."""

    position: int


@dataclass(frozen=True, slots=True)
class OfType:
    """Only elements of this type."""

    name: str


@dataclass(frozen=True, slots=True)
class Where:
    """Only elements for which each of these paths has the value."""

    tests: tuple[tuple[tuple[Field, ...], Literal], ...]


Step = Field | Index | OfType | Where


@dataclass(frozen=True, slots=True)
class Node:
    """One element and where it is.

    Attributes:
        value: Its JSON.
        context: Path whose fields are its children, as in `spec.elements.Child`.
        holder: The object that has it as a member, None for the resource itself.
        among: The context of that object.
        child: What the definition says of it, None for the resource itself.
        index: Its place where the member is an array, else None.
    """

    value: Any
    context: str
    holder: dict[str, Any] | None = None
    among: str = ""
    child: Child | None = None
    index: int | None = None


def parse(text: str, resource_type: str) -> tuple[Step, ...]:
    """Return the steps of an expression that starts at a resource of this type.

    Raises:
        FhirError: NOT_SUPPORTED (400) for what is not of the supported part; INVALID_CONTENT (422) for another type.
    """
    if len(text) > _CHARACTERS:
        raise FhirError(Kind.INVALID_VALUE, f"A path has at most {_CHARACTERS} characters")
    parser = _Parser(text)
    if parser.ahead in {"%resource", "%context"} or parser.ahead[:1].isupper():
        head = parser.take()
        if head not in {"%resource", "%context", resource_type}:
            raise FhirError(Kind.INVALID_CONTENT, f"The path must start at {resource_type}, not at {head[:_SHOWN]}")
        steps = parser.rest()
    else:
        steps = parser.rest((Field(parser.name()),))
    return steps


class _Parser(TokenReader):
    """Recursive descent over tokens."""

    def __init__(self, text: str) -> None:
        super().__init__(_TOKEN, text)

    def unsupported(self) -> FhirError:
        at = f"at '{self.ahead[:_SHOWN]}'" if self.ahead else "at its end"
        return FhirError(Kind.NOT_SUPPORTED, f"The path is not understood {at}; supported: {_SUPPORTED}")

    def name(self) -> str:
        token = self.take()
        plain = token[1:-1] if token.startswith("`") else token
        if not plain.isidentifier() or not plain.isascii():
            self._at -= bool(token)
            raise self.unsupported()
        return plain

    def rest(self, steps: tuple[Step, ...] = ()) -> tuple[Step, ...]:
        while self.ahead:
            if self.accept("["):
                steps = (*steps, Index(self.position()))
                self.expect("]")
            else:
                self.expect(".")
                steps = (*steps, *self.step())
            if len(steps) > _STEPS:
                raise FhirError(Kind.INVALID_VALUE, f"A path has at most {_STEPS} steps")
        return steps

    def step(self) -> tuple[Step, ...]:
        name = self.name()
        if not self.accept("("):
            return (Field(name),)
        found: tuple[Step, ...]
        match name:
            case "where":
                found = (self.where(),)
            case "first":
                found = (Index(0),)
            case "last":
                found = (Index(_LAST),)
            case "ofType" | "as":
                found = (OfType(self.name()),)
            case "extension":
                found = (Field("extension"), Where((((Field("url"),), self.literal()),)))
            case _:
                raise FhirError(
                    Kind.NOT_SUPPORTED, f"The function {name[:_SHOWN]}() is not supported here; supported: {_SUPPORTED}"
                )
        self.expect(")")
        return found

    def where(self) -> Where:
        tests = [self.test()]
        while self.accept("and"):
            tests.append(self.test())
        return Where(tuple(tests))

    def test(self) -> tuple[tuple[Field, ...], Literal]:
        fields = [Field(self.name())]
        while self.accept("."):
            fields.append(Field(self.name()))
        self.expect("=")
        return tuple(fields), self.literal()

    def literal(self) -> Literal:
        text = self.ahead
        if text in _TRUTH:
            found: Literal = _TRUTH[text]
        elif text.startswith("'") and len(text) > 1:
            found = re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
        elif text.lstrip("-")[:1].isdigit() and text.isascii():
            found = Decimal(text)
        else:
            raise self.unsupported()
        self.take()
        return found

    def position(self) -> int:
        if not self.ahead.isdecimal() or len(self.ahead) > 6:  # noqa: PLR2004 - no array is longer
            raise self.unsupported()
        return int(self.take())


class Walker:
    """Walks resources under one budget of looks at elements, so that no expression costs more than it may."""

    def __init__(self, definitions: Definitions) -> None:
        """Begin with the whole budget."""
        self._definitions = definitions
        self._left = _LOOKS

    def find(self, root: Node, steps: tuple[Step, ...]) -> list[Node]:
        """Return the elements that the steps lead to.

        Raises:
            FhirError: INVALID_CONTENT (422) for a name that a type does not have, or a walk that is too long.
        """
        found = [root]
        for step in steps:
            match step:
                case Field():
                    found = [below for node in found for below in self._children(node, step.name)]
                case Index():
                    found = found[step.position :][:1]
                case OfType():
                    found = [node for node in found if node.child and node.child.type.lower() == step.name.lower()]
                case Where():
                    found = [node for node in found if self._meets(node, step)]
        return found

    def opened(self, node: Node) -> Node:
        """Return the node whose JSON has the children of an element: of a primitive `_name`, made if need be."""
        holder, child = node.holder, node.child
        if holder is None or child is None or child.type not in PRIMITIVES:
            return node
        name = f"_{child.json_name}"
        if node.index is None:
            return Node(holder.setdefault(name, {}), TWIN)
        twins = holder.setdefault(name, [])
        twins += [None] * (len(holder[child.json_name]) - len(twins))
        twins[node.index] = twins[node.index] or {}
        return Node(twins[node.index], TWIN)

    def fields(self, node: Node, name: str) -> tuple[Child, ...]:
        """Return what the definition says of a child by name, one per type of a choice.

        Raises:
            FhirError: INVALID_CONTENT (422) where there is no such child.
        """
        if type(node.value) is not dict:
            raise FhirError(Kind.INVALID_CONTENT, f"'{name[:_SHOWN]}' is asked of a value, which has no elements here")
        children = self._definitions.fields(node.context)
        if name not in children:
            raise FhirError(Kind.INVALID_CONTENT, f"{node.context} has no element '{name[:_SHOWN]}'")
        return children[name]

    def _children(self, node: Node, name: str) -> list[Node]:
        found = []
        node = _twin(node)
        for child in self.fields(node, name):
            value = node.value.get(child.json_name)
            if value is None and (child.element.many or f"_{child.json_name}" not in node.value):
                continue
            if type(value) is list:
                found += [_below(node, child, each, index) for index, each in enumerate(value)]
            else:
                found.append(_below(node, child, value, None))
        self._left -= 1 + len(found)
        if self._left < 0:
            raise FhirError(Kind.INVALID_CONTENT, "The paths lead through too many elements")
        return found

    def _meets(self, node: Node, step: Where) -> bool:
        return all(
            any(_equal(each.value, literal) for each in self.find(node, fields)) for fields, literal in step.tests
        )


def _twin(node: Node) -> Node:
    """Return what a primitive has beside its value, as it is; any other node itself."""
    if node.holder is None or node.child is None or node.child.type not in PRIMITIVES:
        return node
    found = node.holder.get(f"_{node.child.json_name}")
    if node.index is not None:
        found = found[node.index] if type(found) is list and node.index < len(found) else None
    return Node(found if type(found) is dict else {}, TWIN)


def _below(node: Node, child: Child, value: Any, index: int | None) -> Node:
    context = child.context
    if child.type == "Resource" and type(value) is dict:
        context = str(value.get("resourceType", ""))
    elif child.type in PRIMITIVES:
        context = ""
    return Node(value, context, node.value, node.context, child, index)


def _equal(value: Any, literal: Literal) -> bool:
    if type(literal) is bool or type(value) is bool:
        return value is literal
    if isinstance(literal, Decimal):
        return isinstance(value, int | Decimal) and value == literal
    return type(value) is str and value == literal
