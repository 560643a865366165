"""Files of resources for `load`: NDJSON, one resource a line, and JSON files of a Bundle or resource, packed or not.

What comes in is a path; what goes out are batches of `Item`, whose texts nobody has parsed yet.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, cast

import click

_COMPRESSED = (".gz", ".bz2", ".zst")
_LINES = (".ndjson", ".jsonl")
_WHOLE = (".json",)
LINE_LIMIT_BYTES = 64 * 1024 * 1024


class Item(NamedTuple):
    """One JSON text: the number of its line (1 for a whole file) and its bytes."""

    line: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Source:
    """One file to load.

    Attributes:
        path: Where it is.
        by_line: NDJSON rather than one JSON text.
    """

    path: Path
    by_line: bool

    def mark(self) -> str:
        """Return what tells this file from a changed one of the same name."""
        found = self.path.stat()
        return f"{found.st_size}-{found.st_mtime_ns}"

    def batches(self, size: int, *, skip: int) -> Iterator[list[Item]]:
        """Yield the texts after the first `skip` lines in batches of at most `size`.

        Raises:
            click.ClickException: The file cannot be read or a line is longer than `LINE_LIMIT_BYTES`.
        """
        try:
            with _opened(self.path) as file:
                yield from self._batches(file, size, skip)
        except (OSError, EOFError) as error:
            raise click.ClickException(f"{self.path}: {error}") from error

    def _batches(self, file: IO[bytes], size: int, skip: int) -> Iterator[list[Item]]:
        if not self.by_line:
            yield [Item(1, file.read())] if not skip else []
            return
        batch: list[Item] = []
        number = 0
        while line := file.readline(LINE_LIMIT_BYTES + 1):
            number += 1
            if len(line) > LINE_LIMIT_BYTES:
                raise click.ClickException(f"{self.path}:{number}: longer than {LINE_LIMIT_BYTES} bytes")
            if number <= skip or not line.strip():
                continue
            batch.append(Item(number, line))
            if len(batch) == size:
                yield batch
                batch = []
        if batch:
            yield batch


def sources(paths: Sequence[Path]) -> list[Source]:
    """Return the files behind the paths, those of a folder in the order of their names.

    Raises:
        click.UsageError: A file of another kind was named, or a folder holds none.
    """
    found = []
    for path in paths:
        if path.is_dir():
            inside = [source for each in sorted(path.rglob("*")) if each.is_file() and (source := _source(each))]
            if not inside:
                raise click.UsageError(f"{path} holds no .ndjson or .json file.")
            found += inside
        elif source := _source(path):
            found.append(source)
        else:
            raise click.UsageError(f"{path}: files end in .ndjson, .jsonl or .json, and perhaps .gz, .bz2 or .zst.")
    return found


def _source(path: Path) -> Source | None:
    name = path.with_suffix("") if path.suffix in _COMPRESSED else path
    if name.suffix not in (*_LINES, *_WHOLE):
        return None
    return Source(path, by_line=name.suffix in _LINES)


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".zst":
        return _zstandard(path)
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path))
    return bz2.open(path) if path.suffix == ".bz2" else path.open("rb")


def _zstandard(path: Path) -> IO[bytes]:
    """Open with the standard library of Python 3.14 or the package `zstandard`, whichever is there."""
    for module in ("compression.zstd", "zstandard"):
        try:
            file: IO[bytes] = importlib.import_module(module).open(path, "rb")
        except ImportError:
            continue
        return file
    raise click.ClickException(f"{path}: reading .zst needs Python 3.14 or: pip install zstandard")
