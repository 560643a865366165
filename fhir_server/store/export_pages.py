"""What an export found: pages of keys, and the rows behind them as they are to be seen at this moment.

INVARIANT: a page holds keys and never content, so whoever reads it back asks `readable` anew: what became hidden or was
deleted meanwhile is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Integer, Result, Select, bindparam, insert, select

from fhir_server.store import prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.export_tables import export_page
from fhir_server.store.keys import NONE, type_key
from fhir_server.store.visibility import Visibility, execute, readable

_CHUNK = 256
_KEY_BYTES = 8


@dataclass(frozen=True, slots=True)
class Page:
    """Part of one file.

    Attributes:
        number: In the order of the job, from 1.
        file: Number of the file, from 1.
        type: Resource type.
        deleted: It tells of deletions.
        keys: In the order of the file.
    """

    number: int
    file: int
    type: str
    deleted: bool
    keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A row behind a key: what of it may be sent."""

    key: int
    id: str
    version: int
    deleted: bool
    patient: int
    content: bytes | None


def add(session: Session, job_id: str, page: Page) -> None:
    """Store a page."""
    values = {"job": job_id, "number": page.number, "file": page.file, "type": page.type, "deleted": page.deleted}
    session.connection.execute(insert(export_page), values | {"keys": struct.pack(f">{len(page.keys)}q", *page.keys)})


def of_job(session: Session, job_id: str, *, file: int = 0, number: int = 0) -> tuple[Page, ...]:
    """Return the pages of a job in order, of one file or with one number only where that is not 0."""
    row = export_page.c
    statement = select(export_page).where(row.job == job_id).order_by(row.number)
    statement = statement.where(row.file == file) if file else statement
    statement = statement.where(row.number == number) if number else statement
    return tuple(
        Page(found.number, found.file, found.type, bool(found.deleted), _keys(found.keys))
        for found in session.connection.execute(statement)
    )


def last(session: Session, job_id: str, *, of_file: int) -> tuple[Page | None, int]:
    """Return the last page of a job, None of an empty one, and how many pages its file has.

    Args:
        session: The transaction.
        job_id: Whose.
        of_file: At most so many are counted.
    """
    row = export_page.c
    statement = select(export_page).where(row.job == job_id).order_by(row.number.desc()).limit(of_file)
    pages = [
        Page(found.number, found.file, found.type, bool(found.deleted), _keys(found.keys))
        for found in session.connection.execute(statement)
    ]
    return (pages[0], sum(page.file == pages[0].file for page in pages)) if pages else (None, 0)


def read(session: Session, visibility: Visibility, keys: Sequence[int], *, deleted: bool = False) -> dict[int, Found]:
    """Return the rows behind these keys that exist for a visibility now, deleted ones only where asked for."""
    found: dict[int, Found] = {}
    names = ("key", "id", "version", "deleted", "patient", "content")
    for start in range(0, len(keys), _CHUNK):
        for row in _behind(session, visibility, keys[start : start + _CHUNK], names, deleted=deleted):
            content = None if row.content is None else bytes(row.content)
            found[row.key] = Found(row.key, row.id, row.version, bool(row.deleted), row.patient, content)
    return found


def is_any(session: Session, visibility: Visibility, keys: Sequence[int], *, deleted: bool = False) -> bool:
    """Return whether one of these rows exists for a visibility now, deleted or not as asked for."""
    for start in range(0, len(keys), _CHUNK):
        rows = _behind(session, visibility, keys[start : start + _CHUNK], ("key", "deleted"), deleted=deleted)
        if any(bool(row.deleted) == deleted for row in rows):
            return True
    return False


def _behind(
    session: Session, visibility: Visibility, keys: Sequence[int], names: Sequence[str], *, deleted: bool
) -> Result[Any]:
    """Run one statement about up to so many keys as is a power of two, so that there are few shapes of it."""
    size = 1 << (len(keys) - 1).bit_length()

    def build() -> Select[Any]:
        row = readable(visibility, deleted=deleted)
        wanted = [bindparam(f"key_{index}", NONE, BigInteger) for index in range(size)]
        return select(*(row.c[name] for name in names)).where(row.c.key.in_(wanted))

    padded = [*keys, *[keys[-1]] * (size - len(keys))]
    values = {**visibility.parameters(), **{f"key_{index}": key for index, key in enumerate(padded)}}
    return prepared.run(session, ("exported", visibility.shape, size, names, deleted), build, values)


def stored_types(session: Session, types: Iterable[str]) -> frozenset[str]:
    """Return those types of which the store has a row, whoever may see it: of the others nothing need be looked for.

    INVARIANT: it decides how long a listing takes, in the background, and never what is in it.
    """

    def build() -> Select[Any]:
        row = tables.resource.c
        return select(row.type).where(row.type == bindparam("type", NONE, Integer)).limit(1)

    return frozenset(
        name for name in types if prepared.run(session, "stored type", build, {"type": type_key(name)}).first()
    )


def deletions(
    session: Session, visibility: Visibility, types: Sequence[str], *, since_us: int, after: int | None, limit: int
) -> list[tuple[int, int, int]]:
    """Return (key, type, patient) of what was deleted after an instant and would exist for a visibility, by key."""
    row = readable(visibility, types, deleted=True)
    statement = select(row.c.key, row.c.type, row.c.patient).where(row.c.deleted.is_(True), row.c.updated_at > since_us)
    if after is not None:
        statement = statement.where(row.c.key > after)
    found = execute(session, visibility, statement.order_by(row.c.key).limit(limit))
    return [(each.key, each.type, each.patient) for each in found]


def _keys(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f">{len(packed) // _KEY_BYTES}q", packed)
