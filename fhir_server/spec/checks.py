"""Check one JSON value against one rule of FHIR, and note what is wrong with it.

Comes in: a value from outside, the object it is a member of, and its place. Goes out: problems in a `Run`. Nothing
about the JSON is trusted, and no value is quoted into a diagnostic. `shapes.py` says which check an element gets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import Element
from fhir_server.spec.narrative import NarrativeError, check_narrative
from fhir_server.spec.primitives import ELEMENT_ID, PRIMITIVES, Primitive
from fhir_server.spec.values import date_interval

Json = dict[str, Any]
# Where a value is: the way from the resource down, innermost last; a number is a position in an array.
Place = tuple[Any, str | int]
# Checks a value, given the object it is a member of.
Check = Callable[[Any, Json, Place, "Run"], None]

# Whether a code of a system (None for the one that its element implies) is in a value set.
Membership = Callable[[str | None, str], bool]
# Returns how to tell what is in a value set, by its canonical URL; None where it is not known.
Lookup = Callable[[str], Membership | None]

PROBLEM_LIMIT = 100
_ALLOWED_CODES_SHOWN = 40
_LITERAL_TYPE = re.compile(r"([A-Za-z]+)[/?]")
_RELATIVE = re.compile(r"([A-Z][A-Za-z]+)(?:/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?|\?.+)", re.ASCII)
_ABSOLUTE_TYPE = re.compile(r"https?://\S*/([A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}(?:/_history/[A-Za-z0-9.-]{1,64})?")


class EnoughError(Exception):
    """The limit of problems is reached."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place; `code` is of the IssueType value set."""

    place: Place
    code: str
    text: str
    severity: str = "error"


@dataclass(slots=True)
class Run:
    """The validation of one resource: what it found, and where it is.

    Attributes:
        definitions: What FHIR R4 says.
        container: The resource whose `contained` may be referred to.
        resource: The innermost resource, contained or not: `%resource` of invariants.
        problems: What is wrong.
        limit: After how many problems it ends.
        advice: Whether warnings and information are asked for, too.
        codes: Looks up value sets beyond those of R4; None for nothing more.
        budget: What profiles may still cost; made by the first.
        element_ids: The ids of elements so far, each with the identity of its innermost resource.
    """

    definitions: Definitions
    container: Json
    resource: Json
    problems: list[Problem] = field(default_factory=list)
    limit: int = PROBLEM_LIMIT
    advice: bool = False
    codes: Lookup | None = None
    budget: Any = None
    element_ids: set[tuple[int, str]] = field(default_factory=set)

    def add(self, place: Place, code: str, text: str) -> None:
        """Note a problem.

        Raises:
            EnoughError: The limit is reached.
        """
        self.problems.append(Problem(place, code, text))
        if len(self.problems) >= self.limit:
            raise EnoughError

    def advise(self, place: Place, code: str, text: str, severity: str = "warning") -> None:
        """Note what is no error, if that is asked for."""
        if self.advice and len(self.problems) < self.limit // 2:
            self.problems.append(Problem(place, code, text, severity))


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


def items_check(check: Check, element: Element) -> Check:
    """Return the check of an array whose items each pass a check."""

    def check_items(items: Any, owner: Json, place: Place, run: Run) -> None:
        if _is_array(items, element, place, run):
            for index, item in enumerate(items):
                check(item, owner, (place, index), run)

    return check_items


def primitives_check(check: Check, element: Element, name: str) -> Check:
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


