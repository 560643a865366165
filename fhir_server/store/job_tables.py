"""Table of when each background job last ran."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from fhir_server.store.metadata import metadata

job_run = Table(
    "job_run",
    metadata,
    Column("name", Text, primary_key=True),
    Column("finished_at", BigInteger, nullable=False),
    Column("succeeded_at", BigInteger),
    Column("failure_count", Integer, nullable=False),
    Column("detail", Text, nullable=False),
)
