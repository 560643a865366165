"""What is derived from a row's content, put in place of what was there: index rows and hot columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, bindparam, delete, select, update

from fhir_server.store import index_tables, many_rows, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import type_key

_INDEX = {table.name: table for table in index_tables.ALL}


@dataclass(frozen=True, slots=True)
class Stored:
    """A current version to derive from."""

    key: int
    patient: int
    confidentiality: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Derived:
    """What its content gives: hot columns, and index rows by table name, see `many_rows.Rows`."""

    key: int
    confidentiality: int
    code: int
    date_lo: int | None
    date_hi: int | None
    index: Mapping[str, Sequence[tuple[Any, ...]]]


def stored(session: Session, types: Sequence[str], *, after: int | None, limit: int) -> list[Stored]:
    """Return current versions in the order of their keys, held against change until this transaction ends.

    INVARIANT: only for deriving; the content is never disclosed.
    """
    row = tables.resource.c
    columns = (row.key, row.patient, row.confidentiality, row.content)
    statement = select(*columns).where(row.deleted.is_(False)).order_by(row.key).limit(limit)
    if types:
        statement = statement.where(row.type.in_([type_key(name) for name in types]))
    if after is not None:
        statement = statement.where(row.key > after)
    return [Stored(*found) for found in session.connection.execute(statement.with_for_update())]


def replace(session: Session, found: Sequence[Derived]) -> None:
    """Put these index rows and hot columns in place of those that the rows had."""
    if not found:
        return
    row = tables.resource
    keys = [each.key for each in found]
    rows: dict[Table, list[tuple[Any, ...]]] = defaultdict(list)
    for each in found:
        for name, its in each.index.items():
            rows[_INDEX[name]] += its
    for table in index_tables.ALL:
        session.connection.execute(delete(table).where(table.c.key.in_(keys)))
    many_rows.insert(session, rows)
    hot = ("confidentiality", "code", "date_lo", "date_hi")
    changed = update(row).where(row.c.key == bindparam("its_key"))
    session.connection.execute(
        changed.values({name: bindparam(f"its_{name}") for name in hot}),
        [{f"its_{name}": getattr(each, name) for name in ("key", *hot)} for each in found],
    )
