"""Rows of an index that a new version exchanges for those of the old one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select, text

from fhir_server.store import many_rows
from fhir_server.store.database import Session
from fhir_server.store.index_tables import string, token

KEY, OTHER = 7, 8


def row(code: int, *, key: int = KEY, head: str = "", value: float | None = None) -> tuple[Any, ...]:
    return key, 1, 2, 0, code, 3, head, 4, value


def exchange(session: Session, *rows: tuple[Any, ...]) -> list[tuple[int, float | None]]:
    """Exchange the rows of KEY for these and return what is there then."""
    many_rows.exchange(session, (token.c.key, string.c.key), KEY, {token: rows})
    stored = select(token.c.code, token.c.value).where(token.c.key == KEY).order_by(token.c.code, token.c.value)
    return [tuple(found) for found in session.connection.execute(stored)]


def places(session: Session) -> dict[int, str]:
    """Return where on disk PostgreSQL has each row."""
    return dict(session.connection.execute(text("SELECT code, ctid::text FROM index_token")).all())


def test_what_comes_is_there_and_nothing_else(session: Session) -> None:
    many_rows.insert(session, {token: [row(1, key=OTHER), row(9, key=OTHER)]})

    assert exchange(session, row(1), row(2, value=0.1)) == [(1, None), (2, 0.1)]
    assert exchange(session, row(2, value=0.2), row(3)) == [(2, 0.2), (3, None)]
    assert exchange(session, row(3, head='it\'s \\ "so"')) == [(3, None)]
    heads = session.connection.execute(select(token.c.head).where(token.c.key == KEY)).scalars().all()
    assert heads == ['it\'s \\ "so"']
    assert exchange(session) == []
    others = session.connection.execute(select(token.c.code).where(token.c.key == OTHER)).scalars()
    assert sorted(others) == [1, 9]


def test_a_row_that_comes_again_stays_where_it_is(session: Session) -> None:
    exchange(session, row(1), row(2, value=0.1), row(3))
    if not session.is_postgresql:
        return
    before = places(session)
    exchange(session, row(2, value=0.1), row(1), row(4), row(3, value=1.0))
    after = places(session)

    assert {code: after[code] for code in (1, 2)} == {code: before[code] for code in (1, 2)}
    assert after[3] != before[3]
    assert after.keys() == {1, 2, 3, 4}
