"""Tell whether an extension stands where its definition says that it may (https://hl7.org/fhir/R4/defining-extensions.html#context).

Comes in: the `context` of a StructureDefinition and the place of an extension: elements by their path or type, other
extensions by their URL, and what FHIRPath finds. Of an expression beyond our FHIRPath, and of what stands on a value
without members of its own, nothing can be told, so it is let pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.spec.checks import Json, Place
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.invariant_functions import TooManyItemsError, UncompilableError
from fhir_server.spec.invariants import Expression, compile_expression

_ANYWHERE = frozenset({"Element", "*"})
_HOLDERS = frozenset({"extension", "modifierExtension"})
_KINDS = frozenset({"element", "extension", "fhirpath"})
_TYPE_NAME = re.compile(r"\s*([A-Z]\w*)")


@dataclass(frozen=True, slots=True)
class Contexts:
    """Where an extension may stand.

    Attributes:
        elements: Paths and types.
        extensions: URLs of extensions that it may be part of.
        expressions: FHIRPath from the resource.
    """

    elements: tuple[str, ...]
    extensions: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return them as a refusal names them."""
        return ", ".join((*self.elements, *self.extensions, *self.expressions))


def contexts_of(resource: Mapping[str, Any]) -> Contexts | None:
    """Return where an extension may be; None where that is anywhere, as far as can be told."""
    stated = resource.get("context", ())
    found = [each for each in stated if isinstance(each, Mapping)] if isinstance(stated, list) else []
    if not found or any(each.get("type") not in _KINDS for each in found):
        return None
    by_kind = {kind: tuple(str(e.get("expression", "")) for e in found if e["type"] == kind) for kind in _KINDS}
    # What follows a `#` is an element of a profile: that an extension may be on the element itself is told by its path.
    elements = tuple(name.rpartition("#")[2] if "#" in name else name for name in by_kind["element"])
    # The definitions of FHIR say Element and mean resources, too.
    if any("/" in each or each in _ANYWHERE for each in elements):
        return None
    return Contexts(elements, by_kind["extension"], by_kind["fhirpath"])


def may_stand_at(definitions: Definitions, allowed: Contexts, place: Place, around: tuple[Json, Json]) -> bool:
    """Return whether what holds an extension is one of those allowed.

    Args:
        definitions: Of FHIR R4.
        allowed: As `contexts_of` returns it.
        place: Of the extension.
        around: The outermost resource, where places begin, and the innermost one.
    """
    segments = _segments(place)
    while segments and type(segments[-1]) is int:
        segments.pop()
    if len(segments) < 2 or segments.pop() not in _HOLDERS:  # noqa: PLR2004 - what it is on, and the member
        return True
    container, resource = around
    if allowed.extensions or allowed.expressions:
        holder = _at(container, segments)
        if holder is None or holder.get("url") in allowed.extensions:
            return True
        if any(_selects(definitions, each, holder, resource) for each in allowed.expressions):
            return True
    names = _names(definitions, [each for each in segments if type(each) is str], str(resource.get("resourceType")))
    if names is None:
        return True
    paths, kind = names
    return any(each in paths or definitions.is_a(kind, each) for each in allowed.elements)


def _at(container: Json, segments: list[str | int]) -> Json | None:
    """Return the object at a place; None for what is none, such as a code with extensions."""
    found: Any = container
    for segment in segments[1:]:
        if type(segment) is int:
            found = found[segment] if isinstance(found, list) and segment < len(found) else None
            continue
        name, _, of_type = str(segment).partition(".ofType(")
        found = found.get(f"{name}{of_type[:1].upper()}{of_type[1:-1]}") if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _selects(definitions: Definitions, text: str, holder: Json, resource: Json) -> bool:
    """Return whether FHIRPath finds an object in its resource, or whether that cannot be told."""
    kind = str(resource.get("resourceType"))
    first = _TYPE_NAME.match(text)
    root = first[1] if first else kind
    if not definitions.is_a(kind, root):
        return root not in definitions.resource_types
    key = (f"context of {root}", text)
    if key not in definitions.compiled:
        definitions.compiled[key] = _compiled(definitions, text, root)
    expression: Expression | None = definitions.compiled[key]
    if expression is None:
        return True
    try:
        return any(each is holder for each in expression([resource], resource))
    except TooManyItemsError:
        return True


def _compiled(definitions: Definitions, text: str, root: str) -> Expression | None:
    try:
        return compile_expression(definitions, text, root, outside=True)
    except UncompilableError:
        return None


def _segments(place: Any) -> list[str | int]:
    found: list[str | int] = []
    while type(place) is tuple:
        place, segment = place
        found.append(segment)
    return found[::-1]


def _names(definitions: Definitions, segments: list[str], resource_type: str) -> tuple[set[str], str] | None:
    """Return the paths by which definitions know an element, and its type; None where that cannot be told."""
    context = kind = segments[0]
    paths = {kind}
    for segment in segments[1:]:
        name, _, of_type = segment.partition(".ofType(")
        children = definitions.fields(context).get(name, ())
        child = next((each for each in children if not of_type or each.type == of_type.rstrip(")")), None)
        if child is None:
            return None
        if child.type == "Resource":
            # A place does not say what is in `contained`, a Bundle or Parameters; of several the innermost counts.
            context = kind = resource_type
            paths = {kind}
            continue
        paths = {f"{path}.{name}{suffix}" for path in (*paths, context, kind) for suffix in ("", "[x]")}
        context, kind = child.context, child.type
        # What repeats another element (`Questionnaire.item.item`) is that element.
        paths.add(context)
    return paths, kind
