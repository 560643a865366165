"""Directory look-ups that decide who somebody is: roles of a practitioner, type of an organisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Select, and_, bindparam, exists, or_, select

from fhir_server.store import index_tables, prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, hash32, hash64, type_key

_PRACTITIONER = hash32("PractitionerRole.practitioner")
_ORGANIZATION = hash32("PractitionerRole.organization")
_ACTIVE = hash32("PractitionerRole.active")
_PERIOD = hash32("PractitionerRole.date")


@dataclass(frozen=True, slots=True)
class Role:
    """One current PractitionerRole: its key and its organisation's (0 where it names none)."""

    key: int
    organization: int


def roles_of(session: Session, practitioner: int, now_us: int) -> tuple[Role, ...]:
    """Return the PractitionerRoles of a practitioner that are active and within their period."""
    values = {"practitioner": practitioner, "now": now_us}
    found = prepared.run(session, "roles_of", _roles_statement, values)
    return tuple(Role(row.key, row.target or NONE) for row in found)


def _roles_statement() -> Select[Any]:
    role = tables.resource
    now = bindparam("now", 0, BigInteger)
    who, where, active, period = (
        index_tables.reference.alias(),
        index_tables.reference.alias(),
        index_tables.token.alias(),
        index_tables.date.alias(),
    )
    return (
        select(role.c.key, where.c.target)
        .select_from(
            who.join(role, role.c.key == who.c.key).outerjoin(
                where, and_(where.c.key == who.c.key, where.c.param == _ORGANIZATION)
            )
        )
        .where(
            who.c.param == _PRACTITIONER,
            who.c.target == bindparam("practitioner", NONE, BigInteger),
            role.c.type == type_key("PractitionerRole"),
            role.c.deleted.is_(False),
            ~exists().where(active.c.key == role.c.key, active.c.param == _ACTIVE, active.c.code == hash64("false")),
            ~exists().where(
                period.c.key == role.c.key,
                period.c.param == _PERIOD,
                or_(period.c.lo > now, period.c.hi <= now),
            ),
        )
        .order_by(role.c.key)
    )


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
