"""Statements by libpq: values arrive as they are, and whatever a connection forgets is prepared again."""

from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from sqlalchemy import text

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import wire
from fhir_server.store.database import Session, Store
from tests.databases import PostgresqlDatabases
from tests.postgres import Cluster

_ECHO = b"SELECT $1::bigint, $2::double precision, $3::text, $4::boolean, $5::bytea"


@pytest.fixture
def store(postgres_cluster: Cluster) -> Iterator[Store]:
    made = PostgresqlDatabases(postgres_cluster)
    opened = Store(made.empty(), pool_size=1)
    yield opened
    opened.close()
    made.close()


def _asked(session: Session, statement: bytes, *values: object) -> list[tuple[object, ...]]:
    return wire.run(session.driver, session.info, statement, values).fetchall()


def test_values_come_back_as_they_were_sent(store: Store) -> None:
    rows = [
        (0, 0.1, "", False, b""),
        (-(2**63), float("inf"), "a'\\;$1 é \U0001d518\n", True, bytes(range(256))),
        (2**63 - 1, 5e-324, "x" * 100_000, None, None),
        (None, None, None, None, None),
    ]
    with store.read() as session:
        for row in rows:
            assert _asked(session, _ECHO, *row) == [row]
        with pytest.raises(psycopg.DataError, match="NUL"):
            _asked(session, _ECHO, 1, 1.0, "cut\0off", True, b"")
        with pytest.raises(TypeError):
            _asked(session, _ECHO, 1, 1.0, [], True, b"")
        answer = wire.run(session.driver, session.info, b"SELECT 1 AS one, 2 AS two WHERE $1", (False,))
        assert (answer.description, answer.rowcount, answer.fetchall()) == ([("one",), ("two",)], 0, [])


def test_a_statement_that_the_connection_forgot_is_prepared_again(store: Store) -> None:
    def again() -> None:
        for opened in (store.read, store.glance):
            with opened() as session:
                assert _asked(session, b"SELECT $1::int", 7) == [(7,)]

    again()
    with suppress(ZeroDivisionError), store.write() as session:
        # The driver makes the connection forget what is prepared, for it has prepared something itself.
        psycopg.RawCursor(session.driver).execute("SELECT 2", prepare=True)
        raise ZeroDivisionError
    again()
    with store.write() as session:
        psycopg.RawCursor(session.driver).execute("SELECT 2", prepare=True)
        with suppress(ZeroDivisionError), session.connection.begin_nested():
            raise ZeroDivisionError
    again()
    with store.glance() as session:
        wire.command(session.driver, b"DEALLOCATE ALL")
    with store.glance() as session:
        assert _asked(session, b"SELECT $1::int", 7) == [(7,)]
    again()


def test_only_the_statements_used_last_are_kept(store: Store) -> None:
    with store.glance() as session:
        for number in range(250):
            assert _asked(session, b"SELECT $1::int + %d" % number, 1) == [(1 + number,)]
        kept = session.connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one()
        assert kept <= 101
        assert _asked(session, b"SELECT $1::int + 0", 1) == [(1,)]


def test_reads_of_one_transaction_share_a_snapshot_and_change_nothing(store: Store) -> None:
    with store.write() as session:
        session.connection.execute(text("CREATE TABLE t (n int)"))
    with store.read() as session, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        _asked(session, b"INSERT INTO t VALUES (1)")
    with store.read() as session:
        assert _asked(session, b"SELECT count(*) FROM t") == [(0,)]
        with psycopg.connect(store.engine.url.render_as_string(False).replace("+psycopg", "")) as other:
            other.execute("INSERT INTO t VALUES (1)")
        assert _asked(session, b"SELECT count(*) FROM t") == [(0,)]
        assert session.connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 0
    with store.glance() as session:
        assert _asked(session, b"SELECT count(*) FROM t") == [(1,)]
        assert session.connection.execute(text("SELECT count(*) FROM t")).scalar_one() == 1


def test_a_write_is_one_transaction_however_its_statements_are_sent(store: Store) -> None:
    one, two, three = b"INSERT INTO t VALUES (1)", b"INSERT INTO t VALUES (2)", text("INSERT INTO t VALUES (3)")
    with store.write() as session:
        session.connection.execute(text("CREATE TABLE t (n int UNIQUE)"))

    def kept() -> list[tuple[object, ...]]:
        with store.glance() as session:
            return _asked(session, b"SELECT n FROM t ORDER BY n")

    with suppress(ZeroDivisionError), store.write() as session:
        session.run(one, ())
        session.connection.execute(three)
        raise ZeroDivisionError
    assert kept() == []
    with store.write() as session:
        session.run(one, ())
        session.connection.execute(three)
        session.run(two, ())
    assert kept() == [(1,), (2,), (3,)]

    def written(statements: tuple[bytes, ...]) -> None:
        with store.write() as session:
            for each in statements:
                session.run(each, ())

    # The one that begins the transaction fails; one that does not.
    for statements in ((one, two), (b"INSERT INTO t VALUES (4)", two)):
        with pytest.raises(FhirError) as refused:
            written(statements)
        assert refused.value.kind is Kind.CONFLICT
        assert kept() == [(1,), (2,), (3,)]
    written((b"INSERT INTO t VALUES (4)",))
    assert kept()[-1] == (4,)


def test_a_transaction_that_finds_its_statements_forgotten_fails_alone(store: Store) -> None:
    with store.glance() as session:
        assert _asked(session, b"SELECT $1::int", 7) == [(7,)]
        wire.command(session.driver, b"DEALLOCATE ALL")
    with pytest.raises(psycopg.errors.InvalidSqlStatementName), store.read() as session:
        _asked(session, b"SELECT $1::int", 7)
    with store.read() as session:
        assert _asked(session, b"SELECT $1::int", 7) == [(7,)]


def _run_by_core(session: Session) -> None:
    session.connection.execute(text("SELECT 1"))


def _run_in_savepoint(session: Session) -> None:
    with session.connection.begin_nested():
        _run_by_core(session)


def _run_by_driver(session: Session) -> None:
    psycopg.RawCursor(session.driver).execute(b"SELECT 1")


def _run_by_wire(session: Session) -> None:
    _asked(session, b"SELECT 1")


def test_a_lost_connection_is_told_once_and_replaced(store: Store) -> None:
    url = store.engine.url.render_as_string(False).replace("+psycopg", "")
    ways = [
        (store.read, _run_by_wire),
        (store.read, _run_by_core),
        (store.glance, _run_by_wire),
        (store.glance, _run_by_core),
        (store.write, _run_by_core),
        (store.write, _run_in_savepoint),
        (store.write, _run_by_driver),
    ]
    with psycopg.connect(url, autocommit=True) as other:
        for at, (opened, run) in enumerate(ways):
            for is_begun in (False, True):
                with store.glance() as session:
                    lost = session.driver.info.backend_pid
                with pytest.raises(FhirError) as refused, opened() as session:  # noqa: PT012 - lost in the middle
                    if is_begun:
                        run(session)
                    other.execute("SELECT pg_terminate_backend(%s, 5000)", (lost,))
                    run(session)
                assert refused.value.kind is Kind.UNAVAILABLE, (at, is_begun)
                with store.read() as session:
                    assert _asked(session, b"SELECT 1") == [(1,)], (at, is_begun)
