"""How many rows of one patient exist for a caller, by type and label: what explains sharing is counted by the gate.

INVARIANT: a count is over the rows that exist for *both* visibilities, the actor's and that of whoever asks, so that it
tells nobody of a row that they cannot see. Nothing here discloses content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar
from typing import cast as typed

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    bindparam,
    cast,
    column,
    func,
    literal_column,
    select,
    union,
    union_all,
    values,
)
from sqlalchemy.sql.visitors import replacement_traverse

from fhir_server.store import prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.grants import EmergencyAccess, Grant
from fhir_server.store.keys import NONE, type_key
from fhir_server.store.visibility import RULES, Visibility, readable, with_subject

_ASKER = "asker_"
WHOSE = "tally_patient"
"""Name of the value that `of_patient` needs."""
_Item = TypeVar("_Item")
_MOST_VALUES = 8_000
_ABSENT = -(2**63) + 1
"""Stands for NULL among the values of proposed grants."""


class Tally(NamedTuple):
    """So many rows of one type (`keys.type_key`) under one label mask."""

    type: int
    label: int
    rows: int


def tally(
    session: Session, actor: Visibility, asker: Visibility, patient: int, types: Sequence[str]
) -> tuple[Tally, ...]:
    """Return how many current rows of a patient both can see.

    Args:
        session: The transaction; everything is counted on its snapshot.
        actor: Whose view is counted.
        asker: Who asks.
        patient: Key of the patient whose record it is.
        types: Resource types to count.
    """

    def build() -> Select[Any]:
        return _tally(readable(actor, types), asker, types)

    shape = ("tally", actor.shape, asker.shape, tuple(types))
    found = prepared.run(session, shape, build, _values(actor, asker, patient))
    return tuple(Tally._make(record) for record in found)


def authors(session: Session, asker: Visibility, patient: int, types: Sequence[str]) -> tuple[int, ...]:
    """Return the keys of those who wrote the rows of a patient that whoever asks can see, the operator left out."""

    def build() -> Select[Any]:
        row = readable(asker, types)
        return select(row.c.author).distinct().select_from(of_patient(row, types)).where(row.c.author != NONE)

    found = prepared.run(session, ("authors", asker.shape, tuple(types)), build, _own_values(asker, patient))
    return tuple(found.scalars())


def live_emergencies_on(session: Session, patient: int, now_us: int) -> tuple[EmergencyAccess, ...]:
    """Return the emergency accesses to a patient that are running now, newest first."""
    row = tables.break_glass.c
    statement = (
        select(*(row[name] for name in EmergencyAccess.__dataclass_fields__))
        .where(row.patient == patient, row.ended_at.is_(None), row.started_at <= now_us, row.expires_at > now_us)
        .order_by(row.started_at.desc())
    )
    return tuple(EmergencyAccess(*found) for found in session.connection.execute(statement))


def tally_with(
    session: Session,
    actor: Visibility,
    asker: Visibility,
    patient: int,
    types: Sequence[str],
    *,
    consent: int,
    grants: Sequence[Grant],
) -> tuple[Tally, ...]:
    """Return what `tally` would, were these the grants of this Consent.

    The same predicate runs over the stored grants, less those of the Consent, and the proposed ones: nothing is written
    and nothing locked.
    """
    whose = _padded(_sharing_rows_with(session, patient, types))
    rows = _padded([[_number(grant, each.name) for each in tables.consent_grant.c] for grant in grants])

    def build() -> Select[Any]:
        row = tables.resource.alias()
        rules = replace(RULES, grant=_proposed(len(whose), len(rows)))
        source, rules = with_subject(actor, row, rules)
        kinds = row.c.type.in_([type_key(name) for name in types])
        seen = select(row).select_from(source).where(kinds, row.c.deleted.is_(False), actor.predicate(row, rules))
        return _tally(seen.cte(), asker, types)

    bound = {_cell(*place): value for place, value in _cells(rows)} | {_whose(i): key for i, key in enumerate(whose)}
    values = {**_values(actor, asker, patient), "tally_consent": consent, **bound}
    if len(bound) > _MOST_VALUES:
        # Too many for the databases' drivers: built for these values alone.
        found: Iterable[Any] = session.connection.execute(_with_values(build(), bound), values)
    else:
        shape = ("tally with", actor.shape, asker.shape, tuple(types), len(whose), len(rows))
        found = prepared.run(session, shape, build, values)
    return tuple(Tally._make(record) for record in found)


def _tally(row: CTE, asker: Visibility, types: Sequence[str]) -> Select[Any]:
    """Return the count of those of these rows that are the patient's and that whoever asks can see, too."""
    asked = _renamed(readable(asker, types), asker)
    return (
        select(row.c.type, row.c.label, func.count())
        .select_from(of_patient(row, types).join(asked, asked.c.key == row.c.key))
        .group_by(row.c.type, row.c.label)
    )


