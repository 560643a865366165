"""Remember for which of several organisations a professional works in a session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a session of before acts for the organisation that its account was opened for."""
    op.add_column("portal_session", sa.Column("organization", sa.Text))
