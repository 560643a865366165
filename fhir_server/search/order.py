"""Order and position: `_sort` as SQL, and the rows after a given one (keyset paging, constant cost at any depth).

Missing values come last whichever the order; of several values ascending order takes the least, descending the
greatest; equal rows follow their surrogate key, in the direction of the last sort key, so that an order is total and
no row is lost or doubled between pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, FromClause, UnaryExpression, and_, false, func, or_, select

from fhir_server.search import keys, text
from fhir_server.search.cursor import Position, SortValue
from fhir_server.search.model import Criterion, SearchRequest, SortKey
from fhir_server.search.shapes import SHAPES
from fhir_server.store import index_rows

_SELECTIVE_RANK = 3


@dataclass(frozen=True, slots=True)
class OrderKey:
    """One sort key as SQL."""

    expression: ColumnElement[Any]
    descending: bool
    nullable: bool
    missing_first: bool = False

    def reversed(self) -> OrderKey:
        """Return the key that orders from the last row to the first."""
        return replace(self, descending=not self.descending, missing_first=not self.missing_first)

    def clause(self) -> UnaryExpression[Any]:
        """Return the item of ORDER BY."""
        ordered = self.expression.desc() if self.descending else self.expression.asc()
        if not self.nullable:
            return ordered
        return ordered.nulls_first() if self.missing_first else ordered.nulls_last()

    def equals(self, value: SortValue) -> ColumnElement[bool]:
        """Return that a row has the same value."""
        return self.expression.is_(None) if value is None else self.expression == value

    def follows(self, value: SortValue) -> ColumnElement[bool]:
        """Return that a row's value comes later; after a missing one nothing does, or everything that is there."""
        if value is None:
            return self.expression.is_not(None) if self.missing_first else false()
        beyond = self.expression < value if self.descending else self.expression > value
        return or_(beyond, self.expression.is_(None)) if self.nullable and not self.missing_first else beyond


def order_keys(row: FromClause, request: SearchRequest, criteria: Sequence[Criterion]) -> tuple[OrderKey, ...]:
    """Return the keys that order a search, the surrogate key last.

    Args:
        row: The readable rows that match.
        request: The search.
        criteria: Those of the search, as they stand in the statement.
    """
    last: ColumnElement[Any] = row.c.key
    descending = bool(request.sort) and request.sort[-1].descending
    if not request.sort and min((each.rank for each in request.criteria), default=9) <= _SELECTIVE_RANK:
        # Few rows match: keep planners from walking the primary key in order until they have met enough of them.
        last = row.c.key + 0
    return (*(_order_key(row, key, criteria) for key in request.sort), OrderKey(last, descending, nullable=False))


def _order_key(row: FromClause, key: SortKey, criteria: Sequence[Criterion]) -> OrderKey:
    if key.code == "_id":
        return OrderKey(row.c.id, key.descending, nullable=False)
    if key.code == text.SCORE:
        return OrderKey(text.score(row, criteria), descending=True, nullable=False)
    if key.code == "_lastUpdated":
        return OrderKey(row.c.updated_at, key.descending, nullable=False)
    if key.hot:
        return OrderKey(row.c.date_lo, key.descending, nullable=True)
    shape = SHAPES[key.parameters[0].type]
    index = index_rows.alias(shape.TABLE)
    least, greatest = shape.sort_columns(index)
    params = [parameter.key for parameter in key.parameters]
    value = func.max(greatest) if key.descending else func.min(least)
    found = select(value).where(index.c.key == row.c.key, keys.of_parameters(index, params)).correlate(row)
    return OrderKey(found.scalar_subquery(), key.descending, nullable=True)


def after(order: tuple[OrderKey, ...], position: Position) -> ColumnElement[bool]:
    """Return that a row comes after a position: later in the first key, or equal there and later in the next."""
    ways = []
    for depth, (key, value) in enumerate(zip(order, position, strict=True)):
        same = [before.equals(its) for before, its in zip(order[:depth], position[:depth], strict=True)]
        ways.append(and_(*same, key.follows(value)))
    return or_(*ways)
