"""nhs-login-stand-in: a small OpenID Provider that behaves as NHS login is documented to, for demo and tests.

It shares no code with our client, and the client does not know it: only issuer URL and keys differ from the live one.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from fhir_server.cli.stand_in import HOST, listener, serve


@click.command(
    epilog="Example: fhir-server nhs-login-stand-in, and in another terminal the line that it prints, then make run"
)
@HOST
@click.option("--port", default=8090, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one.")
@click.option("--client-id", default="demo", show_default=True, help="The one client that is registered.")
@click.option(
    "--client-key",
    default="var/keys/nhs-login-client.pem",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The client's RSA key in PEM, private or public; a new private one is written where there is none.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    default=("http://localhost:8000/nhs-login/callback",),
    show_default=True,
    help="Where browsers may be sent back to; repeatable.",
)
def nhs_login_stand_in(host: str, port: int, client_id: str, client_key: Path, redirect_uris: tuple[str, ...]) -> None:
    """Stand in for NHS login with invented people of the demo, until Ctrl-C. Never for real people."""
    from fhir_server.cli.nhs_login_stand_in_pages import application
    from fhir_server.cli.nhs_login_stand_in_tokens import Issuer
    from fhir_server.cli.stand_in_client import Client
    from fhir_server.cli.stand_in_keys import registered_key
    from seed_data.nhs_login import people

    client = Client(client_id, registered_key(client_key), redirect_uris)
    listening = listener(host, port)
    url = f"http://localhost:{listening.server_port}"
    issuer = Issuer(url, client, people(dt.datetime.now(dt.UTC).date()))
    listening.app = application(issuer)
    click.echo(f"Stand-in for NHS login: {url} (invented people only). Stop with Ctrl-C. For the server:", err=True)
    click.echo(
        f"export FHIR_SERVER_NHS_LOGIN_ISSUER={url} FHIR_SERVER_NHS_LOGIN_CLIENT_ID={client_id} "
        f"FHIR_SERVER_NHS_LOGIN_PRIVATE_KEY_FILE={client_key}"
    )
    serve(listening)
