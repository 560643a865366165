"""Privileges on PostgreSQL for the role that a server runs as: it adds to the audit log and never changes it.

The owner of the tables may drop a trigger, so a server that serves is somebody else. Only SELECT and INSERT are
given on the audit tables, and of an event not even the choice of its number.
"""

from __future__ import annotations

from sqlalchemy.dialects import postgresql

from fhir_server.store.database import TABLE_MODULES
from fhir_server.store.event_tables import APPEND_ONLY_TABLES
from fhir_server.store.events import COLUMNS

_LONGEST_NAME = 63


def grants(role: str) -> tuple[str, ...]:
    """Return the statements that give a role what serving needs; its owner runs them after each `init`.

    Raises:
        ValueError: The name is empty, too long or has a character that no name has.
    """
    if not role or len(role.encode()) > _LONGEST_NAME or not role.isprintable():
        raise ValueError("a role's name has 1 to 63 printable characters")
    quote = postgresql.dialect().identifier_preparer.quote_identifier  # type: ignore[no-untyped-call]
    to, audit = quote(role), ", ".join(APPEND_ONLY_TABLES)
    changed = sorted({name for module in TABLE_MODULES for name in module.metadata.tables} - set(APPEND_ONLY_TABLES))
    return (
        f"GRANT USAGE ON SCHEMA public TO {to}",
        f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {to}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(changed)} TO {to}",
        f"GRANT SELECT ON alembic_version TO {to}",
        f"REVOKE ALL ON {audit} FROM PUBLIC, {to}",
        f"GRANT SELECT ON {audit} TO {to}",
        f"GRANT INSERT ({', '.join(COLUMNS)}) ON audit_event TO {to}",
        f"GRANT INSERT ON {', '.join(name for name in APPEND_ONLY_TABLES if name != 'audit_event')} TO {to}",
        # USAGE draws the next number; to set one takes UPDATE.
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {to}",
    )
