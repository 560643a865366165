"""Find the values of search parameters in a resource.

Comes in: a validated resource as decoded JSON. Goes out: per parameter the nodes its expression selects, each with the
FHIR datatype the definitions give it. What a value means for a search (tokens, intervals, …) is the business of
`search`. All expressions of a type run as one function of `gather.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
    compiled = definitions.compiled.get(("composites", resource_type))
    if compiled is None:
        made = [
            _Composite.compile(definitions, each)
            for each in definitions.search_parameters(resource_type).values()
            if each.type == "composite"
        ]
        compiled = definitions.compiled.setdefault(("composites", resource_type), made)
    found = ((composite.parameter, composite.occurrences(resource)) for composite in compiled)
    return [(parameter, occurrences) for parameter, occurrences in found if occurrences]


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


@dataclass(frozen=True, slots=True)
class _Composite:
    """A composite parameter: where it occurs, and what to gather at each occurrence or from the whole resource."""

    parameter: SearchParameter
    branches: tuple[tuple[Gather, Gather, Gather], ...]

    @classmethod
    def compile(cls, definitions: Definitions, parameter: SearchParameter) -> _Composite:
        branches = []
        for route in definitions.element_routes(parameter.resource_type, parameter.expression):
            element, inside, outside = Tree(), Tree(), Tree()
            element.add(route, 0)
            for index, component in enumerate(parameter.components):
                for each, whole in part_routes(definitions, parameter.resource_type, route, component.expression):
                    (outside if whole else inside).add(each, index)
            parts = len(parameter.components)
            branches.append((element.compile(1), inside.compile(parts), outside.compile(parts)))
        return cls(parameter, tuple(branches))

    def occurrences(self, resource: Json) -> list[list[list[Node]]]:
        found = []
        for elements, inside, outside in self.branches:
            (found_elements,) = elements(resource)
            if not found_elements:
                continue
            from_resource = outside(resource)
            for _, element in found_elements:
                parts = [a + b for a, b in zip(inside(element), from_resource, strict=True)]
                if all(parts):
                    found.append(parts)
        return found


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
