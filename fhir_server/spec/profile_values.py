"""Find the values of an element in JSON, and compare them with what a profile fixes.

An `Item` is one value with its type and place, the extensions of a primitive beside it. Nothing about the JSON is
trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fhir_server.spec.checks import Place
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import PRIMITIVES, Child

Json = Mapping[str, Any]

_HOLDER = "Element"
_RESOURCE = "Resource"


class Item(NamedTuple):
    """One value of an element.

    Attributes:
        value: JSON; None for a primitive that has extensions only.
        twin: Id and extensions of a primitive; None where it has none.
        type: Name of its type; of a resource, its own.
        context: Path whose fields its members are.
        place: Where it is.
    """

    value: Any
    twin: Any
    type: str
    context: str
    place: Place

    def holder(self) -> tuple[Any, str]:
        """Return the object that its children are members of, and the path whose fields they are."""
        return (self.twin, _HOLDER) if self.type in PRIMITIVES else (self.value, self.context)


def children_of(definitions: Definitions, context: str, name: str) -> tuple[Child, ...]:
    """Return where an element may be in JSON: by its name, or by that of one of its types (`valueQuantity`)."""
    fields = definitions.fields(context)
    if found := fields.get(name):
        return found
    return tuple(child for children in fields.values() for child in children if child.json_name == name)


def items_of(children: tuple[Child, ...], owner: Json, place: Place) -> list[Item]:
    """Return the values of an element of an object."""
    found: list[Item] = []
    for child in children:
        name = child.json_name
        value = owner.get(name)
        twin = owner.get(f"_{name}") if child.type in PRIMITIVES else None
        if value is None and twin is None:
            continue
        segment = f"{child.element.name}.ofType({child.type})" if child.element.choice else child.element.name
        where: Place = (place, segment)
        if type(value) is not list and type(twin) is not list:
            found.append(_item(value, twin, child, where))
            continue
        values = value if type(value) is list else []
        twins = twin if type(twin) is list else []
        for index in range(max(len(values), len(twins))):
            one = values[index] if index < len(values) else None
            other = twins[index] if index < len(twins) else None
            if one is not None or other is not None:
                found.append(_item(one, other, child, (where, index)))
    return found


def _item(value: Any, twin: Any, child: Child, place: Place) -> Item:
    if child.type == _RESOURCE:
        name = str(value.get("resourceType")) if type(value) is dict else _RESOURCE
        return Item(value, None, name, name, place)
    return Item(value, twin, child.type, child.context, place)


def is_equal(fixed: Any, value: Any) -> bool:
    """Return whether a value is exactly what a profile fixes."""
    if type(fixed) is dict and type(value) is dict:
        return fixed.keys() == value.keys() and all(is_equal(each, value[name]) for name, each in fixed.items())
    if type(fixed) is list and type(value) is list:
        return len(fixed) == len(value) and all(map(is_equal, fixed, value))
    # `True == 1` to Python, not to JSON.
    return (type(fixed) is bool) is (type(value) is bool) and bool(fixed == value)


def is_like(pattern: Any, value: Any) -> bool:
    """Return whether a value has all that a pattern has, and perhaps more."""
    if type(pattern) is dict and type(value) is dict:
        return all(name in value and is_like(each, value[name]) for name, each in pattern.items())
    if type(pattern) is list and type(value) is list:
        return all(any(is_like(each, item) for item in value) for each in pattern)
    return is_equal(pattern, value)


def dig(value: Any, names: tuple[str, ...]) -> list[Any]:
    """Return what a fixed value or pattern holds at a path."""
    found = [value]
    for name in names:
        below: list[Any] = []
        for each in found:
            inner = each.get(name) if type(each) is dict else None
            below += inner if type(inner) is list else [] if inner is None else [inner]
        found = below
    return found
