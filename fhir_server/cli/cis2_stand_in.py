"""cis2-stand-in: a small OpenID Provider that behaves as NHS CIS2 is documented to, for demo and tests.

It shares no code with our client, and the client does not know it: only issuer URL and keys differ from the live one.
"""

from __future__ import annotations

from pathlib import Path

import click

from fhir_server.cli.stand_in import HOST, listener, serve


@click.command(
    epilog="Example: fhir-server cis2-stand-in, and in another terminal the line that it prints, then make run"
)
@HOST
@click.option("--port", default=8092, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one.")
@click.option("--client-id", default="demo", show_default=True, help="The one client that is registered.")
@click.option(
    "--client-key",
    default="var/keys/cis2-client.pem",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The client's RSA key in PEM, private or public; a new private one is written where there is none.",
)
@click.option(
    "--redirect-uri",
    "redirect_uris",
    multiple=True,
    default=("http://localhost:8000/cis2/callback",),
    show_default=True,
    help="Where browsers may be sent back to; repeatable.",
)
def cis2_stand_in(host: str, port: int, client_id: str, client_key: Path, redirect_uris: tuple[str, ...]) -> None:
    """Stand in for NHS CIS2 with invented professionals of the demo, until Ctrl-C. Never for real people."""
    from fhir_server.cli.cis2_stand_in_provider import Cis2Issuer, application
    from fhir_server.cli.stand_in_client import Client
    from fhir_server.cli.stand_in_keys import registered_key
    from seed_data.cis2 import people

    client = Client(client_id, registered_key(client_key), redirect_uris)
    listening = listener(host, port)
    url = f"http://localhost:{listening.server_port}"
    listening.app = application(Cis2Issuer(url, client, (), staff=people()))
    click.echo(f"Stand-in for NHS CIS2: {url} (invented people only). Stop with Ctrl-C. For the server:", err=True)
    click.echo(
        f"export FHIR_SERVER_CIS2_ISSUER={url} FHIR_SERVER_CIS2_CLIENT_ID={client_id} "
        f"FHIR_SERVER_CIS2_PRIVATE_KEY_FILE={client_key}"
    )
    serve(listening)
