"""Resource rows: read under a visibility, write with history and index rows, all in the caller's transaction.

The current version of a resource is one row of `resource`; a version that is replaced moves to `resource_history`
unchanged, so each version's bytes are stored once. Index rows belong to the current version only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    exists,
    func,
    insert,
    select,
    update,
)

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import index_tables, many_rows, prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, reference_key, type_key
from fhir_server.store.visibility import HISTORY_RULES, Look, Visibility, readable

_INDEX = {table.name: table for table in index_tables.ALL}
_DERIVED = tuple(table.c.key for table in (*index_tables.ALL, tables.resource_patient))
_MOVED = list(tables.history.c)
_CHUNK = 512


@dataclass(frozen=True, slots=True)
class Version:
    """One stored version of a resource; `content` is None for a deletion.

    `changeable` says of a current one whether it exists for the second visibility that `get` was given, too.
    """

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
    released_at: int
    content: bytes | None
    changeable: bool = False


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
        released_at: From when the patient sees it, microseconds since the epoch; 0 for at once.
        code, date_lo, date_hi: Hot columns.
        index: Index rows by table name, see `many_rows.Rows`.
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
    released_at: int = 0
    code: int = 0
    date_lo: int | None = None
    date_hi: int | None = None
    index: Mapping[str, Sequence[tuple[Any, ...]]] = field(default_factory=dict)


def get(
    session: Session, visibility: Visibility, resource_type: str, logical_id: str, changing: Visibility | None = None
) -> Version | None:
    """Return the current version if it exists for this visibility (a deleted one too), else None.

    With `changing`, the visibility of what may be changed, the same statement finds out `Version.changeable`.
    """
    values = {**visibility.parameters(), **_name(resource_type, logical_id)}
    beside = changing if changing is not None and _agree(values, changing.parameters()) else None
    if beside is not None:
        values |= beside.parameters()
    found = None
    # Most rows are decided on by a statement that is a fraction of the whole; absent and hidden ones take both.
    looks = (Look.SURE, Look.EXACT) if session.is_postgresql and not visibility.is_plain else (Look.EXACT,)
    for look in looks:

        def build(look: Look = look) -> Select[Any]:
            rows = readable(visibility, deleted=True, look=look)
            columns: list[ColumnElement[Any]] = [rows.c[name] for name in _NAMES]
            if beside is not None:
                same = readable(beside, deleted=True)
                columns.append(exists().where(same.c.key == rows.c.key).correlate(rows))
            return select(*columns).where(*_named(rows))

        shape = ("get", look, visibility.shape, None if beside is None else beside.shape)
        found = prepared.run(session, shape, build, values).one_or_none()
        if found is not None:
            break
    stored = _version(found and found[: len(_NAMES)], resource_type, logical_id)
    if stored is None or found is None or changing is None:
        return stored
    changeable = bool(found[-1]) if beside is not None else not outside(session, changing, [stored.key])
    return replace(stored, changeable=changeable)


def _agree(values: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Return whether two visibilities, which name their values alike, can be asked in one statement."""
    return all(values.get(name, value) == value for name, value in others.items())


def version(
    session: Session, visibility: Visibility, resource_type: str, logical_id: str, version_id: int
) -> Version | None:
    """Return one version if both the current one and that one exist for this visibility."""
    current = get(session, visibility, resource_type, logical_id)
    if current is None or current.version == version_id:
        return current

    def build() -> Select[Any]:
        old = tables.history.alias()
        named = (old.c.key == _old("key", BigInteger), old.c.version == _old("version", Integer))
        return select(*(old.c[name] for name in _NAMES)).where(*named, visibility.predicate(old, HISTORY_RULES))

    values = {**visibility.parameters(), "old_key": current.key, "old_version": version_id}
    found = prepared.run(session, ("version", visibility.shape), build, values).one_or_none()
    return _version(found, resource_type, logical_id)


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
    if new.version > 1:
        _replace(session, new)
    else:
        many_rows.insert(session, _rows((new,)))


