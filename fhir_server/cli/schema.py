"""init."""

from __future__ import annotations

import click

from fhir_server.cli.frame import database_errors, settings
from fhir_server.store.schema import upgrade


@click.command(epilog="Example: fhir-server init")
def init() -> None:
    """Create the database schema, or upgrade it to this version; safe to repeat."""
    with database_errors():
        upgrade(settings().database_url)
    click.echo("The database schema is up to date.", err=True)
