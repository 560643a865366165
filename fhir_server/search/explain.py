"""How the database answers a search: the statement's text, its plan and the indexes in it; for operators only.

A plan tells how many rows there are, so nothing of this goes to a caller of the API.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.sql.compiler import SQLCompiler

from fhir_server.search.model import SearchRequest
from fhir_server.search.run import statement_of
from fhir_server.store.database import Session
from fhir_server.store.visibility import Visibility

_INDEX = re.compile(
    r"(?:Index (?:Only )?Scan(?: Backward)? using|Bitmap Index Scan on|USING (?:COVERING )?INDEX) (\S+)"
)
_PRIMARY_KEY = re.compile(r"USING (?:INTEGER )?(PRIMARY KEY)")
_SCAN = re.compile(r"(?:Seq Scan on|^\W*SCAN) (\S+)(?!.*USING)")


@dataclass(frozen=True, slots=True)
class Explained:
    """One search as the database sees it.

    Attributes:
        sql: Text of the statement of the first page; values are parameters.
        plan: Lines of the plan for these values.
        indexes: Indexes that the plan uses, each once.
        scans: Tables that it reads from beginning to end.
    """

    sql: str
    plan: tuple[str, ...]
    indexes: tuple[str, ...]
    scans: tuple[str, ...]


def explain(session: Session, visibility: Visibility, request: SearchRequest) -> Explained:
    """Return how the first page of a search would be found, without finding it."""
    statement, values = statement_of(session, visibility, request)
    compiled = statement.compile(dialect=session.store.engine.dialect)
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what a statement compiles to
    state = compiled.construct_expanded_state(dict(values))
    if session.is_postgresql:
        records = session.connection.exec_driver_sql(f"EXPLAIN {state.statement}", dict(state.parameters)).all()
        plan = tuple(str(record[0]) for record in records)
    else:
        ordered = tuple(state.positional_parameters)
        records = session.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {state.statement}", ordered).all()
        plan = _nested([tuple(record) for record in records])
    return Explained(state.statement, plan, _met(plan, _INDEX, _PRIMARY_KEY), _met(plan, _SCAN))


def _nested(records: Sequence[tuple[int, int, int, str]]) -> tuple[str, ...]:
    """Return the lines of SQLite's plan, each indented below its parent."""
    depths = {0: -1}
    lines = []
    for number, parent, _, detail in records:
        depths[number] = depths[parent] + 1
        lines.append("  " * depths[number] + detail)
    return tuple(lines)


def _met(plan: Sequence[str], *patterns: re.Pattern[str]) -> tuple[str, ...]:
    found = (match[1] for line in plan for pattern in patterns for match in pattern.finditer(line))
    return tuple(sorted(set(found)))
