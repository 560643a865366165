"""Resource rows: read under a visibility, write with history and index rows, all in the caller's transaction.

The current version of a resource is one row of `resource`; a version that is replaced moves to `resource_history`
unchanged, so each version's bytes are stored once. Index rows belong to the current version only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import index_tables, prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, hash32, hash64, reference_key, type_key
from fhir_server.store.visibility import HISTORY_RULES, Visibility, readable

_INDEX = {table.name: table for table in index_tables.ALL}
_MOVED = list(tables.history.c)
_CHUNK = 512
_KNOWN_IDS = 200_000


@dataclass(frozen=True, slots=True)
class Version:
    """One stored version of a resource; `content` is None for a deletion."""

    key: int
    type: str
    id: str
    version: int
    updated_at: int
    deleted: bool
    patient: int
    multi: bool
    label: int
    confidentiality: int
    author: int
    context: int
    content: bytes | None


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to be written.

    Attributes:
        key, type, id: Which resource.
        version: 1 for a new resource, else the replaced version plus 1.
        updated_at: Microseconds since the epoch.
        content: JSON bytes with `id` and `meta`, None for a deletion.
        patients: Keys of all patients it belongs to.
        label, confidentiality, author, context: See `tables.resource`.
        code, date_lo, date_hi: Hot columns.
        index: Index rows by table name.
    """

    key: int
    type: str
    id: str
    version: int
    updated_at: int
    content: bytes | None
    patients: tuple[int, ...]
    label: int
    confidentiality: int
    author: int
    context: int = 0
    code: int = 0
    date_lo: int | None = None
    date_hi: int | None = None
    index: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


def get(session: Session, visibility: Visibility, resource_type: str, logical_id: str) -> Version | None:
    """Return the current version if it exists for this visibility (a deleted one too), else None."""

    def build() -> Select[Any]:
        rows = readable(visibility, deleted=True)
        return select(*(rows.c[name] for name in _NAMES)).where(*_named(rows))

    values = {**visibility.parameters(), **_name(resource_type, logical_id)}
    found = prepared.run(session, ("get", visibility.shape), build, values).one_or_none()
    return _version(found, resource_type, logical_id)


def history(session: Session, visibility: Visibility, resource_type: str, logical_id: str) -> list[Version]:
    """Return every version, newest first, that exists for this visibility; empty unless the current one does."""
    current = get(session, visibility, resource_type, logical_id)
    if current is None:
        return []
    old = tables.history.alias()
    statement = (
        select(*(old.c[name] for name in _NAMES))
        .where(old.c.key == current.key, visibility.predicate(old, HISTORY_RULES))
        .order_by(old.c.version.desc())
    )
    found = [_version(row, resource_type, logical_id) for row in session.connection.execute(statement)]
    return [current, *(version for version in found if version is not None)]


def version(
    session: Session, visibility: Visibility, resource_type: str, logical_id: str, version_id: int
) -> Version | None:
    """Return one version if both the current one and that one exist for this visibility."""
    current = get(session, visibility, resource_type, logical_id)
    if current is None or current.version == version_id:
        return current
    old = tables.history.alias()
    statement = select(*(old.c[name] for name in _NAMES)).where(
        old.c.key == current.key, old.c.version == version_id, visibility.predicate(old, HISTORY_RULES)
    )
    return _version(session.connection.execute(statement).one_or_none(), resource_type, logical_id)


def current(session: Session, resource_type: str, logical_id: str) -> Version | None:
    """Return the current version whoever may see it.

    INVARIANT: only for deciding a write, for audit and for the matching mandate of feeds; its content is never
    disclosed.
    """

    def build() -> Select[Any]:
        row = tables.resource
        return select(*(row.c[name] for name in _NAMES)).where(*_named(row))

    found = prepared.run(session, "current", build, _name(resource_type, logical_id)).one_or_none()
    return _version(found, resource_type, logical_id)


def put(session: Session, new: NewVersion) -> None:
    """Write one version: insert, or replace version `new.version - 1`.

    Raises:
        FhirError: CONFLICT when the stored version is not the one to be replaced.
    """
    if new.version == 1:
        session.connection.execute(insert(tables.resource), _row(new))
    else:
        _replace(session, new)
    for name, rows in new.index.items():
        if rows:
            session.connection.execute(insert(_INDEX[name]), [dict(row) for row in rows])
    if len(new.patients) > 1:
        further = [{"key": new.key, "patient": patient} for patient in new.patients[1:]]
        session.connection.execute(insert(tables.resource_patient), further)


