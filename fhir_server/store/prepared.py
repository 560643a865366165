"""Statements built and compiled once per shape, then run as text on the driver.

Building a guarded query in SQLAlchemy costs milliseconds, running it microseconds. A shape is everything its text
depends on; values are bound parameters. The cache is per store and bounded: shapes come from code and registrations,
not from requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol, cast

from sqlalchemy import BindParameter, ClauseElement, Executable, Result, bindparam
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import replacement_traverse

from fhir_server.store.database import PLAN, Session

_LIMIT = 4096


@dataclass(slots=True)
class Prepared:
    """Compiled text, the values that are part of its shape, the order of names, and from its first run on its columns.

    PostgreSQL's text is bytes with numbered parameters, by which its driver finds a statement again.

    INVARIANT: a value that a caller gave at the first run has to be given at each; none is ever carried over.
    """

    text: str | bytes
    constants: Mapping[str, Any]
    names: tuple[str, ...]
    columns: SimpleResultMetaData | None = None

    def bind(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return the parameters in the order of the text; KeyError when a value is missing."""
        constants = self.constants
        return tuple(constants[name] if name in constants else values[name] for name in self.names)


class Plan(Enum):
    """How PostgreSQL is to plan a prepared statement; SQLite has one plan for all values.

    Planning a guarded statement costs more than running it, so `ANY_VALUES` is for whatever starts from a key or a
    patient. Where the best plan depends on how frequent a value is, only `THESE_VALUES` finds it.
    """

    ANY_VALUES = "force_generic_plan"
    THESE_VALUES = "force_custom_plan"


def run(
    session: Session,
    shape: Hashable,
    build: Callable[[], Executable],
    values: Mapping[str, Any],
    plan: Plan = Plan.ANY_VALUES,
) -> Result[Any]:
    """Run the statement of a shape with these values; rows have the driver's plain types.

    Args:
        session: The transaction.
        shape: What the text depends on, including which statement it is.
        build: Returns the statement; called only when the shape is new.
        values: Values of named bound parameters.
        plan: How PostgreSQL plans it.
    """
    plan_for(session, plan)
    statement = _statement(session, shape, build, values)
    cursor = _on_driver(session, statement, values)
    if statement.columns is None:
        statement.columns = SimpleResultMetaData([column[0] for column in cursor.description or ()])
    return IteratorResult(statement.columns, iter(cursor.fetchall()))


def change(session: Session, shape: Hashable, build: Callable[[], Executable], values: Mapping[str, Any]) -> int:
    """Run a statement that returns no rows, see `run`; return how many rows it changed."""
    plan_for(session, Plan.ANY_VALUES)
    return _on_driver(session, _statement(session, shape, build, values), values).rowcount


class Numbered(NamedTuple):
    """A statement as PostgreSQL's driver takes it: its text with numbered parameters, and their values."""

    text: bytes
    values: tuple[Any, ...]


def numbered(session: Session, shape: Hashable, build: Callable[[], Executable], values: Mapping[str, Any]) -> Numbered:
    """Return a statement for `many_rows` to run with others, see `run` (PostgreSQL only)."""
    plan_for(session, Plan.ANY_VALUES)
    statement = _statement(session, shape, build, values)
    return Numbered(cast("bytes", statement.text), statement.bind(values))


def _statement(
    session: Session, shape: Hashable, build: Callable[[], Executable], values: Mapping[str, Any]
) -> Prepared:
    known = session.store.prepared
    statement = known.get(shape)
    if statement is None:
        if len(known) >= _LIMIT:
            known.clear()
        statement = known[shape] = _compile(session, build(), values)
    return cast("Prepared", statement)


def _on_driver(session: Session, statement: Prepared, values: Mapping[str, Any]) -> _Cursor:
    """Run on the driver itself: what Core does for a text costs more than a short statement."""
    bound = statement.bind(values)
    if isinstance(statement.text, bytes):
        return session.run(statement.text, bound)
    return cast("_Cursor", session.driver.execute(statement.text, bound))


class _Cursor(Protocol):
    """What the drivers' cursors and `wire.Answer` have."""

    @property
    def description(self) -> Sequence[Any] | None:
        """Return what is known of the columns, their names first."""
        ...

    @property
    def rowcount(self) -> int:
        """Return how many rows were changed."""
        ...

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        ...


_PARAMETER = re.compile(r"%\((\w+)\)s")
_SET = {plan: f"SET LOCAL plan_cache_mode = {plan.value}".encode() for plan in Plan}


def plan_for(session: Session, plan: Plan) -> None:
    """Let PostgreSQL plan the statements that follow this way, until another is asked for or the transaction ends."""
    if not session.is_postgresql or session.info.get(PLAN, Plan.ANY_VALUES) is plan:
        return
    session.run(_SET[plan], ())
    session.info[PLAN] = plan


def _compile(session: Session, statement: Executable, values: Mapping[str, Any]) -> Prepared:
    def valued(element: object, **_: object) -> BindParameter[Any] | None:
        if isinstance(element, BindParameter) and element.key in values:
            return bindparam(element.key, values[element.key], element.type)
        return None

    # The compiler wants a value for each parameter; these serve the first run and are not kept.
    whole = cast("ClauseElement", replacement_traverse(cast("ClauseElement", statement), {}, valued))
    compiled = whole.compile(dialect=session.store.engine.dialect, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)  # noqa: S101 - what a statement compiles to
    known = compiled.construct_params(_check=False)
    constants = {name: value for name, value in known.items() if name not in values}
    if compiled.positiontup is not None:
        return Prepared(str(compiled), constants, tuple(compiled.positiontup))
    numbers: dict[str, int] = {}

    def numbered(found: re.Match[str]) -> str:
        constant = constants.get(found[1])
        if type(constant) is int:
            return f"'{constant}'"
        return f"${numbers.setdefault(found[1], len(numbers) + 1)}"

    text = _PARAMETER.sub(numbered, str(compiled)).replace("%%", "%")
    return Prepared(text.encode(), constants, tuple(numbers))
