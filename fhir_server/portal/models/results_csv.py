"""Results and measurements as a table for a spreadsheet (RFC 4180), one number or word a line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Final

from fhir_server.portal.models.result import Result
from fhir_server.portal.models.words import LONDON, number

COLUMNS: Final = (
    "Date",
    "Kind",
    "Test",
    "Value",
    "Unit",
    "Expected range",
    "What it means",
    "Status",
    "Source",
    "Note",
)
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def table(results: Iterable[Result]) -> bytes:
    """Return results as CSV, UTF-8 with a byte order mark, for without one spreadsheets guess another encoding."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for entry in results:
        for part in entry.parts or (entry,):
            writer.writerow([plain(cell) for cell in _line(entry, part)])
    return text.getvalue().encode("utf-8-sig")


def _line(entry: Result, part: Result) -> tuple[str, ...]:
    name = entry.name if part is entry else f"{entry.name}: {part.name}"
    # A spreadsheet sorts what it can read: the day as ISO 8601, in the time of the place.
    day = ""
    if entry.taken is not None:
        day = f"{entry.taken.at.astimezone(LONDON):%Y-%m-%d %H:%M}" if entry.taken.time else entry.taken.iso
    return (
        day,
        "Measurement" if entry.vital else "Test result",
        name,
        number(part.number) if part.number is not None and part.is_plain else part.value,
        part.unit if part.number is not None and part.is_plain else "",
        part.range.text if part.range else "",
        part.words,
        entry.status,
        entry.source,
        entry.note,
    )


def plain(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: an apostrophe before what begins like one.

    A number may begin with a sign: it is a number in every spreadsheet.
    """
    risky = cell.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if risky else cell
