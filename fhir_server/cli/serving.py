"""init, serve, worker, config."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import click

from fhir_server import worker as background
from fhir_server.app import jobs
from fhir_server.cli.frame import opened, settings
from fhir_server.settings import describe
from fhir_server.store.schema import upgrade


@click.command(epilog="Example: fhir-server init")
def init() -> None:
    """Create the database schema, or upgrade it to this version; safe to repeat."""
    upgrade(settings().database_url)
    click.echo("The database schema is up to date.", err=True)


@click.command(epilog="Example: fhir-server serve --port 8080 --workers 2")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Worker processes.")
def serve(host: str, port: int, workers: int) -> None:
    """Serve FHIR, the authorization server and the portal until SIGTERM."""
    from granian import Granian  # noqa: PLC0415 - only this command needs the server
    from granian.constants import Interfaces  # noqa: PLC0415

    found = settings()
    if workers > 1 and found.database_url.startswith("sqlite"):
        raise click.UsageError("With SQLite one process serves; use PostgreSQL for more workers.")
    click.echo(f"Serving {found.base_url}/ on {host}:{port}. Stop with Ctrl-C.")
    server = Granian(
        "fhir_server.app:make",
        factory=True,
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=16,
        backlog=512,
        workers_kill_timeout=10,
        log_access=False,
        respawn_failed_workers=True,
    )
    server.serve()


@click.command(epilog="Example: fhir-server worker")
def worker() -> None:
    """Run background jobs (messages, ends of emergency access) until SIGTERM; with SQLite `serve` does it."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened() as (found, context):
        background.run(jobs(found, context), stop, clock=time.monotonic)


@click.command(epilog="Example: fhir-server config --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(*, as_json: bool) -> None:
    """Print every setting: value (secrets masked), unit, source, meaning."""
    rows = describe(settings(), os.environ)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        unit = f" {row['unit']}" if row["unit"] else ""
        click.echo(f"{row['name']}={row['value']}{unit}  ({row['source']})\n    {row['meaning']}")
