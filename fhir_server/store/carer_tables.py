"""Carers and requests to share, as tables: who was invited, whom an account stands for, who asked. No rights.

What anybody sees is a Consent in the record. Instants are microseconds since the epoch, UTC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from fhir_server.store.metadata import metadata

carer_invitation = Table(
    "carer_invitation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("patient", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("consent_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("mobile", Text, nullable=False),
    Column("invited_by", Text, nullable=False),
    Column("organization", Text),
    Column("birth_date", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("code_hash", Text, nullable=False),
    Column("failed_count", Integer, nullable=False),
    Column("locked_until", BigInteger),
    Column("completed_at", BigInteger),
    Column("cancelled_at", BigInteger),
)
Index("ix_carer_invitation_patient", carer_invitation.c.patient, carer_invitation.c.created_at)
Index("ix_carer_invitation_organization", carer_invitation.c.organization, carer_invitation.c.created_at)

carer_link = Table(
    "carer_link",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
)
Index("ix_carer_link_account", carer_link.c.account_id)

sharing_request = Table(
    "sharing_request",
    metadata,
    Column("id", Text, primary_key=True),
    Column("patient", Text),
    Column("practitioner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("organization", Text, nullable=False),
    Column("nhs_number", Text, nullable=False),
    Column("birth_date", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("answered_at", BigInteger),
    Column("granted", Boolean),
)
Index("ix_sharing_request_patient", sharing_request.c.patient, sharing_request.c.created_at)
Index("ix_sharing_request_practitioner", sharing_request.c.practitioner, sharing_request.c.created_at)
