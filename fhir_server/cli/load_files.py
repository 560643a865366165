"""Files of resources for `load`: NDJSON, one resource a line, and JSON files of a Bundle or resource, packed or not.

What comes in is a path; what goes out are batches of lines, whose texts nobody has parsed yet.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import click

from fhir_server.interactions.load_texts import Text
from fhir_server.store.load_parts import Part

_COMPRESSED = (".gz", ".bz2", ".zst")
_LINES = (".ndjson", ".jsonl")
_WHOLE = (".json",)
TEXT_LIMIT_BYTES = 256 * 1024 * 1024
_BATCH_COUNT = 500
_BATCH_BYTES = 4 * 1024 * 1024


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

    def batches(self, done: Sequence[Part]) -> Iterator[tuple[Part, list[Text]]]:
        """Yield what is not done yet in parts of at most `_BATCH_COUNT` lines and about `_BATCH_BYTES`.

        Args:
            done: Parts that an earlier run has done, in order.

        Raises:
            click.ClickException: The file cannot be read, or a text is longer than `TEXT_LIMIT_BYTES`.
        """
        batch: list[Text] = []
        size = 0
        later = deque(done)
        for text in self._texts():
            while later and later[0].last_line < text.line:
                later.popleft()
            if later and later[0].first_line <= text.line:
                if batch:
                    yield self._part(batch), batch
                    batch, size = [], 0
                continue
            batch.append(text)
            size += len(text.text)
            if len(batch) == _BATCH_COUNT or size > _BATCH_BYTES:
                yield self._part(batch), batch
                batch, size = [], 0
        if batch:
            yield self._part(batch), batch

    def _part(self, batch: Sequence[Text]) -> Part:
        return Part(self.name, self.mark(), batch[0].line, batch[-1].line)

    @property
    def name(self) -> str:
        """Return the absolute path."""
        return str(self.path.resolve())

    def _texts(self) -> Iterator[Text]:
        try:
            with _opened(self.path) as file:
                number = 0
                while text := file.readline(TEXT_LIMIT_BYTES + 1) if self.by_line else file.read(TEXT_LIMIT_BYTES + 1):
                    number += 1
                    if len(text) > TEXT_LIMIT_BYTES:
                        raise click.ClickException(f"{self.path}:{number}: longer than {TEXT_LIMIT_BYTES} bytes")
                    if text.strip():
                        yield Text(number, text)
        except (OSError, EOFError) as error:
            raise click.ClickException(f"{self.path}: {error}") from error


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
