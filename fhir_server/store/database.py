"""The database: engine, transactions, dialect differences.

One `Store` per process. `read()` and `write()` hand out a `Session`, the connection inside one transaction. SQLite
allows one
writer, so writers of one process queue on a lock and start with BEGIN IMMEDIATE; PostgreSQL runs them side by side.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Hashable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import (
    account_tables,
    carer_tables,
    enrolment_tables,
    epoch_tables,
    event_tables,
    export_tables,
    index_tables,
    job_tables,
    login_tables,
    oauth_tables,
    parameter_tables,
    portal_tables,
    tables,
    wire,
)
from fhir_server.store.epoch_tables import EPOCH
from fhir_server.store.metadata import metadata

_ONE_SNAPSHOT = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_EPOCH = wire.Statement(EPOCH.encode())
PLAN = "plan"
"""What a connection's `info` holds while a transaction has a way of planning of its own (`prepared.plan_for`)."""
TABLE_MODULES = (
    tables,
    index_tables,
    event_tables,
    account_tables,
    carer_tables,
    enrolment_tables,
    login_tables,
    oauth_tables,
    portal_tables,
    parameter_tables,
    export_tables,
    job_tables,
    epoch_tables,
)

_STATEMENT_TIMEOUT_S = 30
# A prepared statement is planned once for all values unless it asks otherwise (`prepared.Plan`). Compiling a plan to
# machine code takes longer than any statement of ours runs, and one request is not to take several cores.
_POSTGRESQL_OPTIONS = (
    f"-c timezone=UTC -c statement_timeout={_STATEMENT_TIMEOUT_S * 1000} "
    "-c plan_cache_mode=force_generic_plan -c jit=off -c max_parallel_workers_per_gather=0"
)
_CONNECT_TIMEOUT_S = 5
"""A database that does not answer is a 503, not a request that hangs; `?connect_timeout=` in the URL says otherwise."""
_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=10000",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-65536",
    "PRAGMA mmap_size=1073741824",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA wal_autocheckpoint=4000",
)


@dataclass(slots=True, eq=False)
class Session:
    """One transaction on one connection.

    Attributes:
        store: The database.
        pooled: The connection as the pool lends it.
        begin: Statement with which PostgreSQL begins the transaction, before the first of it; empty where each reads
            by itself.
        writes: Whether the transaction may change something, and is committed with its end.
    """

    store: Store
    pooled: PoolProxiedConnection
    begin: bytes = b""
    writes: bool = False
    _core: Connection | None = None
    _epoch: int | None = None

    @property
    def is_postgresql(self) -> bool:
        """Return whether the database is PostgreSQL."""
        return self.store.is_postgresql

    @property
    def connection(self) -> Connection:
        """Return the connection for statements that SQLAlchemy runs."""
        if self._core is None:
            self._core = Connection(self.store.engine, self.pooled)
            if self.is_postgresql and not self.begin:
                self._core.execution_options(isolation_level="AUTOCOMMIT")
        if self.begin:
            self.driver  # noqa: B018 - begins the transaction
        return self._core

    @property
    def driver(self) -> Any:
        """Return the driver's connection, in its transaction where that is not for the driver to begin."""
        driver: Any = self.pooled.driver_connection
        if self.begin and wire.is_idle(driver):
            wire.command(driver, self.begin)
        return driver

    def run(self, text: bytes, values: Sequence[Any]) -> wire.Answer:
        """Run a statement with numbered parameters on PostgreSQL; what begins the transaction goes with the first one.

        Raises:
            psycopg.Error: It failed.
        """
        driver: Any = self.pooled.driver_connection
        if not self.begin or not wire.is_idle(driver):
            return wire.run(driver, self.info, text, values)
        begin, asked = wire.Statement(self.begin), wire.Statement(text, values)
        if self.writes:
            return wire.exchange(driver, self.info, (begin, asked))[-1]
        _, epoch, answer = wire.exchange(driver, self.info, (begin, _EPOCH, asked))
        self._epoch = epoch.rows[0][0]
        return answer

    def epoch(self) -> int:
        """Return how often that changed, up to this snapshot, which says who a caller is (`epoch_tables`)."""
        if self._epoch is None:
            driver = self.driver
            rows = wire.run(driver, self.info, _EPOCH.text, ()).rows if self.is_postgresql else driver.execute(EPOCH)
            ((self._epoch,),) = rows
        return self._epoch

    def end(self) -> None:
        """End a transaction that has only read; nothing more can be read in it."""
        driver: Any = self.pooled.driver_connection
        if driver is None:
            # It was lost, and SQLAlchemy has thrown it away.
            return
        if not self.is_postgresql:
            driver.rollback()
        elif not wire.is_idle(driver):
            wire.command(driver, b"COMMIT")

    @property
    def info(self) -> MutableMapping[Any, Any]:
        """Return what is known of the connection for as long as it is open."""
        return self.pooled.info

    def close(self) -> None:
        """Give the connection back."""
        (self.pooled if self._core is None else self._core).close()

    def lock(self, key: int) -> None:
        """Serialise with every other transaction that locks this key, until the end of this one.

        On SQLite the single writer already does.
        """
        if self.is_postgresql:
            self.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})


