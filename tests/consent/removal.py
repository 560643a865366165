"""Take the rows that a caller may not see out of a store, and put everything back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from sqlalchemy import Table, delete, insert, select

from fhir_server.access import tokens
from fhir_server.access.decide import decide
from fhir_server.access.principal import Principal
from fhir_server.access.visibility import Gate
from fhir_server.search import scopes
from fhir_server.spec.definitions import load
from fhir_server.store import index_tables, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import type_key
from fhir_server.store.metadata import metadata
from fhir_server.store.visibility import HISTORY_RULES, execute, readable
from tests.server import Server

_RECORD = (tables.resource, tables.history, tables.resource_patient, *index_tables.ALL)
Rows = dict[Table, list[dict[str, Any]]]


def _state() -> list[Table]:
    """Return every table but the access log, which nothing may take back."""
    return [table for table in metadata.sorted_tables if not table.name.startswith("audit_")]


def saved(session: Session) -> Rows:
    """Return every row of the record, its rules and its accounts."""
    return {table: [dict(row) for row in session.connection.execute(select(table)).mappings()] for table in _state()}


def put_back(session: Session, rows: Rows) -> None:
    """Make the record what it was; a table that did not change is left alone."""
    now = saved(session)
    changed = [table for table in rows if rows[table] != now[table]]
    for table in reversed(changed):
        session.connection.execute(delete(table))
    for table in changed:
        if rows[table]:
            session.connection.execute(insert(table), rows[table])


@contextmanager
def restored(server: Server) -> Iterator[None]:
    """Leave the store as it is now, whatever happens inside."""
    with server.store.read() as session:
        before = saved(session)
    try:
        yield
    finally:
        with server.store.write() as session:
            put_back(session, before)


def remove_hidden(server: Server, token: str) -> int:
    """Delete every row, version and index row that does not exist for the caller; return how many resources."""
    with server.store.write() as session:
        return remove_hidden_from(session, server, tokens.resolve(session, token, server.clock()))


def remove_hidden_from(session: Session, server: Server, principal: Principal) -> int:
    """Delete what does not exist for this principal; return how many resources."""
    gate = decide(session, principal, partial(scopes.narrowing, load(), ""), server.clock()).readable
    seen = set(execute(session, gate, select(readable(gate, deleted=True).c.key)).scalars())
    every = set(session.connection.execute(select(tables.resource.c.key)).scalars())
    hidden = every - seen - _identities(session)
    for table in _RECORD:
        session.connection.execute(delete(table).where(table.c.key.in_(hidden)))
    _remove_versions(session, gate)
    return len(hidden)


def _identities(session: Session) -> set[int]:
    """Return the rows that say who callers are: rules, like grants, though a token's scopes may not cover them."""
    row = tables.resource.c
    kinds = [type_key(name) for name in ("PractitionerRole", "Organization")]
    return set(session.connection.execute(select(row.key).where(row.type.in_(kinds), row.patient == 0)).scalars())


def _remove_versions(session: Session, gate: Gate) -> None:
    old = tables.history.alias()
    visible = select(old.c.key, old.c.version).where(gate.predicate(old, HISTORY_RULES))
    seen = {tuple(row) for row in session.connection.execute(visible)}
    every = session.connection.execute(select(tables.history.c.key, tables.history.c.version)).all()
    for key, version in every:
        if (key, version) not in seen:
            row = tables.history.c
            session.connection.execute(delete(tables.history).where(row.key == key, row.version == version))
