"""The role that a server runs as on PostgreSQL: it serves and seals, and cannot touch what is on the log."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from fhir_server.store import database_role
from fhir_server.store.audit_verification import verify
from fhir_server.store.event_tables import APPEND_ONLY_TABLES
from tests.audit.people import seal
from tests.consent.world import World
from tests.databases import PostgresqlDatabases
from tests.postgres import Cluster
from tests.server import Server, build, create_schema

FORBIDDEN = (
    "UPDATE audit_event SET purpose = 'x'",
    "UPDATE audit_leaf SET seq = seq",
    "UPDATE audit_tile SET level = level",
    "UPDATE audit_checkpoint SET signed_at = 0",
    *(
        text.format(table)
        for table in APPEND_ONLY_TABLES
        for text in (
            "DELETE FROM {}",
            "TRUNCATE {}",
            "ALTER TABLE {} DISABLE TRIGGER USER",
            "DROP TRIGGER {0}_append_only ON {0}",
            "DROP TABLE {}",
            "ALTER TABLE {} RENAME TO gone",
            "CREATE TRIGGER mine BEFORE INSERT ON {} EXECUTE FUNCTION audit_append_only()",
        )
    ),
    "INSERT INTO audit_event (seq, id) VALUES (-1, 'x')",
    "SELECT setval('audit_event_seq_seq', 1)",
    "SET session_replication_role = replica",
    "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE mine (x int)",
    "UPDATE alembic_version SET version_num = 'x'",
)


@pytest.fixture
def owner_url(postgres_cluster: Cluster) -> Iterator[str]:
    databases = PostgresqlDatabases(postgres_cluster)
    yield databases.prepared("schema", create_schema)
    databases.close()


@pytest.fixture
def role_url(owner_url: str) -> Iterator[str]:
    """Return the database's URL for a new role with nothing but what `audit grants` prints."""
    name = f'Web"{uuid.uuid4().hex[:8]}'
    role = sql.Identifier(name)
    owner = make_url(owner_url)
    with psycopg.connect(owner.set(drivername="postgresql").render_as_string(hide_password=False)) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        # Twice: it is run after each upgrade.
        for statement in database_role.grants(name) * 2:
            connection.execute(statement.encode())
    yield owner.set(username=name).render_as_string(hide_password=False)
    with psycopg.connect(owner.set(drivername="postgresql").render_as_string(hide_password=False)) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {0}").format(role))
        connection.execute(sql.SQL("DROP ROLE {0}").format(role))


@pytest.fixture
def served(role_url: str, tmp_path: Path) -> Iterator[Server]:
    made = build(role_url, tmp_path)
    yield made
    made.close()


def test_the_server_serves_and_seals_as_that_role(served: Server, tmp_path: Path) -> None:
    world = World(served).build()
    made = served.post(
        "Observation", world.trust, {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    )
    served.put({**made, "status": "amended"}, world.trust)
    assert served.call("DELETE", f"Observation/{made['id']}", world.trust).status_code in {200, 204}
    assert served.call("GET", "Observation/a-1", world.gp).status_code in {200, 404}
    assert served.app.test_client().get("/health/ready").status_code == 200
    checkpoint = seal(served, tmp_path)
    served.get("Patient/ann", world.ann)
    assert seal(served, tmp_path).size == checkpoint.size + 1
    with served.store.read() as session:
        assert verify(session, public_key=checkpoint.public_key).ok


def test_the_role_cannot_change_the_log_nor_what_protects_it(role_url: str) -> None:
    uri = make_url(role_url).set(drivername="postgresql").render_as_string(hide_password=False)
    allowed = []
    with psycopg.connect(uri, autocommit=True) as connection:
        for statement in FORBIDDEN:
            try:
                connection.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                continue
            allowed.append(statement)
    assert allowed == []


@pytest.mark.parametrize("name", ["", "x" * 64, "a\nb", "a\x00b"])
def test_a_name_that_no_role_has_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        database_role.grants(name)
