"""Audit: append-only events and signed checkpoints over them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from fhir_server.store.metadata import metadata
from fhir_server.store.tables import serial

audit_event = Table(
    "audit_event",
    metadata,
    Column("seq", serial, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("recorded_at", BigInteger, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("agent", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("entity", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
Index("ix_audit_event_patient", audit_event.c.patient, audit_event.c.recorded_at)
Index("ix_audit_event_agent", audit_event.c.agent, audit_event.c.recorded_at)
Index("ix_audit_event_recorded", audit_event.c.recorded_at)

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("signed_at", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)
