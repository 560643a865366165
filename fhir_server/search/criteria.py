"""Conditions on readable rows: index look-ups, chains, reverse chains, and what the row itself answers.

Comes in: parsed criteria. Goes out: SQL conditions. INVARIANT: index tables only say which keys to ask for; every
resource a criterion passes through (chain, `_has`) is a row of `readable` for the same visibility, so a hidden one
breaks the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard

from sqlalchemy import ColumnElement, FromClause, Select, and_, exists, false, literal_column, or_, select, true, union

from fhir_server.search.date import DateTest
from fhir_server.search.keys import CANONICAL, SEVERAL, of_parameters
from fhir_server.search.model import Criterion, Scope, Test
from fhir_server.search.prepare import value as value_field
from fhir_server.search.string import StartsWith
from fhir_server.search.token import TokenTest
from fhir_server.search.token_sets import CodesTest
from fhir_server.store import index_rows
from fhir_server.store.keys import NONE
from fhir_server.store.visibility import readable

_MANY = 9
_WIDE = 8
_NEAR_HOPS, _JOINED_HOPS = 3, 2


def _found(
    row: FromClause, keys: Select[tuple[int]], scope: Scope, *, leads: bool, correlated: ColumnElement[bool]
) -> ColumnElement[bool]:
    """Return that the row is among `keys`: as a set to start from, or as a look-up per row."""
    if leads:
        return row.c.key.in_(keys)
    looked_up = keys.where(correlated).correlate(row)
    # PostgreSQL starts from a subquery if that seems narrow, but never from one with an OFFSET.
    return exists(looked_up.offset(literal_column("0")) if scope.narrow else looked_up)


def _held(test: Test, index: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
    """Return the condition on an index row: to start from, or to look at the rows of one resource after the other."""
    if leads or not (isinstance(test, CodesTest) or (isinstance(test, TokenTest) and scope.narrow)):
        return test.on(index)
    return test.of_one(index)


@dataclass(frozen=True, slots=True)
class Indexed:
    """A resource has an index row that passes a test (or has none, when negated).

    Attributes:
        table: Index table.
        params: Keys of the parameter, one per searched type.
        test: What the row must satisfy.
        negated: Whether no row may.
        rank: See `Match.rank`.
        codes: Keys one of which is in the hot column `code` of every match, or else `SEVERAL`; () when unknown.
        codes_suffice: A row whose hot column has one of `codes` matches; the index rows say no more.
        on_tokens: Rows of tokens say the number that is tested, where a resource has one.
    """

    table: str
    params: tuple[int, ...]
    test: Test
    negated: bool = False
    rank: int = 5
    codes: tuple[int, ...] = value_field(default=())
    codes_suffice: bool = False
    on_tokens: bool = False

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        index, leads = index_rows.alias(self.table), leads and not self.negated
        test = _held(self.test, index, scope, leads=leads)
        keys = select(index.c.key).where(of_parameters(index, self.params), test)
        if self.negated:
            return ~_found(row, keys, scope, leads=False, correlated=index.c.key == row.c.key)
        if self.codes and not leads:
            held = _found(row, keys, scope, leads=False, correlated=index.c.key == row.c.key)
            if self.codes_suffice:
                held = or_(row.c.code != SEVERAL, held)
            return and_(row.c.code.in_((*self.codes, SEVERAL)), held)
        return _found(row, keys, scope, leads=leads, correlated=index.c.key == row.c.key)

    def of_targets(self, references: FromClause, scope: Scope) -> ColumnElement[bool]:
        """Return the condition on the targets of rows of `index_reference`, which index rows alone can tell.

        What fails costs no look at the target then.
        """
        index = index_rows.alias(self.table)
        keys = select(index.c.key).where(of_parameters(index, self.params), _held(self.test, index, scope, leads=False))
        if isinstance(self.test, StartsWith) and self.test.is_selective:
            # Asked whether it is true, it is one set for all rows; few texts start so.
            return references.c.target.in_(keys).is_(true())
        here = keys.where(index.c.key == references.c.target).correlate(references)
        return exists(here.offset(literal_column("0")))

    def together(self, row: FromClause, scope: Scope, others: Sequence[Criterion]) -> ColumnElement[bool]:
        """Return the condition that this and other criteria hold, which index rows alone can tell.

        They are matched with each other before any resource is looked at, for that is what costs: PostgreSQL reckons
        too badly with the gate to find that order itself.
        """
        index = index_rows.alias(self.table)
        test = _held(self.test, index, scope, leads=True)
        met = [
            (replace(each, codes=()) if isinstance(each, Indexed) else each).condition(index, scope, leads=False)
            for each in others
        ]
        keys = select(index.c.key).where(of_parameters(index, self.params), test, *met)
        return row.c.key.in_(keys.offset(literal_column("0")))


@dataclass(frozen=True, slots=True)
class HotDate:
    """The clinical time of the row itself passes a test; where nothing narrower leads, the index rows do."""

    test: DateTest
    plain: Indexed
    rank: int = 8

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        if leads:
            return self.plain.condition(row, scope, leads=True)
        return self.test.holds(row.c.date_lo, row.c.date_hi)


@dataclass(frozen=True, slots=True)
class Missing:
    """The resource has no value at all for a parameter (or has one)."""

    tables: tuple[str, ...]
    params: tuple[int, ...]
    missing: bool
    rank: int = _MANY

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        has = []
        for table in self.tables:
            index = index_rows.alias(table)
            keys = select(index.c.key).where(of_parameters(index, self.params))
            has.append(_found(row, keys, scope, leads=False, correlated=index.c.key == row.c.key))
        return ~or_(*has) if self.missing else or_(*has)


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a composite: where its rows are, and what one must satisfy."""

    table: str
    params: tuple[int, ...]
    test: Test


