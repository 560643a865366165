"""Search parameters that an operator adds at run time, and how far their index is."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, SmallInteger, Table

from fhir_server.store.metadata import metadata

own_parameter = Table(
    "own_parameter",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("registered_at", BigInteger, nullable=False),
    Column("position", BigInteger),
    Column("done_count", BigInteger, nullable=False),
)
"""One row per SearchParameter resource in force, by its key; one that is taken back stays as a mark of that.

`revision` rises over all rows with each change of what is in force, so the greatest tells whether anything changed.
"""
