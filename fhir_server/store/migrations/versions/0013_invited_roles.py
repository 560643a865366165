"""Remember which role in the directory an invitation of a professional made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of invitations from before nobody knows, and their roles stay when they are cancelled."""
    op.add_column("account_request", sa.Column("role", sa.Text))
