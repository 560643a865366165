"""PostgreSQL's statements by libpq itself: a cursor of the driver takes longer than a short statement runs.

Each connection has a statement prepared once, for whatever values come; those not used for longest are forgotten, for
PostgreSQL keeps a plan of each.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
_SYNC = pq.ExecStatus.PIPELINE_SYNC


@dataclass(frozen=True, slots=True)
class Statement:
    """A text, its parameters numbered, and their values: None, bool, int, float, str and bytes."""

    text: bytes
    values: Sequence[Any] = ()


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


class Type(NamedTuple):
    """A type of PostgreSQL's, for arrays of it."""

    name: str
    oid: int
    encode: Callable[[Any], bytes]


BIGINT = Type("bigint", 20, struct.Struct("!q").pack)
TEXT = Type("text", 25, str.encode)
BYTEA = Type("bytea", 17, bytes)
_LENGTH = struct.Struct("!i").pack
_ARRAY = struct.Struct("!iiIii").pack


def array(of: Type, values: Sequence[Any]) -> bytes:
    """Return some values, at least one and none of them None, as the one value that an array is."""
    header = _ARRAY(1, 0, of.oid, len(values), 1)
    return header + b"".join([_LENGTH(len(each)) + each for each in map(of.encode, values)])


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
    parameters, formats = _parameters(values)
    postgresql = driver.pgconn
    was_idle = is_idle(driver)
    result = postgresql.exec_prepared(_name(driver, known, text), parameters, formats, _BINARY)
    if result.error_field(pq.DiagnosticField.SQLSTATE) == _GONE:
        # Within a transaction, which has failed with this, it is the next one that prepares anew.
        known.pop(NAMES, None)
        if was_idle:
            result = postgresql.exec_prepared(_name(driver, known, text), parameters, formats, _BINARY)
    _check(postgresql, result)
    return _answer(driver, known, result)


def exchange(
    driver: psycopg.Connection[Any], known: MutableMapping[Any, Any], statements: Sequence[Statement]
) -> list[Answer]:
    """Run several statements in one round trip; after one that fails none runs.

    INVARIANT: when this returns, what they committed is durable: the answer to the end of them was awaited, too.

    Args:
        driver: The connection.
        known: What is known of that connection, for as long as it is open.
        statements: Each is prepared on this connection; BEGIN and COMMIT may be among them.

    Raises:
        psycopg.Error: One of them failed, or the connection was lost.
    """
    was_idle = is_idle(driver)
    results = _exchanged(driver, known, statements)
    if was_idle and any(result.error_field(pq.DiagnosticField.SQLSTATE) == _GONE for result in results):
        known.pop(NAMES, None)
        if not is_idle(driver):
            command(driver, b"ROLLBACK")
        results = _exchanged(driver, known, statements)
    for result in results:
        _check(driver.pgconn, result)
    return [_answer(driver, known, result) for result in results[: len(statements)]]


def _exchanged(
    driver: psycopg.Connection[Any], known: MutableMapping[Any, Any], statements: Sequence[Statement]
) -> list[pq.abc.PGresult]:
    """Return the results of some statements, and of their end where that failed."""
    postgresql = driver.pgconn
    # Preparing is a round trip of its own, once a connection.
    named = [(_name(driver, known, each.text), _parameters(each.values)) for each in statements]
    results: list[pq.abc.PGresult] = []
    postgresql.enter_pipeline_mode()
    for name, (parameters, formats) in named:
        postgresql.send_query_prepared(name, parameters, formats, _BINARY)
    postgresql.pipeline_sync()
    while True:
        result = postgresql.get_result()
        if result is None:
            # The end of one statement's results, unless there is nobody to answer.
            if postgresql.status != pq.ConnStatus.OK:
                raise psycopg.OperationalError("The connection to the database is lost")
        elif result.status == _SYNC:
            postgresql.exit_pipeline_mode()
            return results
        else:
            results.append(result)


def _answer(driver: psycopg.Connection[Any], known: MutableMapping[Any, Any], result: pq.abc.PGresult) -> Answer:
    loader = known.get(_LOADER)
    if loader is None:
        loader = known[_LOADER] = Transformer(driver)
    loader.set_pgresult(result)
    return Answer(result, loader.load_rows(0, result.ntuples, tuple))


def _parameters(values: Sequence[Any]) -> tuple[Any, list[int]]:
    """Return values as they are sent, and in which formats; libpq takes None for NULL, which its types do not say."""
    sent = [_sent(value) for value in values]
    return [each for each, _ in sent], [kind for _, kind in sent]


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
