"""Compile what FHIR says of each structure into a table: which members an object may have, and the check of each.

Comes in: the definitions. Goes out: one `Shape` per type or inline structure, made when it is first needed, and
`check_resource`, which finds the shape by `resourceType`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fhir_server.spec.checks import (
    INVARIANTS,
    Check,
    Place,
    Run,
    check_element_id,
    check_xhtml,
    code_check,
    concept_check,
    extensions_check,
    items_check,
    primitive_check,
    primitives_check,
    reference_check,
)
from fhir_server.spec.contained import check_contained
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import Child
from fhir_server.spec.invariants import Rule, constraints, hold, rules
from fhir_server.spec.primitives import PRIMITIVES
from fhir_server.spec.profile_check import check_claimed, check_extension

Json = dict[str, Any]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_PRIMITIVE_EXTENSIONS = "Element"


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

    __slots__ = (
        "_choices",
        "_context",
        "_holds_value",
        "_invariant",
        "_members",
        "_required",
        "_rules",
    )

    def __init__(self, context: str) -> None:
        self._context = context
        self._members: dict[str, _Member] = {}
        self._required: tuple[str, ...] = ()
        self._choices: tuple[_Choice, ...] = ()
        self._rules: tuple[Rule, ...] = ()
        self._invariant = _check_extension if context == "Extension" else INVARIANTS.get(context)
        # `_name` says more of a value that stands elsewhere: there an id alone is something (ele-1).
        self._holds_value = context != _PRIMITIVE_EXTENSIONS

    def check(self, value: Any, _owner: Json, place: Place, run: Run) -> None:
        """Check an object and all it holds."""
        if type(value) is not dict:
            run.add(place, "structure", "must be an object")
            return
        members = self._members or self._fill(run.definitions)
        if not value or (len(value) == 1 and "id" in value and self._holds_value):
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
        if self._rules:
            hold(self._rules, value, place, run)

    def _fill(self, definitions: Definitions) -> dict[str, _Member]:
        members: dict[str, _Member] = {}
        required, choices = [], []
        for alternatives in definitions.fields(self._context).values():
            element = alternatives[0].element
            for child in alternatives:
                segment = f"{element.name}.ofType({child.type})" if element.choice else element.name
                members[child.json_name] = _Member(segment, _member_check(definitions, child))
                if child.type in PRIMITIVES and not _is_attribute(self._context, child):
                    check = extensions_check(
                        shape_of(definitions, _PRIMITIVE_EXTENSIONS).check, element, child.json_name
                    )
                    members[f"_{child.json_name}"] = _Member(segment, check)
            if element.choice:
                names = frozenset(prefix + child.json_name for child in alternatives for prefix in ("", "_"))
                choices.append(_Choice(element.name, names, bool(element.min)))
            elif element.min:
                required.append(element.name)
        if self._context in definitions.resource_types:
            members["resourceType"] = _Member("resourceType", _accept)
        self._required, self._choices = tuple(required), tuple(choices)
        self._rules = rules(definitions, self._context)
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
    if type(value) is dict and "contained" in value:
        check_contained(value, place, run)
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
    outer, run.resource = run.resource, value
    shape_of(run.definitions, resource_type).check(value, value, place, run)
    if "meta" in value:
        check_claimed(value, place, run)
    run.resource = outer


def _check_extension(value: Json, place: Place, run: Run) -> None:
    INVARIANTS["Extension"](value, place, run)
    check_extension(value, place, run)


def _is_attribute(context: str, child: Child) -> bool:
    """Return whether XML has this as an attribute: it has no id or extensions, in JSON neither."""
    name = child.element.name
    return (name == "id" and child.type == "string") or (context == "Extension" and name == "url")


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
        return check_xhtml
    if _is_attribute("", child):
        return check_element_id
    if primitive := PRIMITIVES.get(child.type):
        codes = definitions.value_set(element.binding) if child.type == "code" and element.binding else None
        check = code_check(codes) if codes else primitive_check(primitive)
        return primitives_check(check, element, child.json_name) if element.many else check
    if child.type == "Resource":
        check = _check_contained if element.name == "contained" else check_resource
    elif child.type == "Reference" and child.targets:
        check = reference_check(shape_of(definitions, "Reference").check, frozenset(child.targets))
    elif element.binding and child.type == "CodeableConcept" and definitions.value_set(element.binding):
        check = concept_check(shape_of(definitions, child.context).check, definitions.code_systems(element.binding))
    else:
        check = shape_of(definitions, child.context).check
    if element.path != child.context and element.path in constraints():
        check = _ruled(check, rules(definitions, element.path))
    return items_check(check, element) if element.many else check


def _ruled(inner: Check, found: tuple[Rule, ...]) -> Check:
    """Return the check of an element of a datatype that has invariants beside those of the type."""

    def check(value: Any, owner: Json, place: Place, run: Run) -> None:
        inner(value, owner, place, run)
        if type(value) is dict:
            hold(found, value, place, run)

    return check
