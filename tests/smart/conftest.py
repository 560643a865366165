"""The authorization server with one database, or with each kind of database where storage matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.store.accounts import Account
from tests.databases import Databases, SqliteDatabases
from tests.http.listening import listening as serving
from tests.server import Server, create_schema
from tests.smart.world import World, make_world


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a key folder: making an RSA key takes longer than a test."""
    return tmp_path_factory.mktemp("smart") / "keys"


@pytest.fixture
def sqlite_url(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return an SQLite database that has the schema."""
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    return SqliteDatabases(tmp_path, templates).prepared("schema", create_schema)


@pytest.fixture
def world(sqlite_url: str, signing_keys: Path) -> Iterator[World]:
    """Return a server with an empty SQLite database."""
    made = make_world(sqlite_url, signing_keys)
    yield made
    made.close()


@pytest.fixture
def stored(databases: Databases, signing_keys: Path) -> Iterator[World]:
    """Return a server with an empty database; the test runs once for each kind."""
    made = make_world(databases.prepared("schema", create_schema), signing_keys)
    yield made
    made.close()


@pytest.fixture
def listening(sqlite_url: str, signing_keys: Path) -> Iterator[Server]:
    """Return a server on a port of this machine; its clock is the real one, as the client's is."""
    with serving(sqlite_url, signing_keys.parent) as made:
        yield made


@pytest.fixture
def ada(world: World) -> Account:
    """Return the account of a patient."""
    return world.person()


@pytest.fixture
def app_id(world: World) -> str:
    """Return the client id of an app without a secret."""
    return world.client()[0]