def put_new(session: Session, versions: Iterable[NewVersion]) -> None:
    """Insert many first versions at once."""
    waiting = iter(versions)
    while chunk := list(islice(waiting, _CHUNK)):
        many_rows.insert(session, _rows(chunk))


def _rows(versions: Sequence[NewVersion], *, derived_only: bool = False) -> dict[Table, list[tuple[Any, ...]]]:
    rows: dict[Table, list[tuple[Any, ...]]] = defaultdict(list)
    for new in versions:
        if not derived_only:
            rows[tables.resource].append(_row(new))
        for name, found in new.index.items():
            rows[_INDEX[name]] += found
        rows[tables.resource_patient] += [(new.key, patient) for patient in new.patients[1:]]
    return rows


def _replace(session: Session, new: NewVersion) -> None:
    values = {f"new_{column.name}": value for column, value in zip(tables.resource.c, _row(new), strict=True)}
    values |= {"old_key": new.key, "old_version": new.version - 1}
    derived = _rows((new,), derived_only=True)
    # Some of its further patients may be those it had: they come when those are gone.
    further = {tables.resource_patient: derived.pop(tables.resource_patient)}
    if session.is_postgresql:
        beside = prepared.numbered(session, "replace_version", _replace_at_once, values)
        replaced = many_rows.exchange(session, _DERIVED, new.key, derived, beside=beside)
    else:
        prepared.change(session, "move_version", _move_statement, values)
        replaced = prepared.change(session, "replace_row", _replace_statement, values)
        many_rows.exchange(session, _DERIVED, new.key, derived)
    if replaced != 1:
        raise FhirError(Kind.CONFLICT, f"{new.type}/{new.id} was changed by another request; read it again")
    many_rows.insert(session, further)


def _expected() -> ColumnElement[bool]:
    row = tables.resource.c
    return and_(row.key == _old("key", BigInteger), row.version == _old("version", Integer))


def _old(name: str, type_: type[BigInteger | Integer]) -> ColumnElement[int]:
    return bindparam(f"old_{name}", NONE, type_)


def _move_statement() -> Insert:
    return _moved(select(*(tables.resource.c[each.name] for each in _MOVED)).where(_expected()))


def _moved(rows: Select[Any]) -> Insert:
    return insert(tables.history).from_select([each.name for each in _MOVED], rows)


def _replace_statement() -> Update:
    columns = [each for each in tables.resource.c if each.name != "key"]
    values = {each.name: bindparam(f"new_{each.name}", type_=each.type) for each in columns}
    return update(tables.resource).where(_expected()).values(values)


def _replace_at_once() -> Update:
    """Lock the row first, so that of two writers one waits, and then finds the version gone."""
    row = tables.resource.c
    locked = select(*(row[each.name] for each in _MOVED)).where(_expected()).with_for_update().cte("locked")
    moved = _moved(select(*(locked.c[each.name] for each in _MOVED))).cte("moved")
    return _replace_statement().where(row.key == locked.c.key).add_cte(moved)


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
    "released_at",
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


def _version(row: Sequence[Any] | None, resource_type: str, logical_id: str) -> Version | None:
    if row is None:
        return None
    fields = dict(zip(_NAMES, row, strict=True))
    fields["deleted"], fields["multi"] = bool(fields["deleted"]), bool(fields["multi"])
    return Version(type=resource_type, id=logical_id, **fields)


def _row(new: NewVersion) -> tuple[Any, ...]:
    """Return the columns of `tables.resource`."""
    return (
        new.key,
        type_key(new.type),
        new.id,
        new.version,
        new.updated_at,
        new.content is None,
        new.patients[0] if new.patients else 0,
        len(new.patients) > 1,
        new.label,
        new.confidentiality,
        new.author,
        new.context,
        new.released_at,
        new.code,
        new.date_lo,
        new.date_hi,
        new.content,
    )
