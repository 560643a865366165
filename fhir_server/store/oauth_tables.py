"""OAuth 2: clients, authorization codes, access and refresh tokens. Secrets, codes and tokens are kept as SHA-256 only."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text

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
)

access_token = Table(
    "oauth_access_token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("grant_id", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
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
)
Index("ix_oauth_access_token_grant", access_token.c.grant_id)
Index("ix_oauth_access_token_subject", access_token.c.subject)
