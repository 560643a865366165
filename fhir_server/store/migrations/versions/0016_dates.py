"""Let the index of a record's dates tell by itself which resources are of a time that is asked for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index anew, with the end of the time; SQLite forgets what 0007 stated of it with the old one."""
    op.drop_index("ix_resource_patient_date", table_name="resource")
    op.create_index("ix_resource_patient_date", "resource", ["type", "patient", sa.text("date_lo DESC"), "date_hi"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) "
            "VALUES ('resource', 'ix_resource_patient_date', '1000000 20000 40 1 1')"
        )
