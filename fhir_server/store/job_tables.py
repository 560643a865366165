"""Tables of when each background job last ran, and of what a load has done so far."""

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

load_part = Table(
    "load_part",
    metadata,
    Column("file", Text, primary_key=True),
    Column("first_line", BigInteger, primary_key=True, autoincrement=False),
    Column("last_line", BigInteger, nullable=False),
    # What tells the file from a changed one of the same name.
    Column("mark", Text, nullable=False),
    Column("loaded_count", BigInteger, nullable=False),
    Column("refused", Text, nullable=False),
)
