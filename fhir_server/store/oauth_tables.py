"""OAuth 2: clients and their makers' words, launches, permissions, codes, tokens, assertions already seen, choices.

Secrets, codes and tokens are random (at least 256 bits) and kept as SHA-256 only. Instants are microseconds since the
epoch, UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from fhir_server.store.metadata import metadata

oauth_client = Table(
    "oauth_client",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("secret_hash", LargeBinary),
    Column("jwks", Text),
    Column("jwks_uri", Text),
    Column("redirect_uris", Text, nullable=False),
    Column("launch_uri", Text),
    Column("scope", Text, nullable=False),
    Column("organization", Text),
    Column("trusted", Boolean, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("id_token_alg", Text, nullable=False),
    Column("dpop_bound", Boolean, nullable=False),
    Column("requests_per_minute", Integer),
)

app = Table(
    "oauth_app",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("owner", Text),
    Column("about", Text, nullable=False),
    Column("token_hash", LargeBinary),
    Column("registered_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
    Column("decided_by", Text),
    Column("reason", Text),
)
Index("ix_oauth_app_state", app.c.state, app.c.registered_at)
Index("ix_oauth_app_owner", app.c.owner)

access_token = Table(
    "oauth_access_token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_key", BigInteger, nullable=False),
    Column("account_id", Text),
    Column("patient", Text),
    Column("scope", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("organization", Text),
    Column("trusted", Boolean, nullable=False),
    Column("may_break_glass", Boolean, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("key_thumbprint", Text),
)
Index("ix_oauth_access_token_grant", access_token.c.grant_id)
Index("ix_oauth_access_token_subject", access_token.c.subject)

grant = Table(
    "oauth_grant",
    metadata,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("patient", Text),
    Column("scope", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("organization", Text),
    Column("may_break_glass", Boolean, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("granted_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("encounter", Text),
    Column("context", Text),
    Column("session_id", Text),
)
Index("ix_oauth_grant_account", grant.c.account_id)
Index("ix_oauth_grant_subject", grant.c.subject)

code = Table(
    "oauth_code",
    metadata,
    Column("code_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("code_challenge", Text, nullable=False),
    Column("nonce", Text),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("key_thumbprint", Text),
)
Index("ix_oauth_code_grant", code.c.grant_id)
Index("ix_oauth_code_expiry", code.c.expires_at)

refresh_token = Table(
    "oauth_refresh_token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("key_thumbprint", Text),
)
Index("ix_oauth_refresh_token_grant", refresh_token.c.grant_id)
Index("ix_oauth_refresh_token_expiry", refresh_token.c.expires_at)

assertion = Table(
    "oauth_assertion",
    metadata,
    Column("assertion_hash", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False),
)
Index("ix_oauth_assertion_expiry", assertion.c.expires_at)

choice = Table(
    "oauth_choice",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("client_id", Text, primary_key=True),
    Column("asked", Text, nullable=False),
    Column("granted", Text, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
)

launch = Table(
    "oauth_launch",
    metadata,
    Column("launch_hash", LargeBinary, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("encounter", Text),
    Column("context", Text),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
Index("ix_oauth_launch_expiry", launch.c.expires_at)
