"""Expand value sets: which codes are in one (https://hl7.org/fhir/R4/valueset.html#expansion).

Comes in: a ValueSet resource, and a library that knows further ones and code systems. Goes out: `Codes`, or a reason
why they cannot be told. INVARIANT: nothing is guessed: what a definition says and this module does not understand ends
in `NotExpandable`, never in a set that is too large or too small; and every step is bounded, for value sets come from
outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fhir_server.search.syntax import shown
from fhir_server.spec.code_systems import CodeSystem

Json = Mapping[str, Any]

CODES_LIMIT = 10_000
_IMPORTS_LIMIT = 100
_DEPTH_LIMIT = 16
_WORK_LIMIT = 1_000_000
_CYCLE = "it imports itself"


class NotExpandable(Exception):  # noqa: N818 - a reason, told to the caller in a refusal
    """Why the codes of a value set cannot be told, to be read after "the value set … cannot be expanded: "."""


@dataclass(frozen=True, slots=True)
class Part:
    """Codes of one system: these, or all but these where nobody can list them."""

    codes: frozenset[str]
    all_but: bool = False

    def __or__(self, other: Part) -> Part:
        """Return what is in either."""
        match self.all_but, other.all_but:
            case False, False:
                return Part(self.codes | other.codes)
            case True, True:
                return Part(self.codes & other.codes, all_but=True)
            case True, False:
                return Part(self.codes - other.codes, all_but=True)
            case _:
                return other | self

    def __sub__(self, other: Part) -> Part:
        """Return what is in this one only."""
        return self & Part(other.codes, all_but=not other.all_but)

    def __and__(self, other: Part) -> Part:
        """Return what is in both."""
        match self.all_but, other.all_but:
            case False, False:
                return Part(self.codes & other.codes)
            case True, True:
                return Part(self.codes | other.codes, all_but=True)
            case True, False:
                return Part(other.codes - self.codes)
            case _:
                return other & self


_NO_PART = Part(frozenset())
Codes = Mapping[str, Part]
"""What is in a value set, by system; "" is no system."""


class Library(Protocol):
    """What an expansion may look up, as far as the caller may know of it."""

    def value_set_resource(self, canonical: str) -> Json | None:
        """Return a ValueSet by `url` or `url|version`, None where it is not known."""
        ...

    def code_system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system whose concepts are known, None for any other."""
        ...


def expand(resource: Json, library: Library) -> Codes:
    """Return the codes of a value set: of its stored expansion where that is whole, else of its definition.

    Raises:
        NotExpandable: The definition asks for what is not known or not understood here, or for too much.
    """
    return _Expansion(library).of(resource, ())


def union(several: Iterable[Codes]) -> Codes:
    """Return what is in at least one.

    Raises:
        NotExpandable: There are more than `CODES_LIMIT` codes.
    """
    found: dict[str, Part] = {}
    for codes in several:
        for system, part in codes.items():
            found[system] = found.get(system, _NO_PART) | part
    if sum(len(part.codes) for part in found.values()) > CODES_LIMIT:
        raise NotExpandable(f"it has more than {CODES_LIMIT} codes")
    return found


