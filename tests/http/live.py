"""A server in processes of its own, as it is deployed, to be killed without a word."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from fhir_server.access import tokens
from fhir_server.store.database import Store

_READY_WITHIN_S = 60


def operator_token(url: str) -> str:
    """Return an access token of the record's operator."""
    now = datetime.now(UTC)
    scope = "system/*.cruds"
    grant = tokens.TokenGrant("system", "test", scope, auth_time=now, expires_in_s=3600, trusted=True)
    store = Store(url)
    with store.write() as session:
        token = tokens.issue(session, grant, now)
    store.close()
    return token


class LiveServer:
    """`fhir-server serve` on a free port."""

    def __init__(self, url: str, folder: Path, *options: str) -> None:
        """Start it on a database whose schema is there; with these options of the command, too."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.environment = {name: text for name, text in os.environ.items() if not name.startswith("FHIR_SERVER_")} | {
            "FHIR_SERVER_DATABASE_URL": url,
            "FHIR_SERVER_BASE_URL": f"http://127.0.0.1:{self.port}",
            "FHIR_SERVER_KEY_DIRECTORY": str(folder / "keys"),
            "FHIR_SERVER_MAIL_URL": f"file://{folder / 'outbox'}",
            "FHIR_SERVER_SMS_URL": f"file://{folder / 'outbox'}",
        }
        command = [sys.executable, "-m", "fhir_server", "serve", "--port", str(self.port), *options]
        self._log = (folder / "serve.log").open("ab")
        self.process = subprocess.Popen(command, env=self.environment, stdout=self._log, stderr=self._log)
        self._wait()

    def kill(self) -> None:
        """End all of its processes as a power cut would: main first, so that it starts no worker anew."""
        main = psutil.Process(self.process.pid)
        family = [main, *main.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=10)
        self.process.wait()
        self._log.close()

    def stop(self) -> int:
        """End it in good order; return its exit status."""
        self.process.terminate()
        status = self.process.wait(timeout=30)
        self._log.close()
        return status

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection of its own."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def _wait(self) -> None:
        end = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < end:
            assert self.process.poll() is None, "the server stopped by itself"
            connection = self.connection()
            try:
                connection.request("GET", "/fhir/metadata")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                time.sleep(0.1)
            finally:
                connection.close()
        raise TimeoutError("the server does not answer")


def send(
    connection: http.client.HTTPConnection, method: str, path: str, token: str, body: Mapping[str, Any] | None = None
) -> tuple[int, Any]:
    """Send one request to `/fhir/`; return status and parsed body."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    connection.request(method, f"/fhir/{path}", json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    raw = answer.read()
    return answer.status, json.loads(raw) if raw else None
