"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_APPEND_ONLY = ("audit_event", "audit_leaf", "audit_tile", "audit_checkpoint")

# Rows, then rows for each equal first column, first two columns and so on, of a record of a million resources.
_SQLITE_STATISTICS = (
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
    ("index_token", "ix_index_token_code", "8000000 80000 400 2 1 1"),
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
    """Create every table, and the triggers that keep the audit log append-only."""
    _create_resource()
    _create_resource_history()
    _create_resource_patient()
    _create_consent_grant()
    _create_membership()
    _create_break_glass()
    _create_index_token()
    _create_index_string()
    _create_index_date()
    _create_index_quantity()
    _create_index_position()
    _create_index_reference()
    _create_index_uri()
    _create_index_text()
    _create_own_parameter()
    _create_audit_event()
    _create_audit_leaf()
    _create_audit_tile()
    _create_audit_checkpoint()
    _create_account()
    _create_portal_session()
    _create_account_link()
    _create_authenticator()
    _create_recovery_code()
    _create_passkey()
    _create_remembered_device()
    _create_pending_proof()
    _create_account_reset()
    _create_notice_choice()
    _create_invitation()
    _create_invitation_batch()
    _create_invitation_row()
    _create_account_request()
    _create_contact_message()
    _create_message()
    _create_rate_limit()
    _create_carers()
    _create_login_link()
    _create_login_attempt()
    _create_login_pending()
    _create_login_conflict()
    _create_oauth()
    if op.get_bind().dialect.name == "postgresql":
        _refuse_change_on_postgresql()
    else:
        _refuse_change_on_sqlite()
        _state_statistics_on_sqlite()


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


def _create_index_token() -> None:
    op.create_table(
        "index_token",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("system", sa.BigInteger(), nullable=False),
        sa.Column("head", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("date", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_index_token_code", "index_token", ["param", "code", "date", "key", "system"])
    op.create_index("ix_index_token_key", "index_token", ["key", "param"])
    op.create_index("ix_index_token_system", "index_token", ["param", "system"])


def _create_index_string() -> None:
    op.create_table(
        "index_string",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.Column("exact", sa.Text(), nullable=False),
    )
    op.create_index("ix_index_string_head", "index_string", ["param", "head"])
    op.create_index("ix_index_string_key", "index_string", ["key", "param"])


def _create_index_date() -> None:
    op.create_table(
        "index_date",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lo", sa.BigInteger(), nullable=False),
        sa.Column("hi", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_index_date_hi", "index_date", ["param", "hi"])
    op.create_index("ix_index_date_key", "index_date", ["key", "param"])
    op.create_index("ix_index_date_lo", "index_date", ["param", "lo"])


def _create_index_quantity() -> None:
    op.create_table(
        "index_quantity",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("lo", sa.Float(precision=53), nullable=False),
        sa.Column("hi", sa.Float(precision=53), nullable=False),
        sa.Column("system", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.BigInteger(), nullable=False),
        sa.Column("dimension", sa.BigInteger(), nullable=False),
        sa.Column("canonical_lo", sa.Float(precision=53), nullable=False),
        sa.Column("canonical_hi", sa.Float(precision=53), nullable=False),
    )
    op.create_index(
        "ix_index_quantity_canonical", "index_quantity", ["param", "dimension", "canonical_lo", "canonical_hi"]
    )
    op.create_index("ix_index_quantity_hi", "index_quantity", ["param", "hi"])
    op.create_index("ix_index_quantity_key", "index_quantity", ["key", "param"])
    op.create_index("ix_index_quantity_lo", "index_quantity", ["param", "lo"])


def _create_index_position() -> None:
    op.create_table(
        "index_position",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("x", sa.Float(precision=53), nullable=False),
        sa.Column("y", sa.Float(precision=53), nullable=False),
        sa.Column("z", sa.Float(precision=53), nullable=False),
    )
    op.create_index("ix_index_position_key", "index_position", ["key", "param"])
    op.create_index("ix_index_position_z", "index_position", ["param", "z"])


def _create_index_reference() -> None:
    op.create_table(
        "index_reference",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("target_type", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_index_reference_any", "index_reference", ["target"])
    op.create_index("ix_index_reference_key", "index_reference", ["key", "param"])
    op.create_index("ix_index_reference_target", "index_reference", ["param", "target", "key"])


def _create_index_uri() -> None:
    op.create_table(
        "index_uri",
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
    )
    op.create_index("ix_index_uri_head", "index_uri", ["param", "head"])
    op.create_index("ix_index_uri_key", "index_uri", ["key", "param"])


def _create_index_text() -> None:
    op.create_table(
        "index_text",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("param", sa.Integer(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("words", sa.Text().with_variant(postgresql.TSVECTOR(), "postgresql"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_text"),
    )
    op.create_index("ix_index_text_key", "index_text", ["key", "param"])
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_index_text_words", "index_text", ["words"], postgresql_using="gin")
        return
    op.execute(
        "CREATE VIRTUAL TABLE index_text_words USING fts5"
        "(words, content='index_text', content_rowid='id', columnsize=0, tokenize='ascii')"
    )
    forget = "INSERT INTO index_text_words (index_text_words, rowid, words) VALUES ('delete', old.id, old.words)"
    learn = "INSERT INTO index_text_words (rowid, words) VALUES (new.id, new.words)"
    op.execute(f"CREATE TRIGGER index_text_insert AFTER INSERT ON index_text BEGIN {learn}; END")
    op.execute(f"CREATE TRIGGER index_text_delete AFTER DELETE ON index_text BEGIN {forget}; END")
    op.execute(f"CREATE TRIGGER index_text_update AFTER UPDATE OF id, words ON index_text BEGIN {forget}; {learn}; END")


def _create_own_parameter() -> None:
    op.create_table(
        "own_parameter",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger()),
        sa.Column("done_count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_own_parameter"),
    )


def _create_audit_event() -> None:
    op.create_table(
        "audit_event",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=False),
        sa.Column("agent", sa.BigInteger(), nullable=False),
        sa.Column("organization", sa.BigInteger(), nullable=False),
        sa.Column("entity", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_event"),
        sa.UniqueConstraint("id", name="uq_audit_event_id"),
    )
    op.create_index("ix_audit_event_agent", "audit_event", ["agent", "recorded_at", "seq"])
    op.create_index("ix_audit_event_patient", "audit_event", ["patient", "recorded_at", "seq"])
    op.create_index("ix_audit_event_recorded", "audit_event", ["recorded_at", "seq"])


def _create_audit_leaf() -> None:
    op.create_table(
        "audit_leaf",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_audit_leaf"),
        sa.UniqueConstraint("seq", name="uq_audit_leaf_seq"),
    )


def _create_audit_tile() -> None:
    op.create_table(
        "audit_tile",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name="pk_audit_tile"),
    )


def _create_audit_checkpoint() -> None:
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("newest_seq", sa.BigInteger(), nullable=False),
        sa.Column("settled_seq", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_audit_checkpoint"),
    )


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
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("email", name="uq_account_email"),
    )
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


def _create_notice_choice() -> None:
    op.create_table(
        "notice_choice",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("chosen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "notice", name="pk_notice_choice"),
    )


def _create_invitation() -> None:
    op.create_table(
        "invitation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("nhs_number", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("reminder_hash", sa.Text()),
        sa.Column("reminded_at", sa.BigInteger()),
        sa.Column("letter_at", sa.BigInteger()),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger()),
        sa.Column("proof_hash", sa.Text()),
        sa.Column("proved_at", sa.BigInteger()),
        sa.Column("password_hash", sa.Text()),
        sa.Column("memorable_question", sa.Text()),
        sa.Column("memorable_hash", sa.Text()),
        sa.Column("completed_at", sa.BigInteger()),
        sa.Column("cancelled_at", sa.BigInteger()),
        sa.Column("account_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_invitation"),
        sa.UniqueConstraint("token_hash", name="uq_invitation_token_hash"),
        sa.UniqueConstraint("reminder_hash", name="uq_invitation_reminder_hash"),
    )
    op.create_index("ix_invitation_email", "invitation", ["email"])
    op.create_index("ix_invitation_expires", "invitation", ["expires_at"])
    op.create_index("ix_invitation_organization", "invitation", ["organization", "created_at"])
    op.create_index("ix_invitation_patient", "invitation", ["patient"])


def _create_invitation_batch() -> None:
    op.create_table(
        "invitation_batch",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("uploaded_by", sa.Text(), nullable=False),
        sa.Column("uploaded_at", sa.BigInteger(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("leased_until", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_invitation_batch"),
    )
    op.create_index("ix_invitation_batch_organization", "invitation_batch", ["organization", "uploaded_at"])


def _create_invitation_row() -> None:
    op.create_table(
        "invitation_row",
        sa.Column("batch", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("invitation_id", sa.Text()),
        sa.PrimaryKeyConstraint("batch", "line", name="pk_invitation_row"),
    )
    op.create_index("ix_invitation_row_state", "invitation_row", ["batch", "state", "line"])


def _create_account_request() -> None:
    op.create_table(
        "account_request",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("organization_name", sa.Text(), nullable=False),
        sa.Column("registration", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("checked_by", sa.Text()),
        sa.Column("checked_at", sa.BigInteger()),
        sa.Column("evidence", sa.Text()),
        sa.Column("practitioner", sa.Text()),
        sa.Column("organization", sa.Text()),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("token_hash", sa.Text()),
        sa.Column("token_expires_at", sa.BigInteger()),
        sa.Column("account_id", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_account_request"),
        sa.UniqueConstraint("token_hash", name="uq_account_request_token_hash"),
    )
    op.create_index("ix_account_request_state", "account_request", ["state", "asked_at"])


def _create_contact_message() -> None:
    op.create_table(
        "contact_message",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.Text()),
        sa.Column("closed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_contact_message"),
    )
    op.create_index("ix_contact_message_sent", "contact_message", ["closed_at", "sent_at"])


def _create_message() -> None:
    op.create_table(
        "message",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=False),
        sa.Column("next_try_at", sa.BigInteger(), nullable=False),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("sent_at", sa.BigInteger()),
        sa.Column("failed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
    )
    op.create_index("ix_message_due", "message", ["sent_at", "failed_at", "next_try_at"])


def _create_rate_limit() -> None:
    op.create_table(
        "rate_limit",
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("window_started_at", sa.BigInteger(), nullable=False),
        sa.Column("hit_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name="pk_rate_limit"),
    )


def _create_carers() -> None:
    _create_carer_invitation()
    _create_carer_link()
    _create_sharing_request()


def _create_carer_invitation() -> None:
    op.create_table(
        "carer_invitation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("failed_count", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger()),
        sa.Column("completed_at", sa.BigInteger()),
        sa.Column("cancelled_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_carer_invitation"),
        sa.UniqueConstraint("token_hash", name="uq_carer_invitation_token_hash"),
    )
    op.create_index("ix_carer_invitation_patient", "carer_invitation", ["patient", "created_at"])


def _create_carer_link() -> None:
    op.create_table(
        "carer_link",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("reference", name="pk_carer_link"),
    )
    op.create_index("ix_carer_link_account", "carer_link", ["account_id"])


def _create_sharing_request() -> None:
    op.create_table(
        "sharing_request",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text()),
        sa.Column("practitioner", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=False),
        sa.Column("nhs_number", sa.Text(), nullable=False),
        sa.Column("birth_date", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger()),
        sa.Column("granted", sa.Boolean()),
        sa.PrimaryKeyConstraint("id", name="pk_sharing_request"),
    )
    op.create_index("ix_sharing_request_patient", "sharing_request", ["patient", "created_at"])
    op.create_index("ix_sharing_request_practitioner", "sharing_request", ["practitioner", "created_at"])


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
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("mobile", sa.Text(), nullable=False),
        sa.Column("return_to", sa.Text(), nullable=False),
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


def _create_oauth() -> None:
    _create_oauth_client()
    _create_oauth_access_token()
    _create_oauth_grant()
    _create_oauth_code()
    _create_oauth_refresh_token()
    _create_oauth_assertion()
    _create_oauth_launch()


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
        sa.PrimaryKeyConstraint("client_id", name="pk_oauth_client"),
    )


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


def _refuse_change_on_postgresql() -> None:
    op.execute(
        "CREATE OR REPLACE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION "
        "USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = 'insufficient_privilege'; END$$"
    )
    run = "EXECUTE FUNCTION audit_append_only()"
    for table in _APPEND_ONLY:
        op.execute(f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {run}")
        op.execute(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {run}")


def _refuse_change_on_sqlite() -> None:
    for table in _APPEND_ONLY:
        refuse = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        op.execute(f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}")
        op.execute(f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}")
    # INSERT OR REPLACE fires no DELETE trigger for the row that it throws out.
    op.execute(
        "CREATE TRIGGER audit_event_no_replace BEFORE INSERT ON audit_event "
        "WHEN EXISTS (SELECT 1 FROM audit_event WHERE id = NEW.id OR seq = NEW.seq) "
        "BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END"
    )


def _state_statistics_on_sqlite() -> None:
    """Let SQLite plan from the first row on as for a large record; without statistics it scans all of a type."""
    op.execute("ANALYZE")
    known = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.bulk_insert(known, [{"tbl": table, "idx": index, "stat": stat} for table, index, stat in _SQLITE_STATISTICS])
