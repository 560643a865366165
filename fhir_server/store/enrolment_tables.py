"""People on their way in and out: files of invitations, requests for an account, messages to the service desk, cases.

Files, requests and messages are kept for a limited time only: `identity` says how long, the worker deletes. What two
people decided about a person's records, and which accounts were closed why, is kept.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from fhir_server.store.metadata import metadata

invitation_batch = Table(
    "invitation_batch",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization", Text, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("uploaded_at", BigInteger, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("row_count", Integer, nullable=False),
    Column("leased_until", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
)
Index("ix_invitation_batch_organization", invitation_batch.c.organization, invitation_batch.c.uploaded_at)

invitation_row = Table(
    "invitation_row",
    metadata,
    Column("batch", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("details", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("invitation_id", Text),
)
Index("ix_invitation_row_state", invitation_row.c.batch, invitation_row.c.state, invitation_row.c.line)

account_request = Table(
    "account_request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("job", Text, nullable=False),
    Column("organization_name", Text, nullable=False),
    Column("registration", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("checked_by", Text),
    Column("checked_at", BigInteger),
    Column("evidence", Text),
    Column("practitioner", Text),
    Column("organization", Text),
    Column("decided_by", Text),
    Column("decided_at", BigInteger),
    Column("token_hash", Text, unique=True),
    Column("token_expires_at", BigInteger),
    Column("account_id", Text),
    Column("role", Text),
)
Index("ix_account_request_state", account_request.c.state, account_request.c.asked_at)

contact_message = Table(
    "contact_message",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("closed_by", Text),
    Column("closed_at", BigInteger),
)
Index("ix_contact_message_sent", contact_message.c.closed_at, contact_message.c.sent_at)

person_case = Table(
    "person_case",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("other", Text, nullable=False),
    Column("day", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", BigInteger, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", BigInteger),
    Column("detail", Text),
)
Index("ix_person_case_state", person_case.c.state, person_case.c.proposed_at)
Index("ix_person_case_patient", person_case.c.patient)

closure = Table(
    "closure",
    metadata,
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("account_id", Text),
    Column("closed_at", BigInteger, nullable=False),
    Column("reopened_at", BigInteger),
)
Index("ix_closure_person", closure.c.person, closure.c.reason)
