"""What a load has done so far: a row for each part of a file, written in the transaction of the part's resources.

So a load that was killed goes on exactly where it was, whichever of its processes had come how far.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from sqlalchemy import delete, insert, select

from fhir_server.store.database import Session
from fhir_server.store.job_tables import load_part


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a file that are done.

    Attributes:
        file: Where it is.
        mark: What tells this file from a changed one of the same name.
        first_line, last_line: Which lines, counted from 1, both of them included.
        loaded_count: How many resources were stored.
        refused: Line and reason of each text, or resource of a Bundle, that was not stored.
    """

    file: str
    mark: str
    first_line: int
    last_line: int
    loaded_count: int = 0
    refused: tuple[tuple[int, str], ...] = ()


def note(session: Session, part: Part) -> None:
    """Keep that a part is done, once this transaction is committed."""
    values = {
        "file": part.file,
        "mark": part.mark,
        "first_line": part.first_line,
        "last_line": part.last_line,
        "loaded_count": part.loaded_count,
        "refused": orjson.dumps(part.refused).decode(),
    }
    session.connection.execute(insert(load_part), values)


def done(session: Session, file: str, mark: str) -> list[Part]:
    """Return the parts of this very file that are done, in order."""
    row = load_part.c
    found = session.connection.execute(
        select(load_part).where(row.file == file, row.mark == mark).order_by(row.first_line)
    )
    return [
        Part(
            each.file, each.mark, each.first_line, each.last_line, each.loaded_count,
            tuple((line, reason) for line, reason in orjson.loads(each.refused)),
        )
        for each in found
    ]  # fmt: skip


def forget(session: Session, file: str, *, but_mark: str = "") -> None:
    """Keep no longer what was done of a file, for a load that starts anew or has ended; but of the one so marked."""
    row = load_part.c
    session.connection.execute(delete(load_part).where(row.file == file, row.mark != but_mark))
