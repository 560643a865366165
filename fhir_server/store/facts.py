"""What a stored row is, apart from its content: all that a decision in memory looks at."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select

from fhir_server.store import index_tables, tables
from fhir_server.store.database import Session


class Facts(NamedTuple):
    """Columns and index rows of one current row; see `tables.resource` for the columns."""

    key: int
    type: int
    patient: int
    label: int
    confidentiality: int
    author: int
    context: int
    released_at: int
    date_lo: int | None
    date_hi: int | None
    further: tuple[int, ...]
    tokens: frozenset[tuple[int, int, int]]
    references: frozenset[tuple[int, int]]
    referred_by: frozenset[int]
    contained: frozenset[tuple[int, int, int]]


_COLUMNS = (
    "key", "type", "patient", "label", "confidentiality", "author", "context", "released_at", "date_lo", "date_hi",
)  # fmt: skip


def of_row(session: Session, key: int) -> Facts | None:
    """Return the facts of a current row, None where there is none; they disclose nothing of its content."""
    row, further = tables.resource.c, tables.resource_patient.c
    token, reference = index_tables.token.c, index_tables.reference.c
    run = session.connection.execute
    found = run(select(*(row[name] for name in _COLUMNS)).where(row.key == key, row.deleted.is_(False))).one_or_none()
    if found is None:
        return None
    tokens = select(token.param, token.system, token.code).where(token.key == key)
    return Facts(
        **found._asdict(),
        further=tuple(run(select(further.patient).where(further.key == key).order_by(further.patient)).scalars()),
        tokens=frozenset(tuple(each) for each in run(tokens.where(token.item >= 0))),
        references=frozenset(
            tuple(each) for each in run(select(reference.param, reference.target).where(reference.key == key))
        ),
        referred_by=frozenset(run(select(reference.key).where(reference.target == key)).scalars()),
        contained=frozenset(tuple(each) for each in run(tokens.where(token.item < 0))),
    )
