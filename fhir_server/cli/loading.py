"""load: files of resources, batch by batch, side by side where the database allows, resumable."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.progress import Progress

from fhir_server.cli.frame import opened, progress
from fhir_server.cli.load_batch import Loader, Result, load_here, start
from fhir_server.cli.load_files import Item, Source, sources

_BATCH_COUNT = 200
_WAITING_PER_PROCESS = 3
_SHOWN_REFUSALS = 100
_WORTH_PROCESSES_BYTES = 4 * 1024 * 1024
"""Files smaller than this together are loaded before further processes would have started."""

Submit = Callable[[list[Item]], "Future[Result]"]


@dataclass
class _Report:
    """What was loaded so far, and how far each file is done."""

    state: Path
    done: dict[str, dict[str, str | int]] = field(default_factory=dict)
    loaded_count: int = 0
    refused_count: int = 0

    def skip(self, source: Source) -> int:
        """Return how many lines an earlier run has done of this very file."""
        found = self.done.get(str(source.path.resolve()), {})
        return int(found["lines"]) if found.get("mark") == source.mark() else 0

    def note(self, source: Source, last_line: int, result: Result) -> None:
        """Note a batch that is committed, so that a later run goes on behind it."""
        self.loaded_count += result.loaded_count
        for line, reason in result.refused:
            self.refused_count += 1
            if self.refused_count <= _SHOWN_REFUSALS:
                click.echo(f"{source.path}:{line}: {reason}", err=True)
        self.done[str(source.path.resolve())] = {"mark": source.mark(), "lines": last_line}
        self.state.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.state.with_suffix(".part")
        unfinished.write_text(json.dumps(self.done))
        unfinished.replace(self.state)


@click.command(epilog="Example: fhir-server load --continue exports/ patient.json")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--continue", "resume", is_flag=True, help="Go on where a run of the same files was interrupted.")
@click.option("--organization", default="", metavar="Organization/ID", help="Load as this organisation's own system.")
@click.option("--processes", default=0, type=click.IntRange(0, 64), help="With PostgreSQL: how many; 0 chooses.")
@click.option(
    "--state",
    default="var/load-progress.json",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File that remembers how far each file is done.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def load(
    *, paths: tuple[Path, ...], resume: bool, organization: str, processes: int, state: Path, as_json: bool
) -> None:
    """Load resources from NDJSON (.ndjson, one a line), Bundles and single resources (.json); .gz, .bz2, .zst too.

    As the record's operator unless --organization says otherwise. A resource with an id is put under that id. What the
    server refuses is named with file and line, the rest is loaded, and the exit code is 1.
    """
    if organization and not organization.startswith("Organization/"):
        raise click.UsageError("--organization must be like Organization/ID.")
    files = sources(paths)
    report = _Report(state, done=_read_state(state) if resume else {})
    with opened() as (_, context), progress() as shown:
        count = _process_count(files, processes) if context.store.is_postgresql else 1
        if count > 1:
            with _pool(count, organization) as submit:
                _load_all(files, report, submit, shown, waiting=count * _WAITING_PER_PROCESS)
        else:
            _load_all(files, report, _here(Loader(context, organization)), shown, waiting=0)
    state.unlink(missing_ok=True)
    summary = {"files": len(files), "loaded": report.loaded_count, "refused": report.refused_count}
    click.echo(json.dumps(summary) if as_json else "{loaded} resources loaded, {refused} refused".format(**summary))
    if report.refused_count:
        raise click.exceptions.Exit(1)


def _process_count(files: list[Source], wanted: int) -> int:
    if not wanted and sum(source.path.stat().st_size for source in files) < _WORTH_PROCESSES_BYTES:
        return 1
    return wanted or min(len(os.sched_getaffinity(0)), 8)


def _load_all(files: list[Source], report: _Report, submit: Submit, shown: Progress, *, waiting: int) -> None:
    """Submit every batch, note them in order: a batch counts as done only when all before it are."""
    task = shown.add_task("Loading", total=None)
    queue: deque[tuple[Source, int, Future[Result]]] = deque()

    def settle() -> None:
        source, last_line, future = queue.popleft()
        result = future.result()
        report.note(source, last_line, result)
        shown.update(task, advance=result.loaded_count, description=f"Loading {source.path.name}")

    for source in files:
        for batch in source.batches(_BATCH_COUNT, skip=report.skip(source)):
            if batch:
                queue.append((source, batch[-1].line, submit(batch)))
            while len(queue) > waiting:
                settle()
    while queue:
        settle()


def _here(loader: Loader) -> Submit:
    def submit(batch: list[Item]) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_result(loader.load(batch))
        return future

    return submit


@contextmanager
def _pool(count: int, organization: str) -> Iterator[Submit]:
    # Spawned, not forked: a copy of this process would share its database connections.
    spawning = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=spawning, initializer=start, initargs=(organization,)) as pool:
        yield lambda batch: pool.submit(load_here, batch)


def _read_state(path: Path) -> dict[str, dict[str, str | int]]:
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise click.ClickException(f"{path} is not a progress file of `load`; remove it to start anew") from error
    return dict(found)
