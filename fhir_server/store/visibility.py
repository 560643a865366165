"""Visibility: which rows exist for a decision, and the only hand that gives out rows.

INVARIANT: every query that can disclose a byte of a record selects from `readable(...)`. Search cannot name the
resource table;
a chain, `_has`, an include or a count asks for another `readable`. Hidden rows are not filtered from a result: they
are not in the query.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Protocol, cast

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    CursorResult,
    Executable,
    FromClause,
    Select,
    and_,
    any_,
    bindparam,
    case,
    false,
    func,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.visitors import replacement_traverse
from sqlalchemy.util import LRUCache

from fhir_server.store import index_tables, tables
from fhir_server.store.database import Session
from fhir_server.store.dialects import Either
from fhir_server.store.keys import type_key


class Visibility(Protocol):
    """Which rows exist for a decision; made by `access`, opaque to `search`.

    INVARIANT: visibilities of one `shape` have predicates of one text, differing in the values of `parameters` only.
    """

    @property
    def shape(self) -> Hashable:
        """Return what the predicate's text depends on."""
        ...

    @property
    def is_plain(self) -> bool:
        """Return whether the predicate looks at no grants."""
        ...

    @property
    def rare(self) -> bool:
        """Return whether grants may have criteria on content, for which `Rules.subject` is looked at."""
        ...

    def parameters(self) -> Mapping[str, Any]:
        """Return the predicate's bound values by name."""
        ...

    def predicate(self, row: FromClause, rules: Rules) -> ColumnElement[bool]:
        """Return the SQL condition under which `row` (columns of `resource` but `content`) exists for the caller."""
        ...

    def adds_up(self, types: Sequence[str]) -> bool:
        """Return whether the sums of grants decide on most rows of these types (none means every type).

        Looks by sums (`BY_SUMS`) are worth a try then.
        """
        ...

    def votes(self, rules: Rules, patient: ColumnElement[int] | None = None) -> Select[Any] | None:
        """Return rows for `Rules.votes` to be joined by their column `patient`; None where `predicate` needs none.

        With a patient, one row without that column: that patient's.
        """
        ...


class Look(Enum):
    """How closely PostgreSQL looks at grants; SQLite looks at each provision for each row, which costs it little.

    Attributes:
        EXACT: At the sum of the grants of each row's patient, at each provision where the sum does not tell.
        WIDE: The same, the sums of all patients reckoned once: for most rows of a type.
        SURE: At sums only; rows of which they do not tell are left out. A first try, which finds most rows.
        LIKELY: At sums only; rows of which they do not tell are there, without content, and `settled` is false: a try
            that is the answer where all its rows are settled, for what sums refuse is in no answer.
    """

    EXACT = auto()
    WIDE = auto()
    SURE = auto()
    LIKELY = auto()


BY_SUMS = frozenset({Look.SURE, Look.LIKELY})
"""Looks that are never at provisions."""
ONE_PATIENT = "gate_one"
"""Name of the value that says whose grants are looked at, see `readable`."""


class RowCondition(Hashable, Protocol):
    """What a row has to meet by itself, such as the parameters of a granular scope; made by `search`.

    INVARIANT: equal ones have the same text and values: they are part of a visibility's shape.
    """

    def on(self, row: FromClause) -> ColumnElement[bool]:
        """Return the condition on a current row and its own index rows."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """The tables a visibility may join (under aliases of its own): never a road to content.

    Attributes:
        grant, resource_patient: Tables of those names.
        token, reference: Index rows that criteria on content look into.
        subject: The record that the row is part of (a Binary of a letter), joined to the row where criteria on content
            are asked, NULL where the row stands for itself.
        votes: What the grants of the row's patient come to, where that is joined to the row; else the predicate looks.
        one: The patient whom `votes` are about, where it is the same one for all rows; None where it is the row's.
        look: How closely to look.
        exact: Index rows and columns are those of the row that is judged; else criteria on them cannot be answered.
    """

    grant: FromClause
    resource_patient: FromClause
    token: FromClause
    reference: FromClause
    subject: FromClause | None = None
    exact: bool = True
    votes: FromClause | None = None
    one: ColumnElement[int] | None = None
    look: Look = Look.EXACT

    @property
    def beside(self) -> tuple[FromClause, ...]:
        """Return what is joined to the row: subqueries of a predicate refer to it as to the row."""
        return () if self.subject is None else (self.subject,)


RULES = Rules(tables.consent_grant, tables.resource_patient, index_tables.token, index_tables.reference)
_NOBODY = literal(-1, BigInteger).label("patient")
_NO_TOKEN = select(index_tables.token).where(false())
HISTORY_RULES = Rules(
    tables.consent_grant,
    select(tables.history.c.key, _NOBODY).subquery(),
    _NO_TOKEN.subquery(),
    index_tables.reference,
    exact=False,
)
"""Rules for replaced versions, of which neither the further patients nor the index rows are kept.

