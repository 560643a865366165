"""Create the table of who is to be told that there is something new in a record, and when they were told last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "record_news",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("told_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("account_id", name="pk_record_news"),
    )
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_record_news_due", "record_news", ["due_at"], sqlite_where=is_due, postgresql_where=is_due)
