"""References: which resource an element points to (https://hl7.org/fhir/R4/search.html#reference).

A row holds the key of the target: of a resource of this server by type and id, of anything else by its URL.
Identifiers in references (`:identifier`) are rows of `index_token` under the same parameter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, FromClause, and_, or_, tuple_

from fhir_server.search import keys
from fhir_server.search.model import Match, Reading
from fhir_server.search.prepare import value as value_field
from fhir_server.search.syntax import invalid, shown, unescape, unsupported
from fhir_server.spec.definitions import Definitions, SearchParameter
from fhir_server.spec.values import Reference, parse_reference
from fhir_server.store.keys import NONE, hash64, reference_key, type_key

TABLE = "index_reference"
MODIFIERS = frozenset({"", "identifier", "above", "below"})
"""Beside the type names, which are modifiers too."""
VALUES_LIMIT = 1_000
_RELATED_BURDEN = 50
_TYPES_A_KEY = 10
"""A key in a list costs a tenth of what a value does."""

_VERSIONS_SPELLED_OUT = 20
_BY_URL = frozenset({"canonical", "uri"})
_SYNTAX = "is [id], [type]/[id], [type]/[id]/_history/[version] or an absolute URL."

_RELATED = (
    "is answered for resources of one type that are part of each other, such as Location/[id], Encounter/[id] or "
    "Organization/[id], and :below for canonical URLs, [url] or [url]|[version]."
)
_PART_OF = ("partof", "part-of", "parent")
_VERSION_PARTS = 8

_NARROW = frozenset({"Patient", "RelatedPerson", "Encounter", "EpisodeOfCare"})
"""Types of what a single one of has few references to it; an organisation has any number."""


class Columns(NamedTuple):
    """Columns of `index_reference` that a reference fills, in their order."""

    target: int
    target_type: int
    version: int


def write(kind: str, value: Any, _parameter: SearchParameter, reading: Reading) -> Iterator[Columns]:
    """Yield the columns of the rows of one node; one without a literal reference is a row too, so it is not missing."""
    if kind == "Reference":
        text = value.get("reference")
        if text:
            yield _row(parse_reference(text, reading.fhir_base))
        else:
            yield Columns(NONE, NONE, NONE)
    elif isinstance(value, str):
        yield _row(parse_reference(value, reading.fhir_base))


def write_canonical(url: Any, version: Any, resource_type: str) -> Columns:
    """Return the columns of the row by which canonical references find a resource (`keys.CANONICAL`)."""
    return Columns(hash64(str(url)), type_key(resource_type), keys.text_key(version))


def write_versions(value: str, reading: Reading) -> Iterator[Columns]:
    """Yield the columns of the `:below` rows of a canonical: of any version, and of each version that its own is in."""
    canonical = parse_reference(value, reading.fhir_base)
    parts = (canonical.version or "").split(".", _VERSION_PARTS)
    versions = {"", *(".".join(parts[:count]) for count in range(1, len(parts) + 1))}
    for version in sorted(versions):
        yield _row(canonical)._replace(version=keys.text_key(version))


def by_url(definitions: Definitions, parameter: SearchParameter) -> bool:
    """Return whether a reference parameter may name its targets by their canonical URL."""
    routes = definitions.routes(parameter.resource_type, parameter.expression)
    return any(route.type in _BY_URL for route in routes)


def _row(reference: Reference) -> Columns:
    target_type = type_key(reference.type) if reference.type else NONE
    return Columns(_target(reference), target_type, keys.text_key(reference.version))


def _target(reference: Reference) -> int:
    if reference.type and reference.id:
        return reference_key(reference.type, reference.id)
    return hash64(reference.url or "")


def read(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Match:
    """Understand a list of alternatives; `modifier` is "", `above`, `below` or a resource type.

    Raises:
        FhirError: 400 when a value is no reference, or contradicts the type of the modifier.
    """
    if modifier in {"above", "below"}:
        return _read_related(parameter, modifier, texts, reading)
    types = (modifier,) if modifier else _targets(parameter, reading.definitions)
    targets: list[int] = []
    versions: list[tuple[int, int]] = []
    kinds: set[str | None] = set()
    for text in texts:
        value = unescape(text)
        if not value:
            raise invalid(parameter.code, _SYNTAX)
        if _is_id(value):
            targets += [reference_key(name, value) for name in types]
            kinds.add("Patient" if "Patient" in types else types[0])
            continue
        reference = parse_reference(value, reading.fhir_base)
        if modifier and reference.type not in {None, modifier}:
            raise invalid(f"{parameter.code}:{modifier}", f"names another type in {shown(value)}.")
        kinds.add(reference.type)
        if reference.version:
            versions.append((_target(reference), keys.text_key(reference.version)))
        else:
            targets.append(_target(reference))
    rank = 3 if len(texts) > 1 else 1 if kinds <= _NARROW else 2
    return Match(TABLE, ReferenceTest(tuple(targets), tuple(versions), of_patients=kinds == {"Patient"}), rank=rank)


def burden(parameter: SearchParameter, modifier: str, texts: Sequence[str], definitions: Definitions) -> int:
    """Return what values cost, where 1 is a key: an id alone is one of each type that it may be of.

    What is above or below a resource is looked for level by level.
    """
    if modifier in {"above", "below"}:
        return len(texts) * _RELATED_BURDEN
    types = 1 if modifier else len(_targets(parameter, definitions))
    return sum(max(1, types // _TYPES_A_KEY) if _is_id(text) else 1 for text in texts)


def _targets(parameter: SearchParameter, definitions: Definitions) -> tuple[str, ...]:
    return parameter.targets or tuple(sorted(definitions.resource_types))


def _is_id(value: str) -> bool:
    return "/" not in value and ":" not in value and not value.startswith("#")


def _read_related(parameter: SearchParameter, modifier: str, texts: Sequence[str], reading: Reading) -> Match:
    """Understand `:below` of canonicals, by version, and `:above` and `:below` along hierarchies of resources.

    https://hl7.org/fhir/R4/search.html#versions, #recursive.
    """
    name = f"{parameter.code}:{modifier}"
    types = _targets(parameter, reading.definitions)
    starts: list[tuple[str, str]] = []
    canonicals: list[Reference] = []
    for text in texts:
        value = unescape(text)
        found = parse_reference(value, reading.fhir_base)
        if found.type and found.id:
            starts.append((found.type, found.id))
        elif "/" not in value and ":" not in value:
            starts += [(each, value) for each in types if hierarchy(reading.definitions, each)]
        else:
            canonicals.append(found)
    if canonicals and modifier == "below" and not starts and by_url(reading.definitions, parameter):
        plain = tuple(_target(each) for each in canonicals if not each.version)
        versions = tuple((_target(each), keys.text_key(each.version)) for each in canonicals if each.version)
        return Match(TABLE, ReferenceTest(plain, versions), suffix=keys.BELOW, rank=2)
    if canonicals or not starts or not all(hierarchy(reading.definitions, kind) for kind, _ in starts):
        raise unsupported(name, _RELATED)
    assert reading.terms is not None  # noqa: S101 - the read face has them
    targets: list[int] = []
    for kind in dict.fromkeys(kind for kind, _ in starts):
        ids = [reference_key(kind, each) for of, each in starts if of == kind]
        targets += reading.terms.related(kind, hierarchy(reading.definitions, kind), ids, above=modifier == "above")
    return Match(TABLE, ReferenceTest(tuple(targets)), rank=3)


def hierarchy(definitions: Definitions, resource_type: str) -> int:
    """Return the key of the parameter by which resources of a type are part of others of it, 0 for none."""
    if resource_type not in definitions.resource_types:
        return NONE
    known = definitions.search_parameters(resource_type)
    codes = (code for code in _PART_OF if code in known)
    return next((known[code].key for code in codes if resource_type in known[code].targets), NONE)


@dataclass(frozen=True, slots=True)
class ReferenceTest:
    """One of these targets, or one of these targets in this version.

    Attributes:
        targets: Keys of targets of any version.
        versions: Keys of targets, each with that of its version.
        of_patients: The first target is a Patient, and so are all others where types were said.
    """

    targets: tuple[int, ...] = value_field()
    versions: tuple[tuple[int, int], ...] = value_field(default=())
    of_patients: bool = False

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_reference`."""
        ways: list[ColumnElement[bool]] = []
        if self.targets:
            ways.append(index.c.target.in_(self.targets))
        if len(self.versions) > _VERSIONS_SPELLED_OUT:
            ways.append(tuple_(index.c.target, index.c.version).in_(self.versions))
        else:
            ways += [and_(index.c.target == target, index.c.version == version) for target, version in self.versions]
        return or_(*ways)


def sort_columns(index: FromClause) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """Return what ascending and descending order compare: equal targets together."""
    return index.c.target, index.c.target