def put_new(session: Session, versions: Iterable[NewVersion]) -> None:
    """Insert many first versions, one statement per table and chunk."""
    batches: dict[Table, list[dict[str, Any]]] = defaultdict(list)
    for new in versions:
        batches[tables.resource].append(_row(new))
        for name, rows in new.index.items():
            batches[_INDEX[name]] += [dict(row) for row in rows]
        batches[tables.resource_patient] += [{"key": new.key, "patient": patient} for patient in new.patients[1:]]
    for table, rows in batches.items():
        for start in range(0, len(rows), _CHUNK):
            session.connection.execute(insert(table), rows[start : start + _CHUNK])


def _replace(session: Session, new: NewVersion) -> None:
    row = tables.resource
    expected = and_(row.c.key == new.key, row.c.version == new.version - 1)
    moved = insert(tables.history).from_select(
        [c.name for c in _MOVED], select(*(row.c[c.name] for c in _MOVED)).where(expected)
    )
    values = _row(new)
    del values["key"]
    # The update takes the row lock first, so that of two writers one waits, and then finds the version gone.
    if session.is_postgresql:
        session.connection.execute(select(row.c.version).where(row.c.key == new.key).with_for_update())
    session.connection.execute(moved)
    if session.connection.execute(update(row).where(expected).values(values)).rowcount != 1:
        raise FhirError(Kind.CONFLICT, f"{new.type}/{new.id} was changed by another request; read it again")
    for table in index_tables.ALL:
        session.connection.execute(delete(table).where(table.c.key == new.key))
    session.connection.execute(delete(tables.resource_patient).where(tables.resource_patient.c.key == new.key))


def outside(session: Session, visibility: Visibility, keys: Sequence[int]) -> int:
    """Return how many of these rows do not exist for this visibility (deleted rows count as they stand)."""
    distinct = list(dict.fromkeys(keys))
    inside = 0
    for start in range(0, len(distinct), _CHUNK):
        chunk = distinct[start : start + _CHUNK]
        size = 1 << (len(chunk) - 1).bit_length()

        def build(size: int = size) -> Select[Any]:
            rows = readable(visibility, deleted=True)
            wanted = [bindparam(f"key_{index}", NONE, BigInteger) for index in range(size)]
            return select(func.count()).select_from(rows).where(rows.c.key.in_(wanted))

        padded = chunk + chunk[-1:] * (size - len(chunk))
        values = {**visibility.parameters(), **{f"key_{index}": key for index, key in enumerate(padded)}}
        inside += prepared.run(session, ("outside", visibility.shape, size), build, values).scalar_one()
    return len(distinct) - inside


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


def ids_of(session: Session, keys: Iterable[int]) -> dict[int, str]:
    """Return the logical ids of resources by key, for audit only; a key never changes its id, so they are kept."""
    known = session.store.known_ids
    wanted = list(keys)
    missing = [key for key in wanted if key not in known]
    if missing:
        if len(known) > _KNOWN_IDS:
            known.clear()
        row = tables.resource
        for start in range(0, len(missing), _CHUNK):
            statement = select(row.c.key, row.c.id).where(row.c.key.in_(missing[start : start + _CHUNK]))
            known.update(session.connection.execute(statement).all())
    return {key: known[key] for key in wanted if key in known}


def counts(session: Session) -> dict[int, int]:
    """Return how many current resources there are by `keys.type_key` (operator's view)."""
    row = tables.resource
    statement = select(row.c.type, func.count()).where(row.c.deleted.is_(False)).group_by(row.c.type)
    return dict(session.connection.execute(statement).all())


_NAMES = (
    "key",
    "version",
    "updated_at",
    "deleted",
    "patient",
    "multi",
    "label",
    "confidentiality",
    "author",
    "context",
    "content",
)


def _named(row: FromClause) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a row is the one of `_name`: the key finds it, type and id rule out a collision."""
    return (
        row.c.key == bindparam("key", NONE, BigInteger),
        row.c.type == bindparam("type", NONE, Integer),
        row.c.id == bindparam("id", "", Text),
    )


def _name(resource_type: str, logical_id: str) -> dict[str, Any]:
    return {"key": reference_key(resource_type, logical_id), "type": type_key(resource_type), "id": logical_id}


def _version(row: Row[Any] | None, resource_type: str, logical_id: str) -> Version | None:
    if row is None:
        return None
    fields = dict(zip(_NAMES, row, strict=True))
    fields["deleted"], fields["multi"] = bool(fields["deleted"]), bool(fields["multi"])
    return Version(type=resource_type, id=logical_id, **fields)


def _row(new: NewVersion) -> dict[str, Any]:
    return {
        "key": new.key,
        "type": type_key(new.type),
        "id": new.id,
        "version": new.version,
        "updated_at": new.updated_at,
        "deleted": new.content is None,
        "patient": new.patients[0] if new.patients else 0,
        "multi": len(new.patients) > 1,
        "label": new.label,
        "confidentiality": new.confidentiality,
        "author": new.author,
        "context": new.context,
        "code": new.code,
        "date_lo": new.date_lo,
        "date_hi": new.date_hi,
        "content": new.content,
    }


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
