"""People and their proofs: accounts, sessions, invitations, messages. Passwords and answers are kept as argon2 hashes only."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from fhir_server.store.metadata import metadata

account = Table(
    "account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("email", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("reference", Text),
    Column("organization", Text),
    Column("may_break_glass", Boolean, nullable=False),
    Column("password_hash", Text),
    Column("active", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
Index("ix_account_reference", account.c.reference)

portal_session = Table(
    "portal_session",
    metadata,
    Column("id_hash", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)
Index("ix_portal_session_account", portal_session.c.account_id)

message = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("queued_at", BigInteger, nullable=False),
    Column("next_try_at", BigInteger, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("sent_at", BigInteger),
    Column("failed_at", BigInteger),
)
Index("ix_message_due", message.c.sent_at, message.c.next_try_at)
