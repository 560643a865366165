"""The fixtures that every other test stands on."""

import pytest
from playwright.sync_api import Page
from sqlalchemy import create_engine, inspect, text

from tests.databases import Databases


def _tables(url: str) -> list[str]:
    engine = create_engine(url)
    names = inspect(engine).get_table_names()
    engine.dispose()
    return names


def _run(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _make_first(url: str) -> None:
    _run(url, "CREATE TABLE first (id integer)")


def test_a_new_database_is_empty(databases: Databases) -> None:
    assert _tables(databases.empty()) == []


def test_a_database_is_of_the_kind_that_was_asked_for(databases: Databases) -> None:
    engine = create_engine(databases.empty())
    assert engine.dialect.name == databases.kind
    engine.dispose()


def test_copies_of_a_prepared_database_do_not_share_changes(databases: Databases) -> None:
    one, other = (databases.prepared("fixtures", _make_first) for _ in range(2))
    _run(one, "CREATE TABLE second (id integer)")
    assert sorted(_tables(one)) == ["first", "second"]
    assert _tables(other) == ["first"]


@pytest.mark.browser
def test_a_page_cannot_reach_another_host(page: Page) -> None:
    page.set_content("<title>Loaded</title><h1>Hello</h1>")
    reached = page.evaluate("fetch('//example.org/', {mode: 'no-cors'}).then(() => true, () => false)")
    assert page.title() == "Loaded"
    assert reached is False
