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
    false,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.visitors import replacement_traverse

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

    def votes(self, rules: Rules) -> Select[Any] | None:
        """Return rows for `Rules.votes` to be joined by their column `patient`; None where `predicate` needs none."""
        ...


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
        sure: Rows that only a look at each provision could tell may be left out (PostgreSQL): a first try.
        exact: Index rows and columns are those of the row that is judged; else criteria on them cannot be answered.
    """

    grant: FromClause
    resource_patient: FromClause
    token: FromClause
    reference: FromClause
    subject: FromClause | None = None
    exact: bool = True
    votes: FromClause | None = None
    sure: bool = False

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


def readable(
    visibility: Visibility, types: Sequence[str] = (), *, deleted: bool = False, wide: bool = False, sure: bool = False
) -> CTE:
    """Return the current rows that exist for this visibility, as a derived table.

    It is written as a common table expression, so that no statement nests the gate in itself (SQLite parses with a
    stack of a hundred entries), and never kept as a table of its own.

    Columns: key, type (`keys.type_key`), id, version, updated_at, deleted, patient, multi, label, confidentiality,
    author, context, code, date_lo, date_hi, content. Databases flatten it into the outer query, so indexes serve it.

    INVARIANT: the statement is built once per shape and holds no caller's values: run it with `execute` (or
    `prepared.run` and `visibility.parameters()`); without the values it does not run at all.

    Args:
        visibility: The decision's visibility.
        types: Resource types; none means every type.
        deleted: Include deleted rows (whose content is NULL).
        sure: Rows may be missing that take long to decide on: a first try, which finds most rows (PostgreSQL).
        wide: Most rows of a type are going to be looked at (PostgreSQL): reckon with all grants once, not for each row.
    """
    key = (visibility.shape, tuple(types), deleted, wide, sure)
    built = _selects.get(key)
    if built is None:
        built = _without_values(
            _build(visibility, types, deleted=deleted, wide=wide, sure=sure), visibility.parameters()
        )
    # Threads may build one twice; what was asked for last stays longest.
    _selects[key] = built
    with suppress(KeyError):
        _selects.move_to_end(key)
        if len(_selects) > _LIMIT:
            _selects.popitem(last=False)
    return built.cte().prefix_with("NOT MATERIALIZED")


def execute(session: Session, visibility: Visibility, statement: Executable) -> CursorResult[Any]:
    """Run a statement over `readable` rows with the values of this visibility."""
    return session.connection.execute(statement, visibility.parameters())


def _build(visibility: Visibility, types: Sequence[str], *, deleted: bool, wide: bool, sure: bool) -> Select[Any]:
    row = tables.resource.alias()
    source, rules = with_subject(visibility, row, replace(RULES, sure=sure))
    votes = visibility.votes(RULES) if wide else None
    if votes is not None:
        counted = votes.subquery()
        source = source.outerjoin(counted, counted.c.patient == row.c.patient)
        rules = replace(rules, votes=counted)
    conditions: list[ColumnElement[Any]] = []
    if len(types) == 1:
        conditions.append(row.c.type == type_key(types[0]))
    elif types:
        conditions.append(row.c.type.in_([type_key(name) for name in types]))
    if not deleted:
        conditions.append(row.c.deleted.is_(False))
    conditions.append(visibility.predicate(row, rules))
    return select(row).select_from(source).where(and_(*conditions))


def with_subject(visibility: Visibility, row: FromClause, rules: Rules) -> tuple[FromClause, Rules]:
    """Return a row of `resource` joined to the record it is part of, where criteria on content need it."""
    if visibility.is_plain or not visibility.rare:
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
