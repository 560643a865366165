"""Insert rows of many tables at once, and exchange those that a resource has in many: writing one fills eight.

PostgreSQL gets one statement for all of it, with an array per column, or a COPY per table where rows are many; SQLite,
which has no round trips, one statement per table.
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

_SAME_TYPES = {"float(53)": "double precision"}
"""SQLAlchemy's name of a type → the one that the driver knows, too."""
_DIALECTS: dict[bool, Dialect] = {False: sqlite.dialect(), True: postgresql.dialect()}  # type: ignore[no-untyped-call]


Rows = Mapping[Table, Sequence[tuple[Any, ...]]]
"""Rows to insert, by table: the values of its columns in their order, without a number that the database gives."""

_COPIED_FROM = 200
"""So many rows of one table go in by COPY, which costs PostgreSQL less than arrays, and a round trip per table."""


class _Column(NamedTuple):
    name: str
    sql_type: str
    stored: Callable[[Any], Any] | None


def insert(session: Session, rows: Rows) -> None:
    """Insert rows.

    Raises:
        sqlite3.IntegrityError, psycopg.IntegrityError: A row is there already; `Store` makes a CONFLICT of it.
    """
    if session.is_postgresql and any(len(found) >= _COPIED_FROM for found in rows.values()):
        for table, found in rows.items():
            if found:
                _copy(session, table, found)
        return
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
    filled = tuple(table for table, found in rows.items() if found)
    if not session.is_postgresql:
        driver = session.driver
        for column in columns:
            driver.execute(f"DELETE FROM {column.table.name} WHERE {column.name} = ?", (value,))
        for table in filled:
            names = [column.name for column in _columns(table, is_postgresql=False)]
            text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
            driver.executemany(text, rows[table])
        return 0
    if not columns and not filled and beside is None:
        return 0
    before, values = beside or (b"", ())
    cleared = tuple((column.table.name, column.name) for column in columns)
    arrays = [
        _array(found if column.stored is None else list(map(column.stored, found)))
        for table in filled
        for column, found in zip(_columns(table, is_postgresql=True), zip(*rows[table], strict=True), strict=True)
    ]
    parameters = (*values, *((value,) if cleared else ()), *arrays)
    return session.run(_exchange(before, len(values), cleared, filled), parameters).rowcount


def _copy(session: Session, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    columns = _columns(table, is_postgresql=True)
    names = ", ".join(column.name for column in columns)
    # The driver has no binary form of a type of ours.
    is_binary = all(column.stored is None for column in columns)
    text = f"COPY {table.name} ({names}) FROM STDIN (FORMAT {'BINARY' if is_binary else 'TEXT'})"
    with psycopg.Cursor(session.driver).copy(text.encode()) as copy:
        if is_binary:
            copy.set_types([column.sql_type for column in columns])
            for row in rows:
                copy.write_row(row)
            return
        for row in rows:
            copy.write_row(
                [
                    value if column.stored is None else column.stored(value)
                    for column, value in zip(columns, row, strict=True)
                ]
            )


@lru_cache(maxsize=256)
def _exchange(before: bytes, count: int, cleared: tuple[tuple[str, str], ...], filled: tuple[Table, ...]) -> bytes:
    """Return one statement of a DELETE and an INSERT per table, whose parameters follow the `count` of `before`.

    Those are the value that rows are deleted by, if any are, and an array for each column in turn. A row that goes and
    comes again stays: most of an update changes little, and each row costs the index entries that it has.
    """
    number, going = count + bool(cleared), dict(cleared)
    value = f"${number}"
    comings: list[str] = []
    steps: list[str] = []
    for table in filled:
        columns, arrays = _columns(table, is_postgresql=True), []
        for column in columns:
            number += 1
            arrays.append(f"${number}::{column.sql_type}[]")
        names = ", ".join(column.name for column in columns)
        rows = f"SELECT * FROM unnest({', '.join(arrays)}) AS coming ({names})"
        into = f"INSERT INTO {table.name} ({names})"
        by = going.pop(table.name, None)
        if by is None:
            steps.append(f"{into} {rows}")
            continue
        same = " AND ".join(f"kept.{column.name} IS NOT DISTINCT FROM coming.{column.name}" for column in columns)
        coming = f"coming_{len(comings)}"
        comings.append(f"{coming} AS MATERIALIZED ({rows})")
        steps.append(
            f"DELETE FROM {table.name} AS kept WHERE {by} = {value} "
            f"AND NOT EXISTS (SELECT FROM {coming} AS coming WHERE {same})"
        )
        steps.append(
            f"{into} SELECT * FROM {coming} AS coming "
            f"WHERE NOT EXISTS (SELECT FROM {table.name} AS kept WHERE kept.{by} = {value} AND {same})"
        )
    steps += [f"DELETE FROM {table} WHERE {by} = {value}" for table, by in going.items()]
    last = before.removeprefix(b"WITH ").decode() if before else steps.pop()
    named = ", ".join([*comings, *(f"step_{number} AS ({step})" for number, step in enumerate(steps))])
    if before:
        return f"WITH {named}, {last}".encode() if named else before
    return f"WITH {named} {last}".encode() if named else last.encode()


@lru_cache(maxsize=256)
def _columns(table: Table, *, is_postgresql: bool) -> tuple[_Column, ...]:
    dialect = _DIALECTS[is_postgresql]
    found = []
    for column in table.c:
        if column is table.autoincrement_column:
            continue
        type_ = column.type.dialect_impl(dialect)
        # The driver and `_array` write plain types; what is left is a type of ours, which is one of PostgreSQL's alone.
        own = type_.bind_processor(dialect) if is_postgresql and hasattr(type_, "process_bind_param") else None
        sql_type = type_.compile(dialect).partition(" COLLATE")[0].lower()
        found.append(_Column(column.name, _SAME_TYPES.get(sql_type, sql_type), own))
    return tuple(found)


def _array(values: Sequence[Any]) -> str:
    """Return an array in PostgreSQL's own notation, which costs a fraction of what the driver takes for a list."""
    if set(map(type, values)) == {int}:
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
