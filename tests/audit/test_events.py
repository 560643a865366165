"""Appending, recording and the database's own refusal to change an event."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import events
from fhir_server.store.database import Store
from fhir_server.store.event_tables import APPEND_ONLY_TABLES
from fhir_server.store.events import Criteria, Readable
from fhir_server.store.recorder import Recorder
from tests.audit.conftest import fill, plain_event
from tests.databases import PostgresqlDatabases
from tests.postgres import Cluster

ALL = Readable(everything=True, patient=0)


def stored_ids(store: Store) -> list[str]:
    with store.read() as session:
        return [event.id for event in events.search(session, ALL, Criteria(), limit=1_000, oldest_first=True)]


def test_appended_events_share_the_fate_of_their_transaction(store: Store) -> None:
    with store.write() as session:
        events.append(session, [plain_event(1), plain_event(2)])

    def fail() -> None:
        with store.write() as session:
            events.append(session, [plain_event(3)])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert stored_ids(store) == ["e1", "e2"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_event SET purpose = 'TREAT'",
        "DELETE FROM audit_event",
        "INSERT INTO audit_event SELECT * FROM audit_event",
    ],
)
def test_the_database_refuses_to_change_an_event(store: Store, statement: str) -> None:
    fill(store, 2)
    with pytest.raises((DBAPIError, FhirError)), store.write() as session:
        session.connection.execute(text(statement))
    assert stored_ids(store) == ["e1", "e2"]


def test_the_database_refuses_to_replace_an_event(store: Store) -> None:
    fill(store, 2)
    if store.is_postgresql:
        statement = (
            "INSERT INTO audit_event SELECT * FROM audit_event WHERE id = 'e1' "
            "ON CONFLICT (id) DO UPDATE SET purpose = 'forged'"
        )
    else:
        columns = ", ".join(events.COLUMNS)
        forged = columns.replace("purpose", "'forged'")
        statement = f"INSERT OR REPLACE INTO audit_event ({columns}) SELECT {forged} FROM audit_event"  # noqa: S608 - constants
    with pytest.raises((DBAPIError, FhirError)), store.write() as session:
        session.connection.execute(text(statement))
    with store.read() as session:
        assert events.count(session, ALL, Criteria(purpose=(("TREAT",),))) == 2


@pytest.mark.parametrize("table", APPEND_ONLY_TABLES)
def test_the_database_refuses_to_empty_a_table_of_the_log(store: Store, table: str) -> None:
    if not store.is_postgresql:
        statement = f"SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'"  # noqa: S608
        with store.read() as session:
            assert session.connection.execute(text(statement)).scalar_one() >= 2
        return
    with pytest.raises(DBAPIError, match="append-only"), store.write() as session:
        session.connection.execute(text(f"TRUNCATE {table}"))


def test_recorded_events_of_many_threads_are_all_there(store: Store) -> None:
    recorder = Recorder(store)

    def work(base: int) -> None:
        for number in range(base, base + 25):
            recorder.record([plain_event(number)])
            # Acknowledged means visible to every other connection.
            with store.read() as session:
                found = events.search(session, ALL, Criteria(id=((f"e{number}",),)), limit=1)
                if not found:
                    missing.append(number)

    missing: list[int] = []
    threads = [threading.Thread(target=work, args=(base,)) for base in range(0, 200, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert sorted(stored_ids(store)) == sorted(f"e{number}" for number in range(200))


@pytest.mark.parametrize("count", [1, 20, 150])
def test_the_events_of_one_request_are_recorded_all_or_none(store: Store, count: int) -> None:
    recorder = Recorder(store)
    recorder.record([plain_event(number) for number in range(count)])
    clash = [plain_event(number) for number in range(1_000, 1_000 + count)]
    clash[-1] = replace(clash[-1], id="e0")
    with pytest.raises(FhirError) as refused:
        recorder.record(clash)
    assert refused.value.kind is Kind.UNAVAILABLE
    assert len(stored_ids(store)) == count


def test_one_bad_event_does_not_refuse_the_answers_of_others(store: Store) -> None:
    recorder = Recorder(store)
    recorder.record([plain_event(0)])
    results: dict[int, bool] = {}
    gate = threading.Barrier(6)

    def work(number: int) -> None:
        gate.wait()
        try:
            recorder.record([plain_event(number, id="e0") if number == 3 else plain_event(number)])
            results[number] = True
        except FhirError:
            results[number] = False

    # Holding the writer makes all of them wait, so that they are committed as one batch on SQLite.
    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    with store.write():
        for thread in threads:
            thread.start()
        threads[0].join(timeout=0.2)
    for thread in threads:
        thread.join()
    assert results == {1: True, 2: True, 3: False, 4: True, 5: True, 6: True}
    assert sorted(stored_ids(store)) == ["e0", "e1", "e2", "e4", "e5", "e6"]


def test_recording_fails_when_the_table_is_gone(store: Store) -> None:
    with store.write() as session:
        session.connection.execute(text("ALTER TABLE audit_event RENAME TO lost"))
    with pytest.raises(FhirError) as refused:
        Recorder(store).record([plain_event(1)])
    assert refused.value.kind is Kind.UNAVAILABLE


def test_recording_nothing_writes_nothing(store: Store) -> None:
    Recorder(store).record([])
    assert stored_ids(store) == []


def test_after_a_lost_connection_one_answer_is_refused_and_the_next_is_recorded(postgres_cluster: Cluster) -> None:
    databases = PostgresqlDatabases(postgres_cluster)
    store = Store(databases.empty(), pool_size=1)
    store.create_all()
    recorder = Recorder(store)
    recorder.record([plain_event(1)])
    other = Store(store.engine.url.render_as_string(hide_password=False))
    with other.write() as session:
        mine = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        session.connection.execute(text(f"{mine} AND pid <> pg_backend_pid()"))
    with pytest.raises(FhirError) as refused:
        recorder.record([plain_event(2)])
    assert refused.value.kind is Kind.UNAVAILABLE
    recorder.record([plain_event(3)])
    assert stored_ids(store) == ["e1", "e3"]
    for each in (store, other):
        each.close()
    databases.close()


def test_a_connection_that_forgot_its_statements_records_and_one_within_a_transaction_does_not(
    postgres_cluster: Cluster,
) -> None:
    databases = PostgresqlDatabases(postgres_cluster)
    store = Store(databases.empty(), pool_size=1)
    store.create_all()
    recorder = Recorder(store)
    recorder.record([plain_event(1)])
    with store.write() as session:
        session.connection.execute(text("DEALLOCATE ALL"))
    recorder.record([plain_event(2)])
    with store.write() as session:
        session.connection.execute(text("SELECT 1"))
        # What it would write there would be gone with a rollback, after the answer had left.
        with pytest.raises(psycopg.OperationalError):
            events.commit(session, [plain_event(3)])
    with pytest.raises(FhirError):
        recorder.record([replace(plain_event(4), kind="nul \0")])
    assert stored_ids(store) == ["e1", "e2"]
    store.close()
    databases.close()


def test_what_repeats_within_a_minute_is_no_news(store: Store) -> None:
    recorder = Recorder(store)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    assert recorder.is_news("192.0.2.1", start)
    assert not recorder.is_news("192.0.2.1", start + timedelta(seconds=59))
    assert recorder.is_news("192.0.2.2", start + timedelta(seconds=59))
    assert recorder.is_news("192.0.2.1", start + timedelta(seconds=60))


def test_a_flood_from_everywhere_is_bounded(store: Store) -> None:
    recorder = Recorder(store)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    assert sum(recorder.is_news(f"2001:db8::{number:x}", start) for number in range(5_000)) == 1_000
    assert recorder.is_news("192.0.2.1", start + timedelta(minutes=1))
