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
    Column("text_codes_at", BigInteger),
    Column("language", Text),
)
Index("ix_account_reference", account.c.reference)
Index("ix_account_mobile", account.c.mobile)

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
    Column("device", Text),
    Column("organization", Text),
)
Index("ix_portal_session_account", portal_session.c.account_id)

workplace = Table(
    "workplace",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("organization", Text, primary_key=True),
    Column("joined_at", BigInteger, nullable=False),
)
Index("ix_workplace_organization", workplace.c.organization)

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
    Column("detail", Text),
)
Index("ix_account_link_account", account_link.c.account_id)

authenticator = Table(
    "authenticator",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("sealed_secret", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("confirmed_at", BigInteger),
    Column("last_step", BigInteger, nullable=False),
)
Index("ix_authenticator_account", authenticator.c.account_id)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("code_hash", Text, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)

passkey = Table(
    "passkey",
    metadata,
    Column("credential_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
)
Index("ix_passkey_account", passkey.c.account_id)

remembered_device = Table(
    "remembered_device",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
Index("ix_remembered_device_account", remembered_device.c.account_id)

pending_proof = Table(
    "pending_proof",
    metadata,
    Column("token_hash", Text, primary_key=True),
    Column("account_id", Text),
    Column("purpose", Text, nullable=False),
    Column("detail", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("failed_count", Integer, nullable=False),
    Column("sent_count", Integer, nullable=False),
    Column("code_hash", Text),
    Column("code_expires_at", BigInteger),
    Column("challenge", Text),
    Column("used_at", BigInteger),
)
Index("ix_pending_proof_expires", pending_proof.c.expires_at)

account_reset = Table(
    "account_reset",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("new_email", Text),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("code_hash", Text, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", BigInteger),
    Column("approved", Boolean),
    Column("token_hash", Text, unique=True),
    Column("failed_count", Integer, nullable=False),
    Column("used_at", BigInteger),
)
Index("ix_account_reset_account", account_reset.c.account_id)

notice_choice = Table(
    "notice_choice",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("notice", Text, primary_key=True),
    Column("chosen_at", BigInteger, nullable=False),
)

notice_given = Table(
    "notice_given",
    metadata,
    Column("about", Text, primary_key=True),
    Column("notice", Text, primary_key=True),
    Column("given_at", BigInteger, nullable=False),
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
    Column("reminder_hash", Text, unique=True),
    Column("reminded_at", BigInteger),
    Column("letter_at", BigInteger),
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
Index("ix_invitation_email", invitation.c.email)
Index("ix_invitation_expires", invitation.c.expires_at)

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
    Column("language", Text),
)
Index("ix_message_due", message.c.sent_at, message.c.failed_at, message.c.next_try_at)

rate_limit = Table(
    "rate_limit",
    metadata,
    Column("key_hash", Text, primary_key=True),
    Column("window_started_at", BigInteger, nullable=False),
    Column("hit_count", Integer, nullable=False),
)
