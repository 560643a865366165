"""Let the index of texts tell by itself which resources have one."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index anew, with the key; SQLite forgets what 0007 stated of it with the old one."""
    op.drop_index("ix_index_string_head", table_name="index_string")
    op.create_index("ix_index_string_head", "index_string", ["param", "head", "key"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) "
            "VALUES ('index_string', 'ix_index_string_head', '4000000 40000 20 1')"
        )
