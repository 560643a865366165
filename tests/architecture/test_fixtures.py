"""The fixtures that every other test stands on."""

import pytest
from playwright.sync_api import Page
from sqlalchemy import create_engine, inspect, text

from tests.databases import Databases
from tests.postgres import Cluster


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


def _make_words(url: str) -> None:
    _run(url, "CREATE TABLE word (id serial PRIMARY KEY, text text)")
    _run(url, "CREATE TABLE none (id integer REFERENCES word)")
    _run(url, "INSERT INTO word (text) VALUES ('one'), ('two')")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "INSERT INTO word (text) VALUES ('three')",
        "UPDATE word SET text = 'changed' WHERE id = 1",
        "DELETE FROM word",
        "INSERT INTO none VALUES (1)",
    ],
)
def test_a_copy_whose_rows_changed_goes_back(postgres_cluster: Cluster, statement: str) -> None:
    copy = postgres_cluster.copies.lend("words", _make_words)
    _run(postgres_cluster.url(copy.name), statement)
    assert copy.go_back()
    words = copy.connection.execute("SELECT id, text FROM word ORDER BY id").fetchall()
    assert words == [(1, "one"), (2, "two")]
    assert copy.connection.execute("SELECT * FROM none").fetchall() == []
    assert copy.connection.execute("SELECT nextval('word_id_seq')").fetchone() == (3,)
    postgres_cluster.copies.take_back(copy)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE more (id integer)",
        "TRUNCATE none",
        "ALTER TABLE word DISABLE TRIGGER ALL",
        "ALTER TABLE none DROP CONSTRAINT none_id_fkey",
        "GRANT SELECT ON word TO PUBLIC",
        "ANALYZE word",
        "SELECT lo_create(0)",
    ],
)
def test_a_copy_of_which_more_than_rows_changed_is_not_used_again(postgres_cluster: Cluster, statement: str) -> None:
    copy = postgres_cluster.copies.lend("words", _make_words)
    _run(postgres_cluster.url(copy.name), statement)
    assert not copy.go_back()
    postgres_cluster.copies.take_back(copy)


@pytest.mark.browser
def test_a_page_cannot_reach_another_host(page: Page) -> None:
    page.set_content("<title>Loaded</title><h1>Hello</h1>")
    reached = page.evaluate("fetch('//example.org/', {mode: 'no-cors'}).then(() => true, () => false)")
    assert page.title() == "Loaded"
    assert reached is False
