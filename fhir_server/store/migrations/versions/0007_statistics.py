"""State on SQLite the statistics of a large record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Rows, then rows for each equal first column, first two columns and so on, of a record of a million resources.
_STATISTICS = (
    ("resource", "ix_resource_patient_date", "1000000 20000 40 1"),
    ("resource", "ix_resource_patient_code", "1000000 20000 40 4 1"),
    ("resource", "ix_resource_date", "1000000 20000 2 1"),
    ("resource", "ix_resource_updated", "1000000 20000 1 1"),
    ("resource", "ix_resource_author", "1000000 50000 5000"),
    ("resource_patient", "ix_resource_patient_patient", "100000 10"),
    ("consent_grant", "ix_consent_grant_patient", "50000 4 1"),
    ("consent_grant", "ix_consent_grant_actor", "50000 100 1"),
    ("consent_grant", "ix_consent_grant_consent", "50000 2"),
    ("consent_grant", "ix_consent_grant_rare", "1000 10"),
    ("membership", "ix_membership_member", "50000 2"),
    ("membership", "ix_membership_source", "50000 3"),
    ("index_token", "ix_index_token_key", "8000000 8 1"),
    ("index_token", "ix_index_token_code", "8000000 80000 400 2 1 1 1"),
    ("index_token", "ix_index_token_system", "8000000 80000 8000"),
    ("index_string", "ix_index_string_key", "4000000 4 1"),
    ("index_string", "ix_index_string_head", "4000000 40000 20"),
    ("index_date", "ix_index_date_key", "1000000 2 1"),
    ("index_date", "ix_index_date_lo", "1000000 10000 2"),
    ("index_date", "ix_index_date_hi", "1000000 10000 2"),
    ("index_quantity", "ix_index_quantity_key", "3000000 5 1"),
    ("index_quantity", "ix_index_quantity_lo", "3000000 30000 30"),
    ("index_quantity", "ix_index_quantity_hi", "3000000 30000 30"),
    ("index_quantity", "ix_index_quantity_canonical", "3000000 30000 15000 30 30"),
    ("index_position", "ix_index_position_key", "10000 1 1"),
    ("index_position", "ix_index_position_z", "10000 10000 1"),
    ("index_reference", "ix_index_reference_key", "3000000 3 1"),
    ("index_reference", "ix_index_reference_target", "3000000 30000 30 1"),
    ("index_reference", "ix_index_reference_any", "3000000 100"),
    ("index_uri", "ix_index_uri_key", "50000 1 1"),
    ("index_uri", "ix_index_uri_head", "50000 500 2"),
    ("index_text", "ix_index_text_key", "1000000 1 1"),
    ("audit_event", "ix_audit_event_patient", "5000000 500 1 1"),
    ("audit_event", "ix_audit_event_agent", "5000000 5000 1 1"),
    ("audit_event", "ix_audit_event_recorded", "5000000 1 1"),
)


def upgrade() -> None:
    """Let SQLite plan from the first row on as for a large record; without statistics it scans all of a type."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("ANALYZE")
    known = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.bulk_insert(known, [{"tbl": table, "idx": index, "stat": stat} for table, index, stat in _STATISTICS])
