"""Whom rows belong to: their patients beyond the first, rows that share another's verdict, look-ups by identifier.

Nothing here discloses content. Whoever may see a row plays no part: these are the facts that deciding rests on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, Select, bindparam, delete, func, insert, literal_column, select, update

from fhir_server.store import index_tables, prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, hash32, hash64
from fhir_server.store.resources import NewVersion

_CHUNK = 512
_KNOWN_IDS = 200_000


def owners(session: Session, keys: Sequence[int]) -> tuple[tuple[int, ...], int, int]:
    """Return (patients, label mask, confidentiality) that a resource pointing at these rows takes over."""
    row, further = tables.resource, tables.resource_patient
    found: dict[int, None] = {}
    label = confidentiality = 0
    statement = select(row.c.patient, row.c.label, row.c.confidentiality).where(row.c.key.in_(keys))
    for patient, its_label, level in session.connection.execute(statement):
        if patient:
            found[patient] = None
        label |= its_label
        confidentiality = max(confidentiality, level)
    rest = select(further.c.patient).where(further.c.key.in_(keys))
    found.update(dict.fromkeys(session.connection.execute(rest).scalars()))
    return tuple(found), label, confidentiality


def further_patients(session: Session, keys: Sequence[int]) -> dict[int, list[int]]:
    """Return the patients beyond the first of those of these rows that belong to several."""
    found: dict[int, list[int]] = {}
    row = tables.resource_patient
    for start in range(0, len(keys), _CHUNK):
        statement = select(row.c.key, row.c.patient).where(row.c.key.in_(keys[start : start + _CHUNK]))
        for key, patient in session.connection.execute(statement):
            found.setdefault(key, []).append(patient)
    return found


def ids_of(session: Session, keys: Iterable[int], *, afresh: bool = False) -> dict[int, str]:
    """Return the logical ids of resources by key, for audit only; a key never changes its id, so they are kept.

    Args:
        session: The transaction.
        keys: Whose ids.
        afresh: Look up those that are kept too, and even where there is no key. For answers that disclose nothing: what
            is hidden (and kept) must not be answered sooner than what does not exist (and cannot be kept).
    """
    known = session.store.known_ids
    if len(known) > _KNOWN_IDS:
        known.clear()
    wanted = list(keys)
    missing = (wanted or [NONE]) if afresh else [key for key in wanted if key not in known]
    for start in range(0, len(missing), _CHUNK):
        known.update(_ids(session, missing[start : start + _CHUNK]))
    return {key: known[key] for key in wanted if key in known}


def _ids(session: Session, keys: Sequence[int]) -> Iterable[tuple[int, str]]:
    size = 1 << (len(keys) - 1).bit_length()
    names = [f"key_{index}" for index in range(size)]

    def build() -> Select[tuple[int, str]]:
        row = tables.resource
        return select(row.c.key, row.c.id).where(row.c.key.in_([bindparam(name, NONE, BigInteger) for name in names]))

    padded = list(keys) + [keys[-1]] * (size - len(keys))
    found = prepared.run(session, ("ids of", size), build, dict(zip(names, padded, strict=True)))
    return [(record.key, record.id) for record in found]


def keys_with_identifier(session: Session, resource_type: str, system: str, value: str) -> list[int]:
    """Return the keys of current resources with this identifier, whoever may see them (uniqueness rules only)."""
    index = index_tables.token
    statement = select(index.c.key).where(
        index.c.param == hash32(f"{resource_type}.identifier"),
        index.c.code == hash64(value),
        index.c.system == hash64(system),
    )
    return list(session.connection.execute(statement).scalars())


def contexts_among(session: Session, keys: Sequence[int]) -> list[int]:
    """Return those of these keys whose verdict other rows share."""
    found: list[int] = []
    row = tables.resource
    for start in range(0, len(keys), _CHUNK):
        statement = (
            select(row.c.context).distinct().where(row.c.context.in_(keys[start : start + _CHUNK]), row.c.context != 0)
        )
        found += session.connection.execute(statement).scalars()
    return found


def take_over(session: Session, new: NewVersion, patients: Sequence[int], label: int, confidentiality: int) -> None:
    """Give a written row the patients, label and level of what it points at; without any it stays its author's."""
    row, further = tables.resource, tables.resource_patient
    owned = tuple(dict.fromkeys((*new.patients, *patients)))
    values = {
        "patient": owned[0] if owned else 0,
        "multi": len(owned) > 1,
        "label": label or new.label,
        "confidentiality": max(confidentiality, new.confidentiality),
    }
    session.connection.execute(update(row).where(row.c.key == new.key).values(values))
    session.connection.execute(delete(further).where(further.c.key == new.key))
    if len(owned) > 1:
        session.connection.execute(insert(further), [{"key": new.key, "patient": patient} for patient in owned[1:]])


def hold_back(session: Session, targets: Sequence[int], *, key: int = NONE, context: int = NONE) -> None:
    """Keep from the patient what points at results for as long as they are: one row, or all that share a verdict."""
    row = tables.resource
    latest = session.connection.execute(select(func.max(row.c.released_at)).where(row.c.key.in_(targets))).scalar()
    if not latest:
        return
    which = row.c.key == key if key else row.c.context == context
    session.connection.execute(update(row).where(which, row.c.released_at < latest).values(released_at=latest))


def adopt(session: Session, context: int, patients: Sequence[int], label: int, confidentiality: int) -> None:
    """Give the rows that share a resource's verdict (Binary.securityContext) its patient and label."""
    row = tables.resource
    statement = (
        update(row)
        .where(row.c.context == context)
        .values(
            patient=patients[0] if patients else 0,
            multi=len(patients) > 1,
            label=label,
            confidentiality=confidentiality,
        )
    )
    if session.connection.execute(statement).rowcount and len(patients) > 1:
        sharing = select(row.c.key).where(row.c.context == context)
        session.connection.execute(delete(tables.resource_patient).where(tables.resource_patient.c.key.in_(sharing)))
        for patient in patients[1:]:
            rows = select(row.c.key, literal_column(str(int(patient)))).where(row.c.context == context)
            session.connection.execute(insert(tables.resource_patient).from_select(["key", "patient"], rows))
