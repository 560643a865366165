"""Bulk exports: what was asked for and which rows were found. INVARIANT: keys only, nothing that a record says."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, Table, Text

from fhir_server.store.metadata import metadata

export_job = Table(
    "export_job",
    metadata,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("grant_id", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("request_url", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("step", Integer, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("resource_count", BigInteger, nullable=False),
    Column("lease", Text, nullable=False),
    Column("leased_until", BigInteger, nullable=False),
    Column("attempt_count", Integer, nullable=False),
    Column("problem", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
Index("ix_export_job_state", export_job.c.state, export_job.c.leased_until)
Index("ix_export_job_client", export_job.c.client_id)

export_page = Table(
    "export_page",
    metadata,
    Column("job", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("file", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("deleted", Boolean, nullable=False),
    Column("keys", LargeBinary, nullable=False),
)
