import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fhir_server.notify.outbox import queue
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.templates import Notice
from fhir_server.notify.transports import FileTransport
from fhir_server.store.database import Store
from fhir_server.worker import Job, messages_job, run


def _now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    yield made
    made.close()


def _running(jobs: list[Job], stop: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=run, args=(jobs, stop), kwargs={"clock": time.monotonic})
    thread.start()
    return thread


def test_queued_message_is_delivered_by_the_running_worker_and_stop_ends_it(store: Store, tmp_path: Path) -> None:
    transports = {"email": FileTransport(tmp_path), "text": FileTransport(tmp_path)}
    stop = threading.Event()
    thread = _running([messages_job(store, transports, Letterhead("CIE", "http://localhost"), _now)], stop)
    try:
        with store.write() as session:
            queue(session, Notice.NEWS, "a@example.org", _now())
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob("*.json")) and time.monotonic() < deadline:
            stop.wait(0.02)
        assert len(list(tmp_path.glob("*.json"))) == 1
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_failing_job_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    done, stop = threading.Event(), threading.Event()

    def fail() -> int:
        raise RuntimeError("broken")

    def succeed() -> int:
        done.set()
        return 1

    thread = _running([Job("broken", fail), Job("sound", succeed)], stop)
    try:
        assert done.wait(20)
    finally:
        stop.set()
        thread.join(20)
    assert "job broken failed 1 times in a row" in caplog.text


def test_job_in_hand_is_finished_before_the_worker_stops() -> None:
    started, stop, finished = threading.Event(), threading.Event(), []

    def slow() -> int:
        started.set()
        stop.wait(20)
        finished.append(True)
        return 1

    thread = _running([Job("slow", slow)], stop)
    assert started.wait(20)
    stop.set()
    thread.join(20)
    assert finished == [True]
