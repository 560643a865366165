"""How the stand-ins listen: on this machine only, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

HOST = click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")


def openid_options(port: int, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the options of a stand-in for an OpenID Provider that answers here at `/name/callback`."""
    options = (
        HOST,
        click.option(
            "--port", default=port, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one."
        ),
        click.option("--client-id", default="demo", show_default=True, help="The one client that is registered."),
        click.option(
            "--client-key",
            default=f"var/keys/{name}-client.pem",
            show_default=True,
            type=click.Path(dir_okay=False, path_type=Path),
            help="The client's RSA key in PEM, private or public; a new private one is written where there is none.",
        ),
        click.option(
            "--redirect-uri",
            "redirect_uris",
            multiple=True,
            default=(f"http://localhost:8000/{name}/callback",),
            show_default=True,
            help="Where browsers may be sent back to; repeatable.",
        ),
    )

    def given(command: Callable[..., None]) -> Callable[..., None]:
        for option in reversed(options):
            command = option(command)
        return command

    return given


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
