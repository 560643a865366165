"""People and their proofs: accounts, sessions, invitations, messages, limits.

Passwords, memorable answers and text codes are kept as argon2 hashes, tokens as SHA-256 only. Instants are microseconds
since the epoch, UTC.
"""

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
    Column("active", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("password_hash", Text),
    Column("memorable_question", Text),
    Column("memorable_hash", Text),
    Column("mobile", Text),
    Column("agreement_version", Text),
    Column("privacy_version", Text),
    Column("accepted_at", BigInteger),
    Column("email_confirmed_at", BigInteger),
    Column("last_sign_in_at", BigInteger),
)
Index("ix_account_reference", account.c.reference)

portal_session = Table(
    "portal_session",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("account_id", Text, nullable=False),
    Column("auth_time", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)
Index("ix_portal_session_account", portal_session.c.account_id)

account_link = Table(
    "account_link",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("failed_count", Integer, nullable=False),
    Column("used_at", BigInteger),
)
Index("ix_account_link_account", account_link.c.account_id)

notice_choice = Table(
    "notice_choice",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("notice", Text, primary_key=True),
    Column("chosen_at", BigInteger, nullable=False),
)

invitation = Table(
    "invitation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("patient", Text, nullable=False),
    Column("given", Text, nullable=False),
    Column("family", Text, nullable=False),
    Column("birth_date", Text, nullable=False),
    Column("nhs_number", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("mobile", Text, nullable=False),
    Column("invited_by", Text, nullable=False),
    Column("organization", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("code_hash", Text, nullable=False),
    Column("failed_count", Integer, nullable=False),
    Column("locked_until", BigInteger),
    Column("proof_hash", Text),
    Column("proved_at", BigInteger),
    Column("password_hash", Text),
    Column("memorable_question", Text),
    Column("memorable_hash", Text),
    Column("completed_at", BigInteger),
    Column("cancelled_at", BigInteger),
    Column("account_id", Text),
)
Index("ix_invitation_patient", invitation.c.patient)
Index("ix_invitation_organization", invitation.c.organization, invitation.c.created_at)

message = Table(
    "message",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("queued_at", BigInteger, nullable=False),
    Column("next_try_at", BigInteger, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("last_error", Text),
    Column("sent_at", BigInteger),
    Column("failed_at", BigInteger),
)
Index("ix_message_due", message.c.sent_at, message.c.failed_at, message.c.next_try_at)

rate_limit = Table(
    "rate_limit",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("window_started_at", BigInteger, nullable=False),
    Column("hit_count", Integer, nullable=False),
)
