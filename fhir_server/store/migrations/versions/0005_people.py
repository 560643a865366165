"""Create the tables of invitations, requests, carers and messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of invitations, requests, carers and messages."""
    _create_notice_choice()
    _create_notice_given()
    _create_invitation()
    _create_invitation_batch()
    _create_invitation_row()
    _create_account_request()
    _create_contact_message()
    _create_message()
    _create_carer_invitation()
    _create_carer_link()
    _create_sharing_request()
    _create_record_visit()
    _create_entry_opened()
    _create_calendar_link()


def _create_notice_choice() -> None:
    op.create_table(
        "notice_choice",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("chosen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "notice", name="pk_notice_choice"),
    )


def _create_notice_given() -> None:
    op.create_table(
        "notice_given",
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("about", "notice", name="pk_notice_given"),
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
        sa.Column("language", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_message"),
    )
    op.create_index("ix_message_due", "message", ["sent_at", "failed_at", "next_try_at"])


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
        sa.Column("organization", sa.Text()),
        sa.Column("birth_date", sa.Text()),
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
    op.create_index("ix_carer_invitation_organization", "carer_invitation", ["organization", "created_at"])


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


def _create_record_visit() -> None:
    op.create_table(
        "record_visit",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("before_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("account_id", "patient", name="pk_record_visit"),
    )


def _create_entry_opened() -> None:
    op.create_table(
        "entry_opened",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("entry", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "entry", name="pk_entry_opened"),
    )


def _create_calendar_link() -> None:
    op.create_table(
        "calendar_link",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("patient", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_calendar_link"),
        sa.UniqueConstraint("token_hash", name="uq_calendar_link_token_hash"),
    )
    op.create_index("ix_calendar_link_account", "calendar_link", ["account_id", "patient"])
