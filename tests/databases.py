"""Fresh databases for tests, the same way on SQLite and on PostgreSQL."""

import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from tests.copies import Copy
from tests.postgres import Cluster


class Databases(ABC):
    """Makes databases of one kind; what it made is gone after the test."""

    kind: str

    @abstractmethod
    def empty(self) -> str:
        """Create an empty database and return its URL."""

    @abstractmethod
    def prepared(self, name: str, build: Callable[[str], None]) -> str:
        """Create a copy of a prepared database and return its URL.

        `build` receives the URL of an empty database, fills it and closes its connections; it runs once per name
        and run (on SQLite once per worker), then every test gets a cheap copy.
        """

    @abstractmethod
    def close(self) -> None:
        """Remove what was made."""


class SqliteDatabases(Databases):
    """Files in the test's own folder."""

    kind = "sqlite"

    def __init__(self, folder: Path, templates: Path) -> None:
        """Use one folder for this test's databases and one, shared by the worker's tests, for templates."""
        self._folder = folder
        self._templates = templates

    def empty(self) -> str:
        """Return the URL of a file that does not exist yet."""
        return f"sqlite:///{self._path()}"

    def prepared(self, name: str, build: Callable[[str], None]) -> str:
        """Copy the template's file."""
        template = self._templates / f"{name}.db"
        if not template.exists():
            unfinished = template.with_suffix(".unfinished.db")
            build(f"sqlite:///{unfinished}")
            unfinished.rename(template)
        target = self._path()
        source, copy = sqlite3.connect(template), sqlite3.connect(target)
        source.backup(copy)
        source.close()
        copy.close()
        return f"sqlite:///{target}"

    def close(self) -> None:
        """Leave the files to pytest, which removes old folders."""

    def _path(self) -> Path:
        return self._folder / f"{uuid.uuid4().hex}.db"


class PostgresqlDatabases(Databases):
    """Databases of the run's cluster."""

    kind = "postgresql"

    def __init__(self, cluster: Cluster) -> None:
        """Use this cluster."""
        self._cluster = cluster
        self._made: list[str] = []
        self._lent: list[Copy] = []

    def empty(self) -> str:
        """Create an empty database."""
        self._made.append(self._cluster.create())
        return self._cluster.url(self._made[-1])

    def prepared(self, name: str, build: Callable[[str], None]) -> str:
        """Take a copy of the template, made inside the server or left by an earlier test."""
        self._lent.append(self._cluster.copies.lend(name, build))
        return self._cluster.url(self._lent[-1].name)

    def close(self) -> None:
        """Drop the databases; copies go back."""
        for name in self._made:
            self._cluster.drop(name)
        for copy in self._lent:
            self._cluster.copies.take_back(copy)
