"""Code systems: their concepts, and which one stands above which (https://hl7.org/fhir/R4/codesystem.html).

Comes in: a CodeSystem resource, of FHIR itself or stored. Goes out: a `CodeSystem` that answers for codes. Pure, and
safe for any resource that was accepted: hierarchies may be nested, say `parent` or `child`, have several parents and
even go in circles.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]

_PROPERTY = "http://hl7.org/fhir/concept-properties#"
_PARENT = frozenset({"parent", "subsumedBy"})
_CHILD = "child"
_ABSTRACT = "notSelectable"
_INACTIVE = "inactive"
_RETIRED = frozenset({"retired", "inactive"})


@dataclass(frozen=True, slots=True)
class CodeSystem:
    """The concepts of a code system.

    Attributes:
        url: What `Coding.system` says.
        version: Business version, "" for none.
        content: `complete`, `fragment`, `example`, `not-present` or `supplement`.
        codes: Every code, in the order of the resource.
        parents, children: The concepts right above and right below a concept.
        abstract: Codes that only group others and are not for use (`notSelectable`).
        inactive: Codes that are not to be used any more.
        properties: Values of each property as text, by code; without those that say where a concept stands.
    """

    url: str
    version: str
    content: str
    codes: Mapping[str, None]
    parents: Mapping[str, tuple[str, ...]]
    children: Mapping[str, tuple[str, ...]]
    abstract: frozenset[str]
    inactive: frozenset[str]
    properties: Mapping[str, Mapping[str, frozenset[str]]]
    _spellings: dict[str, str] = field(default_factory=dict)

    @property
    def is_usable(self) -> bool:
        """Return whether the resource itself says which concepts there are, if perhaps not all of them."""
        return self.content in {"complete", "fragment"}

    def spelling(self, code: str) -> str | None:
        """Return the code as the system writes it; codes are found regardless of case, as search compares them."""
        if code in self.codes:
            return code
        if not self._spellings:
            self._spellings.update((each.casefold(), each) for each in self.codes)
        return self._spellings.get(code.casefold())

    def below(self, code: str) -> frozenset[str]:
        """Return the code and everything that it subsumes."""
        return _reached(code, self.children)

    def above(self, code: str) -> frozenset[str]:
        """Return the code and everything that subsumes it."""
        return _reached(code, self.parents)


def read(resource: Json) -> CodeSystem:
    """Return what a CodeSystem resource says."""
    uris = {each.get("code"): each.get("uri", "") for each in resource.get("property", ())}
    codes: dict[str, None] = {}
    edges: dict[tuple[str, str], None] = {}
    properties: dict[str, dict[str, set[str]]] = {}
    abstract: set[str] = set()
    inactive: set[str] = set()
    for code, concept, broader in _walk(resource.get("concept", ())):
        codes[code] = None
        if broader:
            edges[broader, code] = None
        for name, value in _properties(concept):
            meaning = uris.get(name, "").removeprefix(_PROPERTY) or name
            if meaning in _PARENT:
                edges[value, code] = None
                continue
            if meaning == _CHILD:
                edges[code, value] = None
                continue
            if meaning in {_ABSTRACT, _INACTIVE} and value == "true":
                (abstract if meaning == _ABSTRACT else inactive).add(code)
            elif meaning == "status" and value in _RETIRED:
                inactive.add(code)
            properties.setdefault(code, {}).setdefault(name, set()).add(value)
    return CodeSystem(
        resource.get("url", ""),
        resource.get("version", ""),
        resource.get("content", ""),
        codes,
        _grouped((narrower, broader) for broader, narrower in edges),
        _grouped(edges),
        frozenset(abstract),
        frozenset(inactive),
        {code: {name: frozenset(values) for name, values in found.items()} for code, found in properties.items()},
    )


def _walk(concepts: Iterable[Json]) -> Iterator[tuple[str, Json, str]]:
    """Yield each code with its concept and the code it is nested in, "" for none; of any depth without recursion."""
    waiting = [(concepts, "")]
    while waiting:
        level, broader = waiting.pop()
        for concept in level:
            # A code may be absent for a reason that an extension states.
            if code := concept.get("code", ""):
                yield code, concept, broader
            if narrower := concept.get("concept"):
                waiting.append((narrower, code))


def _properties(concept: Json) -> Iterator[tuple[str, str]]:
    for each in concept.get("property", ()):
        for name, value in each.items():
            if name.startswith("value"):
                yield each.get("code", ""), _text(value)


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return str(value.get("code", ""))
        case _:
            return str(value)


def _grouped(edges: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for one, other in edges:
        found[one].append(other)
    return {one: tuple(others) for one, others in found.items()}


def _reached(start: str, edges: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    reached, waiting = {start}, [start]
    while waiting:
        for other in edges.get(waiting.pop(), ()):
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return frozenset(reached)
