"""The `fhir-server` command (interfaces.md §2): one module per group of commands, the literal list below is the registry."""

from __future__ import annotations

import click

from fhir_server.cli import people, seeding, serving
from fhir_server.cli.frame import Group

COMMANDS = (
    serving.init,
    serving.serve,
    serving.worker,
    serving.config,
    seeding.seed,
    people.token,
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fhir-server")
def main() -> None:
    """Run and look after a FHIR health record server."""


for command in COMMANDS:
    main.add_command(command)
