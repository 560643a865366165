"""Audit: append-only events, the Merkle tree over them, signed checkpoints.

`audit_event` is written with the request it records. `audit_leaf` and `audit_tile` are the tree, written later by
sealing (`store.checkpoints`). The database itself refuses UPDATE, DELETE and TRUNCATE on all of them:
`APPEND_ONLY_DDL` is run after `create_all` and by the migration. Whoever may drop a trigger can still tamper; the
tree and the checkpoints kept elsewhere show it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    event,
)

from fhir_server.store.metadata import metadata

_serial = BigInteger().with_variant(Integer, "sqlite")

audit_event = Table(
    "audit_event",
    metadata,
    Column("seq", _serial, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("recorded_at", BigInteger, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("agent", BigInteger, nullable=False),
    Column("organization", BigInteger, nullable=False),
    Column("entity", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
# `seq` last: pages are in the order (recorded_at, seq), so one index answers a page of a patient's log.
Index("ix_audit_event_patient", audit_event.c.patient, audit_event.c.recorded_at, audit_event.c.seq)
Index("ix_audit_event_agent", audit_event.c.agent, audit_event.c.recorded_at, audit_event.c.seq)
Index("ix_audit_event_recorded", audit_event.c.recorded_at, audit_event.c.seq)

audit_leaf = Table(
    "audit_leaf",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
)

audit_tile = Table(
    "audit_tile",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("origin", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("newest_seq", BigInteger, nullable=False),
    Column("settled_seq", BigInteger, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
)

APPEND_ONLY_TABLES = ("audit_event", "audit_leaf", "audit_tile", "audit_checkpoint")


def _sqlite_ddl(table: str) -> tuple[str, ...]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}",
    )


def _postgresql_ddl(table: str) -> tuple[str, ...]:
    run = "EXECUTE FUNCTION audit_append_only()"
    return (
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {run}",
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {run}",
    )


# INVARIANT: SQLite fires no DELETE trigger for the row that INSERT OR REPLACE throws out, so replacing has a trigger
# of its own. A new row has no `seq` yet there (NEW.seq is -1), which no stored row has.
_SQLITE_NO_REPLACE = (
    "CREATE TRIGGER audit_event_no_replace BEFORE INSERT ON audit_event "
    "WHEN EXISTS (SELECT 1 FROM audit_event WHERE id = NEW.id OR seq = NEW.seq) "
    "BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END"
)

_POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION "
    "USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = 'insufficient_privilege'; END$$"
)

APPEND_ONLY_DDL: dict[str, tuple[str, ...]] = {
    "sqlite": (*(text for table in APPEND_ONLY_TABLES for text in _sqlite_ddl(table)), _SQLITE_NO_REPLACE),
    "postgresql": (_POSTGRESQL_FUNCTION, *(text for table in APPEND_ONLY_TABLES for text in _postgresql_ddl(table))),
}
"""Statements per dialect that make the audit tables append-only; run once, after the tables exist."""


@event.listens_for(metadata, "after_create")
def _make_append_only(
    _target: MetaData, connection: Connection, *, tables: Sequence[Table] | None = None, **_: object
) -> None:
    if tables and audit_event in tables:
        for statement in APPEND_ONLY_DDL[connection.dialect.name]:
            connection.exec_driver_sql(statement)
