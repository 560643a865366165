"""cis2-stand-in: a small OpenID Provider that behaves as NHS CIS2 is documented to, for demo and tests.

It shares no code with our client, and the client does not know it: only issuer URL and keys differ from the live one.
"""

from __future__ import annotations

from pathlib import Path

import click

from fhir_server.cli.stand_in import listener, openid_options, serve


@click.command(
    epilog="Example: fhir-server cis2-stand-in, and in another terminal the line that it prints, then make run"
)
@openid_options(8092, "cis2")
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
