"""The authorization server with one database, or with each kind of database where storage matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.smart.world import World, make_world


@pytest.fixture(scope="session")
def signing_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a key folder: making an RSA key takes longer than a test."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture
def world(tmp_path: Path, signing_keys: Path) -> Iterator[World]:
    """Return a server with an empty SQLite database."""
    made = make_world(f"sqlite:///{tmp_path / 'smart.db'}", signing_keys)
    yield made
    made.store.close()


@pytest.fixture
def stored(database_url: str, signing_keys: Path) -> Iterator[World]:
    """Return a server with an empty database; the test runs once for each kind."""
    made = make_world(database_url, signing_keys)
    yield made
    made.store.close()
