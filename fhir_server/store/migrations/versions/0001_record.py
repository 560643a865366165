"""Create the tables of the record: resources, history, owners, grants, memberships, emergency access."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of the record: resources, history, owners, grants, memberships, emergency access."""
    _create_resource()
    _create_resource_history()
    _create_resource_patient()
    _create_consent_grant()
    _create_membership()
    _create_break_glass()


def _create_resource() -> None:
    op.create_table(
        "resource",
        sa.Column("key", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("multi", sa.Boolean(), nullable=False),
        sa.Column("label", sa.BigInteger(), nullable=False),
        sa.Column("confidentiality", sa.SmallInteger(), nullable=False),
        sa.Column("author", sa.BigInteger(), nullable=False),
        sa.Column("context", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("date_lo", sa.BigInteger()),
        sa.Column("date_hi", sa.BigInteger()),
        sa.Column("content", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("key", name="pk_resource"),
    )
    op.create_index("ix_resource_author", "resource", ["author", "type"])
    op.create_index(
        "ix_resource_context",
        "resource",
        ["context"],
        sqlite_where=sa.text("context != 0"),
        postgresql_where=sa.text("context != 0"),
    )
    op.create_index("ix_resource_patient_code", "resource", ["type", "patient", "code", sa.text("date_lo DESC")])
    op.create_index("ix_resource_patient_date", "resource", ["type", "patient", sa.text("date_lo DESC")])
    op.create_index("ix_resource_date", "resource", ["type", "date_lo", "key"])
    op.create_index("ix_resource_updated", "resource", ["type", "updated_at", "key"])


def _create_resource_history() -> None:
    op.create_table(
        "resource_history",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("multi", sa.Boolean(), nullable=False),
        sa.Column("label", sa.BigInteger(), nullable=False),
        sa.Column("confidentiality", sa.SmallInteger(), nullable=False),
        sa.Column("author", sa.BigInteger(), nullable=False),
        sa.Column("context", sa.BigInteger(), nullable=False),
        sa.Column("released_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("key", "version", name="pk_resource_history"),
    )
    op.create_index("ix_history_updated", "resource_history", ["type", "updated_at"])


def _create_resource_patient() -> None:
    op.create_table(
        "resource_patient",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("key", "patient", name="pk_resource_patient"),
    )
    op.create_index("ix_resource_patient_patient", "resource_patient", ["patient"])


def _create_consent_grant() -> None:
    op.create_table(
        "consent_grant",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("consent", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("ends", sa.SmallInteger(), nullable=False),
        sa.Column("permit", sa.Boolean(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.BigInteger(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.Column("purposes", sa.BigInteger(), nullable=False),
        sa.Column("purpose", sa.BigInteger(), nullable=False),
        sa.Column("actions", sa.SmallInteger(), nullable=False),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("confidentiality", sa.SmallInteger(), nullable=False),
        sa.Column("rare", sa.Boolean(), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("system", sa.BigInteger(), nullable=False),
        sa.Column("data_from", sa.BigInteger()),
        sa.Column("data_to", sa.BigInteger()),
        sa.Column("meaning", sa.SmallInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("blocks_emergency", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_consent_grant"),
    )
    op.create_index("ix_consent_grant_actor", "consent_grant", ["actor", "patient"])
    op.create_index("ix_consent_grant_consent", "consent_grant", ["consent"])
    op.create_index("ix_consent_grant_patient", "consent_grant", ["patient", "actor"])
    op.create_index(
        "ix_consent_grant_rare",
        "consent_grant",
        ["actor"],
        sqlite_where=sa.text("rare IS 1"),
        postgresql_where=sa.text("rare IS true"),
    )


def _create_membership() -> None:
    op.create_table(
        "membership",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.BigInteger(), nullable=False),
        sa.Column("member", sa.BigInteger(), nullable=False),
        sa.Column("container", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("valid_from", sa.BigInteger(), nullable=False),
        sa.Column("valid_to", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_membership"),
    )
    op.create_index("ix_membership_member", "membership", ["member"])
    op.create_index("ix_membership_source", "membership", ["source"])


def _create_break_glass() -> None:
    op.create_table(
        "break_glass",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("practitioner", sa.BigInteger(), nullable=False),
        sa.Column("practitioner_reference", sa.Text(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("patient_id", sa.Text(), nullable=False),
        sa.Column("organization", sa.BigInteger(), nullable=False),
        sa.Column("reason_system", sa.Text(), nullable=False),
        sa.Column("reason_code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("end_recorded", sa.Boolean(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_break_glass"),
    )
    op.create_index("ix_break_glass_expiry", "break_glass", ["end_recorded", "expires_at"])
    op.create_index("ix_break_glass_live", "break_glass", ["practitioner", "patient", "expires_at"])
