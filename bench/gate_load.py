"""Fill an empty database with the gate's record.

People and Consents come down the road; the Observations are written as the road would have stored them, by `COPY` on
PostgreSQL and in long inserts on SQLite.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from bench import gate_record
from fhir_server.access import tokens
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.store import index_tables, resources, tables
from fhir_server.store.resources import NewVersion

_ENTRIES = 200
_ROWS = 4_000


def fill(context: Context, patients: int, observations: int) -> None:
    """Load the record; every statistic is up to date afterwards."""
    started = time.perf_counter()
    known = gate_record.people(patients)
    while entries := [_entry(each) for each in islice(known, _ENTRIES)]:
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        perform(Interaction(Code.TRANSACTION, resource=bundle), tokens.operator(context.now()), context)
    _report("people and consents", 2 * patients, started)
    started = time.perf_counter()
    rows = gate_record.observations(context.definitions, patients, observations)
    if context.store.is_postgresql:
        _copy(context, rows)
    else:
        _insert(context, rows)
    _report("Observations", observations, started)


def _entry(resource: dict[str, Any]) -> dict[str, Any]:
    url = f"{resource['resourceType']}/{resource['id']}"
    return {"resource": resource, "request": {"method": "PUT", "url": url}}


def _insert(context: Context, rows: Iterator[NewVersion]) -> None:
    while chunk := list(islice(rows, _ROWS)):
        with context.store.write() as session:
            resources.put_new(session, chunk)


def _copy(context: Context, rows: Iterator[NewVersion]) -> None:
    pooled = context.store.engine.raw_connection()
    try:
        driver: Any = pooled.driver_connection
        driver.execute("SET statement_timeout = 0")
        driver.commit()
        while chunk := list(islice(rows, _ROWS)):
            with driver.cursor() as cursor:
                for table, found in _by_table(chunk).items():
                    _copy_into(cursor, table, found)
            driver.commit()
        driver.autocommit = True
        driver.execute("VACUUM ANALYZE")
        driver.autocommit = False
    finally:
        pooled.invalidate()


def _by_table(chunk: Iterable[NewVersion]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for new in chunk:
        found[tables.resource.name].append(resources._row(new))  # noqa: SLF001 - the very row that `put` writes
        for name, rows in new.index.items():
            found[name] += [dict(row) for row in rows]
    return found


def _copy_into(cursor: Any, table: str, rows: list[dict[str, Any]]) -> None:
    names = tuple(rows[0])
    types = {column.name: column.type for column in _TABLES[table].columns}
    with cursor.copy(f"COPY {table} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)") as copy:
        copy.set_types([_POSTGRESQL[str(types[name])] for name in names])
        for row in rows:
            copy.write_row(tuple(row[name] for name in names))


_TABLES = {table.name: table for table in (tables.resource, *index_tables.ALL)}
_POSTGRESQL = {
    "BIGINT": "int8", "INTEGER": "int4", "SMALLINT": "int2", "TEXT": "text", "BOOLEAN": "bool", "BLOB": "bytea",
    "FLOAT": "float8",
}  # fmt: skip


def _report(what: str, count: int, started: float) -> None:
    elapsed_s = time.perf_counter() - started
    print(f"loaded {count} {what} in {elapsed_s:.0f} s, {count / elapsed_s:.0f}/s", file=sys.stderr)
