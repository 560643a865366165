"""load: files of resources, batch by batch, side by side where the database allows, resumable."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import click
from rich.progress import Progress

from fhir_server.cli.frame import opened, progress
from fhir_server.cli.load_batch import Loader, load_here, start
from fhir_server.cli.load_files import Source, sources
from fhir_server.interactions.load_texts import Text
from fhir_server.store import load_parts
from fhir_server.store.database import Store
from fhir_server.store.load_parts import Part

_WAITING_PER_PROCESS = 3
_SHOWN_REFUSALS = 100
_WORTH_PROCESSES_BYTES = 4 * 1024 * 1024
"""Files smaller than this together are loaded before further processes would have started."""

Submit = Callable[[Part, list[Text]], "Future[list[Part]]"]


@dataclass
class _Report:
    """What was loaded so far, by this run and those that it goes on with."""

    refusals: IO[str] | None
    loaded_count: int = 0
    refused_count: int = 0

    def note(self, source: Source, done: Iterable[Part]) -> int:
        """Count parts that are committed, and name what was refused; return how many resources were stored."""
        before = self.loaded_count
        for part in done:
            self.loaded_count += part.loaded_count
            for line, reason in part.refused:
                self.refused_count += 1
                if self.refused_count <= _SHOWN_REFUSALS:
                    click.echo(f"{source.path}:{line}: {reason}", err=True)
                if self.refusals:
                    found = {"file": str(source.path), "line": line, "reason": reason}
                    self.refusals.write(json.dumps(found, ensure_ascii=False) + "\n")
        return self.loaded_count - before


@click.command(epilog="Example: fhir-server load --continue exports/ patient.json")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--continue", "resume", is_flag=True, help="Go on where a run of the same files was interrupted.")
@click.option("--organization", default="", metavar="Organization/ID", help="Load as this organisation's own system.")
@click.option("--processes", default=0, type=click.IntRange(0, 64), help="With PostgreSQL: how many; 0 chooses.")
@click.option(
    "--refusals", type=click.File("w", encoding="utf-8"), help="File to write every refusal to, one JSON object a line."
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def load(
    *, paths: tuple[Path, ...], resume: bool, organization: str, processes: int, refusals: IO[str] | None, as_json: bool
) -> None:
    """Load resources from NDJSON (.ndjson, one a line), Bundles and single resources (.json); .gz, .bz2, .zst too.

    As the record's operator unless --organization says otherwise. A resource with an id is put under that id. What the
    server refuses is named with file and line, the rest is loaded, and the exit code is 1. What is done is noted in the
    database with the resources themselves, so that a load that was killed goes on with --continue, to the line.
    """
    if organization and not organization.startswith("Organization/"):
        raise click.UsageError("--organization must be like Organization/ID.")
    files = sources(paths)
    report = _Report(refusals)
    with opened() as (_, context), progress() as shown:
        _forget(context.store, files, but_unchanged=resume)
        count = _process_count(files, processes) if context.store.is_postgresql else 1
        submitting = _pool(count, organization) if count > 1 else nullcontext(_here(Loader(context, organization)))
        with submitting as submit:
            waiting = count * _WAITING_PER_PROCESS if count > 1 else 0
            _load_all(context.store, files, report, submit, shown, waiting=waiting)
        _forget(context.store, files)
    summary = {"files": len(files), "loaded": report.loaded_count, "refused": report.refused_count}
    click.echo(json.dumps(summary) if as_json else "{loaded} resources loaded, {refused} refused".format(**summary))
    if report.refused_count:
        raise click.exceptions.Exit(1)


def _forget(store: Store, files: Iterable[Source], *, but_unchanged: bool = False) -> None:
    with store.write() as session:
        for source in files:
            load_parts.forget(session, source.name, but_mark=source.mark() if but_unchanged else "")


def _process_count(files: list[Source], wanted: int) -> int:
    if not wanted and sum(source.path.stat().st_size for source in files) < _WORTH_PROCESSES_BYTES:
        return 1
    return wanted or min(len(os.sched_getaffinity(0)), 8)


def _load_all(
    store: Store, files: Iterable[Source], report: _Report, submit: Submit, shown: Progress, *, waiting: int
) -> None:
    """Submit every part that is not done, a few at a time."""
    task = shown.add_task("Loading", total=None)
    queue: deque[tuple[Source, Future[list[Part]]]] = deque()

    def settle() -> None:
        source, future = queue.popleft()
        loaded = report.note(source, future.result())
        shown.update(task, advance=loaded, description=f"Loading {source.path.name}")

    for source in files:
        with store.read() as session:
            done = load_parts.done(session, source.name, source.mark())
        shown.update(task, advance=report.note(source, done))
        for part, texts in source.batches(done):
            queue.append((source, submit(part, texts)))
            while len(queue) > waiting:
                settle()
    while queue:
        settle()


def _here(loader: Loader) -> Submit:
    def submit(part: Part, texts: list[Text]) -> Future[list[Part]]:
        future: Future[list[Part]] = Future()
        future.set_result(loader.load(part, texts))
        return future

    return submit


@contextmanager
def _pool(count: int, organization: str) -> Iterator[Submit]:
    # Spawned, not forked: a copy of this process would share its database connections.
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=spawning, initializer=start, initargs=(organization,)) as pool:
        yield lambda part, texts: pool.submit(load_here, part, texts)
