"""What the server knows of codes: FHIR's own value sets and code systems, and the stored ones that a caller may read.

Comes in: what a search names, a transaction and a visibility. Goes out: codes, or a refusal (400) that says what is
missing. INVARIANT: a stored ValueSet or CodeSystem is a row of `readable`, so a hidden one is simply not known; and
FHIR's own come first, so that nobody changes what they mean to others by storing one with the same URL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Select, select

from fhir_server.search import contained, keys, parts, prepare, valueset
from fhir_server.search.criteria import Indexed
from fhir_server.search.model import Criterion, Scope
from fhir_server.search.on_row import LogicalId
from fhir_server.search.reference import ReferenceTest
from fhir_server.search.syntax import shown
from fhir_server.search.valueset import Codes, NotExpandable, Part
from fhir_server.spec import code_systems
from fhir_server.spec.code_systems import CodeSystem
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.values import parse_reference
from fhir_server.store.database import Session
from fhir_server.store.keys import hash64, reference_key
from fhir_server.store.prepared import Plan
from fhir_server.store.visibility import Visibility, readable

Json = Mapping[str, Any]

_R4_VERSION = "4.0.1"
_LOOK_UPS_LIMIT = 200
_VERSIONS_LIMIT = 50
_REMEMBERED_COUNT = 4
_REMEMBERED_BYTES = 1_000_000
# Decimals stay text: there are some beyond any float.
_DECODER = msgspec.json.Decoder(dict[str, Any], float_hook=str)
_STATUS = ("retired", "unknown", "draft", "active")


@dataclass(frozen=True, slots=True)
class _Known:
    """A resource that the caller may know, with the bytes it is stored as."""

    resource: Json
    content: bytes = b""

    def code_system(self) -> CodeSystem:
        """Return what it says as a CodeSystem."""
        if 0 < len(self.content) <= _REMEMBERED_BYTES:
            return _compiled(self.content)
        return code_systems.read(self.resource)


@lru_cache(maxsize=_REMEMBERED_COUNT)
def _compiled(content: bytes) -> CodeSystem:
    # Known by its bytes, it is given to nobody who was not given them by `readable`.
    return code_systems.read(_DECODER.decode(content))


@dataclass(slots=True)
class Terminology:
    """What one search may know of codes; without a transaction, what FHIR itself says.

    Attributes:
        definitions: R4 definitions.
        fhir_base: Service base URL without trailing slash.
        session: A transaction, None for none.
        visibility: Which stored resources exist.
    """

    definitions: Definitions
    fhir_base: str = ""
    session: Session | None = None
    visibility: Visibility | None = None
    _found: dict[tuple[str, str], _Known | None] = field(default_factory=dict)
    _systems: dict[tuple[str, str], CodeSystem | None] = field(default_factory=dict)
    _contained: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def codes(self, name: str) -> Codes:
        """Return what is in a value set.

        Args:
            name: `ValueSet/[id]`, this server's URL of one, or a canonical URL with or without `|version`.

        Raises:
            NotExpandable: It is not known here, or its codes cannot be told.
        """
        url, _, version = name.partition("|")
        if version in {"", _R4_VERSION} and self.definitions.value_set(url) is not None:
            return {system: Part(frozenset(codes)) for system, codes in self.definitions.code_systems(url).items()}
        resource = self.value_set_resource(name)
        if resource is None:
            raise NotExpandable("it is not known here")
        return valueset.expand(resource, self)

    def subsumed(self, url: str, code: str, *, above: bool) -> frozenset[str]:
        """Return the code and what it subsumes, or what subsumes it; the code alone where the system lacks it.

        Raises:
            NotExpandable: The hierarchy of the code system is not known here.
        """
        system = self.code_system(url)
        if system is None:
            raise NotExpandable(
                f"the hierarchy of {shown(url)} is not known here: it takes a stored CodeSystem with this url and "
                "content complete or fragment"
            )
        spelling = system.spelling(code)
        if spelling is None:
            return frozenset({code})
        return system.above(spelling) if above else system.below(spelling)

    def related(self, kind: str, param: int, starts: Sequence[int], *, above: bool) -> Sequence[int]:
        """Return the keys of resources and of those below, or above, them, as far as the caller may read of it.

        Raises:
            FhirError: 400 when these are too many.
        """
        if self.session is None or self.visibility is None:
            return starts
        return parts.related(self.session, self.visibility, parts.Hierarchy(kind, param, above=above), starts)

    def are_contained(self, types: tuple[str, ...]) -> bool:
        """Return whether any resource of the record contains one of these types."""
        if self.session is None or self.visibility is None:
            return False
        if types not in self._contained:
            question = prepare.Question("contained types", types, ())
            found = prepare.run(
                self.session, self.visibility, question, lambda _: contained.any_of(types), Plan.ANY_VALUES
            )
            self._contained[types] = found.first() is not None
        return self._contained[types]

    def value_set_resource(self, canonical: str) -> Json | None:
        """Return a ValueSet, None where none is known."""
        if "?fhir_vs" in canonical:
            return _implicit(canonical)
        known = self._resource("ValueSet", canonical)
        return known.resource if known else None

    def code_system(self, url: str, version: str = "") -> CodeSystem | None:
        """Return a code system whose concepts are known, None for any other."""
        if (url, version) not in self._systems:
            known = self._resource("CodeSystem", f"{url}|{version}" if version else url)
            system = known.code_system() if known else None
            self._systems[url, version] = system if system and system.is_usable else None
        return self._systems[url, version]

    def _resource(self, kind: str, canonical: str) -> _Known | None:
        if (kind, canonical) not in self._found:
            if len(self._found) >= _LOOK_UPS_LIMIT:
                raise NotExpandable(f"the search needs more than {_LOOK_UPS_LIMIT} value sets and code systems")
            self._found[kind, canonical] = self._own(kind, canonical) or self._stored(kind, canonical)
        return self._found[kind, canonical]

    def _own(self, kind: str, canonical: str) -> _Known | None:
        """Return FHIR's own; a version of it is the one that is wanted, or that of FHIR R4."""
        url, _, version = canonical.partition("|")
        found = self.definitions.terminology(kind, url)
        return _Known(found) if found and version in {"", _R4_VERSION, found.get("version")} else None

    def _stored(self, kind: str, canonical: str) -> _Known | None:
        if self.session is None or self.visibility is None:
            return None
        literal = parse_reference(canonical, self.fhir_base)
        if literal.type:
            if literal.type != kind or not literal.id or literal.version:
                return None
            criterion: Criterion = LogicalId((literal.id,), (reference_key(kind, literal.id),))
            return next(self._rows(kind, criterion), None)
        url, _, version = canonical.partition("|")
        named = Indexed("index_reference", (keys.CANONICAL,), ReferenceTest((hash64(url),)), rank=0)
        return _latest(
            each
            for each in self._rows(kind, named)
            if each.resource.get("url") == url and version in {"", each.resource.get("version", "")}
        )

    def _rows(self, kind: str, criterion: Criterion) -> Iterator[_Known]:
        """Yield stored resources that exist for the caller, those last updated first."""
        session, visibility = self.session, self.visibility
        assert session is not None  # noqa: S101 - asked by the caller
        assert visibility is not None  # noqa: S101 - asked by the caller

        def build(asked: Criterion) -> Select[Any]:
            row = readable(visibility, (kind,))
            held = asked.condition(row, Scope(visibility, narrow=True), leads=True)
            # Reckoned, so that no database goes through all rows in the order of an index to find the few.
            newest = (row.c.updated_at + 0).desc(), row.c.key + 0
            return select(row.c.content).where(held).order_by(*newest).limit(_VERSIONS_LIMIT)

        question = prepare.Question("terminology", kind, criterion)
        for record in prepare.run(session, visibility, question, build).all():
            content = bytes(record[0])
            yield _Known(_DECODER.decode(content), content)


def _implicit(canonical: str) -> Json | None:
    """Return the value set that a URL defines by itself: of a whole code system, or of what one of its codes subsumes.

    https://hl7.org/fhir/R4/snomedct.html#implicit
    """
    system, _, query = canonical.partition("?fhir_vs")
    include: dict[str, Any] = {"system": system}
    if query.startswith("=isa/"):
        include["filter"] = [{"property": "concept", "op": "is-a", "value": query.removeprefix("=isa/")}]
    elif query:
        return None
    return {"compose": {"include": [include]}}


def _latest(resources: Iterable[_Known]) -> _Known | None:
    """Return the resource a canonical URL means: in use rather than not, of the greatest version, last updated."""
    return max(resources, key=_rank, default=None)


def _rank(known: _Known) -> tuple[int, list[tuple[int, str]]]:
    resource = known.resource
    status = resource.get("status", "")
    numbers = resource.get("version", "").replace("-", ".").split(".")
    order = _STATUS.index(status) if status in _STATUS else 0
    # Numbers compare as numbers and above words; a very long one is no number.
    return order, [(int(each), "") if each.isdecimal() and len(each) < 12 else (-1, each) for each in numbers]  # noqa: PLR2004
