"""Content that was too long to hold: put into its row piece by piece, in the transaction that has written the row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from sqlalchemy import text

from fhir_server.store.database import Session

_EMPTY = text("UPDATE resource SET content = zeroblob(:length) WHERE key = :key")
_OPEN = text("SELECT lo_create(0)")
_PUT = text("SELECT lo_put(:large, :at, :piece)")
_TAKE = text("UPDATE resource SET content = lo_get(:large) WHERE key = :key")
_DROP = text("SELECT lo_unlink(:large)")


def fill(session: Session, key: int, pieces: Iterable[bytes], length: int) -> None:
    """Make the pieces the content of a row; not more than one of them is held here at a time.

    SQLite writes into a blob in place. PostgreSQL takes a parameter whole, so the pieces go into a large object, which
    is moved to the row on the server and removed.

    Args:
        session: A write transaction that has written the row.
        key: Key of the row.
        pieces: The JSON in order, together of this length.
        length: Bytes.
    """
    connection = session.connection
    if session.is_postgresql:
        large = connection.execute(_OPEN).scalar_one()
        at = 0
        for piece in pieces:
            connection.execute(_PUT, {"large": large, "at": at, "piece": piece})
            at += len(piece)
        connection.execute(_TAKE, {"large": large, "key": key})
        connection.execute(_DROP, {"large": large})
        return
    connection.execute(_EMPTY, {"key": key, "length": length})
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - for the type checker
    with driver.blobopen("resource", "content", key) as blob:
        for piece in pieces:
            blob.write(piece)
