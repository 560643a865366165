"""Insert rows of many tables at once, and clear what a resource has in many: writing one resource fills eight tables.

PostgreSQL gets one statement for all of it, with an array per column; SQLite, which has no round trips, one per table.
"""

# ruff: noqa: S608 - the SQL is put together from the names of our own tables and columns

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Dialect, Table
from sqlalchemy.dialects import postgresql, sqlite

from fhir_server.store.database import Session

_DIALECTS: dict[bool, Dialect] = {False: sqlite.dialect(), True: postgresql.dialect()}  # type: ignore[no-untyped-call]


class _Column(NamedTuple):
    name: str
    sql_type: str
    stored: Callable[[Any], Any] | None


def insert(session: Session, rows: Mapping[Table, Sequence[Mapping[str, Any]]]) -> None:
    """Insert rows; those of one table have the same columns, of which ones with a default may be left out.

    Raises:
        sqlite3.IntegrityError, psycopg.IntegrityError: A row is there already; `Store` makes a CONFLICT of it.
    """
    filled = tuple((table, tuple(found[0])) for table, found in rows.items() if found)
    driver: Any = session.connection.connection.driver_connection
    if not session.is_postgresql:
        for table, names in filled:
            columns = _columns(table, names, is_postgresql=False)
            text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            values = [[_stored(column, row[column.name]) for column in columns] for row in rows[table]]
            driver.executemany(text, values)
    elif filled:
        arrays = [
            _array([_stored(column, row[column.name]) for row in rows[table]])
            for table, names in filled
            for column in _columns(table, names, is_postgresql=True)
        ]
        psycopg.RawCursor(driver).execute(_insertion(filled), arrays, prepare=True, binary=True)


def clear(session: Session, tables: Iterable[Table], key: int) -> None:
    """Delete the rows of these tables that have this `key`."""
    driver: Any = session.connection.connection.driver_connection
    names = tuple(table.name for table in tables)
    if session.is_postgresql:
        psycopg.RawCursor(driver).execute(_clearing(names), [key], prepare=True, binary=True)
        return
    for name in names:
        driver.execute(f"DELETE FROM {name} WHERE key = ?", (key,))


@lru_cache(maxsize=1024)
def _insertion(filled: tuple[tuple[Table, tuple[str, ...]], ...]) -> bytes:
    """Return one statement of an INSERT per table, with a parameter for each column in turn."""
    inserts, number = [], 0
    for table, names in filled:
        arrays = []
        for column in _columns(table, names, is_postgresql=True):
            number += 1
            arrays.append(f"${number}::{column.sql_type}[]")
        inserts.append(f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({', '.join(arrays)})")
    return _together(inserts)


@lru_cache(maxsize=16)
def _clearing(names: tuple[str, ...]) -> bytes:
    return _together([f"DELETE FROM {name} WHERE key = $1" for name in names])


def _together(statements: Sequence[str]) -> bytes:
    *before, last = statements
    steps = ", ".join(f"step_{number} AS ({statement})" for number, statement in enumerate(before))
    return f"WITH {steps} {last}".encode() if steps else last.encode()


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


def _stored(column: _Column, value: Any) -> Any:
    return value if column.stored is None else column.stored(value)


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
