"""config."""

from __future__ import annotations

import json
import os

import click

from fhir_server.cli.frame import settings
from fhir_server.settings import describe


@click.command(epilog="Example: fhir-server config --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(*, as_json: bool) -> None:
    """Print every setting: value (secrets masked), unit, source, meaning."""
    rows = describe(settings(), os.environ)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        unit = f" {row['unit']}" if row["unit"] else ""
        click.echo(f"{row['name']}={row['value']}{unit}  ({row['source']})\n    {row['meaning']}")
