"""What the portal remembers of a reader, as tables: visits, opened letters, news, calendars. No record content.

Instants are microseconds since the epoch, UTC; entries are keys of `store.keys`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from fhir_server.store.metadata import metadata

record_visit = Table(
    "record_visit",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("patient", Text, primary_key=True),
    Column("began_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("before_at", BigInteger),
)

entry_opened = Table(
    "entry_opened",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("opened_at", BigInteger, nullable=False),
)

record_news = Table(
    "record_news",
    metadata,
    Column("account_id", Text, primary_key=True),
    Column("due_at", BigInteger),
    Column("told_at", BigInteger),
)
Index(
    "ix_record_news_due",
    record_news.c.due_at,
    sqlite_where=record_news.c.due_at.is_not(None),
    postgresql_where=record_news.c.due_at.is_not(None),
)

calendar_link = Table(
    "calendar_link",
    metadata,
    Column("id", Text, primary_key=True),
    Column("token_hash", Text, nullable=False, unique=True),
    Column("account_id", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("patient", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
)
Index("ix_calendar_link_account", calendar_link.c.account_id, calendar_link.c.patient)
