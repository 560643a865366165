"""key list, key rotate."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from fhir_server.cli.frame import settings as load_settings
from fhir_server.smart import keys


@click.group()
def key() -> None:
    """Keys that sign ID tokens; the worker rotates them by itself."""


@key.command("list", epilog="Example: fhir-server key list")
def list_keys() -> None:
    """Print each key as JSON: its id as published, algorithm, when it was made and whether it signs now."""
    now = datetime.now(UTC)
    known = keys.load_or_create(Path(load_settings().key_directory), now).current()
    for each in known.keys:
        shown = {"kid": each.private.kid, "alg": each.algorithm, "created": each.created_at.isoformat()}
        click.echo(json.dumps(shown | {"signs": known.signer(each.algorithm, now) == each}))


@key.command("rotate", epilog="Example: fhir-server key rotate")
@click.option("--at-once", is_flag=True, help="The keys may be known to others: new ones sign now, old ones are gone.")
def rotate(*, at_once: bool) -> None:
    """Publish new keys, which sign in an hour; the old ones stay until no ID token of them lives."""
    folder, now = Path(load_settings().key_directory), datetime.now(UTC)
    if at_once:
        keys.replace_all(folder, now)
    else:
        keys.rotate(folder, now, timedelta(0))
