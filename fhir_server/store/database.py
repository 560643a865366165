"""The database: engine, transactions, dialect differences.

One `Store` per process. `read()` and `write()` hand out a `Session`, the connection inside one transaction. SQLite
allows one
writer, so writers of one process queue on a lock and start with BEGIN IMMEDIATE; PostgreSQL runs them side by side.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, event, make_url, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import (
    account_tables,
    carer_tables,
    enrolment_tables,
    event_tables,
    export_tables,
    index_tables,
    job_tables,
    login_tables,
    oauth_tables,
    parameter_tables,
    portal_tables,
    tables,
)
from fhir_server.store.metadata import metadata

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


@dataclass(frozen=True, slots=True)
class Session:
    """One transaction on one connection."""

    connection: Connection
    store: Store

    @property
    def is_postgresql(self) -> bool:
        """Return whether the database is PostgreSQL."""
        return self.store.is_postgresql

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
        if not self.is_postgresql:
            event.listen(self.engine, "connect", _prepare_sqlite)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Run reads on one snapshot of the data.

        Raises:
            FhirError: UNAVAILABLE when the database cannot be reached.
        """
        with self._translated(), self.engine.connect() as connection:
            if self.is_postgresql:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                connection.info.pop(PLAN, None)
                connection.begin()
            else:
                connection.exec_driver_sql("BEGIN")
            try:
                yield Session(connection, self)
            except FhirError:
                connection.commit()
                raise
            except BaseException:
                connection.rollback()
                raise
            # psycopg forgets its prepared statements on ROLLBACK, which would cost each read a new plan.
            connection.commit()

    @contextmanager
    def glance(self) -> Iterator[Session]:
        """Run reads of which each may see a snapshot of its own, and be spared the round trips of a transaction.

        Raises:
            FhirError: UNAVAILABLE when the database cannot be reached.
        """
        with self._translated(), self.engine.connect() as connection:
            # SQLite's connections begin nothing by themselves.
            if self.is_postgresql:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                connection.info.pop(PLAN, None)
            yield Session(connection, self)

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
                    yield Session(connection, self)
                return
            with self._writer, self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    yield Session(connection, self)
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


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)
