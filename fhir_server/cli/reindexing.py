"""reindex."""

from __future__ import annotations

import json

import click

from fhir_server.cli.frame import opened, progress
from fhir_server.interactions.reindexing import Checked, rebuild, rebuild_rules


@click.command(epilog="Example: fhir-server reindex --type Observation --type Patient")
@click.option("--type", "types", multiple=True, help="Resource type; may be repeated. All by default.")
@click.option("--consent", "rules", is_flag=True, help="Only compile Consents, roles, teams and groups, and compare.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def reindex(*, types: tuple[str, ...], rules: bool, as_json: bool) -> None:
    """Rebuild index rows, hot columns and consent grants from content, in small transactions, while serving.

    With --consent, what decides who may see what is compiled anew and compared with what was in force; each difference
    is named and put right, and the exit status is 1.
    """
    if rules and types:
        raise click.UsageError("--consent knows its types itself: leave out --type.")
    with opened() as (_, context), progress() as shown:
        unknown = [name for name in types if name not in context.definitions.resource_types]
        if unknown:
            raise click.UsageError(f"{unknown[0]} is not a resource type of FHIR R4.")
        task = shown.add_task("Indexing", total=None)
        count, differing = 0, list[str]()
        for done in rebuild_rules(context) if rules else (Checked(size, ()) for size in rebuild(context, types)):
            count += done.size
            differing += done.differing
            shown.update(task, completed=count)
    _report(count, differing, rules=rules, as_json=as_json)
    if differing:
        raise click.exceptions.Exit(1)


def _report(count: int, differing: list[str], *, rules: bool, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"compiled": count, "differing": differing} if rules else {"indexed": count}))
        return
    for name in differing:
        click.echo(f"{name} was not in force as it says; it is now")
    click.echo(f"{count} resources compiled, {len(differing)} differed" if rules else f"{count} resources indexed")
