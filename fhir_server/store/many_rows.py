"""Insert rows of many tables at once, and exchange those that a resource has in many: writing one fills eight.

PostgreSQL gets one statement for all of it, with an array per column; SQLite, which has no round trips, one per table.
"""

# ruff: noqa: S608 - the SQL is put together from the names of our own tables and columns

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Column, Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.database import Session
from fhir_server.store.prepared import Numbered

_DIALECTS: dict[bool, Dialect] = {False: sqlite.dialect(), True: postgresql.dialect()}  # type: ignore[no-untyped-call]


Rows = Mapping[Table, Sequence[Mapping[str, Any]]]
"""Rows to insert, by table and by name of column."""


class _Column(NamedTuple):
    name: str
    sql_type: str
    stored: Callable[[Any], Any] | None


def insert(session: Session, rows: Rows) -> None:
    """Insert rows; those of one table have the same columns, of which ones with a default may be left out.

    Raises:
        sqlite3.IntegrityError, psycopg.IntegrityError: A row is there already; `Store` makes a CONFLICT of it.
    """
    exchange(session, (), 0, rows)


def exchange(
    session: Session, columns: Sequence[Column[Any]], value: int, rows: Rows, *, beside: Numbered | None = None
) -> int:
    """Delete the rows that have this value in these columns of their tables, and insert others, see `insert`.

    INVARIANT: no row that comes has a unique key in common with one that goes: PostgreSQL sees to both at once.

    Args:
        session: The transaction.
        columns: One of each table that is cleared.
        value: What the rows to delete have there.
        rows: What is inserted.
        beside: A statement that starts with WITH and is run as part of the same one (PostgreSQL only).

    Returns:
        How many rows `beside` changed; without it nothing that means anything.
    """
    filled = tuple((table, tuple(found[0])) for table, found in rows.items() if found)
    driver: Any = session.driver
    if not session.is_postgresql:
        for column in columns:
            driver.execute(f"DELETE FROM {column.table.name} WHERE {column.name} = ?", (value,))
        for table, names in filled:
            stored = _columns(table, names, is_postgresql=False)
            text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            driver.executemany(text, list(zip(*(_stored(each, rows[table]) for each in stored), strict=True)))
        return 0
    if not columns and not filled and beside is None:
        return 0
    before, values = beside or (b"", ())
    cleared = tuple((column.table.name, column.name) for column in columns)
    arrays = [
        _array(_stored(column, rows[table]))
        for table, names in filled
        for column in _columns(table, names, is_postgresql=True)
    ]
    parameters = (*values, *((value,) if cleared else ()), *arrays)
    cursor = psycopg.RawCursor(driver)
    cursor.execute(_exchange(before, len(values), cleared, filled), parameters, prepare=True, binary=True)
    return cursor.rowcount


@lru_cache(maxsize=1024)
def _exchange(
    before: bytes, count: int, cleared: tuple[tuple[str, str], ...], filled: tuple[tuple[Table, tuple[str, ...]], ...]
) -> bytes:
    """Return one statement of a DELETE and an INSERT per table, whose parameters follow the `count` of `before`.

    Those are the value that rows are deleted by, if any are, and an array for each column in turn.
    """
    number = count + bool(cleared)
    steps = [f"DELETE FROM {table} WHERE {column} = ${number}" for table, column in cleared]
    for table, names in filled:
        arrays = []
        for column in _columns(table, names, is_postgresql=True):
            number += 1
            arrays.append(f"${number}::{column.sql_type}[]")
        steps.append(f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({', '.join(arrays)})")
    last = before.removeprefix(b"WITH ").decode() if before else steps.pop()
    named = ", ".join(f"step_{number} AS ({step})" for number, step in enumerate(steps))
    if before:
        return f"WITH {named}, {last}".encode() if named else before
    return f"WITH {named} {last}".encode() if named else last.encode()


@lru_cache(maxsize=256)
def _columns(table: Table, names: tuple[str, ...], *, is_postgresql: bool) -> tuple[_Column, ...]:
    dialect = _DIALECTS[is_postgresql]
    found = []
    for name in names:
        type_ = table.c[name].type.dialect_impl(dialect)
        # The driver and `_array` write plain types; what is left is a type of ours.
        own = type_.bind_processor(dialect) if hasattr(type_, "process_bind_param") else None
        found.append(_Column(name, type_.compile(dialect).partition(" COLLATE")[0], own))
    return tuple(found)


def _stored(column: _Column, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    found = [row[column.name] for row in rows]
    return found if column.stored is None else [column.stored(value) for value in found]


def _array(values: Sequence[Any]) -> str:
    """Return an array in PostgreSQL's own notation, which costs a fraction of what the driver takes for a list."""
    kind = type(values[0])
    if kind is int and all(type(value) is int for value in values):
        return "{" + ",".join(map(str, values)) + "}"
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case bytes():
            return '"\\\\x' + value.hex() + '"'
        case _:
            # Whole numbers, true, false, nan and inf read back as they are written here.
            return str(value)
