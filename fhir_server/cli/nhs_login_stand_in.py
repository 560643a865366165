"""nhs-login-stand-in: a small OpenID Provider that behaves as NHS login is documented to, for demo and tests.

It shares no code with our client, and the client does not know it: only issuer URL and keys differ from the live one.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import click

from fhir_server.cli.stand_in import listener, openid_options, serve


@click.command(
    epilog="Example: fhir-server nhs-login-stand-in, and in another terminal the line that it prints, then make run"
)
@openid_options(8090, "nhs-login")
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
