"""Directory look-ups that decide who somebody is."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, select

from fhir_server.store import prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, type_key


def reference_of(session: Session, key: int, resource_type: str) -> str:
    """Return the literal reference of a current resource by its key, "" where there is none."""
    found = prepared.run(session, "reference_of", _id_statement, {"key": key}).scalar_one_or_none()
    return f"{resource_type}/{found}" if found else ""


def _id_statement() -> Select[Any]:
    row = tables.resource.c
    return select(row.id).where(row.key == bindparam("key", NONE, BigInteger), row.deleted.is_(False))


def organization_content(session: Session, key: int) -> bytes | None:
    """Return the stored bytes of an Organization, None where it is absent."""
    row = tables.resource.c
    statement = select(row.content).where(row.key == key, row.type == type_key("Organization"), row.deleted.is_(False))
    return session.connection.execute(statement).scalar_one_or_none()
