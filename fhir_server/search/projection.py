"""Leave out parts of a resource for `_elements` and `_summary` (https://hl7.org/fhir/R4/search.html#elements).

The only place where a search parses stored bytes. What is left is tagged SUBSETTED, so that nobody takes it for the
whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.search import syntax
from fhir_server.search.model import Projection
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import Child
from fhir_server.spec.json import decode, encode

_ALWAYS = frozenset({"resourceType", "id", "meta"})
_SUBSETTED = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_INLINE = frozenset({"BackboneElement", "Element"})
_ELEMENTS_LIMIT = 100
_PATH = re.compile(r"[A-Za-z0-9]+(\[x\])?(\.[A-Za-z0-9]+(\[x\])?)*")


def projection_of(definitions: Definitions, elements: str, summary: str) -> Projection | None:
    """Return what `_elements`, which goes first, or `_summary` leaves of one resource; None for all of it.

    Raises:
        FhirError: 400 where `_elements` is no list of element names.
    """
    if elements:
        return elements_projection(definitions, elements)
    return None if summary in {"false", "count"} else summary_projection(definitions, summary)


def elements_projection(definitions: Definitions, value: str) -> _Elements:
    """Return the projection of `_elements=a,b`; mandatory elements and modifiers stay whatever is asked.

    Raises:
        FhirError: 400 when it is no list of element names.
    """
    names = frozenset(filter(None, value.split(",")))
    if len(names) > _ELEMENTS_LIMIT or not all(_PATH.fullmatch(name) for name in names):
        raise syntax.invalid("_elements", f"is a list of at most {_ELEMENTS_LIMIT} top level element names.")
    return _Elements(definitions, frozenset(map(_top, names)))


def _top(name: str) -> str:
    """Return the top level element of a path, below its type where that stands first: more than asked for may come."""
    parts = name.replace("[x]", "").split(".")
    return ".".join(parts[:2] if parts[0][0].isupper() else parts[:1])


def summary_projection(definitions: Definitions, summary: str) -> _Summary:
    """Return the projection of `_summary=true`, `text` or `data`."""
    return _Summary(definitions, summary)


@dataclass(frozen=True, slots=True)
class _Elements:
    definitions: Definitions = field(repr=False)
    names: frozenset[str]
    kept: dict[str, frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    """Members in JSON that stay, by resource type, of the types met so far."""

    def apply(self, resource_type: str, content: bytes, *, included: bool) -> bytes:
        """Return the bytes to serve; what was included comes whole unless elements of its own type are asked for."""
        if included and not any(name.startswith(f"{resource_type}.") for name in self.names):
            return content
        resource = decode(content, len(content))
        kept = self.kept.get(resource_type)
        if kept is None:
            kept = self.kept[resource_type] = frozenset(self._kept(resource_type))
        return _served({name: value for name, value in resource.items() if name.removeprefix("_") in kept})

    def _kept(self, resource_type: str) -> Iterator[str]:
        yield from _ALWAYS
        for name, children in self.definitions.fields(resource_type).items():
            # A choice is asked for as `value`, `value[x]` or, as it stands in JSON, `valueQuantity`.
            spelt = {name, *(child.json_name for child in children)}
            wanted = any(each in self.names or f"{resource_type}.{each}" in self.names for each in spelt)
            # What changes the meaning of the rest is never left out: an id that is old, a record that is not active.
            if wanted or children[0].element.min > 0 or children[0].element.modifier:
                yield from (child.json_name for child in children)


@dataclass(frozen=True, slots=True)
class _Summary:
    definitions: Definitions = field(repr=False)
    mode: str

    def apply(self, resource_type: str, content: bytes, *, included: bool) -> bytes:  # noqa: ARG002 - the protocol's
        """Return the bytes to serve."""
        resource = decode(content, len(content))
        children = _by_json_name(self.definitions, resource_type)
        match self.mode:
            case "data":
                kept = {name: value for name, value in resource.items() if name != "text"}
            case "text":
                kept = {name: value for name, value in resource.items() if _in_text(children, name)}
            case _:
                kept = self._summarised(resource, resource_type, top=True)
        return _served(kept)

    def _summarised(self, element: Mapping[str, Any], path: str, *, top: bool) -> dict[str, Any]:
        """Return what the definition marks as summary; data types come whole, inline structures by their own marks."""
        children = _by_json_name(self.definitions, path)
        kept: dict[str, Any] = {}
        for name, value in element.items():
            child = children.get(name.removeprefix("_"))
            if (top and name in _ALWAYS) or name == "id":
                kept[name] = value
            elif child is not None and (child.element.summary or child.element.min > 0):
                kept[name] = self._inner(child, value)
        return kept

    def _inner(self, child: Child, value: Any) -> Any:
        if child.type not in _INLINE:
            return value
        if isinstance(value, list):
            return [self._summarised(item, child.context, top=False) for item in value]
        return self._summarised(value, child.context, top=False)


def _by_json_name(definitions: Definitions, path: str) -> dict[str, Child]:
    return {child.json_name: child for children in definitions.fields(path).values() for child in children}


def _in_text(children: Mapping[str, Child], name: str) -> bool:
    child = children.get(name.removeprefix("_"))
    return name in _ALWAYS or name == "text" or (child is not None and child.element.min > 0)


def _served(kept: dict[str, Any]) -> bytes:
    meta = dict(kept.get("meta", {}))
    meta["tag"] = [*meta.get("tag", ()), _SUBSETTED]
    ordered = {name: kept[name] for name in ("resourceType", "id") if name in kept}
    return encode(
        {**ordered, "meta": meta, **{name: value for name, value in kept.items() if name not in {*ordered, "meta"}}}
    )
