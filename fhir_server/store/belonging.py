"""Whom rows belong to: their patients beyond the first, rows that share another's verdict, look-ups by identifier.

Nothing here discloses content. Whoever may see a row plays no part: these are the facts that deciding rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Result,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    union,
    update,
)

from fhir_server.store import index_tables, prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, hash32, hash64
from fhir_server.store.resources import NewVersion

_CHUNK = 512
_KNOWN_IDS = 20_000
# The condition of the index, word for word: with a parameter in it the whole table would be looked through.
_SHARED = tables.resource.c.context != literal_column("0")
_TARGET: ColumnElement[int] = literal_column(str(hash32("Provenance.target")))


def owners(session: Session, keys: Sequence[int]) -> tuple[tuple[int, ...], int, int]:
    """Return (patients, label mask, confidentiality) that a resource pointing at these rows takes over."""
    found: dict[int, None] = {}
    label = confidentiality = 0
    further: list[int] = []
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        for row in _of_keys(session, "owners", chunk, _owners_statement):
            if row.patient:
                found[row.patient] = None
            label |= row.label
            confidentiality = max(confidentiality, row.confidentiality)
        further += (row.patient for row in _of_keys(session, "further owners", chunk, _further_statement))
    found.update(dict.fromkeys(further))
    return tuple(found), label, confidentiality


def _owners_statement(keys: Sequence[BindParameter[int]]) -> Select[Any]:
    row = tables.resource
    return select(row.c.patient, row.c.label, row.c.confidentiality).where(row.c.key.in_(keys))


def _further_statement(keys: Sequence[BindParameter[int]]) -> Select[Any]:
    row = tables.resource_patient
    return select(row.c.patient).where(row.c.key.in_(keys))


def further_patients(session: Session, keys: Sequence[int]) -> dict[int, list[int]]:
    """Return the patients beyond the first of those of these rows that belong to several."""
    found: dict[int, list[int]] = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        for row in _of_keys(session, "further patients", chunk, _patients_statement):
            found.setdefault(row.key, []).append(row.patient)
    return found


def _patients_statement(keys: Sequence[BindParameter[int]]) -> Select[Any]:
    row = tables.resource_patient
    return select(row.c.key, row.c.patient).where(row.c.key.in_(keys))


def ids_of(
    session: Session, keys: Iterable[int], *, afresh: bool = False, told: Mapping[int, str] | None = None
) -> dict[int, str]:
    """Return the logical ids of resources by key, for audit only; a key never changes its id, so they are kept.

    Args:
        session: The transaction.
        keys: Whose ids.
        told: Ids that need not be looked up: the patient's who asks.
        afresh: Look up those that are kept too, and even where there is no key. For answers that disclose nothing: what
            is hidden (and kept) must not be answered sooner than what does not exist (and cannot be kept).
    """
    known = session.store.known_ids
    if len(known) > _KNOWN_IDS:
        known.clear()
    wanted, told = list(keys), told or {}
    missing = (wanted or [NONE]) if afresh else [key for key in wanted if key not in known and key not in told]
    for start in range(0, len(missing), _CHUNK):
        known.update(_ids(session, missing[start : start + _CHUNK]))
    found = {key: known.get(key) or told.get(key, "") for key in wanted}
    return {key: logical_id for key, logical_id in found.items() if logical_id}


def present(session: Session, keys: Sequence[int]) -> set[int]:
    """Return which of these rows there are, deleted ones too: for deciding how to write, never for an answer."""
    found: set[int] = set()
    for start in range(0, len(keys), _CHUNK):
        found.update(key for key, _ in _ids(session, keys[start : start + _CHUNK]))
    return found


def _ids(session: Session, keys: Sequence[int]) -> Iterable[tuple[int, str]]:
    return [(found.key, found.id) for found in _of_keys(session, "ids of", keys, _ids_statement)]


def _ids_statement(keys: Sequence[BindParameter[int]]) -> Select[Any]:
    row = tables.resource
    return select(row.c.key, row.c.id).where(row.c.key.in_(keys))


def keys_with_identifier(session: Session, resource_type: str, system: str, value: str) -> list[int]:
    """Return the keys of current resources with this identifier, whoever may see them (uniqueness rules only)."""
    index = index_tables.token
    statement = select(index.c.key).where(
        index.c.param == hash32(f"{resource_type}.identifier"),
        index.c.code == hash64(value),
        index.c.system == hash64(system),
    )
    return list(session.connection.execute(statement).scalars())


def leading(session: Session, keys: Sequence[int]) -> list[int]:
    """Return those of these keys whose verdict other rows share: Binaries by their context, Provenances by a target."""
    found: dict[int, None] = {}
    for start in range(0, len(keys), _CHUNK):
        rows = _of_keys(session, "leading", keys[start : start + _CHUNK], _leading_statement)
        found.update(dict.fromkeys(row.key for row in rows))
    return list(found)


def _leading_statement(keys: Sequence[BindParameter[int]]) -> CompoundSelect[Any]:
    row, reference = tables.resource.c, index_tables.reference.c
    return union(
        select(row.context.label("key")).where(row.context.in_(keys), _SHARED),
        select(reference.target).where(reference.param == _TARGET, reference.target.in_(keys)),
    )


def provenances_of(session: Session, key: int) -> list[str]:
    """Return the logical ids of the Provenances that go with a row, whoever may see them."""
    row, reference = tables.resource.c, index_tables.reference.c
    pointing = select(reference.key).where(reference.param == _TARGET, reference.target == key)
    found = select(row.id).where(row.key.in_(pointing), or_(row.patient != 0, _by_author_of(key)))
    return list(session.connection.execute(found.order_by(row.key)).scalars())


def _of_keys(
    session: Session,
    name: str,
    keys: Sequence[int],
    build: Callable[[Sequence[BindParameter[int]]], Select[Any] | CompoundSelect[Any]],
) -> Result[Any]:
    """Run a statement about up to so many keys as is a power of two, so that there are few shapes of it."""
    names = [f"key_{index}" for index in range(1 << (len(keys) - 1).bit_length())]
    padded = [*keys, *[keys[-1]] * (len(names) - len(keys))]
    parameters = [bindparam(each, NONE, BigInteger) for each in names]
    return prepared.run(session, (name, len(names)), lambda: build(parameters), dict(zip(names, padded, strict=True)))


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
    which = row.c.key == key if key else and_(row.c.context == context, _SHARED)
    session.connection.execute(update(row).where(which, row.c.released_at < latest).values(released_at=latest))


def adopt(session: Session, context: int, patients: Sequence[int], label: int, confidentiality: int) -> list[int]:
    """Give the Binaries that share a resource's verdict its patients, label and level; return their keys."""
    row, further = tables.resource, tables.resource_patient
    sharing = select(row.c.key).where(
        row.c.context == context, _SHARED, or_(row.c.patient != 0, _by_author_of(context))
    )
    keys = list(session.connection.execute(sharing).scalars())
    if not keys:
        return []
    values = {
        "patient": patients[0] if patients else 0,
        "multi": len(patients) > 1,
        "label": label,
        "confidentiality": confidentiality,
    }
    session.connection.execute(delete(further).where(further.c.key.in_(sharing)))
    session.connection.execute(update(row).where(row.c.key.in_(sharing)).values(values))
    owned = [{"key": key, "patient": patient} for key in keys for patient in patients[1:]]
    if owned:
        session.connection.execute(insert(further), owned)
    return keys


def _by_author_of(key: int) -> ColumnElement[bool]:
    """Return whether a row is of the author of another.

    INVARIANT: what was nobody's, as it came before what it points at, goes with what its own author wrote: whoever else
    takes that id would say who sees it.
    """
    other = tables.resource.alias()
    return tables.resource.c.author == select(other.c.author).where(other.c.key == key).scalar_subquery()
