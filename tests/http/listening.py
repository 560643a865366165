"""A server of this process on a port, for clients that speak HTTP and share no code with it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from werkzeug.serving import make_server

from tests.answering import answering
from tests.server import Clock, Server, build


@contextmanager
def listening(url: str, folder: Path) -> Iterator[Server]:
    """Serve a database whose schema is there on a port of this machine; the clock is the real one, as clients' are."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = build(url, folder, Clock(datetime.now(UTC)), base_url=f"http://localhost:{port}")
    listener = make_server("localhost", port, made.app, threaded=True)
    try:
        with answering(listener):
            yield made
    finally:
        made.close()
