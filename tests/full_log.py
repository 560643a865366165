"""An audit log that cannot be written, as on a full disk: what is not on it must not be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fhir_server.store.database import Store

_SQLITE = (
    ("CREATE TRIGGER full_log BEFORE INSERT ON audit_event BEGIN SELECT RAISE(ABORT, 'disk is full'); END",),
    ("DROP TRIGGER full_log",),
)
_POSTGRESQL = (
    (
        """CREATE FUNCTION full_log() RETURNS trigger AS
        $$ BEGIN RAISE EXCEPTION 'disk is full' USING ERRCODE = '53100'; END $$ LANGUAGE plpgsql""",
        "CREATE TRIGGER full_log BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION full_log()",
    ),
    ("DROP TRIGGER full_log ON audit_event", "DROP FUNCTION full_log"),
)


@contextmanager
def full_log(store: Store) -> Iterator[None]:
    """Let the database take no AuditEvent for as long as the block runs."""
    begin, end = _POSTGRESQL if store.is_postgresql else _SQLITE
    _run(store, begin)
    try:
        yield
    finally:
        _run(store, end)


def _run(store: Store, statements: tuple[str, ...]) -> None:
    with store.write() as session:
        for statement in statements:
            session.connection.exec_driver_sql(statement)
