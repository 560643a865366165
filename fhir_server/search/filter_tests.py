"""What the operators of `_filter` ask of index rows beyond what the shapes can be asked."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, FromClause, and_, not_, or_

from fhir_server.search import string
from fhir_server.search.model import Test
from fhir_server.search.prepare import value as value_field


@dataclass(frozen=True, slots=True)
class Otherwise:
    """An item that does not pass a test."""

    test: Test

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of the test's table."""
        return not_(self.test.on(index))


@dataclass(frozen=True, slots=True)
class Around:
    """An interval that contains this one."""

    lo: int = value_field()
    hi: int = value_field()

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_date`."""
        return and_(index.c.lo <= self.lo, index.c.hi >= self.hi)


@dataclass(frozen=True, slots=True)
class Whole:
    """A folded text, from its first character to its last."""

    head: str = value_field()
    rest: str = value_field()

    @classmethod
    def of(cls, folded: str) -> Whole:
        """Return the test for a folded text."""
        return cls(folded[: string.HEAD_CHARACTERS], folded[string.HEAD_CHARACTERS :])

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`."""
        return and_(index.c.head == self.head, index.c.rest == self.rest)


@dataclass(frozen=True, slots=True)
class Beyond:
    """A folded text after (`gt`, `ge`) or before (`lt`, `le`) one that is no longer than a head, by code points."""

    operator: str
    head: str = value_field()

    def on(self, index: FromClause) -> ColumnElement[bool]:
        """Return the condition on a row of `index_string`."""
        comparisons: dict[str, ColumnElement[bool]] = {
            "gt": or_(index.c.head > self.head, and_(index.c.head == self.head, index.c.rest != "")),
            "ge": index.c.head >= self.head,
            "lt": index.c.head < self.head,
            "le": or_(index.c.head < self.head, and_(index.c.head == self.head, index.c.rest == "")),
        }
        return comparisons[self.operator]