def _proposed(whose_count: int, rows_count: int) -> Subquery:
    """Return `consent_grant` of some patients as it would be with other grants of one Consent; all of it is bound."""
    stored = tables.consent_grant
    patients = [bindparam(_whose(index), NONE, BigInteger) for index in range(whose_count)]
    replaced = bindparam("tally_consent", NONE, BigInteger)
    kept = select(stored).where(stored.c.consent != replaced, stored.c.patient.in_(patients))
    if not rows_count:
        return kept.subquery()
    names = [each.name for each in stored.c]
    rows = [
        tuple(bindparam(_cell(number, place), NONE, BigInteger) for place in range(len(names)))
        for number in range(rows_count)
    ]
    listed = values(*(column(name, BigInteger) for name in names), name="listed").data(rows)
    proposed = listed.cte("proposed")
    typed_columns = [_typed(each, proposed.c[each.name]).label(each.name) for each in stored.c]
    return union_all(kept, select(*typed_columns)).subquery()


def _padded(found: Sequence[_Item]) -> list[_Item]:
    """Repeat the last up to a power of two: a grant that is there twice votes as once, and there are few shapes."""
    if not found:
        return []
    return [*found, *[found[-1]] * ((1 << (len(found) - 1).bit_length()) - len(found))]


def _cells(rows: Sequence[Sequence[int]]) -> Iterator[tuple[tuple[int, int], int]]:
    for number, row in enumerate(rows):
        for place, value in enumerate(row):
            yield (number, place), value


def _cell(number: int, place: int) -> str:
    return f"tally_grant_{number}_{place}"


def _whose(index: int) -> str:
    return f"tally_whose_{index}"


def _with_values(statement: Select[Any], bound: Mapping[str, int]) -> Select[Any]:
    """Return the statement with these values written into it."""

    def written(element: object, **_: object) -> ColumnElement[Any] | None:
        if isinstance(element, BindParameter) and element.key in bound:
            return literal_column(f"({bound[element.key]})", BigInteger)
        return None

    return typed("Select[Any]", replacement_traverse(statement, {}, written))


def _number(grant: Grant, name: str) -> int:
    """Return a column's value as a number: the path of the node plays no part in a decision, nor does the row's id."""
    value = getattr(grant, name, NONE)
    if value is None:
        return _ABSENT
    return NONE if isinstance(value, str) else int(value)


def _typed(wanted: ColumnElement[Any], value: ColumnElement[int]) -> ColumnElement[Any]:
    if isinstance(wanted.type, Boolean):
        return value != 0
    if getattr(wanted, "nullable", False):
        return cast(func.nullif(value, literal_column(str(_ABSENT))), wanted.type)
    return cast(value, wanted.type)


def _sharing_rows_with(session: Session, patient: int, types: Sequence[str]) -> list[int]:
    """Return the keys of the patients who have a say on a row of this one: itself, and whom its rows name, too."""
    stored, further = tables.resource.c, tables.resource_patient.c
    kinds = [type_key(name) for name in types]
    keys = union(
        select(stored.key).where(stored.type.in_(kinds), stored.patient == patient, stored.multi.is_(True)),
        select(further.key).where(further.patient == patient),
    ).subquery()
    others = union(
        select(stored.patient).where(stored.key.in_(select(keys.c.key))),
        select(further.patient).where(further.key.in_(select(keys.c.key))),
    )
    return list({patient, *session.connection.execute(others).scalars()})


def of_patient(row: CTE, types: Sequence[str]) -> FromClause:
    """Return these rows, those of one patient only: found by the patient, as no index leads there from a row."""
    stored, further = tables.resource, tables.resource_patient
    whose = bindparam(WHOSE, NONE, BigInteger)
    kinds = [type_key(name) for name in types]
    keys = union_all(
        select(stored.c.key).where(stored.c.type.in_(kinds), stored.c.patient == whose),
        select(further.c.key).where(further.c.patient == whose),
    ).subquery()
    return row.join(keys, keys.c.key == row.c.key)


def _renamed(rows: CTE, visibility: Visibility) -> CTE:
    """Return the rows with the values of their visibility under other names: there are two in one statement."""
    names = visibility.parameters()

    def rename(element: object, **_: object) -> BindParameter[Any] | None:
        if isinstance(element, BindParameter) and element.key in names:
            return bindparam(f"{_ASKER}{element.key}", type_=element.type, required=True)
        return None

    return typed("CTE", replacement_traverse(rows, {}, rename))


def _values(actor: Visibility, asker: Visibility, patient: int) -> dict[str, Any]:
    renamed = {f"{_ASKER}{name}": value for name, value in asker.parameters().items()}
    return {**actor.parameters(), **renamed, WHOSE: patient}


def _own_values(asker: Visibility, patient: int) -> dict[str, Any]:
    return {**asker.parameters(), WHOSE: patient}
