"""Sign-in through another identity provider (NHS login, NHS CIS2): links, attempts under way, conflicts.

Tokens are kept as SHA-256 only. Instants are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Table, Text

from fhir_server.store.metadata import metadata

login_link = Table(
    "login_link",
    metadata,
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("linked_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
)
Index("ix_login_link_account", login_link.c.account_id, login_link.c.issuer, unique=True)

login_attempt = Table(
    "login_attempt",
    metadata,
    Column("state_hash", Text, primary_key=True),
    Column("browser_hash", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("vtr", Text, nullable=False),
    Column("fresh", Boolean, nullable=False),
    Column("return_to", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
Index("ix_login_attempt_started", login_attempt.c.started_at)

login_pending = Table(
    "login_pending",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("mobile", Text, nullable=False),
    Column("return_to", Text, nullable=False),
    Column("launched", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
Index("ix_login_pending_expires", login_pending.c.expires_at)

login_conflict = Table(
    "login_conflict",
    metadata,
    Column("id", Text, primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("account_id", Text),
    Column("found_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("closed_by", Text),
)
Index("ix_login_conflict_subject", login_conflict.c.issuer, login_conflict.c.subject)
Index("ix_login_conflict_open", login_conflict.c.closed_at, login_conflict.c.found_at)
