"""Put types on search paths: which JSON keys to follow, and which FHIR datatype waits at the end.

Comes in: a `Path` of `paths.py` and the element it starts from. Goes out: one `Route` per datatype the path can end in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from fhir_server.spec.elements import Child
from fhir_server.spec.paths import Equals, Field, HasExtension, Index, OfType, Path, ResolvesTo, Step


@dataclass(frozen=True, slots=True)
class Key:
    """A member of a JSON object; `many` when its value is an array."""

    name: str
    many: bool


RouteStep = Key | Index | Equals | ResolvesTo | HasExtension


@dataclass(frozen=True, slots=True)
class Route:
    """A way from a resource or element to nodes of one datatype.

    Attributes:
        steps: JSON members to follow and tests to pass, in order.
        type: Datatype at the end, such as `CodeableConcept`; `Resource` where any resource may stand.
        context: Element path whose children continue the route, such as `Observation.component` or `Period`.
        binding: Value set the end is bound to as required, or empty.
        targets: Resource types a reference at the end may point to; empty when any.
    """

    steps: tuple[RouteStep, ...]
    type: str
    context: str
    binding: str = ""
    targets: tuple[str, ...] = ()


class Types(Protocol):
    """What routes need to know of the definitions."""

    def fields(self, path: str) -> Mapping[str, tuple[Child, ...]]:
        """Return the children of an element by name, one per type of a choice."""
        ...

    def is_a(self, name: str, ancestor: str) -> bool:
        """Return whether a type is, or derives from, another."""
        ...


def find_routes(types: Types, path: Path, start: Route, *, whole_extensions: bool = False) -> tuple[Route, ...]:
    """Return the routes of a path; empty when it starts at another type or leads nowhere.

    Args:
        types: What is known of types.
        path: Where to go.
        start: Where from.
        whole_extensions: A path that ends at an extension ends there, not at its value: its parts are wanted.
    """
    if path.head and path.head != "%resource" and not types.is_a(start.type, path.head):
        return ()
    routes: Iterable[Route] = (start,)
    for step in path.steps:
        routes = [further for route in routes for further in _follow(types, route, step)]
    ends: list[Route] = []
    for route in routes:
        # A parameter on an extension means its value; FHIRPath would stop at the Extension.
        is_value = route.type == "Extension" and not whole_extensions
        ends += _follow(types, route, Field("value")) if is_value else [route]
    return tuple(ends)


def root(resource_type: str) -> Route:
    """Return the route that stays at the resource itself."""
    return Route((), resource_type, resource_type)


def _follow(types: Types, route: Route, step: Step) -> list[Route]:
    match step:
        case Field(name):
            return [_descend(route, child) for child in types.fields(route.context).get(name, ())]
        case OfType(name):
            # One official expression writes `DateTime`.
            wanted = {name, name[0].lower() + name[1:]}
            return [route] if any(types.is_a(route.type, each) for each in wanted) else []
        case ResolvesTo(name):
            targets = (name,) if not route.targets or name in route.targets else ()
            if not targets:
                return []
            return [Route((*route.steps, step), route.type, route.context, route.binding, targets)]
        case _:
            return [Route((*route.steps, step), route.type, route.context, route.binding, route.targets)]


def _descend(route: Route, child: Child) -> Route:
    steps = (*route.steps, Key(child.json_name, many=child.element.many))
    return Route(steps, child.type, child.context, child.element.binding, child.targets)
