"""Turn search routes into Python: one function per resource type that gathers the values of all its parameters.

Comes in: typed routes and the slot of the result where their nodes belong. Goes out: a function from a resource to its
nodes. Routes are merged into a tree of JSON members, so a member is looked up once however many parameters share it;
a FHIRPath engine takes 20 to 100 times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fhir_server.spec.paths import Equals, HasExtension, Index, ResolvesTo, UnsupportedExpressionError
from fhir_server.spec.routes import Key, Route, RouteStep

Json = dict[str, Any]
# The FHIR datatype and the JSON value at a node: `("CodeableConcept", {…})`, `("dateTime", "2024-05")`.
Node = tuple[str, Any]
Gather = Callable[[Json], list[list[Node]]]

_RESOURCE = "resource"
_INDENT = "  "


@dataclass(slots=True)
class Tree:
    """Routes merged on their common steps, with the slots of the result that end at each point."""

    children: dict[RouteStep, Tree] = field(default_factory=dict)
    ends: dict[tuple[int, str, tuple[str, ...]], None] = field(default_factory=dict)

    def add(self, route: Route, slot: int, targets: tuple[str, ...] = ()) -> None:
        """Let the nodes of a route arrive in a slot; twice the same is once, as in a union."""
        tree = self
        for step in route.steps:
            tree = tree.children.setdefault(step, Tree())
        tree.ends[slot, route.type, targets if route.type == "Resource" else ()] = None

    def compile(self, slots: int) -> Gather:
        """Return a function from a resource to its nodes, one list per slot.

        INVARIANT: every text from a definition enters the source through `repr`, every other name is a number of ours.
        """
        lines = [f"def gather({_RESOURCE}):"]
        names = [f"s{slot}" for slot in range(slots)]
        lines += [f"{_INDENT}{name} = []" for name in names]
        self.write(lines, _RESOURCE, 1, count())
        lines.append(f"{_INDENT}return [{', '.join(names)}]")
        namespace: dict[str, Any] = {
            "reference_type": _reference_type,
            "has_extension": _has_extension,
            "reference_to": _reference_to,
        }
        exec("\n".join(lines), namespace)  # noqa: S102 - source made here, from definitions alone
        gather: Gather = namespace["gather"]
        return gather

    def write(self, lines: list[str], variable: str, depth: int, numbers: count[int]) -> None:
        """Append the source that gathers from the object in `variable`."""
        indent = _INDENT * depth
        for slot, type_, targets in self.ends:
            if type_ == "Resource":
                lines.append(f"{indent}s{slot} += reference_to({variable}, {targets!r})")
            else:
                lines.append(f"{indent}s{slot}.append(({type_!r}, {variable}))")
        for step, tree in self.children.items():
            match step:
                case Key(name, many):
                    tree.write_key(lines, (variable, name), depth, numbers, many=many)
                case Equals(name, literal):
                    lines.append(f"{indent}if {variable}.get({name!r}) == {literal!r}:")
                    tree.write(lines, variable, depth + 1, numbers)
                case ResolvesTo(name):
                    lines.append(f"{indent}if reference_type({variable}, {_RESOURCE}) == {name!r}:")
                    tree.write(lines, variable, depth + 1, numbers)
                case HasExtension(url):
                    lines.append(f"{indent}if has_extension({variable}, {url!r}):")
                    tree.write(lines, variable, depth + 1, numbers)
                case Index():
                    raise UnsupportedExpressionError("An index must follow an element with several occurrences.")

    def write_key(
        self, lines: list[str], member: tuple[str, str], depth: int, numbers: count[int], *, many: bool
    ) -> None:
        """Append the source that goes on from a member of an object, or from each item of its array."""
        owner, name = member
        indent = _INDENT * depth
        value = f"v{next(numbers)}"
        lines.append(f"{indent}{value} = {owner}.get({name!r})")
        lines.append(f"{indent}if {value} is not None:")
        if not many:
            self.write(lines, value, depth + 1, numbers)
            return
        for step, tree in self.children.items():
            if isinstance(step, Index):
                item = f"v{next(numbers)}"
                lines.append(f"{indent}{_INDENT}for {item} in {value}[{step.position}:{step.position + 1}]:")
                tree.write(lines, item, depth + 2, numbers)
        rest = Tree({step: tree for step, tree in self.children.items() if not isinstance(step, Index)}, self.ends)
        if rest.children or rest.ends:
            item = f"v{next(numbers)}"
            lines.append(f"{indent}{_INDENT}for {item} in {value}:")
            # A null holds the place of a primitive that has only extensions.
            lines.append(f"{indent}{_INDENT * 2}if {item} is not None:")
            rest.write(lines, item, depth + 3, numbers)


def _reference_type(reference: Json, resource: Json) -> str:
    """Return the resource type a Reference points to, from its text, its `type`, or the contained resource."""
    text = reference.get("reference")
    if text:
        if text[0] == "#":
            contained = resource.get("contained", ())
            return next((each["resourceType"] for each in contained if each.get("id") == text[1:]), "")
        parts = text.partition("/_history/")[0].split("/")
        if len(parts) > 1 and parts[-2][:1].isupper():
            return str(parts[-2])
    return str(reference.get("type", ""))


def _has_extension(element: Json, url: str) -> bool:
    return any(extension.get("url") == url for extension in element.get("extension", ()))


def _reference_to(resource: Json, targets: tuple[str, ...]) -> list[Node]:
    resource_type, logical_id = resource["resourceType"], resource.get("id")
    if logical_id is None or (targets and resource_type not in targets):
        return []
    return [("Reference", {"reference": f"{resource_type}/{logical_id}"})]