def extensions_check(inner: Check, element: Element, name: str) -> Check:
    """Return the check of `_name`: the id and extensions of a primitive, which may stand in for its value."""

    def check(item: Any, value: Any, place: Place, run: Run) -> None:
        inner(item, {}, place, run)
        if value is None and type(item) is dict and "extension" not in item:
            run.add(place, "structure", "must have a value or an extension")

    def check_one(item: Any, owner: Json, place: Place, run: Run) -> None:
        check(item, owner.get(name), place, run)

    def check_items(items: Any, owner: Json, place: Place, run: Run) -> None:
        if not _is_array(items, element, place, run):
            return
        values = owner.get(name)
        if values is None and None in items:
            run.add(place, "structure", f"must not have a null in _{name} without a value in {name}")
        for index, item in enumerate(items):
            if item is not None:
                value = values[index] if type(values) is list and index < len(values) else None
                check(item, value, (place, index), run)

    return check_items if element.many else check_one


def primitive_check(primitive: Primitive) -> Check:
    """Return the check of one value of a primitive type."""
    accepts = primitive.accepts

    def check(value: Any, _owner: Json, place: Place, run: Run) -> None:
        if not accepts(value):
            _explain(primitive, value, place, run)

    return check


def check_element_id(value: Any, _owner: Json, place: Place, run: Run) -> None:
    """Check the id of an element: one of its kind in a resource (https://hl7.org/fhir/R4/element.html)."""
    if not ELEMENT_ID.accepts(value):
        _explain(ELEMENT_ID, value, place, run)
        return
    # A snapshot has the ids of the differential once more.
    if run.resource.get("resourceType") == "StructureDefinition":
        return
    named = (id(run.resource), value)
    if named in run.element_ids:
        run.add(place, "invariant", "must differ from the ids of all other elements of the resource")
    run.element_ids.add(named)


def _explain(primitive: Primitive, value: Any, place: Place, run: Run) -> None:
    # `bool` is an `int` to Python, not to JSON.
    if type(value) is bool or not isinstance(value, primitive.types):
        run.add(place, "structure", f"must be a JSON {primitive.form}: {primitive.rule}")
    else:
        run.add(place, "value", f"must be {primitive.rule}")


def code_check(codes: frozenset[str]) -> Check:
    """Return the check of a `code` bound to these codes."""
    shown = f"one of {', '.join(sorted(codes))}" if len(codes) <= _ALLOWED_CODES_SHOWN else "a code of its value set"
    primitive = PRIMITIVES["code"]

    def check(value: Any, _owner: Json, place: Place, run: Run) -> None:
        if type(value) is not str:
            _explain(primitive, value, place, run)
        elif value not in codes:
            run.add(place, "code-invalid", f"must be {shown}")

    return check


def concept_check(inner: Check, systems: Mapping[str, tuple[str, ...]]) -> Check:
    """Return the check of a CodeableConcept bound as required: where it has codings, one must be of the set."""
    allowed = {(system, code) for system, codes in systems.items() for code in codes}

    def check(value: Any, owner: Json, place: Place, run: Run) -> None:
        inner(value, owner, place, run)
        codings = value.get("coding") if type(value) is dict else None
        if type(codings) is not list:
            return
        pairs = [(each.get("system"), each.get("code")) for each in codings if type(each) is dict]
        # The shape has refused what is no text; a coding may also say no more than its display.
        coded = {pair for pair in pairs if type(pair[0]) is str and type(pair[1]) is str}
        if coded and coded.isdisjoint(allowed):
            run.add(place, "code-invalid", f"must have a coding of its value set, from {', '.join(sorted(systems))}")

    return check


def reference_check(inner: Check, targets: frozenset[str]) -> Check:
    """Return the check of a Reference that may point to these resource types."""
    shown = ", ".join(sorted(targets))

    def check(value: Any, owner: Json, place: Place, run: Run) -> None:
        inner(value, owner, place, run)
        if type(value) is not dict:
            return
        literal = value.get("reference")
        if type(literal) is str:
            match = _LITERAL_TYPE.match(literal)
            found = match[1] if match else _literal_type(literal, run)
            # What is no type at all is told as that.
            if found and found not in targets and found in run.definitions.resource_types:
                run.add((place, "reference"), "value", f"must refer to one of {shown}")
        if "type" in value:
            stated = value["type"]
            # An absolute one names a logical model.
            if type(stated) is str and stated not in targets and ":" not in stated:
                run.add((place, "type"), "value", f"must be one of {shown}")

    return check


