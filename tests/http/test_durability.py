"""What was acknowledged survives `kill -9`; what was not is there whole or not at all."""

import contextlib
import http.client
import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.databases import Databases
from tests.http.live import LiveServer, operator_token, send
from tests.server import create_schema

pytestmark = pytest.mark.slow

SIZE = 5
SYSTEM = "https://example.org/stream"


def _observation(mark: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "identifier": [{"system": SYSTEM, "value": mark}],
        "status": "final",
        "code": {"text": mark},
    }


def _transaction(mark: str) -> dict[str, Any]:
    request = {"method": "POST", "url": "Observation"}
    entries = [{"resource": _observation(mark), "request": request} for _ in range(SIZE)]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@dataclass
class Stream:
    """Writers that go on until their connection breaks: what they sent, and the versions that were acknowledged."""

    port: int
    token: str
    sent: list[str] = field(default_factory=list)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    disclosed: list[str] = field(default_factory=list)
    """Ids of the requests whose answer arrived, with a record in it or a refusal."""
    enough: threading.Event = field(default_factory=threading.Event)

    def write(self, writer: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            self._write_on(connection, writer)

    def read(self, reader: int) -> None:
        """Read, look for what is not there, and search, until the connection breaks."""
        paths = ("Organization/read-me", "Organization/absent", f"Observation?identifier={SYSTEM}%7C0-1")
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            for number in itertools.count():
                request_id = f"reader-{reader}-{number}"
                headers = {"Authorization": f"Bearer {self.token}", "X-Request-Id": request_id}
                try:
                    connection.request("GET", f"/fhir/{paths[number % len(paths)]}", headers=headers)
                    answer = connection.getresponse()
                    # One byte of an answer is a disclosure.
                    if answer.status in {200, 404}:
                        self.disclosed.append(request_id)
                    answer.read()
                except (OSError, http.client.HTTPException):
                    return

    def _write_on(self, connection: http.client.HTTPConnection, writer: int) -> None:
        number = 0
        while True:
            number += 1
            mark = f"{writer}-{number}"
            single = number % 3 == 0
            self.sent.append(mark)
            try:
                path, body = ("Observation", _observation(mark)) if single else ("", _transaction(mark))
                status, answer = send(connection, "POST", path, self.token, body)
            except (OSError, http.client.HTTPException):
                return
            if status not in {200, 201}:
                self.refused.append(str(answer))
                self.enough.set()
                return
            self.acknowledged[mark] = _versions(answer)
            if len(self.acknowledged) >= 20 and len(self.disclosed) >= 10:
                self.enough.set()


def _versions(answer: Mapping[str, Any]) -> list[str]:
    if answer["resourceType"] == "Bundle":
        return ["/".join(entry["response"]["location"].split("/")[-4:]) for entry in answer["entry"]]
    return [f"Observation/{answer['id']}/_history/{answer['meta']['versionId']}"]


@pytest.fixture
def killed(databases: Databases, tmp_path: Path) -> Iterator[tuple[Stream, LiveServer]]:
    """Return what was written until the server was killed, and the server started again."""
    url = databases.prepared("schema", create_schema)
    token = operator_token(url)
    server = LiveServer(url, tmp_path)
    stream = Stream(server.port, token)
    with contextlib.closing(server.connection()) as connection:
        organization = {"resourceType": "Organization", "id": "read-me", "name": "Read me"}
        assert send(connection, "PUT", "Organization/read-me", token, organization)[0] == 201
    writers = [threading.Thread(target=stream.write, args=(number,)) for number in range(4)]
    writers += [threading.Thread(target=stream.read, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    in_time = stream.enough.wait(60)
    # At no particular moment of any request.
    time.sleep(random.uniform(0, 0.3))
    server.kill()
    for writer in writers:
        writer.join(30)
    assert not stream.refused
    assert in_time, "the server acknowledged too little"
    again = LiveServer(url, tmp_path)
    yield stream, again
    assert again.stop() == 0


def test_a_killed_server_loses_nothing_acknowledged_keeps_no_half_transaction_and_disclosed_nothing_unrecorded(
    killed: tuple[Stream, LiveServer],
) -> None:
    stream, server = killed
    connection = server.connection()
    for version in (version for versions in stream.acknowledged.values() for version in versions):
        status, _ = send(connection, "GET", version, stream.token)
        assert status == 200, version
    for mark in stream.sent:
        status, found = send(connection, "GET", f"Observation?identifier={SYSTEM}%7C{mark}&_count=50", stream.token)
        assert status == 200
        whole = 1 if int(mark.partition("-")[2]) % 3 == 0 else SIZE
        assert found["total"] in ({whole} if mark in stream.acknowledged else {0, whole}), mark
    connection.close()
    assert len(stream.disclosed) >= 10
    requests, versions = _recorded(server, stream.token)
    assert set(stream.disclosed) - requests == set()
    assert {version for written in stream.acknowledged.values() for version in written} - versions == set()
    command = [sys.executable, "-m", "fhir_server", "audit", "verify"]
    assert subprocess.run(command, env=server.environment, check=False, capture_output=True).returncode == 0


def _recorded(server: LiveServer, token: str) -> tuple[set[str], set[str]]:
    """Return the ids of every request that the audit log names, and every version that it says was created."""
    requests: set[str] = set()
    versions: set[str] = set()
    url = "AuditEvent?_count=1000"
    with contextlib.closing(server.connection()) as connection:
        while url:
            _, bundle = send(connection, "GET", url, token)
            for entry in bundle.get("entry", ()):
                named = [entity["what"] for entity in entry["resource"]["entity"] if "what" in entity]
                requests.update(what["identifier"]["value"] for what in named if "identifier" in what)
                if entry["resource"]["action"] == "C":
                    versions.update(what["reference"] for what in named if "reference" in what)
            following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
            url = following[0].partition("/fhir/")[2] if following else ""
    return requests, versions
