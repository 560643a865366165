"""The words of resources, searched by the databases' own engines: FTS5 of SQLite, `tsvector` and GIN of PostgreSQL.

Words come in folded, letters and digits only (`search.words`), so neither engine's tokenizer, dictionary or locale has
a say in what matches. On SQLite the words are in `index_text` and its triggers keep the FTS5 table beside it in step,
in the same transaction; on PostgreSQL the column is a `tsvector` with positions.
"""

# ruff: noqa: S608 - the SQL is put together from constants and from what the compiler made of bound values

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    FromClause,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    TypeDecorator,
    cast,
    event,
    literal_column,
    select,
)
from sqlalchemy import table as named_table
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from fhir_server.store.dialects import Either
from fhir_server.store.metadata import metadata

SCORE_ONE = 10_000
"""What a score of 1 would be; scores are whole numbers below it, so that they compare and page exactly."""

_LEXEME = re.compile(r"'([^']+)':([0-9,]+)")


class Words(TypeDecorator[str]):
    """Words with a space between them; on PostgreSQL a `tsvector` that says where each stands."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the column."""
        return dialect.type_descriptor(TSVECTOR() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the words as the database takes them.

        INVARIANT: words are letters, marks and digits, so a quoted lexeme needs no escape.
        """
        if value is None or dialect.name != "postgresql":
            return value
        positions: dict[str, list[str]] = defaultdict(list)
        for number, word in enumerate(value.split(" "), start=1):
            positions[word].append(str(number))
        return " ".join(f"'{word}':{','.join(found)}" for word, found in positions.items())

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the words in their order."""
        if value is None or dialect.name != "postgresql":
            return value
        found = [(int(number), word) for word, numbers in _LEXEME.findall(value) for number in numbers.split(",")]
        return " ".join(word for _, word in sorted(found))


# `id` is the row number of the FTS5 table: ascending, as its lists want it, and its own, for a rowid may change.
text = Table(
    "index_text",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("key", BigInteger, nullable=False),
    Column("param", Integer, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("item", SmallInteger, nullable=False, server_default="0"),
    Column("words", Words, nullable=False),
)
Index("ix_index_text_key", text.c.key, text.c.param)
Index("ix_index_text_words", text.c.words, postgresql_using="gin").ddl_if(dialect="postgresql")

_FTS5 = "index_text_words"
_FORGET = f"INSERT INTO {_FTS5} ({_FTS5}, rowid, words) VALUES ('delete', old.id, old.words)"
_LEARN = f"INSERT INTO {_FTS5} (rowid, words) VALUES (new.id, new.words)"
_OPTIONS = "content='index_text', content_rowid='id', columnsize=0, tokenize='ascii'"
FTS5_DDL = (
    f"CREATE VIRTUAL TABLE {_FTS5} USING fts5(words, {_OPTIONS})",
    f"CREATE TRIGGER index_text_insert AFTER INSERT ON index_text BEGIN {_LEARN}; END",
    f"CREATE TRIGGER index_text_delete AFTER DELETE ON index_text BEGIN {_FORGET}; END",
    f"CREATE TRIGGER index_text_update AFTER UPDATE OF id, words ON index_text BEGIN {_FORGET}; {_LEARN}; END",
)
"""What SQLite needs beside the table; the migration says the same."""


@event.listens_for(text, "after_create")
def _make_fts5(_target: Table, connection: Connection, **_: object) -> None:
    if connection.dialect.name == "sqlite":
        for statement in FTS5_DDL:
            connection.exec_driver_sql(statement)


def matching(index: FromClause, *, fts5: ColumnElement[str], tsquery: ColumnElement[str]) -> ColumnElement[bool]:
    """Return that a row of `index_text` meets a query, which is written in the words of either engine."""
    table = named_table(_FTS5)
    rows = select(literal_column("rowid", Integer())).select_from(table)
    rows = rows.where(literal_column(_FTS5, Text()).op("MATCH")(fts5))
    return Either(postgresql=index.c.words.op("@@")(cast(tsquery, TSQUERY)), elsewhere=index.c.id.in_(rows))


class Score(FunctionElement[int]):
    """How well words meet terms, from 0 up to, and without, `SCORE_ONE`.

    Of each term what BM25 takes into account of the document: how often it stands there, against the length. INVARIANT:
    nothing of other documents, such as how rare a term is, for that would tell of rows that the caller cannot see.
    """

    type = Integer()
    inherit_cache = True

    def __init__(self, words: ColumnElement[str], terms: ColumnElement[str]) -> None:
        """Take the column and the terms, with a space between them and `*` after one that is a prefix."""
        super().__init__(words, terms)


# A term that occurs n times in L words counts n / (n + 0.5 + L / 200), in whole numbers.
_TERM = f"200 * {SCORE_ONE} * n / (200 * n + 100 + length)"


@compiles(Score)
def _score_on_sqlite(element: Score, compiler: SQLCompiler, **options: Any) -> str:
    words, terms = (compiler.process(each, **options) for each in element.clauses)
    of_terms = f"""json_each('["' || replace({terms}, ' ', '","') || '"]')"""
    of_words = f"""json_each('["' || replace({words}, ' ', '","') || '"]')"""
    length = f"(length({words}) - length(replace({words}, ' ', '')) + 1)"
    counted = (
        f"SELECT min(count(w.value), 100) AS n, {length} AS length FROM {of_terms} AS t "
        f"LEFT JOIN {of_words} AS w ON w.value GLOB t.value GROUP BY t.value"
    )
    return f"(SELECT sum({_TERM}) / count(*) FROM ({counted}) AS counted)"


@compiles(Score, "postgresql")
def _score_on_postgresql(element: Score, compiler: SQLCompiler, **options: Any) -> str:
    words, terms = (compiler.process(each, **options) for each in element.clauses)
    length = f"(SELECT sum(cardinality(positions)) FROM unnest({words}))"
    counted = (
        f"SELECT least(coalesce(sum(cardinality(w.positions)), 0), 100)::bigint AS n, {length}::bigint AS length "
        f"FROM unnest(string_to_array({terms}, ' ')) AS t(term) "
        f"LEFT JOIN unnest({words}) AS w ON w.lexeme LIKE replace(t.term, '*', '%%') GROUP BY t.term"
    )
    return f"(SELECT sum({_TERM})::bigint / count(*) FROM ({counted}) AS counted)"
