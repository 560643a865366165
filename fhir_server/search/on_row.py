"""What the row of a resource answers by itself: its logical id, and when it was last updated.

Comes in: parsed values. Goes out: criteria, see `criteria`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, and_, false, true

from fhir_server.search.date import DateTest
from fhir_server.search.model import Scope
from fhir_server.search.prepare import value as value_field


@dataclass(frozen=True, slots=True)
class LogicalId:
    """The logical id is one of these (or none of them, when negated)."""

    ids: tuple[str, ...] = value_field()
    keys: tuple[int, ...] = value_field()
    """The surrogate keys where the searched types are few enough to know them; () otherwise."""
    negated: bool = False
    rank: int = 0

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        if not self.ids:
            return true() if self.negated else false()
        if self.negated:
            return row.c.id.not_in(self.ids)
        return and_(row.c.key.in_(self.keys), row.c.id.in_(self.ids)) if self.keys else row.c.id.in_(self.ids)


@dataclass(frozen=True, slots=True)
class LastUpdated:
    """The instant of the last update passes a test."""

    test: DateTest
    rank: int = 8

    def condition(self, row: FromClause, scope: Scope, *, leads: bool) -> ColumnElement[bool]:  # noqa: ARG002
        """Return the condition on a readable row."""
        return self.test.holds(row.c.updated_at, row.c.updated_at + 1)
