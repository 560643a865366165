"""Tell whether an extension stands where its definition says that it may (https://hl7.org/fhir/R4/defining-extensions.html#context).

Comes in: the `context` of a StructureDefinition and the place of an extension. Contexts in FHIRPath and within other
extensions are not looked at: an extension that has one of these may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.spec.checks import Place
from fhir_server.spec.definitions import Definitions

_ANYWHERE = frozenset({"Element", "*"})
_HOLDERS = frozenset({"extension", "modifierExtension"})


def contexts_of(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the elements that an extension may be on; none where it may be anywhere, as far as can be told."""
    stated = resource.get("context", ())
    found = [each for each in stated if isinstance(each, Mapping)] if isinstance(stated, list) else []
    if any(each.get("type") != "element" for each in found):
        return ()
    # What follows a `#` is an element of a profile: that an extension may be on the element itself is told by its path.
    named = (str(each.get("expression", "")) for each in found)
    expressions = tuple(name.rpartition("#")[2] if "#" in name else name for name in named)
    # The definitions of FHIR say Element and mean resources, too.
    return () if any("/" in each or each in _ANYWHERE for each in expressions) else expressions


def may_stand_at(definitions: Definitions, allowed: tuple[str, ...], place: Place, resource_type: str) -> bool:
    """Return whether the element that holds an extension is one of those allowed.

    Args:
        definitions: Of FHIR R4.
        allowed: As `contexts_of` returns it.
        place: Of the extension.
        resource_type: Of the innermost resource around it.
    """
    segments = _segments(place)
    while segments and type(segments[-1]) is int:
        segments.pop()
    if len(segments) < 2 or segments.pop() not in _HOLDERS:  # noqa: PLR2004 - what it is on, and the member
        return True
    names = _names(definitions, [each for each in segments if type(each) is str], resource_type)
    if names is None:
        return True
    paths, kind = names
    return any(each in paths or definitions.is_a(kind, each) for each in allowed)


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
