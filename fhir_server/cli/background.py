"""worker."""

from __future__ import annotations

import signal
import threading
import time

import click

from fhir_server import worker as rounds
from fhir_server.app import jobs
from fhir_server.cli.frame import opened


@click.command(epilog="Example: fhir-server worker")
def worker() -> None:
    """Run background jobs until SIGTERM (messages, ends of emergency access, checkpoints); with SQLite `serve` does."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with opened() as (found, context):
        rounds.run(jobs(found, context), stop, clock=time.monotonic)