@dataclass(slots=True)
class _Expansion:
    """One expansion under way; remembers what it worked out, so that a web of imports is walked once."""

    library: Library
    known: dict[str, Codes] = field(default_factory=dict)
    work: int = 0

    def spend(self, work: int) -> None:
        """Count codes that are looked at, for a short definition can ask for very many very often."""
        self.work += work + 1
        if self.work > _WORK_LIMIT:
            raise NotExpandable("its definition takes too long to work out")

    def of(self, resource: Json, path: tuple[str, ...]) -> Codes:
        """Return the codes of a value set that the ones on `path` import."""
        if (listed := _listed(resource)) is not None:
            return listed
        compose = resource.get("compose")
        if not compose or not compose.get("include"):
            raise NotExpandable("it has neither a whole expansion nor a definition")
        active_only = compose.get("inactive") is False
        found = union(self._include(each, path, active_only=active_only) for each in compose["include"])
        removed = union(self._include(each, path, whole=True) for each in compose.get("exclude", ()))
        return {system: part - removed.get(system, _NO_PART) for system, part in found.items()}

    def _include(
        self, include: Json, path: tuple[str, ...], *, whole: bool = False, active_only: bool = False
    ) -> Codes:
        """Return what meets every condition of one `include` or `exclude`; `whole` keeps codes that only group."""
        found: list[Codes] = [self._import(canonical, path) for canonical in include.get("valueSet", ()) if canonical]
        if "system" in include:
            found.append({include["system"]: self._of_system(include, whole=whole, active_only=active_only)})
        if not found:
            raise NotExpandable("a part of its definition names neither a system nor a value set")
        self.spend(sum(len(part.codes) for codes in found for part in codes.values()))
        first, *others = found
        for other in others:
            first = {system: part & other[system] for system, part in first.items() if system in other}
        return first

    def _import(self, canonical: str, path: tuple[str, ...]) -> Codes:
        if canonical in self.known:
            return self.known[canonical]
        if canonical in path:
            raise NotExpandable(f"{_CYCLE} by way of {shown(canonical)}")
        if len(path) >= _DEPTH_LIMIT or len(self.known) >= _IMPORTS_LIMIT:
            raise NotExpandable(f"it imports more than {_IMPORTS_LIMIT} value sets, or deeper than {_DEPTH_LIMIT}")
        resource = self.library.value_set_resource(canonical)
        if resource is None:
            raise NotExpandable(f"it imports {shown(canonical)}, which is not known here")
        self.known[canonical] = found = self.of(resource, (*path, canonical))
        return found

    def _of_system(self, include: Json, *, whole: bool, active_only: bool) -> Part:
        concepts, filters = include.get("concept"), include.get("filter", ())
        url, version = include["system"], include.get("version", "")
        system = self.library.code_system(url, version)
        inactive = system.inactive if system and active_only else frozenset()
        if concepts:
            return Part(frozenset(each["code"] for each in concepts if each.get("code")) - inactive)
        if not filters:
            if system is None or system.content != "complete" or len(system.codes) > CODES_LIMIT:
                # Whatever is recorded with this system is taken for a code of it.
                return Part(inactive, all_but=True)
            return Part(frozenset(system.codes) - inactive - (frozenset() if whole else system.abstract))
        if system is None:
            raise NotExpandable(f"its definition needs the code system {shown(url)}, whose concepts are not known here")
        found = frozenset(system.codes)
        for each in filters:
            self.spend(len(system.codes))
            found &= _filtered(system, each)
        return Part(found - inactive - (frozenset() if whole else system.abstract))


def _listed(resource: Json) -> Codes | None:
    """Return the stored expansion, None where there is none or only a page of one."""
    expansion = resource.get("expansion")
    if not expansion or not expansion.get("contains") or expansion.get("offset"):
        return None
    systems: dict[str, set[str]] = {}
    count = 0
    for each in _flat(expansion["contains"]):
        count += 1
        if each.get("code") and not each.get("abstract"):
            systems.setdefault(each.get("system", ""), set()).add(each["code"])
    if expansion.get("total", count) > count:
        return None
    return union([{system: Part(frozenset(codes)) for system, codes in systems.items()}])


def _flat(contains: Iterable[Json]) -> Iterator[Json]:
    waiting = [contains]
    while waiting:
        for each in waiting.pop():
            yield each
            if "contains" in each:
                waiting.append(each["contains"])


def _filtered(system: CodeSystem, wanted: Json) -> frozenset[str]:
    """Return the codes that one filter selects (https://hl7.org/fhir/R4/valueset-filter-operator.html)."""
    prop, op, value = wanted.get("property", ""), wanted.get("op", ""), wanted.get("value", "")
    match op:
        case "is-a":
            return system.below(_code(system, value))
        case "descendent-of":
            return system.below(_code(system, value)) - {_code(system, value)}
        case "is-not-a":
            return frozenset(system.codes) - system.below(_code(system, value))
        case "generalizes":
            return system.above(_code(system, value))
        case "=":
            return _having(system, prop, {value})
        case "in":
            return _having(system, prop, set(value.split(",")))
        case "not-in":
            return frozenset(system.codes) - _having(system, prop, set(value.split(",")))
        case "exists" if value in {"true", "false"}:
            having = frozenset(code for code in system.codes if _values(system, prop, code))
            return having if value == "true" else frozenset(system.codes) - having
    raise NotExpandable(f"its definition has a filter {shown(op)}, which is not supported")


def _code(system: CodeSystem, code: str) -> str:
    spelling = system.spelling(code)
    if spelling is None:
        raise NotExpandable(f"its definition filters by {shown(code)}, which {shown(system.url)} does not have")
    return spelling


def _having(system: CodeSystem, prop: str, wanted: set[str]) -> frozenset[str]:
    return frozenset(code for code in system.codes if wanted & _values(system, prop, code))


def _values(system: CodeSystem, prop: str, code: str) -> frozenset[str]:
    """Return the values of a property of a concept; a hierarchy is one however it is written down."""
    match prop:
        case "concept" | "code":
            return frozenset({code})
        case "parent" | "subsumedBy":
            return frozenset(system.parents.get(code, ()))
        case "child":
            return frozenset(system.children.get(code, ()))
        case _:
            return system.properties.get(code, {}).get(prop, frozenset())