INVARIANT: what is not known is refused. A version that named several patients has one more that nobody may speak for; a
granular scope finds no token; a permit by a criterion on content covers nothing, and a deny by one hits. The rows of
the current version say nothing about any of it.
"""


_LIMIT = 32
"""What is built is megabytes of expressions, needed until the statements over it are compiled to text."""
_selects: OrderedDict[Hashable, Select[Any]] = OrderedDict()
_compiled: LRUCache[Any, Any] = LRUCache(_LIMIT // 2)


def readable(
    visibility: Visibility,
    types: Sequence[str] = (),
    *,
    deleted: bool = False,
    look: Look = Look.EXACT,
    of_one: bool = False,
) -> CTE:
    """Return the current rows that exist for this visibility, as a derived table.

    It is written as a common table expression, so that no statement nests the gate in itself (SQLite parses with a
    stack of a hundred entries), and never kept as a table of its own.

    Columns: key, type (`keys.type_key`), id, version, updated_at, deleted, patient, multi, label, confidentiality,
    author, context, code, date_lo, date_hi, content; `settled` for `Look.LIKELY`. Databases flatten it into the outer
    query, so indexes serve it.

    INVARIANT: the statement is built once per shape and holds no caller's values: run it with `execute` (or
    `prepared.run` and `visibility.parameters()`); without the values it does not run at all.

    Args:
        visibility: The decision's visibility.
        types: Resource types; none means every type.
        deleted: Include deleted rows (whose content is NULL).
        look: How closely PostgreSQL looks; `LIKELY` only where `visibility.adds_up(types)`.
        of_one: With `LIKELY`, look once at the grants of the patient with the key `ONE_PATIENT`, a further value that
            the statement needs; rows of others are not settled.
    """
    key = (visibility.shape, tuple(types), deleted, look, of_one)
    built = _selects.get(key)
    if built is None:
        made = _build(visibility, types, deleted=deleted, look=look, of_one=of_one)
        built = _without_values(made, visibility.parameters())
    # Threads may build one twice; what was asked for last stays longest.
    _selects[key] = built
    with suppress(KeyError):
        _selects.move_to_end(key)
        if len(_selects) > _LIMIT:
            _selects.popitem(last=False)
    return built.cte().prefix_with("NOT MATERIALIZED")


def execute(
    session: Session, visibility: Visibility, statement: Executable, more: Mapping[str, Any] | None = None
) -> CursorResult[Any]:
    """Run a statement over `readable` rows with the values of this visibility, and more that it needs."""
    # What is compiled keeps the megabytes that it was compiled from: not in the engine's memory of five hundred.
    return session.connection.execute(
        statement, {**visibility.parameters(), **(more or {})}, execution_options={"compiled_cache": _compiled}
    )


def _build(visibility: Visibility, types: Sequence[str], *, deleted: bool, look: Look, of_one: bool) -> Select[Any]:
    row = tables.resource.alias()
    source, rules = _with_votes(
        visibility, *with_subject(visibility, row, replace(RULES, look=look)), row, of_one=of_one
    )
    conditions: list[ColumnElement[Any]] = []
    if len(types) == 1:
        conditions.append(row.c.type == type_key(types[0]))
    elif types:
        conditions.append(row.c.type.in_([type_key(name) for name in types]))
    if not deleted:
        conditions.append(row.c.deleted.is_(False))
    conditions.append(visibility.predicate(row, rules))
    columns: list[ColumnElement[Any]] = list(row.c)
    if look is Look.LIKELY:
        settled = visibility.predicate(row, replace(rules, look=Look.SURE))
        # Whoever forgets to look whether a row is settled gives out nothing.
        content = case((settled, row.c.content)).label("content")
        columns = [content if column is row.c.content else column for column in columns] + [settled.label("settled")]
    return select(*columns).select_from(source).where(and_(*conditions))


def _with_votes(
    visibility: Visibility, source: FromClause, rules: Rules, row: FromClause, *, of_one: bool
) -> tuple[FromClause, Rules]:
    """Return what rows are taken from joined to the sums of grants, where the look asks for that."""
    if rules.look is Look.WIDE and (votes := visibility.votes(RULES)) is not None:
        counted = votes.subquery()
        return source.outerjoin(counted, counted.c.patient == row.c.patient), replace(rules, votes=counted)
    if rules.look is not Look.LIKELY:
        return source, rules
    one = bindparam(ONE_PATIENT, type_=BigInteger, required=True) if of_one else None
    votes = visibility.votes(RULES, row.c.patient if one is None else one)
    assert votes is not None  # noqa: S101 - what `adds_up` says
    # Kept, for PostgreSQL would take it for cheap to ask again for each row.
    of_patient = votes.cte().prefix_with("MATERIALIZED") if of_one else votes.lateral()
    return source.join(of_patient, true()), replace(rules, votes=of_patient, one=one)


def with_subject(visibility: Visibility, row: FromClause, rules: Rules) -> tuple[FromClause, Rules]:
    """Return a row of `resource` joined to the record it is part of, where criteria on content need it."""
    if visibility.is_plain or not visibility.rare or (rules.look in BY_SUMS and visibility.adds_up(())):
        return row, rules
    its = tables.resource.alias()
    its_key = func.nullif(row.c.context, literal_column("0"))
    # Written so that it can only be looked up: PostgreSQL thinks that a hash of all resources would spare it the gate.
    one = Either(postgresql=its.c.key == any_(array([its_key])), elsewhere=its.c.key == its_key)
    joined = row.outerjoin(its, one)
    return joined, replace(rules, subject=its)


def _without_values(statement: Select[Any], names: Mapping[str, Any]) -> Select[Any]:
    """Return the statement with the named parameters empty and required."""

    def emptied(element: object, **_: object) -> BindParameter[Any] | None:
        if isinstance(element, BindParameter) and element.key in names:
            return bindparam(element.key, type_=element.type, required=True)
        return None

    return cast("Select[Any]", replacement_traverse(statement, {}, emptied))
