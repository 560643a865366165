"""Find the values of search parameters in a resource.

Comes in: a validated resource as decoded JSON. Goes out: per parameter the nodes its expression selects, each with the
FHIR datatype the definitions give it. What a value means for a search (tokens, intervals, …) is the business of
`search`. All expressions of a type run as one function of `gather.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.spec import paths
from fhir_server.spec.definitions import Definitions, SearchParameter
from fhir_server.spec.gather import Gather, Node, Tree
from fhir_server.spec.paths import Condition, Path
from fhir_server.spec.routes import Route, find_routes, root

Json = dict[str, Any]


def nodes(
    definitions: Definitions, resource: Json, only: frozenset[str] | None = None
) -> list[tuple[SearchParameter, list[Node]]]:
    """Return every non-composite search parameter that has values in a resource, with its nodes.

    A node of a `code` element has no system of its own: `SearchParameter.system` gives it. A parameter on an extension
    yields the extension's value; `Bundle.entry[0].resource` yields a Reference to that resource.

    Args:
        definitions: The definitions.
        resource: A resource that passed `validate`; of unknown structure, it may raise anything.
        only: Codes of the parameters that are asked for, None for all; a set that the definitions fix, not a request.
    """
    resource_type = resource["resourceType"]
    shape = ("nodes", resource_type if only is None else (resource_type, only))
    found = definitions.compiled.get(shape)
    if found is None:
        found = definitions.compiled.setdefault(shape, _compile_nodes(definitions, resource_type, only))
    parameters, gather = found
    return [pair for pair in zip(parameters, gather(resource), strict=True) if pair[1]]


def composite_nodes(definitions: Definitions, resource: Json) -> list[tuple[SearchParameter, list[list[list[Node]]]]]:
    """Return every composite search parameter that has values in a resource.

    The values of a parameter are its occurrences (each element its expression selects), and an occurrence is one list
    of nodes per component, in the order of `SearchParameter.components`. Occurrences without a component are left out.

    Args:
        definitions: The definitions.
        resource: As for `nodes`.
    """
    resource_type = resource["resourceType"]
    compiled: _Composites | None = definitions.compiled.get(("composites", resource_type))
    if compiled is None:
        made = _Composites.compile(definitions, resource_type)
        compiled = definitions.compiled.setdefault(("composites", resource_type), made)
    return compiled.found_in(resource)


def part_routes(
    definitions: Definitions, resource_type: str, element: Route, expression: str
) -> Iterator[tuple[Route, bool]]:
    """Yield the routes of a part of a composite, each with whether it starts at the resource.

    Args:
        definitions: The definitions.
        resource_type: What the composite is on.
        element: The route to the element whose parts are compared, from which the other routes start.
        expression: Of the part.

    Raises:
        UnsupportedExpressionError: It is a condition, which leads nowhere.
    """
    for path in paths.parse(expression):
        if not isinstance(path, Path):
            raise paths.UnsupportedExpressionError(expression)
        whole = path.head == paths.RESOURCE_ROOT
        start = root(resource_type) if whole else Route((), element.type, element.context)
        for route in find_routes(definitions, path, start):
            yield route, whole


@dataclass(slots=True)
class _Element:
    """An element at which composites occur, and what to gather there, or from the whole resource, for all of them.

    Attributes:
        elements, inside, outside: Where the element is; parts that start at it; parts that start at the resource.
        members: Of each composite its place among all of the type, and which slots hold its parts.
        slots: How many there are.
    """

    elements: Tree
    inside: Tree = field(default_factory=Tree)
    outside: Tree = field(default_factory=Tree)
    members: list[tuple[int, int, int]] = field(default_factory=list)
    slots: int = 0


@dataclass(frozen=True, slots=True)
class _Composites:
    """The composite parameters of a type, gathered together where they occur at the same element."""

    parameters: list[SearchParameter]
    elements: list[tuple[Gather, Gather, Gather, list[tuple[int, int, int]]]]

    @classmethod
    def compile(cls, definitions: Definitions, resource_type: str) -> _Composites:
        parameters = [
            each for each in definitions.search_parameters(resource_type).values() if each.type == "composite"
        ]
        found: dict[Route, _Element] = {}
        for place, parameter in enumerate(parameters):
            for route in definitions.element_routes(resource_type, parameter.expression):
                at = found.get(route)
                if at is None:
                    at = found[route] = _Element(Tree())
                    at.elements.add(route, 0)
                first = at.slots
                for slot, component in enumerate(parameter.components, start=first):
                    for each, whole in part_routes(definitions, resource_type, route, component.expression):
                        (at.outside if whole else at.inside).add(each, slot)
                at.slots += len(parameter.components)
                at.members.append((place, first, at.slots))
        compiled = [
            (each.elements.compile(1), each.inside.compile(each.slots), each.outside.compile(each.slots), each.members)
            for each in found.values()
        ]
        return cls(parameters, compiled)

    def found_in(self, resource: Json) -> list[tuple[SearchParameter, list[list[list[Node]]]]]:
        found: list[list[list[list[Node]]]] = [[] for _ in self.parameters]
        for elements, inside, outside, members in self.elements:
            (found_elements,) = elements(resource)
            if not found_elements:
                continue
            from_resource = outside(resource)
            for _, element in found_elements:
                parts = [a + b for a, b in zip(inside(element), from_resource, strict=True)]
                for place, first, end in members:
                    if all(own := parts[first:end]):
                        found[place].append(own)
        return [pair for pair in zip(self.parameters, found, strict=True) if pair[1]]


def _compile_nodes(
    definitions: Definitions, resource_type: str, only: frozenset[str] | None
) -> tuple[list[SearchParameter], Gather]:
    parameters = [
        each
        for each in definitions.search_parameters(resource_type).values()
        if each.type != "composite" and (only is None or each.code in only)
    ]
    tree = Tree()
    conditions: list[tuple[int, Callable[[Json], bool]]] = []
    for index, parameter in enumerate(parameters):
        for alternative in paths.parse(parameter.expression):
            if isinstance(alternative, Condition):
                conditions.append((index, _compile_condition(definitions, alternative, resource_type)))
                continue
            for route in find_routes(definitions, alternative, root(resource_type)):
                tree.add(route, index, parameter.targets)
    gather = tree.compile(len(parameters))
    if not conditions:
        return parameters, gather

    def gather_all(resource: Json) -> list[list[Node]]:
        found = gather(resource)
        for index, holds in conditions:
            found[index].append(("boolean", holds(resource)))
        return found

    return parameters, gather_all


def _compile_condition(definitions: Definitions, condition: Condition, resource_type: str) -> Callable[[Json], bool]:
    tree = Tree()
    for index, test in enumerate(condition.tests):
        for route in find_routes(definitions, test.path, root(resource_type)):
            tree.add(route, index)
    gather = tree.compile(len(condition.tests))

    def holds(resource: Json) -> bool:
        for test, found in zip(condition.tests, gather(resource), strict=True):
            if not found:
                return False
            if test.literal is not None and (found[0][1] == test.literal) is test.negated:
                return False
        return True

    return holds
