"""What belongs to a record or names it, for joining two records of one person; what has a system's identifier.

Facts alone: nothing here discloses content.
"""

from __future__ import annotations

from sqlalchemy import select, union

from fhir_server.store import index_tables, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import hash32, hash64


def to_patient(session: Session, patient: int) -> list[int]:
    """Return the keys of current resources in a patient's compartment or with a reference to the patient, in order."""
    row, further, reference = tables.resource.c, tables.resource_patient.c, index_tables.reference.c
    found = union(
        select(row.key).where(row.patient == patient),
        select(further.key).where(further.patient == patient),
        select(reference.key).where(reference.target == patient),
    )
    return sorted(key for key in session.connection.execute(found).scalars() if key != patient)


def named(session: Session, keys: list[int]) -> list[tuple[int, str]]:
    """Return (type key, logical id) of current resources that are not deleted, in the order of these keys."""
    row = tables.resource.c
    found: dict[int, tuple[int, str]] = {}
    for start in range(0, len(keys), 500):
        statement = select(row.key, row.type, row.id).where(row.key.in_(keys[start : start + 500]))
        rows = session.connection.execute(statement.where(row.deleted.is_(False)))
        found |= {each.key: (each.type, each.id) for each in rows}
    return [found[key] for key in keys if key in found]


def with_identifier_system(session: Session, resource_type: str, system: str) -> list[int]:
    """Return the keys of current resources of a type with an identifier of a system, whoever may see them."""
    token = index_tables.token.c
    param = hash32(f"{resource_type}.identifier")
    statement = select(token.key).where(token.param == param, token.system == hash64(system)).distinct()
    return sorted(session.connection.execute(statement).scalars())
