"""Pages of versions, newest first: of one resource, of a type, of everything (https://hl7.org/fhir/R4/http.html#history).

A version is on a page where both it and the current version of its resource exist for the visibility, as for `vread`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    Subquery,
    bindparam,
    func,
    or_,
    select,
    tuple_,
    union_all,
)

from fhir_server.store import prepared, tables
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE, type_key
from fhir_server.store.resources import Version
from fhir_server.store.visibility import HISTORY_RULES, Look, Visibility, readable

Position = tuple[int, int, int]
"""Instant, key and version of the last row of a page."""
_NARROW = ("key", "version", "updated_at")
_WIDE = (
    "key", "type", "id", "version", "updated_at", "deleted", "patient", "multi", "label", "confidentiality", "author",
    "context", "released_at", "content",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """Which versions are wanted.

    Attributes:
        types: Resource types; empty for all.
        key: The one resource, `keys.NONE` for all.
        since: Versions made at or after this instant, microseconds since the epoch; None without limit.
        at: Versions that were current at some time of this interval [lo, hi); None without limit.
    """

    types: tuple[str, ...] = ()
    key: int = NONE
    since: int | None = None
    at: tuple[int, int] | None = None


def page(
    session: Session,
    visibility: Visibility,
    asked: Asked,
    *,
    names: Mapping[int, str],
    limit: int,
    after: Position | None = None,
) -> list[Version]:
    """Return the newest versions that exist for this visibility, older than a position if one is given.

    Args:
        session: The transaction.
        visibility: The decision's visibility.
        asked: Which versions.
        names: Resource types by `keys.type_key`.
        limit: How many at most.
        after: Where the page before ended.
    """

    def build() -> Select[Any]:
        if asked.at is None:
            # Each part in order and cut by itself: an index serves it, and neither is held as a whole.
            parts = [_ordered(part, row, after) for part, row in _parts(session, visibility, asked, _WIDE)]
            both = union_all(*(select(part.subquery()) for part in parts)).subquery()
            return _ordered(select(both), both, None)
        lasting = _current_then(session, visibility, asked, _WIDE)
        return _ordered(select(lasting), lasting, after)

    values = {**_values(visibility, asked), "history_limit": limit}
    if after is not None:
        values |= {"history_at": after[0], "history_after_key": after[1], "history_after_version": after[2]}
    shape = ("history page", *_shape(visibility, asked), after is not None)
    return [_version(row, names) for row in prepared.run(session, shape, build, values, _plan(asked))]


def count(session: Session, visibility: Visibility, asked: Asked) -> int:
    """Return how many versions there are on all pages."""

    def build() -> Select[Any]:
        if asked.at is None:
            found: FromClause = union_all(*(part for part, _ in _parts(session, visibility, asked, _NARROW))).subquery()
        else:
            found = _current_then(session, visibility, asked, _NARROW)
        return select(func.count()).select_from(found)

    shape = ("history count", *_shape(visibility, asked))
    values = _values(visibility, asked)
    return int(prepared.run(session, shape, build, values, _plan(asked)).scalar_one())


def _parts(
    session: Session, visibility: Visibility, asked: Asked, names: tuple[str, ...]
) -> list[tuple[Select[Any], FromClause]]:
    """Return the current versions and the replaced ones, each with the rows that it selects from."""
    wide = session.is_postgresql and asked.key == NONE and asked.types != ("Patient",)
    look = Look.WIDE if wide else Look.EXACT
    row = readable(visibility, asked.types, deleted=True, look=look)
    now = readable(visibility, asked.types, deleted=True, look=look)
    old = tables.history.alias()
    replaced = select(*(old.c[name] for name in names)).select_from(old.join(now, now.c.key == old.c.key))
    limits = [visibility.predicate(old, HISTORY_RULES)]
    # Of one resource the key says it all; with the type beside it, planners took the index on types.
    if asked.types and asked.key == NONE:
        limits.append(old.c.type.in_([type_key(name) for name in asked.types]))
    current = select(*(row.c[name] for name in names))
    return [(current.where(*_limits(row, asked)), row), (replaced.where(*limits, *_limits(old, asked)), old)]


def _limits(row: FromClause, asked: Asked) -> list[ColumnElement[bool]]:
    limits: list[ColumnElement[bool]] = []
    if asked.key != NONE:
        limits.append(row.c.key == _value("history_key"))
    # With an interval the next version counts, which may itself be older than `since` wants it.
    if asked.since is not None and asked.at is None:
        limits.append(row.c.updated_at >= _value("history_since"))
    if asked.at is not None:
        limits.append(row.c.updated_at < _value("history_hi"))
    return limits


def _current_then(session: Session, visibility: Visibility, asked: Asked, names: tuple[str, ...]) -> Subquery:
    """Return the versions that were current in the interval.

    INVARIANT: a version lasts until the next one *that exists for the caller*, so a hidden one between leaves no gap.
    """
    every = union_all(*(part for part, _ in _parts(session, visibility, asked, names))).subquery()
    following = func.lead(every.c.updated_at).over(partition_by=every.c.key, order_by=every.c.version)
    lasting = select(every, following.label("until")).subquery()
    chosen = select(*(lasting.c[name] for name in names)).where(
        or_(lasting.c.until.is_(None), lasting.c.until > _value("history_lo"))
    )
    if asked.since is not None:
        chosen = chosen.where(lasting.c.updated_at >= _value("history_since"))
    return chosen.subquery()


def _ordered(statement: Select[Any], row: FromClause, after: Position | None) -> Select[Any]:
    place = (row.c.updated_at, row.c.key, row.c.version)
    if after is not None:
        last = (_value("history_at"), _value("history_after_key"), _value("history_after_version"))
        # The first condition says less than the second, but an index serves it.
        statement = statement.where(row.c.updated_at <= _value("history_at"), tuple_(*place) < tuple_(*last))
    return statement.order_by(*(column.desc() for column in place)).limit(bindparam("history_limit", NONE, Integer))


def _value(name: str) -> BindParameter[int]:
    return bindparam(name, NONE, BigInteger)


def _values(visibility: Visibility, asked: Asked) -> dict[str, Any]:
    values: dict[str, Any] = {**visibility.parameters()}
    if asked.key != NONE:
        values["history_key"] = asked.key
    if asked.since is not None:
        values["history_since"] = asked.since
    if asked.at is not None:
        values["history_lo"], values["history_hi"] = asked.at
    return values


def _shape(visibility: Visibility, asked: Asked) -> tuple[Any, ...]:
    limited = asked.key != NONE, asked.since is not None, asked.at is not None
    return visibility.shape, asked.types, *limited


def _plan(asked: Asked) -> prepared.Plan:
    return prepared.Plan.THESE_VALUES if asked.key == NONE else prepared.Plan.ANY_VALUES


def _version(row: Row[Any], names: Mapping[int, str]) -> Version:
    fields = dict(zip(_WIDE, row, strict=True))
    content = fields["content"]
    return Version(
        **{
            **fields,
            "type": names[fields["type"]],
            "deleted": bool(fields["deleted"]),
            "multi": bool(fields["multi"]),
            "content": None if content is None else bytes(content),
        }
    )
