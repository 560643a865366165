"""SQL that the two databases are best asked in different words; both mean the same."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class Either(FunctionElement[bool]):
    """One condition in two texts.

    INVARIANT: both hold for the same rows; tests that run on both databases compare them.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, *, postgresql: ColumnElement[bool], elsewhere: ColumnElement[bool]) -> None:
        """Take the text for PostgreSQL and the one for everything else."""
        super().__init__(postgresql, elsewhere)


@compiles(Either)
def _elsewhere(element: Either, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(list(element.clauses)[1], **options)})"


@compiles(Either, "postgresql")
def _postgresql(element: Either, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(next(iter(element.clauses)), **options)})"
