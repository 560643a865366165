"""How closely a search looks at grants: at their sums first, at each provision only where those do not tell.

Where few rows are looked at, what PostgreSQL takes longest for is to begin a statement that could look at every
provision. INVARIANT: what a first look finds is an answer only where all of its rows are settled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from fhir_server.store.database import Session
from fhir_server.store.visibility import ONE_PATIENT, Look, Visibility

_SHORT_PAGE = 20
Looks = Sequence[tuple[Look, Mapping[str, Any]]]
"""Looks to take until one tells, each with the further values that its statement needs."""


def at_few_rows(
    session: Session, visibility: Visibility, types: Sequence[str] = (), patient: int | None = None
) -> Looks:
    """Return how to look at few rows.

    Args:
        session: The transaction.
        visibility: Which rows exist.
        types: Resource types; none means every type.
        patient: Key of the patient of whose record most of them are, None where it is not known.
    """
    if not session.is_postgresql or not visibility.adds_up(types):
        return ((Look.EXACT, {}),)
    return (Look.LIKELY, {} if patient is None else {ONE_PATIENT: patient}), (Look.EXACT, {})


def at_page(session: Session, visibility: Visibility, types: Sequence[str], count: int) -> Looks:
    """Return how to look at a page of the records of many: of one that is long, sums mostly do not tell of some row."""
    return at_few_rows(session, visibility, types) if count <= _SHORT_PAGE else ((Look.EXACT, {}),)


def first_that_tells(
    looks: Looks, rows_of: Callable[[Look, Mapping[str, Any]], Sequence[Row[Any]]]
) -> Sequence[Row[Any]]:
    """Return the rows of the first look that tells of each whether it exists, the last one always does.

    Args:
        looks: Which to take.
        rows_of: Returns the rows of a look, with a column `settled` for `Look.LIKELY`.
    """
    rows: Sequence[Row[Any]] = ()
    for look, more in looks:
        rows = rows_of(look, more)
        if look is not Look.LIKELY or all(row.settled for row in rows):
            break
    return rows