@dataclass(frozen=True, slots=True)
class Composite:
    """All parts of one alternative hold within one occurrence of the element; one alternative is enough."""

    alternatives: tuple[tuple[Part, ...], ...]
    rank: int = 5

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        return or_(*(self._alternative(row, parts, scope, leads=leads) for parts in self.alternatives))

    @staticmethod
    def _alternative(row: FromClause, parts: tuple[Part, ...], scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        first, *others = [(part, index_rows.alias(part.table)) for part in parts]
        held = [of_parameters(first[1], first[0].params), _held(first[0].test, first[1], scope, leads=leads)]
        for part, index in others:
            held += [
                index.c.key == first[1].c.key,
                index.c.item == first[1].c.item,
                of_parameters(index, part.params),
                _held(part.test, index, scope, leads=False),
            ]
        keys = select(first[1].c.key).where(*held)
        return _found(row, keys, scope, leads=leads, correlated=first[1].c.key == row.c.key)


def names_by_url(pointing: FromClause, named: FromClause) -> ColumnElement[bool]:
    """Return that a row of the index of references names, by URL and any version it says, what another row is of."""
    return and_(
        pointing.c.target == named.c.target,
        of_parameters(named, (CANONICAL,)),
        pointing.c.version.in_((NONE, named.c.version)),
    )


class Inside(Protocol):
    """What a chain finds in the resource itself, which may contain what its references point to."""

    def keys(self, scope: Scope, index: FromClause, /) -> Select[tuple[int]]:
        """Return the keys of what contains such a target, from rows of this alias of the index of references."""
        ...


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference parameter points to a readable resource of these types that meets a criterion."""

    params: tuple[int, ...]
    types: tuple[str, ...]
    criterion: Criterion
    by_url: bool = False
    """Whether the reference names its target by a canonical URL."""
    inside: Inside | None = None
    """Where resources of these types are contained in others, what they must meet."""

    @property
    def rank(self) -> int:
        """Return a little more than the share of its targets."""
        return min(self.criterion.rank + 2, _MANY)

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        if _is_far(self, _JOINED_HOPS if leads else _NEAR_HOPS):
            # PostgreSQL, too, makes one set of what has an OFFSET, and of what is asked whether it is true.
            found = row.c.key.in_(union(*_leading(self, scope)).offset(literal_column("0")))
            return found if leads else found.is_(true())
        index = index_rows.alias("index_reference")
        keys = self.keys(scope, index, leads=leads)
        if self.inside is None:
            return _found(row, keys, scope, leads=leads, correlated=index.c.key == row.c.key)
        if leads:
            return row.c.key.in_(union(*_leading(self, scope)))
        within = index_rows.alias("index_reference")
        return or_(
            _found(row, keys, scope, leads=False, correlated=index.c.key == row.c.key),
            _found(row, self.inside.keys(scope, within), scope, leads=False, correlated=within.c.key == row.c.key),
        )

    def keys(self, scope: Scope, index: FromClause, *, leads: bool) -> Select[tuple[int]]:
        """Return the keys of what points to such a target, from rows of this alias of the index of references."""
        target = readable(scope.visibility, self.types)
        hop = index.join(target, target.c.key == index.c.target)
        if self.by_url:
            named = index_rows.alias("index_reference")
            hop = index.join(named, names_by_url(index, named)).join(target, target.c.key == named.c.key)
        met = self.criterion.condition(target, scope, leads=leads)
        if scope.narrow and not leads and not self.by_url and _is_plain(self.criterion):
            met = self.criterion.of_targets(index, scope)
        return select(index.c.key).select_from(hop).where(of_parameters(index, self.params), met)


def _is_plain(criterion: Criterion) -> TypeGuard[Indexed]:
    return isinstance(criterion, Indexed) and not criterion.negated


def _is_far(chain: Chain, near: int) -> bool:
    """Return whether a chain is found as one set: from each row again it might lead through more rows than there are.

    Many point to what one points to, so a hop there and back is as many as there are, for each; so are many hops on.
    """
    hops, inner = 1, chain.criterion
    while isinstance(inner, Chain):
        hops, inner = hops + 1, inner.criterion
    return hops > near or _turns_back(inner)


def _turns_back(criterion: Criterion) -> bool:
    match criterion:
        case Has():
            return True
        case Chain() | Not():
            return _turns_back(criterion.criterion)
        case AnyOf() | AllOf():
            return any(_turns_back(each) for each in criterion.criteria)
    return False


@dataclass(frozen=True, slots=True)
class Has:
    """A readable resource of a type points here with a reference parameter and meets a criterion (`_has`)."""

    type: str
    params: tuple[int, ...]
    criterion: Criterion
    by_url: bool = False
    """Whether the reference names what it points to by a canonical URL."""

    @property
    def rank(self) -> int:
        """Return a little more than the share of its sources."""
        return min(self.criterion.rank + 1, _MANY)

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        index = index_rows.alias("index_reference")
        keys = self.keys(scope, index, leads=leads)
        (here,) = keys.selected_columns
        return _found(row, keys, scope, leads=leads, correlated=here == row.c.key)

    def keys(self, scope: Scope, index: FromClause, *, leads: bool) -> Select[tuple[int]]:
        """Return the keys of what such a source points to, from rows of this alias of the index of references."""
        source, here = readable(scope.visibility, (self.type,)), index.c.target
        hop = index.join(source, source.c.key == index.c.key)
        if self.by_url:
            named = index_rows.alias("index_reference")
            hop, here = hop.join(named, names_by_url(index, named)), named.c.key
        return (
            select(here)
            .select_from(hop)
            .where(
                of_parameters(index, self.params),
                self.criterion.condition(source, scope, leads=leads),
            )
        )


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one criterion holds (a chain without a type, a compartment)."""

    criteria: tuple[Criterion, ...]

    @property
    def rank(self) -> int:
        """Return the rank of the widest."""
        return max((criterion.rank for criterion in self.criteria), default=0)

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        if leads and self.rank < _WIDE and len(sets := _leading(self, scope)) > 1:
            # One set of keys to start from: databases answer an OR of several by looking at every row.
            return row.c.key.in_(union(*sets))
        return or_(false(), *(criterion.condition(row, scope, leads=leads) for criterion in self.criteria))


def _leading(criterion: Criterion, scope: Scope) -> list[Select[tuple[int]]]:
    """Return the keys that a criterion starts from, in all of these sets; none where index rows alone do not tell."""
    index = index_rows.alias("index_reference")
    match criterion:
        case HotDate():
            return _leading(criterion.plain, scope)
        case Indexed(negated=False):
            index = index_rows.alias(criterion.table)
            return [select(index.c.key).where(of_parameters(index, criterion.params), criterion.test.on(index))]
        case Chain():
            here = [criterion.inside.keys(scope, index_rows.alias("index_reference"))] if criterion.inside else []
            return [criterion.keys(scope, index, leads=True), *here]
        case Has():
            return [criterion.keys(scope, index, leads=True)]
        case AnyOf():
            sets = [_leading(each, scope) for each in criterion.criteria]
            return [each for found in sets for each in found] if all(sets) else []
    return []


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every criterion holds, where another criterion is made of them."""

    criteria: tuple[Criterion, ...]

    @property
    def rank(self) -> int:
        """Return the rank of the narrowest."""
        return min((criterion.rank for criterion in self.criteria), default=_MANY)

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:
        """Return the condition on a readable row."""
        leader = min(self.criteria, key=lambda criterion: criterion.rank) if leads else None
        return and_(true(), *(each.condition(row, scope, leads=each is leader) for each in self.criteria))


@dataclass(frozen=True, slots=True)
class Not:
    """A criterion does not hold."""

    criterion: Criterion
    rank: int = _MANY

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row; what a missing value leaves open does not hold."""
        return self.criterion.condition(row, scope, leads=False).is_not(true())
