"""Files of people to invite: read CSV as spreadsheets write it; each line is judged later, on its own."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import invitation_batches
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session
from fhir_server.store.invitation_batches import Batch, BatchRow

__all__ = ["Batch", "BatchRow", "counts", "found", "listed", "prune", "report", "upload"]

MOST_BYTES: Final = 10 * 1024 * 1024
MOST_ROWS: Final = 50_000
COLUMNS: Final = ("given", "family", "birth_date", "nhs_number", "email", "mobile")
KEPT_FOR: Final = timedelta(days=30)
_SAME_FILE_FOR: Final = timedelta(days=30)
_LONGEST_CELL: Final = 320
_DELIMITERS: Final = ",;\t"
_OTHER_NAMES: Final = {
    "first_name": "given",
    "forename": "given",
    "last_name": "family",
    "surname": "family",
    "date_of_birth": "birth_date",
    "dob": "birth_date",
    "nhs_no": "nhs_number",
    "e_mail": "email",
    "email_address": "email",
    "mobile_phone": "mobile",
    "mobile_number": "mobile",
    "phone": "mobile",
}
_DAY_FIRST: Final = re.compile(r"([0-9]{1,2})[/.]([0-9]{1,2})[/.]([0-9]{4})")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_REPORTED: Final = 1_000


def upload(session: Session, coordinator: Account, content: bytes, now: datetime) -> tuple[Batch, bool]:
    """Take a file, whose people a worker invites; return it, and whether it was not here before.

    The same file of an organisation again is the one taken before.

    Args:
        session: The transaction of the upload.
        coordinator: Who uploads it.
        content: The bytes: UTF-8 (with or without byte order mark) or Windows-1252; comma, semicolon or tab.
        now: Aware UTC.

    Raises:
        FhirError: INVALID_VALUE saying what is wrong with the file as a whole.
    """
    digest = hashlib.sha256(content).hexdigest()
    known = invitation_batches.by_content(session, coordinator.organization, digest)
    if known is not None and known.uploaded_at + _SAME_FILE_FOR > now:
        return known, False
    rows = tuple(_rows(_text(content)))
    if not rows:
        raise _wrong("The file has a heading, but nobody in it")
    batch = Batch(str(uuid.uuid4()), coordinator.organization, coordinator.id, now, digest, len(rows))
    invitation_batches.add(session, batch, rows)
    return batch, True


def listed(session: Session, coordinator: Account) -> tuple[Batch, ...]:
    """Return the newest files of the coordinator's organisation."""
    return invitation_batches.of_organization(session, coordinator.organization)


def found(session: Session, coordinator: Account, batch_id: str) -> Batch:
    """Return one file of the coordinator's organisation.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's.
    """
    batch = invitation_batches.by_id(session, batch_id)
    if batch is None or batch.organization != coordinator.organization:
        raise FhirError(Kind.NOT_FOUND, "There is no such file")
    return batch


def counts(session: Session, batch: Batch) -> dict[str, int]:
    """Return how many lines are in each state: `waiting`, `invited`, `duplicate`, `refused`."""
    return {"waiting": 0, "invited": 0, "duplicate": 0, "refused": 0} | invitation_batches.counts(session, batch.id)


def report(session: Session, batch: Batch) -> str:
    """Return what came of each line as CSV that no spreadsheet takes for a formula."""
    made = io.StringIO()
    writer = csv.writer(made, quoting=csv.QUOTE_ALL)
    writer.writerow(("line", "first name", "last name", "result", "reason"))
    after = 0
    while page := invitation_batches.rows(session, batch.id, after=after, limit=_REPORTED):
        for row in page:
            names = (row.details.get("given", ""), row.details.get("family", ""))
            writer.writerow([str(row.line), *map(_safe, names), row.state, _safe(row.reason)])
        after = page[-1].line
    return made.getvalue()


def prune(session: Session, now: datetime) -> int:
    """Forget files finished long ago; return how many."""
    return invitation_batches.prune(session, now - KEPT_FOR)


def _text(content: bytes) -> str:
    if len(content) > MOST_BYTES:
        raise _wrong(f"The file is larger than {MOST_BYTES // 1024 // 1024} MB. Split it")
    if b"\0" in content or content.startswith(b"PK"):
        raise _wrong("This is no CSV file. Save the table as CSV (UTF-8) and upload that")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        raise _wrong("The letters of this file cannot be read. Save it as CSV (UTF-8)") from None


def _rows(text: str) -> Iterator[BatchRow]:
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [_column(name) for name in next(reader, [])]
        missing = [name for name in COLUMNS if name not in columns]
        if missing or len(set(columns)) != len(columns):
            raise _wrong(f"The first line must name each of these columns once: {', '.join(COLUMNS)}")
        count = 0
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            count += 1
            if count > MOST_ROWS:
                raise _wrong(f"The file has more than {MOST_ROWS:,} lines. Split it")
            yield _row(reader.line_num, columns, cells)
    except csv.Error as error:
        raise _wrong(f"Line {reader.line_num} cannot be read as CSV: check its quotation marks") from error


def _row(line: int, columns: list[str], cells: list[str]) -> BatchRow:
    details = {name: cell[:_LONGEST_CELL] for name, cell in zip(columns, cells, strict=False) if name in COLUMNS}
    problem = ""
    if len(cells) != len(columns):
        problem = f"The line has {len(cells)} cells, the heading {len(columns)}"
    elif any(len(cell) > _LONGEST_CELL for cell in cells):
        problem = f"A cell is longer than {_LONGEST_CELL} characters"
    elif wild := next((name for name, cell in details.items() if not _is_plain(name, cell)), ""):
        problem = f"{wild}: begins like a formula, or has a line break or another control character"
    if problem:
        shown = {name: "".join(c for c in details.get(name, "") if c.isprintable()) for name in ("given", "family")}
        return BatchRow(line, shown, "refused", problem)
    born = _DAY_FIRST.fullmatch(details["birth_date"].strip())
    if born:
        details["birth_date"] = f"{born[3]}-{born[2]:0>2}-{born[1]:0>2}"
    return BatchRow(line, details)


def _is_plain(name: str, cell: str) -> bool:
    typed = cell.strip(" ")
    may_begin = ("+",) if name == "mobile" else ()
    return typed.isprintable() and not typed.startswith(tuple(sign for sign in _FORMULA if sign not in may_begin))


def _column(name: str) -> str:
    plain = re.sub(r"[^a-z]+", "_", name.strip().lower()).strip("_")
    return _OTHER_NAMES.get(plain, plain)


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _wrong(text: str) -> FhirError:
    return FhirError(Kind.INVALID_VALUE, text, ("file",))
