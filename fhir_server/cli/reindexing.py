"""reindex."""

from __future__ import annotations

import json

import click

from fhir_server.cli.frame import opened, progress
from fhir_server.interactions.reindexing import rebuild


@click.command(epilog="Example: fhir-server reindex --type Observation --type Patient")
@click.option("--type", "types", multiple=True, help="Resource type; may be repeated. All by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the count as JSON.")
def reindex(*, types: tuple[str, ...], as_json: bool) -> None:
    """Rebuild index rows, hot columns and consent grants from content, in small transactions, while serving."""
    with opened() as (_, context), progress() as shown:
        unknown = [name for name in types if name not in context.definitions.resource_types]
        if unknown:
            raise click.UsageError(f"{unknown[0]} is not a resource type of FHIR R4.")
        task = shown.add_task("Indexing", total=None)
        count = 0
        for done in rebuild(context, types):
            count += done
            shown.update(task, completed=count)
    click.echo(json.dumps({"indexed": count}) if as_json else f"{count} resources indexed")