# Compiled statements by shape: texts without values, the same for every database of a kind.
_prepared: dict[bool, dict[Hashable, Any]] = {False: {}, True: {}}


class Store:
    """The database of one server process."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        """Open the database; nothing is created but the folder of an SQLite file."""
        parsed = make_url(url)
        self.is_postgresql = parsed.get_backend_name() == "postgresql"
        options: dict[str, Any] = {"pool_size": pool_size, "max_overflow": pool_size, "pool_timeout": 10}
        if self.is_postgresql:
            options["pool_reset_on_return"] = None
            options["connect_args"] = {"options": _POSTGRESQL_OPTIONS, "prepare_threshold": 2}
            if "connect_timeout" not in parsed.query:
                options["connect_args"]["connect_timeout"] = _CONNECT_TIMEOUT_S
        else:
            options["connect_args"] = {"check_same_thread": False, "cached_statements": 512}
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = create_engine(parsed, **options)
        self._writer = threading.RLock()
        self.prepared = _prepared[self.is_postgresql]
        self.known_ids: dict[int, str] = {}
        if self.is_postgresql:
            event.listen(self.engine, "rollback", _forget_statements)
            event.listen(self.engine, "rollback_savepoint", _forget_statements)
            event.listen(self.engine, "reset", _take_back)
        else:
            event.listen(self.engine, "connect", _prepare_sqlite)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Run reads on one snapshot of the data.

        Raises:
            FhirError: UNAVAILABLE when the database cannot be reached.
        """
        with self._lent(_ONE_SNAPSHOT if self.is_postgresql else b"") as session:
            if not self.is_postgresql:
                session.driver.execute("BEGIN")
            try:
                yield session
            finally:
                # Nothing was written: no matter whether it ends well.
                session.end()

    @contextmanager
    def glance(self) -> Iterator[Session]:
        """Run reads of which each may see a snapshot of its own, and be spared the round trips of a transaction.

        Raises:
            FhirError: UNAVAILABLE when the database cannot be reached.
        """
        # SQLite's connections begin nothing by themselves.
        with self._lent(b"") as session:
            yield session

    @contextmanager
    def _lent(self, begin: bytes) -> Iterator[Session]:
        with self._translated():
            session = Session(self, self.engine.raw_connection(), begin)
            try:
                session.info.pop(PLAN, None)
                yield session
            finally:
                session.close()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Run one transaction: committed durably when the block ends, rolled back when it raises.

        Raises:
            FhirError: CONFLICT when another transaction got there first; UNAVAILABLE when the database cannot be
                reached.
        """
        with self._translated():
            if self.is_postgresql:
                with self.engine.begin() as connection:
                    connection.info.pop(PLAN, None)
                    yield Session(self, connection.connection, b"BEGIN", writes=True, _core=connection)
                return
            with self._writer, self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    yield Session(self, connection.connection, writes=True, _core=connection)
                except BaseException:
                    connection.rollback()
                    raise
                connection.commit()

    def create_all(self) -> None:
        """Create every table as the metadata says (tests and migrations' oracle; servers migrate with Alembic)."""
        metadata.create_all(self.engine)

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    @staticmethod
    @contextmanager
    def _translated() -> Iterator[None]:
        try:
            yield
        except (IntegrityError, psycopg.IntegrityError, sqlite3.IntegrityError) as error:
            raise FhirError(
                Kind.CONFLICT, "Another request changed the same record at the same time; try again"
            ) from error
        except PoolTimeoutError as error:
            raise FhirError(Kind.UNAVAILABLE, "The database has no connection free") from error
        except (OperationalError, psycopg.OperationalError, sqlite3.OperationalError) as error:
            if "deadlock" in str(error) or "serialize" in str(error):
                raise FhirError(Kind.CONFLICT, "Another request changed the same record; try again") from error
            if "statement timeout" in str(error):
                raise FhirError(Kind.TIMEOUT, f"This takes longer than {_STATEMENT_TIMEOUT_S} seconds") from error
            raise FhirError(Kind.UNAVAILABLE, "The database cannot be reached") from error
        except sqlite3.DatabaseError as error:
            # Its subclasses are about statements; by itself it says that the file is no database (any more).
            if type(error) is not sqlite3.DatabaseError:
                raise
            raise FhirError(Kind.UNAVAILABLE, "The database cannot be read") from error


def _forget_statements(connection: Connection, *_: object) -> None:
    """Forget what a connection has prepared: the driver makes it forget that when it rolls back."""
    # One that was lost has nothing to forget; to ask for its driver would hide the loss behind an error of its own.
    if not connection.invalidated and not wire.is_idle(connection.connection.driver_connection):  # type: ignore[arg-type]
        connection.info.pop(wire.NAMES, None)


def _take_back(driver: Any, record: ConnectionPoolEntry, _state: object) -> None:
    """Roll back what a returned connection may be in the middle of; one that is broken raises and is thrown away."""
    if not wire.is_idle(driver):
        record.info.pop(wire.NAMES, None)
        driver.rollback()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)
