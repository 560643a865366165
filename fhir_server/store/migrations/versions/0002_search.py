"""Create the index tables of search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the index tables of search."""
    _create_index_token()
    _create_index_string()
    _create_index_date()
    _create_index_quantity()
    _create_index_position()
    _create_index_reference()
    _create_index_uri()
    _create_index_text()
    _create_own_parameter()


def _create_index_token() -> None:
    op.create_table(
        "index_token",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("system", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("date", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(53)),
    )
    op.create_index("ix_index_token_code", "index_token", ["param", "code", "date", "key", "system", "value"])
    op.create_index("ix_index_token_key", "index_token", ["key", "param"])
    op.create_index("ix_index_token_system", "index_token", ["param", "system"])


def _create_index_string() -> None:
    op.create_table(
        "index_string",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.Column("exact", sa.Text(), nullable=False),
    )
    op.create_index("ix_index_string_head", "index_string", ["param", "head"])
    op.create_index("ix_index_string_key", "index_string", ["key", "param"])


def _create_index_date() -> None:
    op.create_table(
        "index_date",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_index_date_hi", "index_date", ["param", "hi"])
    op.create_index("ix_index_date_key", "index_date", ["key", "param"])
    op.create_index("ix_index_date_lo", "index_date", ["param", "lo"])


def _create_index_quantity() -> None:
    op.create_table(
        "index_quantity",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lo", sa.Float(precision=53), nullable=False),
        sa.Column("hi", sa.Float(precision=53), nullable=False),
        sa.Column("system", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.BigInteger(), nullable=False),
        sa.Column("dimension", sa.BigInteger(), nullable=False),
        sa.Column("canonical_lo", sa.Float(precision=53), nullable=False),
        sa.Column("canonical_hi", sa.Float(precision=53), nullable=False),
    )
    op.create_index(
        "ix_index_quantity_canonical", "index_quantity", ["param", "dimension", "canonical_lo", "canonical_hi"]
    )
    op.create_index("ix_index_quantity_hi", "index_quantity", ["param", "hi"])
    op.create_index("ix_index_quantity_key", "index_quantity", ["key", "param"])
    op.create_index("ix_index_quantity_lo", "index_quantity", ["param", "lo"])


def _create_index_position() -> None:
    op.create_table(
        "index_position",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("x", sa.Float(precision=53), nullable=False),
        sa.Column("y", sa.Float(precision=53), nullable=False),
        sa.Column("z", sa.Float(precision=53), nullable=False),
    )
    op.create_index("ix_index_position_key", "index_position", ["key", "param"])
    op.create_index("ix_index_position_z", "index_position", ["param", "z"])


def _create_index_reference() -> None:
    op.create_table(
        "index_reference",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("target_type", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_index_reference_any", "index_reference", ["target"])
    op.create_index("ix_index_reference_key", "index_reference", ["key", "param"])
    op.create_index("ix_index_reference_target", "index_reference", ["param", "target", "key"])


def _create_index_uri() -> None:
    op.create_table(
        "index_uri",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
    )
    op.create_index("ix_index_uri_head", "index_uri", ["param", "head"])
    op.create_index("ix_index_uri_key", "index_uri", ["key", "param"])


def _create_index_text() -> None:
    op.create_table(
        "index_text",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("words", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_text"),
    )
    op.create_index("ix_index_text_key", "index_text", ["key", "param"])
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_index_text_words", "index_text", ["words"], postgresql_using="gin")
        return
    op.execute(
        "CREATE VIRTUAL TABLE index_text_words USING fts5"
        "(words, content='index_text', content_rowid='id', columnsize=0, tokenize='ascii')"
    )
    forget = "INSERT INTO index_text_words (index_text_words, rowid, words) VALUES ('delete', old.id, old.words)"
    learn = "INSERT INTO index_text_words (rowid, words) VALUES (new.id, new.words)"
    op.execute(f"CREATE TRIGGER index_text_insert AFTER INSERT ON index_text BEGIN {learn}; END")
    op.execute(f"CREATE TRIGGER index_text_delete AFTER DELETE ON index_text BEGIN {forget}; END")
    op.execute(f"CREATE TRIGGER index_text_update AFTER UPDATE OF id, words ON index_text BEGIN {forget}; {learn}; END")


def _create_own_parameter() -> None:
    op.create_table(
        "own_parameter",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger()),
        sa.Column("done_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_own_parameter"),
    )
