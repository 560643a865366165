"""Let the index of texts tell by itself which resources have one."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index anew, with the key."""
    op.drop_index("ix_index_string_head", table_name="index_string")
    op.create_index("ix_index_string_head", "index_string", ["param", "head", "key"])
