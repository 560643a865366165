"""export: the record as NDJSON, page by page down the road, so that every page is on the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import click
import msgspec

from fhir_server.access import tokens
from fhir_server.cli.frame import opened, progress
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.interactions.perform import perform

_PAGE_COUNT = "500"


class _Entry(msgspec.Struct):
    resource: msgspec.Raw


class _Link(msgspec.Struct):
    relation: str
    url: str


class _Page(msgspec.Struct):
    entry: list[_Entry] = []
    link: list[_Link] = []


@click.command(epilog="Example: fhir-server export --out backup --type Patient --type Observation --since 2026-01-01")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="New or empty folder.")
@click.option("--type", "types", multiple=True, help="Resource type; may be repeated. All but AuditEvent by default.")
@click.option("--since", default="", help="Only what was changed at or after this date or instant.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def export(*, out: Path, types: tuple[str, ...], since: str, as_json: bool) -> None:
    """Write the record to one NDJSON file per type, each resource with the bytes it is served with."""
    if out.exists() and any(out.iterdir()):
        raise click.UsageError(f"{out} is not empty.")
    with opened() as (_, context), progress() as shown:
        known = context.definitions.resource_types
        unknown = [name for name in types if name not in known]
        if unknown:
            raise click.UsageError(f"{unknown[0]} is not a resource type of FHIR R4.")
        out.mkdir(parents=True, exist_ok=True)
        chosen = types or tuple(name for name in sorted(known) if name != "AuditEvent")
        task = shown.add_task("Exporting", total=len(chosen))
        counts: dict[str, int] = {}
        for name in chosen:
            shown.update(task, description=f"Exporting {name}")
            if count := _write(context, out / f"{name}.ndjson", name, since):
                counts[name] = count
            shown.advance(task)
    if as_json:
        click.echo(json.dumps(counts))
        return
    click.echo(f"{sum(counts.values())} resources of {len(counts)} types written to {out}")


def _write(context: Context, path: Path, name: str, since: str) -> int:
    count = 0
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        for page in _pages(context, name, since):
            file.writelines(b"%b\n" % bytes(entry.resource) for entry in page.entry)
            count += len(page.entry)
    if count:
        unfinished.replace(path)
    else:
        unfinished.unlink()
    return count


def _pages(context: Context, name: str, since: str) -> Iterator[_Page]:
    operator = tokens.operator(context.now())
    query: tuple[tuple[str, str], ...] = (("_count", _PAGE_COUNT),)
    if since:
        query = (("date" if name == "AuditEvent" else "_lastUpdated", f"ge{since}"), *query)
    while query:
        answer = perform(Interaction(Code.SEARCH, name, query=query), operator, context)
        page = msgspec.json.decode(answer.content, type=_Page)
        yield page
        following = [link.url for link in page.link if link.relation == "next"]
        query = tuple(parse_qsl(urlsplit(following[0]).query)) if following else ()
