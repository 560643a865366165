"""What the grants of a patient come to for most rows: two label masks instead of a vote per provision (access.md §5).

Provisions that are about labels alone can be added up: a row with one label is permitted if any of them permits the
label, and denied if any denies it; one with several is permitted if every permit permits them all. Whatever cannot be
added up (criteria on content, confidentiality, exceptions within a deny, several labels that no permit has alone) is
left to the exact predicate. PostgreSQL only: it plans and runs a look at
the grants per provision many times slower than SQLite does.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, FromClause, Integer, and_, case, func, literal_column, or_

from fhir_server.access.consent import NO_CONFIDENTIALITY

_UNSURE: Final = 1 << 62
"""Beyond every label: some provision cannot be added up."""
NO: Final = literal_column("0", Integer)
YES: Final = literal_column("1", Integer)
ASK: Final = literal_column("2", Integer)


class Sum(NamedTuple):
    """Masks over the grants in force.

    Attributes:
        permitted: What any permits, 0 where none permits anything.
        denied: What any denies, with a bit more where nobody can tell.
        common: What every one that permits something has.
    """

    permitted: ColumnElement[Any]
    denied: ColumnElement[Any]
    common: ColumnElement[Any]


def sum_of(node: FromClause) -> Sum:
    """Return the aggregates over rows of `consent_grant` that are in force for the caller."""
    nothing, unsure = _mask(0), _mask(_UNSURE)
    plain = and_(node.c.rare.is_(False), node.c.confidentiality == literal_column(str(NO_CONFIDENTIALITY)))
    permits = node.c.permit.is_(True)
    leaf = or_(permits, node.c.ends == node.c.position)
    permitted = case((permits, node.c.labels), else_=nothing)
    denied = case((~and_(plain, leaf), unsure), (permits, nothing), else_=node.c.labels)
    return Sum(func.bit_or(permitted), func.bit_or(denied), func.bit_and(case((permits, node.c.labels))))


def verdict(row: FromClause, votes: Sum, asked: ColumnElement[bool]) -> ColumnElement[Any]:
    """Return `YES`, `NO` or `ASK` for a row; no grant at all is `NO`.

    Args:
        row: The row.
        votes: What the grants of its patient come to; NULL without any.
        asked: Rows that are never decided here.
    """
    label = row.c.label
    permitted, denied, common = (func.coalesce(each, _mask(0)) for each in votes)
    one = label.bitwise_and(label - literal_column("1")) == 0
    together = or_(one, common.bitwise_and(label) == label)
    return case(
        (permitted == 0, NO),
        (or_(denied >= _mask(_UNSURE), asked), ASK),
        (denied.bitwise_and(label) != 0, NO),
        (permitted.bitwise_and(label) != label, NO),
        # Of several patients the others may still refuse.
        (and_(together, row.c.multi.is_(False)), YES),
        else_=ASK,
    )


def _mask(value: int) -> ColumnElement[int]:
    return literal_column(f"{value}::bigint", BigInteger)