def reference_type(value: Any, run: Run) -> str:
    """Return the type of the resource that a Reference points to, by its literal or else its `type`; "" for unknown."""
    if type(value) is not dict:
        return ""
    stated = value.get("type")
    return _literal_type(value.get("reference"), run) or (stated if type(stated) is str else "")


def _literal_type(literal: Any, run: Run) -> str:
    """Return the type that a literal reference names: relative, conditional, absolute or contained; "" for none."""
    if type(literal) is not str or not literal:
        return ""
    if match := _LITERAL_TYPE.match(literal):
        return match[1]
    if literal[0] == "#":
        contained = run.container.get("contained")
        resources = contained if type(contained) is list else ()
        named = (each.get("resourceType") for each in resources if type(each) is dict and each.get("id") == literal[1:])
        return str(next(named, None) or "")
    # An absolute URL may be a page of any server, unless it looks like that of a resource.
    match = _ABSOLUTE_TYPE.fullmatch(literal)
    return match[1] if match and match[1] in run.definitions.resource_types else ""


def check_xhtml(value: Any, _owner: Json, place: Place, run: Run) -> None:
    """Check the `div` of a Narrative."""
    if type(value) is not str:
        run.add(place, "structure", "must be a JSON string of XHTML")
        return
    try:
        check_narrative(value)
    except NarrativeError as error:
        run.add(place, "value", str(error))


def _reference_leads_somewhere(value: Json, place: Place, run: Run) -> None:
    """Hold a literal to its forms, and ref-1: `#id` refers to a contained resource, `#` to the container."""
    literal = value.get("reference")
    if "type" in value:
        _type_is_that_of_the_literal(value, place, run)
    if type(literal) is not str or not literal:
        return
    if literal[0] != "#":
        match = _RELATIVE.fullmatch(literal)
        # What has a colon is absolute: a URL, or a URN.
        if ":" not in literal.partition("?")[0] and (not match or match[1] not in run.definitions.resource_types):
            text = "must be [type]/[id], [type]?[criteria], #[id] of a contained resource, or an absolute URL"
            run.add((place, "reference"), "value", text)
        return
    if len(literal) < len("#x"):
        return
    contained = run.container.get("contained")
    resources = contained if type(contained) is list else []
    if not any(type(each) is dict and each.get("id") == literal[1:] for each in resources):
        run.add((place, "reference"), "invariant", "must refer to a resource in 'contained' (ref-1)")


def _type_is_that_of_the_literal(value: Json, place: Place, run: Run) -> None:
    stated, found = value["type"], _literal_type(value.get("reference"), run)
    if found and type(stated) is str and ":" not in stated and stated != found:
        run.add((place, "type"), "value", "must be the type that 'reference' names, where that says one")


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


def _components_differ_from_the_whole(value: Json, place: Place, run: Run) -> None:
    """Hold obs-7: what has a value has no component with the same coding."""
    components, own = value.get("component"), _codings(value)
    if not own or type(components) is not list or not any(name.lstrip("_").startswith("value") for name in value):
        return
    if any(not own.isdisjoint(_codings(each)) for each in components if type(each) is dict):
        run.add(place, "invariant", "must not have a value and a component with the same code (obs-7)")


def _codings(value: Json) -> set[str]:
    code = value.get("code")
    codings = code.get("coding") if type(code) is dict else None
    found = codings if type(codings) is list else []
    return {repr(sorted(each.items())) for each in found if type(each) is dict}


INVARIANTS: Mapping[str, Callable[[Json, Place, Run], None]] = {
    "Observation": _components_differ_from_the_whole,
    "Extension": _extension_has_value_or_extensions,
    "Period": _period_ends_after_start,
    "Reference": _reference_leads_somewhere,
}
