"""ehr-stand-in: a small hospital record system that launches the portal, for demo and tests.

It shares no code with our client, and the client does not know it: only address and keys differ from a real one.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from fhir_server.cli.stand_in import HOST, listener, serve


@click.command(
    epilog="Example: fhir-server ehr-stand-in, and in another terminal the line that it prints, then make run"
)
@HOST
@click.option("--port", default=8091, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 for a free one.")
@click.option("--portal", default="http://localhost:8000", show_default=True, help="Public root of our server.")
@click.option(
    "--folder",
    default="var/ehr",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where our key and the list of hospital systems are written.",
)
def ehr_stand_in(host: str, port: int, portal: str, folder: Path) -> None:
    """Stand in for a hospital's record system with invented staff and patients, until Ctrl-C. Never for real people."""
    from fhir_server.cli.ehr_stand_in_pages import application
    from fhir_server.cli.ehr_stand_in_system import Hospital
    from fhir_server.cli.stand_in_client import Client
    from fhir_server.cli.stand_in_keys import registered_key
    from seed_data.hospital_system import NAME, ODS_CODE, patients, staff

    client = Client("portal", registered_key(folder / "portal.pem"), (f"{portal}/launch/callback/{NAME}",))
    listening = listener(host, port)
    hospital = Hospital(f"http://localhost:{listening.server_port}", client, staff(), patients())
    listening.app = application(hospital, portal)
    listed = {
        "name": NAME,
        "issuer": hospital.fhir_base,
        "client_id": client.client_id,
        "private_key_file": "portal.pem",
        "organization": ODS_CODE,
        "emergency_roles": ["consultant"],
    }
    (folder / "systems.json").write_text(json.dumps([listed], indent=2), encoding="utf-8")
    click.echo(
        f"Stand-in for a hospital's record system: {hospital.url} (invented people only). Stop with Ctrl-C.", err=True
    )
    click.echo(f"export FHIR_SERVER_EHR_LAUNCH_FILE={folder / 'systems.json'}")
    serve(listening)
