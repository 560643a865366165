"""The migrations make the schema that the tables' metadata states, to the last index and trigger."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError

from fhir_server.store.database import Store
from fhir_server.store.schema import upgrade
from tests.databases import Databases

_SQLITE_OBJECTS = (
    "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' AND name NOT LIKE 'sqlite_stat%'"
)
_POSTGRESQL_OBJECTS = (
    """SELECT 'column', table_name || '.' || column_name,
        concat_ws(' ', data_type, is_nullable, column_default, collation_name)
        FROM information_schema.columns WHERE table_schema = 'public'""",
    "SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    """SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace""",
    "SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
)


def _objects(url: str) -> Mapping[tuple[str, str], Any]:
    """Return the definition of everything in a database, by kind and name."""
    engine = create_engine(url)
    queries = (_SQLITE_OBJECTS,) if engine.dialect.name == "sqlite" else _POSTGRESQL_OBJECTS
    with engine.connect() as connection:
        rows = [row for query in queries for row in connection.execute(text(query)) if "alembic" not in row[1]]
    engine.dispose()
    return {(kind, name): sorted(filter(None, _parts(definition))) for kind, name, definition in rows}


def _parts(definition: str | None) -> list[str]:
    """Return a definition in pieces whose order and spacing say nothing."""
    flat = " ".join((definition or "").split()).replace('"', "").replace("( ", "(").replace(" )", ")")
    return [piece.strip(" ()") for piece in flat.split(",")]


def test_migrations_make_the_schema_of_the_metadata(databases: Databases) -> None:
    migrated, stated = databases.empty(), databases.empty()
    upgrade(migrated)
    store = Store(stated)
    store.create_all()
    store.close()
    expected = _objects(stated)
    assert {kind for kind, _ in expected} >= {"index", "trigger"}
    assert _objects(migrated) == expected


def test_upgrading_twice_keeps_schema_and_rows(databases: Databases) -> None:
    url = databases.empty()
    upgrade(url)
    before = _objects(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO rate_limit (key_hash, window_started_at, hit_count) VALUES ('a', 1, 1)"))
    upgrade(url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM rate_limit")).scalar_one() == 1
    engine.dispose()
    assert _objects(url) == before


@pytest.mark.parametrize("change", ["UPDATE audit_tile SET level = 2", "DELETE FROM audit_tile"])
def test_a_migrated_database_refuses_to_change_the_audit_log(databases: Databases, change: str) -> None:
    url = databases.prepared("schema", upgrade)
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO audit_tile (level, position, hash) VALUES (1, 1, :hash)"), {"hash": b"1"})
    with engine.connect() as connection, pytest.raises(DatabaseError, match="append-only"):
        connection.execute(text(change))
    engine.dispose()


def test_sqlite_has_statistics_of_every_index_that_searches_use(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/record.db"
    upgrade(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        stated = set(connection.execute(text("SELECT idx FROM sqlite_stat1")).scalars())
        known = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL AND sql NOT LIKE '% WHERE %'"
        tables = "AND (tbl_name IN ('resource', 'resource_patient', 'consent_grant') OR tbl_name LIKE 'index_%')"
        indexes = set(connection.execute(text(f"{known} {tables}")).scalars())
    engine.dispose()
    assert indexes
    assert indexes <= stated
