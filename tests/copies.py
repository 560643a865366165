"""Copies of a prepared PostgreSQL database that go back to what they were, for that is cheaper than a new one.

A database of ours is six hundred files, which take some hundredths of a second to make and to remove in memory and some
tenths on a disk. A test changes a few rows of a few tables, and PostgreSQL knows which: each row names the transaction
that wrote it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from tests.postgres import Cluster

_IDLE_COUNT = 4
"""How many copies a worker keeps for later; the tests of a file want the same one or two."""
_USES_COUNT = 40
"""After how many tests a copy is too full of dead rows to be worth keeping."""
_CATALOGS = (
    "pg_class",
    "pg_attribute",
    "pg_attrdef",
    "pg_constraint",
    "pg_index",
    "pg_trigger",
    "pg_proc",
    "pg_type",
    "pg_namespace",
    "pg_rewrite",
    "pg_policy",
    "pg_default_acl",
    "pg_statistic",
    "pg_extension",
    "pg_depend",
    "pg_largeobject_metadata",
)
"""Where a change of anything but rows leaves a trace; a copy with one is not used again."""


@dataclass(frozen=True, slots=True)
class Pristine:
    """What a template holds: the same for all of its copies."""

    tables: tuple[sql.Identifier, ...]
    counts: tuple[int, ...]
    rows: tuple[bytes, ...]
    sequences: dict[str, tuple[int, bool]]
    look: sql.Composed

    @classmethod
    def of(cls, connection: psycopg.Connection[Any]) -> Pristine:
        """Take it from a copy that nobody has used yet."""
        found = connection.execute(
            "SELECT relname, relkind FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S') ORDER BY relname"
        ).fetchall()
        tables = tuple(sql.Identifier("public", name) for name, kind in found if kind == "r")
        catalogs = tuple(sql.Identifier("pg_catalog", name) for name in _CATALOGS)
        one = sql.SQL("SELECT {}, count(*), count(*) FILTER (WHERE age(xmin) <= age(%(born)s::xid)) FROM {}")
        look = sql.SQL(" UNION ALL ").join(one.format(at, table) for at, table in enumerate((*tables, *catalogs)))
        counts = {at: total for at, total, _changed in connection.execute(look, {"born": "3"}).fetchall()}
        rows = tuple(_copied(connection, table) if counts[at] else b"" for at, table in enumerate(tables))
        sequences = {name: _position(connection, name) for name, kind in found if kind == "S"}
        return cls(tables, tuple(counts[at] for at in range(len(counts))), rows, sequences, look)


def _copied(connection: psycopg.Connection[Any], table: sql.Identifier) -> bytes:
    with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(table)) as out:
        return b"".join(bytes(part) for part in out)


def _position(connection: psycopg.Connection[Any], name: str) -> tuple[int, bool]:
    statement = sql.SQL("SELECT last_value, is_called FROM {}").format(sql.Identifier("public", name))
    found = connection.execute(statement).fetchone()
    assert found is not None
    return found[0], found[1]


@dataclass(slots=True)
class Copy:
    """A database that was copied from a template, and its administrator's connection."""

    name: str
    template: str
    pristine: Pristine
    connection: psycopg.Connection[Any]
    born: str = ""
    uses_count: int = 0

    def age(self) -> None:
        """Call everything that is written from now on a change."""
        found = self.connection.execute("SELECT pg_current_xact_id()::xid::text").fetchone()
        assert found is not None
        self.born = found[0]

    def go_back(self) -> bool:
        """Undo what was done to the rows; return False where more than rows was changed."""
        self.connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        settings = self.connection.execute(
            "SELECT 1 FROM pg_database d WHERE datname = current_database() AND (datacl IS NOT NULL"
            " OR EXISTS (SELECT 1 FROM pg_db_role_setting WHERE setdatabase = d.oid))"
        ).fetchone()
        now = {at: (total, changed) for at, total, changed in self._look()}
        first_catalog = len(self.pristine.tables)
        changed = {at for at, then in enumerate(self.pristine.counts) if now[at] != (then, 0)}
        if settings or any(at >= first_catalog for at in changed):
            return False
        self.connection.execute("SET session_replication_role = replica")
        for at in changed:
            self._restore(at, has_only_new_rows=now[at][0] - now[at][1] == self.pristine.counts[at])
        for name, (value, is_called) in self.pristine.sequences.items():
            self.connection.execute("SELECT setval(%s, %s, %s)", (f'public."{name}"', value, is_called))
        if changed:
            self.age()
        return True

    def _look(self) -> list[tuple[int, int, int]]:
        return self.connection.execute(self.pristine.look, {"born": self.born}).fetchall()

    def _restore(self, at: int, *, has_only_new_rows: bool) -> None:
        table = self.pristine.tables[at]
        if has_only_new_rows:
            new = sql.SQL("DELETE FROM {} WHERE age(xmin) <= age({}::xid)").format(table, sql.Literal(self.born))
            self.connection.execute(new)
            return
        self.connection.execute(sql.SQL("DELETE FROM {}").format(table))
        if self.pristine.rows[at]:
            with self.connection.cursor().copy(sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)) as into:
                into.write(self.pristine.rows[at])


@dataclass(slots=True)
class Copies:
    """The copies of one worker: lent to a test, and lent again once they are as they were."""

    cluster: Cluster
    _idle: list[Copy] = field(default_factory=list)
    _known: dict[str, Pristine] = field(default_factory=dict)

    def lend(self, name: str, build: Callable[[str], None]) -> Copy:
        """Return a copy of the template of that name, as it was built."""
        for copy in reversed(self._idle):
            if copy.template == name:
                self._idle.remove(copy)
                return copy
        made = self.cluster.create(self.cluster.template(name, build))
        connection = self.cluster.connect(made)
        if name not in self._known:
            self._known[name] = Pristine.of(connection)
        copy = Copy(made, name, self._known[name], connection)
        copy.age()
        return copy

    def take_back(self, copy: Copy) -> None:
        """Keep the copy for another test, or drop it where it cannot be put right."""
        copy.uses_count += 1
        try:
            is_kept = copy.uses_count < _USES_COUNT and copy.go_back()
        except psycopg.Error:
            # A test took a table away, or the connection.
            is_kept = False
        if not is_kept:
            self._drop(copy)
            return
        self._idle.append(copy)
        if len(self._idle) > _IDLE_COUNT:
            self._drop(self._idle.pop(0))

    def close(self) -> None:
        """Drop what is left."""
        while self._idle:
            self._drop(self._idle.pop())

    def _drop(self, copy: Copy) -> None:
        copy.connection.close()
        self.cluster.drop(copy.name)
