"""Compile what FHIR says of each structure into tables and small functions that check JSON against it.

Comes in: the definitions. Goes out: one `Shape` per type or inline structure, made when it is first needed. A check
adds every problem it finds to a `Run`. It trusts nothing about the JSON, and never quotes a value into a diagnostic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import Child, Element
from fhir_server.spec.narrative import NarrativeError, check_narrative
from fhir_server.spec.primitives import PRIMITIVES, Primitive
from fhir_server.spec.values import date_interval

Json = dict[str, Any]
# Where a value is: the way from the resource down, innermost last; a number is a position in an array.
Place = tuple[Any, str | int]
# Checks a value, given the object it is a member of.
Check = Callable[[Any, Json, Place, "Run"], None]

PROBLEM_LIMIT = 50
_ALLOWED_CODES_SHOWN = 40
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_LITERAL_TYPE = re.compile(r"([A-Za-z]+)[/?].*", re.DOTALL)


class EnoughError(Exception):
    """The limit of problems is reached."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place; `code` is of the IssueType value set."""

    place: Place
    code: str
    text: str


@dataclass(slots=True)
class Run:
    """The validation of one resource: what it found, and the resource whose `contained` may be referred to."""

    definitions: Definitions
    container: Json
    problems: list[Problem] = field(default_factory=list)

    def add(self, place: Place, code: str, text: str) -> None:
        """Note a problem.

        Raises:
            EnoughError: The limit is reached.
        """
        self.problems.append(Problem(place, code, text))
        if len(self.problems) >= PROBLEM_LIMIT:
            raise EnoughError


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a JSON object: its name in FHIRPath and its check."""

    segment: str
    check: Check


@dataclass(frozen=True, slots=True)
class _Choice:
    """An element whose JSON name carries its type; `names` include those with an underscore."""

    segment: str
    names: frozenset[str]
    required: bool


class Shape:
    """The checks of one type or inline structure. Made empty, so that structures may hold themselves."""

    __slots__ = ("_choices", "_context", "_invariant", "_is_resource", "_members", "_required")

    def __init__(self, context: str) -> None:
        self._context = context
        self._members: dict[str, _Member] = {}
        self._required: tuple[str, ...] = ()
        self._choices: tuple[_Choice, ...] = ()
        self._invariant = _INVARIANTS.get(context)
        self._is_resource = False

    def check(self, value: Any, _owner: Json, place: Place, run: Run) -> None:
        """Check an object and all it holds."""
        if type(value) is not dict:
            run.add(place, "structure", "must be an object")
            return
        members = self._members or self._fill(run.definitions)
        if not self._is_resource and len(value) == ("id" in value):
            run.add(place, "structure", "must not be empty")
            return
        for name, item in value.items():
            member = members.get(name)
            if member is None:
                self._refuse_member(name, place, run)
            else:
                member.check(item, value, (place, member.segment), run)
        for name in self._required:
            if name not in value and f"_{name}" not in value:
                run.add((place, name), "required", "is required")
        for choice in self._choices:
            _check_choice(choice, value, place, run)
        if self._invariant:
            self._invariant(value, place, run)

    def _fill(self, definitions: Definitions) -> dict[str, _Member]:
        members: dict[str, _Member] = {}
        required, choices = [], []
        for alternatives in definitions.fields(self._context).values():
            element = alternatives[0].element
            for child in alternatives:
                segment = f"{element.name}.ofType({child.type})" if element.choice else element.name
                members[child.json_name] = _Member(segment, _member_check(definitions, child))
                if child.type in PRIMITIVES:
                    check = _extensions_check(shape_of(definitions, "Element"), element)
                    members[f"_{child.json_name}"] = _Member(segment, check)
            if element.choice:
                names = frozenset(prefix + child.json_name for child in alternatives for prefix in ("", "_"))
                choices.append(_Choice(element.name, names, bool(element.min)))
            elif element.min:
                required.append(element.name)
        if self._context in definitions.resource_types:
            self._is_resource = True
            members["resourceType"] = _Member("resourceType", _accept)
        self._required, self._choices = tuple(required), tuple(choices)
        # INVARIANT: last, for another thread takes a shape with members for a finished one.
        self._members = members
        return members

    def _refuse_member(self, name: str, place: Place, run: Run) -> None:
        shown = name if _PLAIN_NAME.fullmatch(name) else "(unnamed)"
        run.add((place, shown), "structure", f"is no element of {self._context} in FHIR R4")


def shape_of(definitions: Definitions, context: str) -> Shape:
    """Return the shape of a type or inline structure, one per process."""
    shape: Shape | None = definitions.compiled.get(("shape", context))
    return shape or definitions.compiled.setdefault(("shape", context), Shape(context))


def check_resource(value: Any, _owner: Json, place: Place, run: Run) -> None:
    """Check a resource that starts a world of its own: the root, or one in a Bundle or Parameters."""
    outer, run.container = run.container, value
    _check_by_type(value, place, run)
    run.container = outer


def _check_contained(value: Any, _owner: Json, place: Place, run: Run) -> None:
    if type(value) is dict and "contained" in value:
        run.add((place, "contained"), "invariant", "must not be in a contained resource (dom-2)")
    _check_by_type(value, place, run)


def _check_by_type(value: Any, place: Place, run: Run) -> None:
    if type(value) is not dict:
        run.add(place, "structure", "must be an object")
        return
    resource_type = value.get("resourceType")
    if type(resource_type) is not str or resource_type not in run.definitions.resource_types:
        run.add((place, "resourceType"), "structure", "must be the name of a resource type of FHIR R4")
        return
    shape_of(run.definitions, resource_type).check(value, value, place, run)


def _accept(_value: Any, _owner: Json, _place: Place, _run: Run) -> None:
    """Accept what was looked at before."""


def _check_choice(choice: _Choice, value: Json, place: Place, run: Run) -> None:
    present = choice.names.intersection(value)
    if not present:
        if choice.required:
            run.add((place, choice.segment), "required", "is required, with its type in its name")
    elif len(present) > 1 and len({name.lstrip("_") for name in present}) > 1:
        run.add((place, choice.segment), "structure", "must have one type only")


def _member_check(definitions: Definitions, child: Child) -> Check:
    element = child.element
    if child.type == "xhtml":
        return _check_xhtml
    if primitive := PRIMITIVES.get(child.type):
        codes = definitions.value_set(element.binding) if child.type == "code" and element.binding else None
        check = _code_check(codes) if codes else _primitive_check(primitive)
        return _primitives_check(check, element, child.json_name) if element.many else check
    if child.type == "Resource":
        check = _check_contained if element.name == "contained" else check_resource
    elif child.type == "Reference" and child.targets:
        check = _reference_check(shape_of(definitions, "Reference"), frozenset(child.targets))
    elif element.binding and child.type == "CodeableConcept" and definitions.value_set(element.binding):
        check = _concept_check(shape_of(definitions, child.context), definitions.code_systems(element.binding))
    else:
        check = shape_of(definitions, child.context).check
    return _each(check, element) if element.many else check


def _is_array(items: Any, element: Element, place: Place, run: Run) -> bool:
    """Return whether this is an array to go into; note what is wrong with it."""
    if type(items) is not list:
        run.add(place, "structure", "must be an array")
        return False
    if not items:
        run.add(place, "structure", "must not be an empty array")
    elif element.max is not None and len(items) > element.max:
        run.add(place, "structure", f"must have at most {element.max} items")
    return True


def _each(check: Check, element: Element) -> Check:
    def check_items(items: Any, owner: Json, place: Place, run: Run) -> None:
        if _is_array(items, element, place, run):
            for index, item in enumerate(items):
                check(item, owner, (place, index), run)

    return check_items


def _primitives_check(check: Check, element: Element, name: str) -> Check:
    """Return the check of an array of primitives, where a null keeps the place of one that has only extensions."""
    twin = f"_{name}"

    def check_items(items: Any, owner: Json, place: Place, run: Run) -> None:
        if not _is_array(items, element, place, run):
            return
        extensions = owner.get(twin)
        for index, item in enumerate(items):
            if item is not None:
                check(item, owner, (place, index), run)
            elif type(extensions) is not list or index >= len(extensions) or extensions[index] is None:
                run.add((place, index), "structure", f"must not be null without an extension in {twin}")
        if type(extensions) is list and len(extensions) != len(items):
            run.add(place, "structure", f"must have as many items as {twin}")

    return check_items


def _extensions_check(shape: Shape, element: Element) -> Check:
    """Return the check of `_name`: the id and extensions of a primitive."""
    if not element.many:
        return shape.check

    def check_items(items: Any, owner: Json, place: Place, run: Run) -> None:
        if not _is_array(items, element, place, run):
            return
        if all(item is None for item in items):
            run.add(place, "structure", "must have an extension where its name starts with an underscore")
        for index, item in enumerate(items):
            if item is not None:
                shape.check(item, owner, (place, index), run)

    return check_items


def _primitive_check(primitive: Primitive) -> Check:
    accepts = primitive.accepts

    def check(value: Any, _owner: Json, place: Place, run: Run) -> None:
        if not accepts(value):
            _explain(primitive, value, place, run)

    return check


def _explain(primitive: Primitive, value: Any, place: Place, run: Run) -> None:
    # `bool` is an `int` to Python, not to JSON.
    if type(value) is bool or not isinstance(value, primitive.types):
        run.add(place, "structure", f"must be a JSON {primitive.form}: {primitive.rule}")
    else:
        run.add(place, "value", f"must be {primitive.rule}")


def _code_check(codes: frozenset[str]) -> Check:
    shown = f"one of {', '.join(sorted(codes))}" if len(codes) <= _ALLOWED_CODES_SHOWN else "a code of its value set"
    primitive = PRIMITIVES["code"]

    def check(value: Any, _owner: Json, place: Place, run: Run) -> None:
        if type(value) is not str:
            _explain(primitive, value, place, run)
        elif value not in codes:
            run.add(place, "code-invalid", f"must be {shown}")

    return check


def _concept_check(shape: Shape, systems: Mapping[str, tuple[str, ...]]) -> Check:
    """Return the check of a CodeableConcept bound as required: where it has codings, one must be of the set."""
    allowed = {(system, code) for system, codes in systems.items() for code in codes}

    def check(value: Any, owner: Json, place: Place, run: Run) -> None:
        shape.check(value, owner, place, run)
        codings = value.get("coding") if type(value) is dict else None
        if type(codings) is not list:
            return
        pairs = [(each.get("system"), each.get("code")) for each in codings if type(each) is dict]
        if not any(str not in {type(system), type(code)} or (system, code) in allowed for system, code in pairs):
            run.add(place, "code-invalid", f"must have a coding of its value set, from {', '.join(sorted(systems))}")

    return check


def _reference_check(shape: Shape, targets: frozenset[str]) -> Check:
    shown = ", ".join(sorted(targets))

    def check(value: Any, owner: Json, place: Place, run: Run) -> None:
        shape.check(value, owner, place, run)
        literal = value.get("reference") if type(value) is dict else None
        # Only a relative reference says its type for certain; an absolute one may be a page of any server.
        if type(literal) is str and (match := _LITERAL_TYPE.fullmatch(literal)) and match[1] not in targets:
            run.add((place, "reference"), "value", f"must refer to one of {shown}")

    return check


def _check_xhtml(value: Any, _owner: Json, place: Place, run: Run) -> None:
    if type(value) is not str:
        run.add(place, "structure", "must be a JSON string of XHTML")
        return
    try:
        check_narrative(value)
    except NarrativeError as error:
        run.add(place, "value", str(error))


def _reference_is_contained(value: Json, place: Place, run: Run) -> None:
    """Hold ref-1: `#id` refers to a contained resource, `#` to the container."""
    literal = value.get("reference")
    if type(literal) is not str or len(literal) < len("#x") or literal[0] != "#":
        return
    contained = run.container.get("contained")
    resources = contained if type(contained) is list else []
    if not any(type(each) is dict and each.get("id") == literal[1:] for each in resources):
        run.add((place, "reference"), "invariant", "must refer to a resource in 'contained' (ref-1)")


def _extension_has_value_or_extensions(value: Json, place: Place, run: Run) -> None:
    """Hold ext-1."""
    has_value = any(name.lstrip("_").startswith("value") for name in value)
    if has_value is ("extension" in value):
        run.add(place, "invariant", "must have either a value or extensions, not both (ext-1)")


def _period_ends_after_start(value: Json, place: Place, run: Run) -> None:
    """Hold per-1, each end read at its precision."""
    start, end = value.get("start"), value.get("end")
    accepts = PRIMITIVES["dateTime"].accepts
    if accepts(start) and accepts(end) and date_interval(str(start))[0] >= date_interval(str(end))[1]:
        run.add(place, "invariant", "must not end before it starts (per-1)")


_INVARIANTS: Mapping[str, Callable[[Json, Place, Run], None]] = {
    "Extension": _extension_has_value_or_extensions,
    "Period": _period_ends_after_start,
    "Reference": _reference_is_contained,
}
