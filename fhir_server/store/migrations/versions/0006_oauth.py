"""Create the tables of the authorization server."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of the authorization server."""
    _create_oauth_client()
    _create_oauth_app()
    _create_oauth_access_token()
    _create_oauth_grant()
    _create_oauth_code()
    _create_oauth_refresh_token()
    _create_oauth_assertion()
    _create_oauth_launch()
    _create_oauth_choice()


def _create_oauth_client() -> None:
    op.create_table(
        "oauth_client",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary()),
        sa.Column("jwks", sa.Text()),
        sa.Column("jwks_uri", sa.Text()),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("launch_uri", sa.Text()),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text()),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("id_token_alg", sa.Text(), nullable=False),
        sa.Column("dpop_bound", sa.Boolean(), nullable=False),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.PrimaryKeyConstraint("client_id", name="pk_oauth_client"),
    )


def _create_oauth_app() -> None:
    op.create_table(
        "oauth_app",
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary()),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("client_id", name="pk_oauth_app"),
    )
    op.create_index("ix_oauth_app_owner", "oauth_app", ["owner"])
    op.create_index("ix_oauth_app_state", "oauth_app", ["state", "registered_at"])


def _create_oauth_access_token() -> None:
    op.create_table(
        "oauth_access_token",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_key", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Text()),
        sa.Column("patient", sa.Text()),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text()),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("may_break_glass", sa.Boolean(), nullable=False),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.Column("key_thumbprint", sa.Text()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_oauth_access_token"),
    )
    op.create_index("ix_oauth_access_token_grant", "oauth_access_token", ["grant_id"])
    op.create_index("ix_oauth_access_token_subject", "oauth_access_token", ["subject"])


def _create_oauth_grant() -> None:
    op.create_table(
        "oauth_grant",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text()),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text()),
        sa.Column("may_break_glass", sa.Boolean(), nullable=False),
        sa.Column("auth_time", sa.BigInteger(), nullable=False),
        sa.Column("granted_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("encounter", sa.Text()),
        sa.Column("context", sa.Text()),
        sa.Column("session_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_grant"),
    )
    op.create_index("ix_oauth_grant_account", "oauth_grant", ["account_id"])
    op.create_index("ix_oauth_grant_subject", "oauth_grant", ["subject"])


def _create_oauth_code() -> None:
    op.create_table(
        "oauth_code",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text()),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("key_thumbprint", sa.Text()),
        sa.PrimaryKeyConstraint("code_hash", name="pk_oauth_code"),
    )
    op.create_index("ix_oauth_code_expiry", "oauth_code", ["expires_at"])
    op.create_index("ix_oauth_code_grant", "oauth_code", ["grant_id"])


def _create_oauth_refresh_token() -> None:
    op.create_table(
        "oauth_refresh_token",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.Column("revoked_at", sa.BigInteger()),
        sa.Column("key_thumbprint", sa.Text()),
        sa.PrimaryKeyConstraint("token_hash", name="pk_oauth_refresh_token"),
    )
    op.create_index("ix_oauth_refresh_token_expiry", "oauth_refresh_token", ["expires_at"])
    op.create_index("ix_oauth_refresh_token_grant", "oauth_refresh_token", ["grant_id"])


def _create_oauth_assertion() -> None:
    op.create_table(
        "oauth_assertion",
        sa.Column("assertion_hash", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("assertion_hash", name="pk_oauth_assertion"),
    )
    op.create_index("ix_oauth_assertion_expiry", "oauth_assertion", ["expires_at"])


def _create_oauth_launch() -> None:
    op.create_table(
        "oauth_launch",
        sa.Column("launch_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("encounter", sa.Text()),
        sa.Column("context", sa.Text()),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("launch_hash", name="pk_oauth_launch"),
    )
    op.create_index("ix_oauth_launch_expiry", "oauth_launch", ["expires_at"])


def _create_oauth_choice() -> None:
    op.create_table(
        "oauth_choice",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("granted", sa.Text(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "client_id", name="pk_oauth_choice"),
    )
