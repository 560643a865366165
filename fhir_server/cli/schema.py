"""init."""

from __future__ import annotations

import click

from fhir_server.cli.frame import database_errors, opened, settings
from fhir_server.store.schema import upgrade


@click.command(epilog="Example: fhir-server init")
def init() -> None:
    """Create or upgrade the database schema and publish the server's own conformance resources; safe to repeat."""
    from fhir_server.assembly import own_resources
    from fhir_server.interactions.publishing import publish

    with database_errors():
        upgrade(settings().database_url)
    with opened() as (_, context):
        publish(context, own_resources())
    click.echo("The database schema is up to date.", err=True)
