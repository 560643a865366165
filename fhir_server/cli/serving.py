"""serve: granian in front of `fhir_server.app`, with limits, a graceful stop and a graceful reload."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import click
from granian.constants import Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from fhir_server import logs
from fhir_server.cli.frame import settings
from fhir_server.cli.worker_processes import WorkerProcesses

_THREADS = 80
"""More than run and wait together (`web.admission`), so that one is always free to refuse; they come when needed."""
_HEADER_READ_TIMEOUT_MS = 10_000
_BUFFER_BYTES = 64 * 1024
_BACKLOG = 512
_KILL_AFTER_S = 10
_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Granian's own lines in the form of ours; its access log, which has query strings, stays off.
_LOGGERS = {"loggers": {"_granian": {"handlers": [], "propagate": True}}}


@click.command(epilog="Example: fhir-server serve --port 8080 --workers 2")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve FHIR, the authorization server and the portal until SIGTERM, which lets running requests end.

    SIGHUP replaces the worker processes one after the other, without refusing a connection.
    """
    found = settings()
    if workers > 1 and found.database_url.startswith("sqlite"):
        raise click.UsageError("With SQLite one process serves; use PostgreSQL for more workers.")
    _check_free(host, port)
    logs.configure(found.log_level, found.log_format)
    click.echo(f"Serving {found.base_url}/ on {host}:{port}. Stop with Ctrl-C.", err=True)
    server = WorkerProcesses(
        "fhir_server.app:make",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        websockets=False,
        workers=workers,
        blocking_threads=_THREADS,
        backlog=_BACKLOG,
        # A client that stalls in its headers must not hold a connection, nor a stop, for ever.
        http1_settings=HTTP1Settings(header_read_timeout=_HEADER_READ_TIMEOUT_MS, max_buffer_size=_BUFFER_BYTES),
        workers_kill_timeout=_KILL_AFTER_S,
        log_access=False,
        log_level=LogLevels.warning,
        log_dictconfig=_LOGGERS,
        respawn_failed_workers=True,
    )
    # Each of many threads would get an arena of its own, and give nothing of it back.
    os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    with _shared_metrics(workers):
        server.serve()


@contextmanager
def _shared_metrics(workers: int) -> Iterator[None]:
    """Give several workers one folder to count in, so that whichever answers `/metrics` answers for all."""
    if workers == 1 or _METRICS_FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="fhir-server-metrics-", ignore_cleanup_errors=True) as folder:
        os.environ[_METRICS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_METRICS_FOLDER]


def _check_free(host: str, port: int) -> None:
    """Say so where somebody else listens already: granian shares ports, and half of the requests would go astray."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise click.ClickException(f"Cannot listen on {host}:{port}: {error.strerror}") from error
