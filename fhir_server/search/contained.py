"""Contained resources, found by their own parameters (https://hl7.org/fhir/R4/search.html#contained).

A contained resource has index rows under the key of its container: keys of parameters of their own, and its place in
`contained` as a negative `item`, so that several criteria meet in one of them. INVARIANT: below zero, for a permit by
code looks at what a record says of itself alone (`access.rare`). Each has one row more, its anchor, which says its
type and id. INVARIANT: what is found are containers, rows of `readable`: a contained resource exists for whom its
container does, and a label on it is the container's (ADR 0015).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, false, not_, or_, select, true, union

from fhir_server.search import keys, syntax, token, words
from fhir_server.search.criteria import AllOf, AnyOf, Chain, HotDate, Indexed, Missing, Not
from fhir_server.search.leading import all_of
from fhir_server.search.model import Criterion, Row, Scope, SearchPage, SearchRequest
from fhir_server.search.on_row import LogicalId
from fhir_server.search.prepare import value as value_field
from fhir_server.search.token_sets import CodesTest
from fhir_server.spec.json import Json, decode, encode
from fhir_server.spec.outcome import FhirError
from fhir_server.store import index_rows
from fhir_server.store.database import Session
from fhir_server.store.keys import hash32, reference_key
from fhir_server.store.visibility import Visibility, execute, readable

_TOKEN, _REFERENCE = "index_token", "index_reference"
_ITEMS_LIMIT = 1_000
_FIRST_ENTRIES = frozenset({"Composition", "MessageHeader"})

Columns = tuple[Any, ...]
BEYOND = "looks at what contained resources say themselves: no chains, composites, full text, lists or _lastUpdated."


def rows(
    resource: Json, of_one: Callable[[Json], Iterable[tuple[str, int, Columns]]]
) -> Iterator[tuple[str, int, int, Columns]]:
    """Yield table, parameter, item and columns of what a resource contains, and of the first entry of a document.

    Args:
        resource: The container, validated.
        of_one: Returns table, parameter and columns of the index rows that one would have, were it on its own.
    """
    for place, (inner, anchor, named) in enumerate(_held_in(resource), start=1):
        item = -place
        yield _TOKEN, anchor, item, token.Columns(keys.text_key(inner["id"]), named)
        for table, param, columns in of_one(inner):
            if table != _REFERENCE:
                yield table, _key(param), item, columns
            elif param != keys.CANONICAL:
                # INVARIANT: not into the index of references, for the container refers to none of this.
                target, _, version = columns
                yield _TOKEN, _reference_key(param), item, token.Columns(target, version)


def _held_in(resource: Json) -> Iterator[tuple[Json, int, int]]:
    """Yield each with the parameter of its anchor, and the target that the container's references to it have."""
    for inner in resource.get("contained", ())[:_ITEMS_LIMIT]:
        yield inner, _anchor(inner["resourceType"]), keys.text_key(f"#{inner['id']}")
    if resource["resourceType"] == "Bundle":
        first: Json = (resource.get("entry") or [{}])[0].get("resource", {})
        if first.get("resourceType") in _FIRST_ENTRIES and "id" in first:
            yield first, _first(first["resourceType"]), reference_key(first["resourceType"], first["id"])


@lru_cache(maxsize=8_192)
def _key(param: int) -> int:
    return hash32(f"contained {param}")


@lru_cache(maxsize=8_192)
def _reference_key(param: int) -> int:
    return hash32(f"contained reference {param}")


@lru_cache(maxsize=256)
def _anchor(resource_type: str) -> int:
    return hash32(f"contained resource {resource_type}")


@lru_cache(maxsize=8)
def _first(resource_type: str) -> int:
    """Return the parameter of the anchor of a first entry, which is no contained resource."""
    return hash32(f"first entry {resource_type}")


@lru_cache(maxsize=256)
def _anchors(types: tuple[str, ...]) -> tuple[int, ...]:
    return (*map(_anchor, types), *(_first(each) for each in types if each in _FIRST_ENTRIES))


@dataclass(frozen=True, slots=True)
class _Named:
    """The id of a contained resource is one of these, or none of them."""

    ids: tuple[int, ...] = value_field()
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Contains:
    """The resource contains one of these types that meets all criteria; or it is one, which meets others.

    Attributes:
        types: Types of the contained resources.
        held: What one contained resource must meet.
        own: What a resource of these types with a life of its own must meet; None where none is looked for.
        rank: See `Match.rank`.
    """

    types: tuple[str, ...]
    held: tuple[Any, ...]
    own: tuple[Criterion, ...] | None
    rank: int = 5

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        anchor = index_rows.alias(_TOKEN)
        containers = select(anchor.c.key).where(*self._met(anchor))
        if self.own is None:
            return row.c.key.in_(containers)
        itself = readable(scope.visibility, self.types)
        return row.c.key.in_(union(containers, select(itself.c.key).where(*all_of(itself, scope, self.own))))

    def places(self, containers: Sequence[int]) -> Select[tuple[int, int]]:
        """Return the query of the containers' keys, among these, with the places of what matches in them."""
        anchor = index_rows.alias(_TOKEN)
        found = select(anchor.c.key, anchor.c.item).where(anchor.c.key.in_(containers), *self._met(anchor))
        return found.order_by(anchor.c.key, anchor.c.item.desc())

    def _met(self, anchor: FromClause) -> Iterator[ColumnElement[bool]]:
        yield keys.of_parameters(anchor, [_anchor(name) for name in self.types])
        for criterion in self.held:
            yield _met_by(criterion, anchor, None)


