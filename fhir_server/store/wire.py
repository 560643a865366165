"""PostgreSQL's statements by libpq itself: a cursor of the driver takes longer than a short statement runs.

Each connection has a statement prepared once, for whatever values come; those not used for longest are forgotten, for
PostgreSQL keeps a plan of each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

NAMES = "statements"
"""What a connection's `info` holds of the statements that it has prepared; to be forgotten when the driver rolls back,
for it makes the connection forget all of them then."""
_LOADER = "loader"
_COUNT = "statements made"
_NAMES_LIMIT = 100
_TEXT, _BINARY = 0, 1
_GONE = b"26000"
_IDLE = pq.TransactionStatus.IDLE


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave: rows of plain values, and how many rows it changed or returned."""

    result: pq.abc.PGresult
    rows: list[tuple[Any, ...]]

    @property
    def description(self) -> list[tuple[str]]:
        """Return the names of the columns, each as the first of a tuple."""
        return [((self.result.fname(number) or b"").decode(),) for number in range(self.result.nfields)]

    @property
    def rowcount(self) -> int:
        """Return how many rows there are, or were changed."""
        return self.result.command_tuples or 0

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows."""
        return self.rows


def command(driver: psycopg.Connection[Any], text: bytes) -> None:
    """Run a statement without values and rows, such as BEGIN.

    Raises:
        psycopg.Error: It failed.
    """
    _check(driver.pgconn, driver.pgconn.exec_(text))


def is_idle(driver: psycopg.Connection[Any]) -> bool:
    """Return whether a connection is in no transaction, nor broken."""
    return driver.pgconn.transaction_status == _IDLE


def run(driver: psycopg.Connection[Any], known: MutableMapping[Any, Any], text: bytes, values: Sequence[Any]) -> Answer:
    """Run a statement, prepared on this connection.

    Args:
        driver: The connection.
        known: What is known of that connection, for as long as it is open.
        text: The statement, its parameters numbered.
        values: Their values: None, bool, int, float, str and bytes.

    Raises:
        psycopg.Error: It failed.
        TypeError: A value is of another type.
    """
    sent = [_sent(value) for value in values]
    formats = [kind for _, kind in sent]
    # libpq takes None for NULL, which its types do not say.
    parameters: Any = [each for each, _ in sent]
    postgresql = driver.pgconn
    was_idle = is_idle(driver)
    result = postgresql.exec_prepared(_name(driver, known, text), parameters, formats, _BINARY)
    if result.error_field(pq.DiagnosticField.SQLSTATE) == _GONE:
        # Within a transaction, which has failed with this, it is the next one that prepares anew.
        known.pop(NAMES, None)
        if was_idle:
            result = postgresql.exec_prepared(_name(driver, known, text), parameters, formats, _BINARY)
    _check(postgresql, result)
    loader = known.get(_LOADER)
    if loader is None:
        loader = known[_LOADER] = Transformer(driver)
    loader.set_pgresult(result)
    return Answer(result, loader.load_rows(0, result.ntuples, tuple))


def _name(driver: psycopg.Connection[Any], known: MutableMapping[Any, Any], text: bytes) -> bytes:
    """Return the name under which the connection has a statement, which it is given here where it has none."""
    names: OrderedDict[bytes, bytes] = known.setdefault(NAMES, OrderedDict())
    name = names.get(text)
    if name is not None:
        names.move_to_end(text)
        return name
    # A name of its own for ever: what was forgotten may be there still.
    number = known[_COUNT] = known.get(_COUNT, 0) + 1
    name = b"fhir_%d" % number
    _check(driver.pgconn, driver.pgconn.prepare(name, text))
    names[text] = name
    if len(names) > _NAMES_LIMIT:
        _, oldest = names.popitem(last=False)
        command(driver, b"DEALLOCATE " + oldest)
    return name


def _sent(value: Any) -> tuple[bytes | None, int]:
    """Return a value as PostgreSQL reads it, and in which format."""
    kind = type(value)
    if kind is int:
        return b"%d" % value, _TEXT
    if kind is str:
        if "\0" in value:
            raise psycopg.DataError("PostgreSQL's texts have no NUL")
        return value.encode(), _TEXT
    if value is None:
        return None, _TEXT
    if kind is bytes:
        return value, _BINARY
    if kind is bool:
        return (b"t" if value else b"f"), _TEXT
    if kind is float:
        return repr(value).encode(), _TEXT
    if isinstance(value, int):
        return b"%d" % value, _TEXT
    raise TypeError(f"{kind.__name__} is not sent to PostgreSQL")


def _check(postgresql: pq.abc.PGconn, result: pq.abc.PGresult) -> None:
    if result.status in {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK}:
        return
    if postgresql.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError("The connection to the database is lost")
    raise psycopg.errors.error_from_result(result)
