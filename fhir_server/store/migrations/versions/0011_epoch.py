"""Create the epoch of callers, which triggers move when something changes that says who a caller is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ORGANIZATION = 409056157
_MOVING = (
    ("oauth_access_token", "update", "", ""),
    ("oauth_access_token", "delete", "", ""),
    ("oauth_client", "insert", "", ""),
    ("oauth_client", "update", "active", ""),
    ("oauth_client", "delete", "", ""),
    ("account", "update", "active, role, name", ""),
    ("account", "delete", "", ""),
    ("membership", "insert", "", ""),
    ("membership", "update", "", ""),
    ("membership", "delete", "", ""),
    ("break_glass", "insert", "", ""),
    ("break_glass", "update", "practitioner, started_at, expires_at, ended_at", ""),
    ("break_glass", "delete", "", ""),
    ("consent_grant", "insert", "", "NEW.rare"),
    ("consent_grant", "update", "", "NEW.rare OR OLD.rare"),
    ("consent_grant", "delete", "", "OLD.rare"),
    ("resource", "insert", "", f"NEW.type = {_ORGANIZATION}"),
    ("resource", "update", "deleted", f"NEW.type = {_ORGANIZATION} AND NEW.deleted <> OLD.deleted"),
    ("resource", "delete", "", f"OLD.type = {_ORGANIZATION}"),
)


def upgrade() -> None:
    """Create the table with its one row, and the triggers."""
    op.create_table(
        "access_epoch",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("moved_by", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_access_epoch"),
    )
    op.execute("INSERT INTO access_epoch (id, number) VALUES (1, 0)")
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        op.execute(
            "CREATE OR REPLACE FUNCTION access_epoch_moves() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
            "UPDATE access_epoch SET number = number + 1, moved_by = pg_current_xact_id()::text::bigint "
            "WHERE moved_by IS DISTINCT FROM pg_current_xact_id()::text::bigint; RETURN NULL; END$$"
        )
    for table, verb, columns, condition in _MOVING:
        name, of = f"{table}_moves_epoch_by_{verb}", f" OF {columns}" if columns else ""
        on, when = f"{verb.upper()}{of} ON {table}", f" WHEN ({condition})" if condition else ""
        if is_postgresql:
            op.execute(
                f"CREATE CONSTRAINT TRIGGER {name} AFTER {on} DEFERRABLE INITIALLY DEFERRED FOR EACH ROW{when} "
                "EXECUTE FUNCTION access_epoch_moves()"
            )
        else:
            moving = "UPDATE access_epoch SET number = number + 1"
            op.execute(f"CREATE TRIGGER {name} AFTER {on}{when} BEGIN {moving}; END")
