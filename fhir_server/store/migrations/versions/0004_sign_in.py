"""Create the tables of accounts and of how their people prove who they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of accounts and of how their people prove who they are."""
    _create_account()
    _create_portal_session()
    _create_account_link()
    _create_authenticator()
    _create_recovery_code()
    _create_passkey()
    _create_remembered_device()
    _create_pending_proof()
    _create_account_reset()
    _create_login_link()
    _create_login_attempt()
    _create_login_pending()
    _create_login_conflict()
    _create_rate_limit()


def _create_account() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text()),
        sa.Column("organization", sa.Text()),
        sa.Column("may_break_glass", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("password_hash", sa.Text()),
        sa.Column("memorable_question", sa.Text()),
        sa.Column("memorable_hash", sa.Text()),
        sa.Column("mobile", sa.Text()),
        sa.Column("agreement_version", sa.Text()),
        sa.Column("privacy_version", sa.Text()),
        sa.Column("accepted_at", sa.BigInteger()),
        sa.Column("email_confirmed_at", sa.BigInteger()),
        sa.Column("last_sign_in_at", sa.BigInteger()),
        sa.Column("text_codes_at", sa.BigInteger()),
        sa.Column("language", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("email", name="uq_account_email"),
    )
    op.create_index("ix_account_mobile", "account", ["mobile"])
    op.create_index("ix_account_reference", "account", ["reference"])


def _create_portal_session() -> None:
    op.create_table(
        "portal_session",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("device", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_portal_session"),
        sa.UniqueConstraint("token_hash", name="uq_portal_session_token_hash"),
    )
    op.create_index("ix_portal_session_account", "portal_session", ["account_id"])


def _create_account_link() -> None:
    op.create_table(
        "account_link",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("detail", sa.Text()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_account_link"),
    )
    op.create_index("ix_account_link_account", "account_link", ["account_id"])


def _create_authenticator() -> None:
    op.create_table(
        "authenticator",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at", sa.BigInteger()),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_authenticator"),
    )
    op.create_index("ix_authenticator_account", "authenticator", ["account_id"])


def _create_recovery_code() -> None:
    op.create_table(
        "recovery_code",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("account_id", "code_hash", name="pk_recovery_code"),
    )


def _create_passkey() -> None:
    op.create_table(
        "passkey",
        sa.Column("credential_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("credential_id", name="pk_passkey"),
    )
    op.create_index("ix_passkey_account", "passkey", ["account_id"])


def _create_remembered_device() -> None:
    op.create_table(
        "remembered_device",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_remembered_device"),
        sa.UniqueConstraint("token_hash", name="uq_remembered_device_token_hash"),
    )
    op.create_index("ix_remembered_device_account", "remembered_device", ["account_id"])


def _create_pending_proof() -> None:
    op.create_table(
        "pending_proof",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text()),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("sent_count", sa.Integer(), nullable=False),
        sa.Column("code_hash", sa.Text()),
        sa.Column("code_expires_at", sa.BigInteger()),
        sa.Column("challenge", sa.Text()),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_pending_proof"),
    )
    op.create_index("ix_pending_proof_expires", "pending_proof", ["expires_at"])


def _create_account_reset() -> None:
    op.create_table(
        "account_reset",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("new_email", sa.Text()),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("approved", sa.Boolean()),
        sa.Column("token_hash", sa.Text()),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_account_reset"),
        sa.UniqueConstraint("token_hash", name="uq_account_reset_token_hash"),
    )
    op.create_index("ix_account_reset_account", "account_reset", ["account_id"])


def _create_login_link() -> None:
    op.create_table(
        "login_link",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("linked_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name="pk_login_link"),
    )
    op.create_index("ix_login_link_account", "login_link", ["account_id", "issuer"], unique=True)


def _create_login_attempt() -> None:
    op.create_table(
        "login_attempt",
        sa.Column("state_hash", sa.Text(), nullable=False),
        sa.Column("browser_hash", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("vtr", sa.Text(), nullable=False),
        sa.Column("fresh", sa.Boolean(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("state_hash", name="pk_login_attempt"),
    )
    op.create_index("ix_login_attempt_started", "login_attempt", ["started_at"])


def _create_login_pending() -> None:
    op.create_table(
        "login_pending",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=False),
        sa.Column("launched", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_login_pending"),
    )
    op.create_index("ix_login_pending_expires", "login_pending", ["expires_at"])


def _create_login_conflict() -> None:
    op.create_table(
        "login_conflict",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text()),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger()),
        sa.Column("closed_by", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_login_conflict"),
    )
    op.create_index("ix_login_conflict_subject", "login_conflict", ["issuer", "subject"])
    op.create_index("ix_login_conflict_open", "login_conflict", ["closed_at", "found_at"])


def _create_rate_limit() -> None:
    op.create_table(
        "rate_limit",
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("window_started_at", sa.BigInteger(), nullable=False),
        sa.Column("hit_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_rate_limit"),
    )
