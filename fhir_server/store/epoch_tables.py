"""The epoch of callers: a number that moves with every change of what says who a caller is.

Tokens that end, clients and accounts that are changed, roles, teams and organisations, emergencies, and grants that a
caller's statements have to look closer for. Whoever remembers a caller (`access.callers`) compares the number that went
with it to that of the snapshot a request reads.

INVARIANT: the database itself moves it, by triggers, in the transaction of the change: nobody can forget to, and two
snapshots with one number have the same rows of all that. Only the clock changes a caller beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Connection, MetaData, SmallInteger, Table, event

from fhir_server.store.keys import type_key
from fhir_server.store.metadata import metadata

access_epoch = Table(
    "access_epoch",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("moved_by", BigInteger),
)
"""One row; `moved_by` is the last transaction that moved the number (PostgreSQL)."""

EPOCH = "SELECT number FROM access_epoch"


class Moving(NamedTuple):
    """What of a table moves the epoch: for each event a condition on the row, "" for any; "update" may name columns."""

    table: str
    insert: str | None
    update: str | None
    delete: str | None
    columns: str = ""


_ORGANIZATION = type_key("Organization")
MOVING = (
    Moving("oauth_access_token", None, "", ""),
    Moving("oauth_client", "", "", "", "active"),
    Moving("account", None, "", "", "active, role, name"),
    Moving("membership", "", "", ""),
    Moving("break_glass", "", "", "", "practitioner, started_at, expires_at, ended_at"),
    Moving("consent_grant", "NEW.rare", "NEW.rare OR OLD.rare", "OLD.rare"),
    Moving(
        "resource",
        f"NEW.type = {_ORGANIZATION}",
        f"NEW.type = {_ORGANIZATION} AND NEW.deleted <> OLD.deleted",
        f"OLD.type = {_ORGANIZATION}",
        "deleted",
    ),
)


def _ddl_of(moving: Moving, dialect: str) -> tuple[str, ...]:
    found = []
    for verb in ("insert", "update", "delete"):
        condition = getattr(moving, verb)
        if condition is None:
            continue
        columns = f" OF {moving.columns}" if verb == "update" and moving.columns else ""
        when = f" WHEN ({condition})" if condition else ""
        name = f"{moving.table}_moves_epoch_by_{verb}"
        found.append(_TRIGGER[dialect].format(name=name, when=when, on=f"{verb.upper()}{columns} ON {moving.table}"))
    return tuple(found)


_TRIGGER = {
    "sqlite": "CREATE TRIGGER {name} AFTER {on}{when} BEGIN UPDATE access_epoch SET number = number + 1; END",
    # At the end of its transaction, so that none holds the one row for longer than its commit takes; once for each.
    "postgresql": "CREATE CONSTRAINT TRIGGER {name} AFTER {on} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW{when} "
    "EXECUTE FUNCTION access_epoch_moves()",
}
_FUNCTION = (
    "CREATE OR REPLACE FUNCTION access_epoch_moves() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
    "UPDATE access_epoch SET number = number + 1, moved_by = pg_current_xact_id()::text::bigint "
    "WHERE moved_by IS DISTINCT FROM pg_current_xact_id()::text::bigint; RETURN NULL; END$$"
)
_FIRST = "INSERT INTO access_epoch (id, number) VALUES (1, 0)"
_TRIGGERS = {dialect: tuple(text for each in MOVING for text in _ddl_of(each, dialect)) for dialect in _TRIGGER}
DDL: dict[str, tuple[str, ...]] = {
    "sqlite": (_FIRST, *_TRIGGERS["sqlite"]),
    "postgresql": (_FIRST, _FUNCTION, *_TRIGGERS["postgresql"]),
}
"""Statements per dialect that make the row and its triggers; run once, after all tables exist."""


@event.listens_for(metadata, "after_create")
def _move_by_triggers(
    _target: MetaData, connection: Connection, *, tables: Sequence[Table] | None = None, **_: object
) -> None:
    if tables and access_epoch in tables:
        for statement in DDL[connection.dialect.name]:
            connection.exec_driver_sql(statement)
