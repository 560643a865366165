"""Tables of the record itself: resources, history, owners, grants compiled from Consents, emergency access.

Instants are microseconds since the epoch in UTC; keys are those of `store.keys`; 0 means "none". Only modules of
`store` import this one (an import contract holds it). Index tables of search are in `index_tables`, accounts in
`account_tables`, OAuth in `oauth_tables`, audit in `event_tables`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
)

from fhir_server.store.metadata import metadata

serial = BigInteger().with_variant(Integer, "sqlite")

_RESOURCE_COLUMNS = (
    ("type", Integer),
    ("id", Text),
    ("version", Integer),
    ("updated_at", BigInteger),
    ("deleted", Boolean),
    ("patient", BigInteger),
    ("multi", Boolean),
    ("label", BigInteger),
    ("confidentiality", SmallInteger),
    ("author", BigInteger),
    ("context", BigInteger),
    ("released_at", BigInteger),
)

resource = Table(
    "resource",
    metadata,
    # In SQLite an INTEGER primary key is the row id itself: one b-tree less.
    Column("key", serial, primary_key=True, autoincrement=False),
    *(Column(name, type_, nullable=False) for name, type_ in _RESOURCE_COLUMNS),
    Column("code", BigInteger, nullable=False, server_default="0"),
    Column("date_lo", BigInteger),
    Column("date_hi", BigInteger),
    Column("content", LargeBinary),
)
Index("ix_resource_patient_date", resource.c.type, resource.c.patient, resource.c.date_lo.desc(), resource.c.date_hi)
Index("ix_resource_patient_code", resource.c.type, resource.c.patient, resource.c.code, resource.c.date_lo.desc())
Index("ix_resource_date", resource.c.type, resource.c.date_lo, resource.c.key)
Index("ix_resource_updated", resource.c.type, resource.c.updated_at, resource.c.key)
Index("ix_resource_author", resource.c.author, resource.c.type)
Index(
    "ix_resource_context",
    resource.c.context,
    sqlite_where=resource.c.context != 0,
    postgresql_where=resource.c.context != 0,
)

history = Table(
    "resource_history",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, type_, nullable=False, primary_key=name == "version") for name, type_ in _RESOURCE_COLUMNS),
    Column("content", LargeBinary),
)
Index("ix_history_updated", history.c.type, history.c.updated_at)

resource_patient = Table(
    "resource_patient",
    metadata,
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("patient", BigInteger, primary_key=True, autoincrement=False),
)
Index("ix_resource_patient_patient", resource_patient.c.patient)

consent_grant = Table(
    "consent_grant",
    metadata,
    Column("id", serial, primary_key=True),
    Column("consent", BigInteger, nullable=False),
    Column("node", Text, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("ends", SmallInteger, nullable=False),
    Column("permit", Boolean, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("actor", BigInteger, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger, nullable=False),
    Column("purposes", BigInteger, nullable=False),
    Column("purpose", BigInteger, nullable=False),
    Column("actions", SmallInteger, nullable=False),
    Column("labels", BigInteger, nullable=False),
    Column("confidentiality", SmallInteger, nullable=False),
    Column("rare", Boolean, nullable=False),
    Column("type", Integer, nullable=False),
    Column("code", BigInteger, nullable=False),
    Column("system", BigInteger, nullable=False),
    Column("data_from", BigInteger),
    Column("data_to", BigInteger),
    Column("meaning", SmallInteger, nullable=False),
    Column("target", BigInteger, nullable=False),
    Column("blocks_emergency", Boolean, nullable=False),
)
Index("ix_consent_grant_patient", consent_grant.c.patient, consent_grant.c.actor)
Index("ix_consent_grant_actor", consent_grant.c.actor, consent_grant.c.patient)
Index("ix_consent_grant_consent", consent_grant.c.consent)
Index(
    "ix_consent_grant_rare",
    consent_grant.c.actor,
    sqlite_where=consent_grant.c.rare.is_(True),
    postgresql_where=consent_grant.c.rare.is_(True),
)

membership = Table(
    "membership",
    metadata,
    Column("id", serial, primary_key=True),
    Column("source", BigInteger, nullable=False),
    Column("member", BigInteger, nullable=False),
    Column("container", BigInteger, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger, nullable=False),
)
Index("ix_membership_member", membership.c.member)
Index("ix_membership_source", membership.c.source)

break_glass = Table(
    "break_glass",
    metadata,
    Column("id", Text, primary_key=True),
    Column("practitioner", BigInteger, nullable=False),
    Column("practitioner_reference", Text, nullable=False),
    Column("patient", BigInteger, nullable=False),
    Column("patient_id", Text, nullable=False),
    Column("organization", BigInteger, nullable=False),
    Column("reason_system", Text, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_recorded", Boolean, nullable=False),
    Column("session", Text, nullable=False),
)
Index("ix_break_glass_live", break_glass.c.practitioner, break_glass.c.patient, break_glass.c.expires_at)
Index("ix_break_glass_expiry", break_glass.c.end_recorded, break_glass.c.expires_at)
