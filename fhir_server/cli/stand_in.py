"""How the stand-ins listen: on this machine only, until Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


def listener(host: str, port: int) -> BaseWSGIServer:
    """Return a server that listens, 0 for a free port; it answers once it is given its application.

    Raises:
        click.UsageError: For another address than this machine's.
    """
    from werkzeug.serving import make_server

    if host not in {"127.0.0.1", "localhost", "::1"}:
        raise click.UsageError("It signs anybody in as anybody: --host has to be this machine, 127.0.0.1.")
    return make_server(host, port, lambda _environ, _start: [], threaded=True)


def serve(listening: BaseWSGIServer) -> None:
    """Answer until Ctrl-C."""
    try:
        listening.serve_forever()
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        listening.server_close()
