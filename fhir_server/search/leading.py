"""Which criterion of a search leads, and how the others are met beside it.

Comes in: criteria. Goes out: SQL conditions, and what is known of the criteria as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, FromClause

from fhir_server.search.criteria import AllOf, AnyOf, Chain, Composite, Has, Indexed, Not
from fhir_server.search.model import Criterion, Scope

_MANY = 9
_NARROW = 1


def all_of(row: FromClause, scope: Scope, criteria: tuple[Criterion, ...]) -> list[ColumnElement[bool]]:
    """Return the conditions of a search; the criterion that leaves fewest rows leads."""
    leader = min(criteria, key=lambda criterion: criterion.rank, default=None)
    beside = [each for each in criteria if each is not leader and isinstance(each, (Indexed, Composite, Chain))]
    if isinstance(leader, Indexed) and not leader.negated and beside and not scope.narrow:
        rest = [each for each in criteria if each is not leader and each not in beside]
        return [leader.together(row, scope, beside), *(each.condition(row, scope, leads=False) for each in rest)]
    return [criterion.condition(row, scope, leads=criterion is leader) for criterion in criteria]


def count_of(criteria: Sequence[Criterion]) -> int:
    """Return how many criteria there are with those that they are made of."""
    return len(criteria) + sum(count_of(_parts(each)) for each in criteria)


def _parts(criterion: Criterion) -> Sequence[Criterion]:
    match criterion:
        case AnyOf() | AllOf():
            return criterion.criteria
        case Not() | Chain() | Has():
            return (criterion.criterion,)
    return ()


def is_narrow(criteria: Sequence[Criterion]) -> bool:
    """Return whether one criterion leaves few rows whatever its values are: a patient, an id, an identifier."""
    return min((criterion.rank for criterion in criteria), default=_MANY) <= _NARROW
