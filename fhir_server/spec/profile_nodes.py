"""Put the elements of a profile and of what it derives from together in one tree.

Comes in: a StructureDefinition. Goes out: the root `Node`. Where the whole chain of `baseDefinition` is known, the
differentials are merged, most basic first; a snapshot is read where a differential is missing or its base unknown.
INVARIANT: every size is bounded here, for a StructureDefinition comes from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.spec.profile_registry import CORE, Profiles

Json = Mapping[str, Any]

ELEMENTS_LIMIT = 2_000
_CHAIN_LIMIT = 10
_DEPTH_LIMIT = 24
_LISTS = ("constraint", "condition")


class ProfileError(Exception):
    """A StructureDefinition cannot be put in force.

    Args:
        element: FHIRPath of the element that is the reason.
        allowed: What it must be, to be read after its name.
    """

    def __init__(self, element: str, allowed: str) -> None:
        """Keep where and what."""
        super().__init__(f"{element} {allowed}")
        self.element = element
        self.allowed = allowed


class Node:
    """One element of a profile, or one slice of one.

    Attributes:
        path: Such as `Observation.component.code`.
        name: Last part of the path, without `[x]`.
        slice_name: Of a slice; else empty.
        definition: The ElementDefinition, merged.
        children: By name.
        slices: By name.
        rule: What `profile_rules` made of the definition.
        plans: By context, where in JSON the children are.
    """

    __slots__ = ("children", "definition", "name", "path", "plans", "rule", "slice_name", "slices")

    def __init__(self, path: str, slice_name: str = "") -> None:
        """Make a node that demands nothing."""
        self.path = path
        self.name = path.rpartition(".")[2].removesuffix("[x]")
        self.slice_name = slice_name
        self.definition: dict[str, Any] = {}
        self.children: dict[str, Node] = {}
        self.slices: dict[str, Node] = {}
        self.rule: Any = None
        self.plans: dict[str, Any] = {}

    def child(self, name: str) -> Node:
        """Return the child of this name, made where it is not there."""
        plain = name.removesuffix("[x]")
        if plain not in self.children:
            self.children[plain] = Node(f"{self.path}.{name}")
        return self.children[plain]

    def slice(self, name: str) -> Node:
        """Return the slice of this name, made where it is not there; `a/b` is the slice b of slice a."""
        outer, _, _ = name.rpartition("/")
        holder = self.slices.get(outer, self)
        if name not in holder.slices:
            holder.slices[name] = Node(self.path, name)
        return holder.slices[name]

    def merge(self, definition: Json) -> None:
        """Narrow the element by what a derived profile says."""
        lists = {name: [*self.definition.get(name, ()), *definition.get(name, ())] for name in _LISTS}
        self.definition.update(definition)
        self.definition.update((name, found) for name, found in lists.items() if found)


def build(profiles: Profiles, resource: Json) -> tuple[Node, tuple[str, ...]]:
    """Return the root of a profile, and the canonicals in its chain that are not known.

    Raises:
        ProfileError: 422 for what is no profile of R4, or too large.
    """
    levels: list[tuple[Json, str]] = []
    missing: list[str] = []
    at: Json | None = resource
    while at is not None:
        if len(levels) >= _CHAIN_LIMIT:
            raise ProfileError("StructureDefinition.baseDefinition", f"leads to a type within {_CHAIN_LIMIT} steps")
        if at.get("type") != resource.get("type"):
            raise ProfileError("StructureDefinition.baseDefinition", "is a profile of the same type")
        base = str(at.get("baseDefinition", ""))
        # A profile of HL7 itself (vital signs) has an address like those of types.
        below = profiles.find(base)
        whole = below is not None or base.partition("|")[0] == f"{CORE}{resource.get('type')}"
        view = "differential" if "differential" in at and (whole or "snapshot" not in at) else "snapshot"
        levels.append((at, view))
        if not whole and view == "differential":
            missing.append(base)
        at = below if view == "differential" or whole else None
    root = Node(str(resource.get("type")))
    count = 0
    for level, view in reversed(levels):
        count += len(_elements(level, view))
        if count > ELEMENTS_LIMIT:
            raise ProfileError(f"StructureDefinition.{view}", f"has at most {ELEMENTS_LIMIT} elements, with its bases")
        _merge(root, level, view)
    return root, tuple(missing)


def _elements(resource: Json, view: str) -> list[Json]:
    part = resource.get(view)
    if part is None:
        raise ProfileError("StructureDefinition.differential", "is needed, or a snapshot")
    found: list[Json] = part.get("element", [])
    return found


def _merge(root: Node, resource: Json, view: str) -> None:
    for index, definition in enumerate(_elements(resource, view)):
        # Every element has an id (sdf-14), which says the slice that each part of its path is in.
        parts = [each.partition(":") for each in str(definition.get("id", definition.get("path"))).split(".")]
        if parts[0][0] != root.path or len(parts) > _DEPTH_LIMIT:
            where = f"StructureDefinition.{view}.element[{index}].id"
            raise ProfileError(where, f"begins with {root.path} and has at most {_DEPTH_LIMIT} parts")
        node = root
        for name, _, slice_name in parts[1:]:
            node = node.child(name)
            node = node.slice(slice_name) if slice_name else node
        node.merge(definition)
