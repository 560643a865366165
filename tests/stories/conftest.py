"""A running server with the demo data, and a browser of its own for each person of a story."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browsers import isolated_page
from tests.databases import Databases
from tests.stories.mailbox import Mailbox, running_mailbox
from tests.stories.site import Site, running, seeded, seeded_on_sqlite


@pytest.fixture
def site(databases: Databases, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a running server with a fresh copy of the demo data, once for each kind of database."""
    url, keys = seeded(databases, tmp_path_factory)
    with running(url, keys, tmp_path) as made:
        yield made


@pytest.fixture
def sqlite_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return the same on SQLite only, for stories that are about what people see."""
    with running(*seeded_on_sqlite(tmp_path_factory)) as made:
        yield made


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Return a function that opens a browser with no cookies: one for each person of a story."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(contextmanager(isolated_page)(browser))


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without JavaScript"])
def script(request: pytest.FixtureRequest) -> bool:
    """Return whether pages may run scripts; the story is walked both ways."""
    found: bool = request.param
    return found


@pytest.fixture
def new_phone(browser: Browser, script: bool) -> Iterator[Callable[[], Page]]:  # noqa: FBT001 - a fixture
    """Return a function that opens a browser of its own for each person, a small phone."""
    contexts = []

    def open_page() -> Page:
        contexts.append(browser.new_context(java_script_enabled=script, viewport={"width": 320, "height": 640}))
        return contexts[-1].new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Mailbox]]:
    """Return a running server for the tests of one story, and the real SMTP server that it sends its mail to."""
    url, keys, folder = seeded_on_sqlite(tmp_path_factory)
    with running_mailbox() as (mailbox, mail_url), running(url, keys, folder, mail_url=mail_url) as site:
        yield site, mailbox