@dataclass(frozen=True, slots=True)
class _Referred:
    """A reference of the resource points to one of these types in it that meets a criterion."""

    params: tuple[int, ...]
    types: tuple[str, ...]
    held: Any

    def keys(self, scope: Scope, index: FromClause) -> Select[tuple[int]]:
        """Return the keys of what contains such a target, from rows of this alias of the index of references."""
        anchor = index_rows.alias(_TOKEN)
        hop = index.join(anchor, and_(anchor.c.key == index.c.key, anchor.c.system == index.c.target))
        return (
            select(index.c.key)
            .select_from(hop)
            .where(
                keys.of_parameters(index, self.params),
                keys.of_parameters(anchor, _anchors(self.types)),
                _met_by(self.held, anchor, scope),
            )
        )


def inside(params: tuple[int, ...], types: tuple[str, ...], criterion: Criterion) -> _Referred | None:
    """Return a hop of a chain to what is contained, None where the criterion looks at more than chains can there."""
    with suppress(FhirError):
        return _Referred(params, types, _of_contained(criterion, in_chain=True))
    return None


def any_of(types: tuple[str, ...]) -> Select[tuple[int]]:
    """Return the query for a row where any resource contains one of these types."""
    anchor = index_rows.alias(_TOKEN)
    return select(anchor.c.item).where(keys.of_parameters(anchor, _anchors(types))).limit(1)


def criterion(types: tuple[str, ...], criteria: Sequence[Criterion], *, both: bool) -> Contains:
    """Return the criterion of a search for contained resources, or for both kinds.

    Raises:
        FhirError: 400 where a criterion looks at more than a contained resource itself.
    """
    return Contains(types, tuple(_of_contained(each) for each in criteria), tuple(criteria) if both else None)


def _of_contained(criterion: Criterion, *, in_chain: bool = False) -> Any:
    match criterion:
        case HotDate():
            return criterion.plain
        case Indexed() if criterion.table != words.TABLE:
            return replace(criterion, codes=())
        case Missing() if words.TABLE not in criterion.tables:
            return criterion
        case LogicalId():
            return _Named(tuple(map(keys.text_key, criterion.ids)), criterion.negated)
        case AllOf() | AnyOf():
            return replace(criterion, criteria=tuple(_of_contained(e, in_chain=in_chain) for e in criterion.criteria))
        case Not():
            return replace(criterion, criterion=_of_contained(criterion.criterion, in_chain=in_chain))
        case Chain(by_url=False) if in_chain:
            return replace(criterion, inside=None)
    raise syntax.unsupported("_contained", BEYOND)


def _met_by(criterion: Any, anchor: FromClause, scope: Scope | None) -> ColumnElement[bool]:
    """Return that the contained resource of an anchor meets a criterion; chains from it need a scope."""
    match criterion:
        case Indexed():
            index, params = _index(criterion.table, criterion.params)
            test = criterion.test.of_one(index) if isinstance(criterion.test, CodesTest) else criterion.test.on(index)
            found = _exists(index, params, anchor, test)
            return not_(found) if criterion.negated else found
        case Missing():
            found = or_(*(_exists(*_index(table, criterion.params), anchor, true()) for table in criterion.tables))
            return not_(found) if criterion.missing else found
        case Chain() if scope is not None:
            index, params = _index(_REFERENCE, criterion.params)
            target = readable(scope.visibility, criterion.types)
            met = criterion.criterion.condition(target, scope, leads=False)
            pointed = exists(select(target.c.key).where(target.c.key == index.c.target, met).correlate(index))
            return _exists(index, params, anchor, pointed)
        case _Named():
            return anchor.c.code.not_in(criterion.ids) if criterion.negated else anchor.c.code.in_(criterion.ids)
        case AllOf():
            return and_(true(), *(_met_by(each, anchor, scope) for each in criterion.criteria))
        case AnyOf():
            return or_(false(), *(_met_by(each, anchor, scope) for each in criterion.criteria))
    # What a missing value leaves open does not hold.
    return _met_by(criterion.criterion, anchor, scope).is_not(true())


def _index(table: str, params: Sequence[int]) -> tuple[FromClause, list[int]]:
    """Return where the rows of contained resources are, in the columns of this table, and the keys of parameters."""
    if table != _REFERENCE:
        return index_rows.alias(table), [_key(each) for each in params]
    token = index_rows.alias(_TOKEN)
    columns = (token.c.code.label("target"), token.c.system.label("version"))
    return select(token.c.key, token.c.param, token.c.item, *columns).subquery(), [_reference_key(p) for p in params]


def _exists(
    index: FromClause, params: Sequence[int], anchor: FromClause, test: ColumnElement[bool]
) -> ColumnElement[bool]:
    same = (index.c.key == anchor.c.key, index.c.item == anchor.c.item)
    return exists(select(index.c.key).where(*same, keys.of_parameters(index, params), test).correlate(anchor))


def expanded(session: Session, visibility: Visibility, request: SearchRequest, page: SearchPage) -> SearchPage:
    """Return a page with what matches in containers in their place, where `_containedType` asks for that.

    INVARIANT: the containers are rows of `readable` already, and their content is what was fetched with them.
    """
    contains = next((each for each in request.criteria if isinstance(each, Contains)), None)
    if contains is None or not request.contained_alone:
        return page
    places: dict[int, list[int]] = defaultdict(list)
    for found in execute(session, visibility, contains.places([row.key for row in page.matches])):
        places[found.key].append(found.item)
    return replace(page, matches=tuple(each for row in page.matches for each in _parts(row, places, contains)))


def _parts(row: Row, places: Mapping[int, Sequence[int]], contains: Contains) -> Iterator[Row]:
    if contains.own is not None and row.type in contains.types:
        yield row
    if row.key in places:
        contained = decode(row.content, len(row.content) + 1)["contained"]
        for item in places[row.key]:
            part = contained[-item - 1]
            yield replace(row, id=f"{row.id}#{part['id']}", content=encode(part))
