"""SIGHUP: every worker process is replaced while clients go on asking: no connection is refused, no answer cut short.

Granian closes a connection on which nothing has been read yet when its worker stops. So a request may meet a closed
connection once, without a byte of an answer; repeated, as HTTP lets clients do, it is answered.
"""

import contextlib
import http.client
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.databases import Databases
from tests.http.live import LiveServer
from tests.server import create_schema

_CLIENTS = 8
_WITHIN_S = 120


@dataclass
class _Client:
    """Asks on a new connection each time, or on one for as long as the server keeps it."""

    server: LiveServer
    keeps: bool
    enough: threading.Event
    answers: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def run(self) -> None:
        connection = self.server.connection()
        while not self.enough.is_set():
            try:
                self._ask(connection)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                connection.close()
                self._ask_again(connection)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self.failures.append(repr(error))
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        connection.request("GET", "/fhir/metadata", headers={} if self.keeps else {"Connection": "close"})
        answer = connection.getresponse()
        try:
            answer.read()
        except OSError as error:
            raise http.client.HTTPException("cut short") from error
        self.answers.append(answer.status)

    def _ask_again(self, connection: http.client.HTTPConnection) -> None:
        try:
            self._ask(connection)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.failures.append(repr(error))


def _workers(server: LiveServer) -> set[int]:
    found = set()
    for each in psutil.Process(server.process.pid).children():
        # One that has ended in this moment has no command line.
        with contextlib.suppress(psutil.NoSuchProcess):
            if "resource_tracker" not in " ".join(each.cmdline()):
                found.add(each.pid)
    return found


def test_a_reload_replaces_the_workers_refuses_no_connection_and_cuts_no_answer(
    databases: Databases, tmp_path: Path
) -> None:
    url = databases.prepared("schema", create_schema)
    server = LiveServer(url, tmp_path, "--workers", "1" if url.startswith("sqlite") else "2")
    before, enough = _workers(server), threading.Event()
    clients = [_Client(server, keeps=bool(number % 2), enough=enough) for number in range(_CLIENTS)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    try:
        server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + _WITHIN_S
        while (now := _workers(server)) & before or len(now) != len(before):
            assert time.monotonic() < end, "the workers are not replaced"
            time.sleep(0.1)
        answered = [len(client.answers) for client in clients]
        while any(len(client.answers) == known for client, known in zip(clients, answered, strict=True)):
            assert time.monotonic() < end, "a client has no answer from the new workers"
            time.sleep(0.1)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
        status = server.stop()
    assert [client.failures for client in clients] == [[]] * _CLIENTS
    assert {status for client in clients for status in client.answers} == {200}
    assert status == 0


def test_the_old_worker_goes_on_where_a_new_one_does_not_start(databases: Databases, tmp_path: Path) -> None:
    server = LiveServer(databases.prepared("schema", create_schema), tmp_path)
    before, keys = _workers(server), tmp_path / "keys"
    keys.rename(tmp_path / "elsewhere")
    keys.write_text("no folder")
    server.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + _WITHIN_S
    while b"the old one goes on" not in (tmp_path / "serve.log").read_bytes():
        assert time.monotonic() < end, "nothing was said of a worker that does not start"
        time.sleep(0.1)
    connection = server.connection()
    connection.request("GET", "/health/live")
    status = connection.getresponse().status
    connection.close()
    after = _workers(server)
    assert server.stop() == 0
    assert (status, after) == (200, before)
