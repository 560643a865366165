"""explain."""

from __future__ import annotations

import json
import re

import click

from fhir_server.cli.frame import opened
from fhir_server.interactions import explaining

_REFERENCE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}")


@click.command(epilog="Example: fhir-server explain 'Observation?patient=Patient/1&_sort=-date' --as Practitioner/2")
@click.argument("search")
@click.option("--as", "reference", default="", help="Who asks, such as Practitioner/2; the operator by default.")
@click.option("--purpose", default="TREAT", show_default=True, help="Purpose of use.")
@click.option("--json", "as_json", is_flag=True, help="Print the finding as JSON.")
def explain(*, search: str, reference: str, purpose: str, as_json: bool) -> None:
    """Print the SQL of a search, the database's plan for it, and the indexes in it; nothing of a record is read."""
    if reference and not _REFERENCE.fullmatch(reference):
        raise click.UsageError("--as is [type]/[id], such as Practitioner/2.")
    with opened() as (_, context):
        found = explaining.explain(context, search, reference, purpose)
    if as_json:
        described = {"sql": found.sql, "plan": found.plan, "indexes": found.indexes, "scans": found.scans}
        click.echo(json.dumps(described))
        return
    click.echo(found.sql)
    click.echo("\n" + "\n".join(found.plan))
    click.echo(f"\nIndexes: {', '.join(found.indexes) or 'none'}")
    click.echo(f"Read from beginning to end: {', '.join(found.scans) or 'nothing'}")
