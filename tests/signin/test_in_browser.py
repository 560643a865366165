"""The whole registration in a real browser, on a small phone: axe on each page, and once without JavaScript."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from fhir_server.identity.accounts import create_account
from fhir_server.identity.invitations import Person, invite
from fhir_server.notify.outbox import deliver_due
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.transports import FileTransport
from fhir_server.store.database import Store
from tests.answering import answering
from tests.browsers import checked
from tests.databases import SqliteDatabases
from tests.server import START, build, create_schema

PASSWORD = "walrus kettle orbit 41"
pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Site:
    """A running server, its database and where its messages go."""

    url: str
    store: Store
    folder: Path

    def found(self, kind: str, pattern: str) -> str:
        """Return what a pattern finds in the newest message of a kind."""
        transport = FileTransport(self.folder)
        deliver_due(self.store, {"email": transport, "text": transport}, Letterhead("CIE", self.url), lambda: START)
        messages = [json.loads(path.read_text()) for path in self.folder.glob("*.json")]
        newest = max((m for m in messages if m["kind"] == kind), key=lambda m: m["sent_at"])
        match = re.search(pattern, newest["body"])
        assert match
        return match[1]


@pytest.fixture
def site(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    database = SqliteDatabases(tmp_path, templates).prepared("schema", create_schema)
    server = make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    url = f"http://127.0.0.1:{server.server_port}"
    built = build(database, tmp_path, clock=None, base_url=url)
    server.app = built.app
    with answering(server):
        yield Site(url, built.store, tmp_path / "outbox")
    built.store.close()


def _invite(site: Site) -> None:
    person = Person("Ann", "Example", "1984-03-15", "9434765919", "ann@example.org", "07700 900123", "Patient/1")
    with site.store.write() as session:
        coordinator = create_account(
            session, role="coordinator", email="c@example.org", name="Cora", password=PASSWORD, now=START
        )
        invite(session, coordinator, person, START)


def _walk(site: Site, page: Page, *, with_axe: bool) -> None:
    """Register from the link to the first sign-in, making one mistake on the way."""
    check = checked if with_axe else (lambda _page: None)
    page.goto(site.url + site.found("invitation", r"(/register/\S+)"))
    check(page)
    page.get_by_role("button", name="Continue").click()
    assert page.title().startswith("Error: ")
    check(page)
    page.get_by_label("Code from the text message").fill(site.found("invitation-code", r"code is (\S+)\.").lower())
    for label, value in (("Day", "15"), ("Month", "3"), ("Year", "1984")):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Continue").click()
    check(page)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    check(page)
    page.get_by_label("What was the name of your first pet?").check()
    page.get_by_label("Your answer").fill("Zoë")
    page.get_by_role("button", name="Continue").click()
    check(page)
    page.get_by_label("I accept the user agreement").check()
    page.get_by_label("I have read and accept the privacy policy").check()
    page.get_by_role("button", name="Open my account").click()
    expect(page.get_by_role("heading", name="Check your e-mail")).to_be_visible()
    check(page)
    page.goto(site.url + site.found("confirm-email", r"(/confirm-email/\S+)"))
    check(page)
    page.get_by_role("button", name="Sign in").click()
    check(page)
    page.get_by_label("E-mail address").fill("ann@example.org")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def test_registration_is_accessible_on_a_small_phone(site: Site, page: Page) -> None:
    _invite(site)
    page.set_viewport_size({"width": 320, "height": 640})
    _walk(site, page, with_axe=True)


def test_registration_needs_no_javascript(site: Site, browser: Browser) -> None:
    _invite(site)
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(10_000)
    _walk(site, context.new_page(), with_axe=False)
    context.close()


@pytest.mark.parametrize("path", ["/forgotten-password", "/register/unknown", "/confirm-email/unknown", "/signed-out"])
def test_page_beside_the_way_is_accessible(site: Site, page: Page, path: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"{site.url}{path}")
    checked(page)
