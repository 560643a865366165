"""SQL that the two databases are best asked in different words; both mean the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Either(FunctionElement[bool]):
    """One condition in two texts.

    Both are conditions as they stand; compared with 1, as SQLAlchemy would on SQLite, no index would serve them.

    INVARIANT: both hold for the same rows; tests that run on both databases compare them.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, *, postgresql: ColumnElement[bool], elsewhere: ColumnElement[bool]) -> None:
        """Take the text for PostgreSQL and the one for everything else."""
        super().__init__(postgresql, elsewhere)

    def self_group(self, against: object = None) -> Either:  # noqa: ARG002
        """Return the condition itself, in parentheses as it is."""
        return self


@compiles(Either)
def _elsewhere(element: Either, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(list(element.clauses)[1], **options)})"


@compiles(Either, "postgresql")
def _postgresql(element: Either, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(next(iter(element.clauses)), **options)})"
