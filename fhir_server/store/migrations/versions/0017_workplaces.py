"""Remember which further organisations a professional has said yes to work for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; who used a link of an invitation that is still remembered has said yes."""
    op.create_table(
        "workplace",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("joined_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "organization"),
    )
    op.create_index("ix_workplace_organization", "workplace", ["organization"])
    op.execute(
        "INSERT INTO workplace (account_id, organization, joined_at) "
        "SELECT account_id, organization, max(coalesce(decided_at, asked_at)) FROM account_request "
        "WHERE state = 'completed' AND account_id IS NOT NULL AND organization IS NOT NULL "
        "GROUP BY account_id, organization"
    )
