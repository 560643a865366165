"""Passkeys and the end of a session in a real browser, with Chromium's own virtual authenticator."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from werkzeug.serving import make_server

from tests.answering import answering
from tests.browsers import checked
from tests.server import Server, build, create_schema
from tests.signin.visitor import PASSWORD, Visitor, account

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Site:
    """A running server; passkeys need a host with a name."""

    url: str
    server: Server
    folder: Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = f"sqlite:///{tmp_path}/browser.db"
    create_schema(database)
    listener = make_server("127.0.0.1", 0, lambda _environ, _start: [], threaded=True)
    url = f"http://localhost:{listener.server_port}"
    built = build(database, tmp_path, base_url=url)
    listener.app = built.app
    with answering(listener):
        account(built)
        yield Site(url, built, tmp_path)
    built.store.close()


def _sign_in(site: Site, page: Page, email: str = "ada@example.org") -> None:
    page.goto(f"{site.url}/sign-in")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def _with_authenticator(page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_passkey_is_made_and_signs_in_without_a_password(site: Site, page: Page) -> None:
    _with_authenticator(page)
    _sign_in(site, page)
    page.goto(f"{site.url}/account/passkeys")
    expect(page.get_by_text("Your browser cannot make one")).to_be_hidden()
    page.get_by_label("A name for it").fill("My laptop")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    page.goto(f"{site.url}/account/passkeys")
    expect(page.get_by_role("heading", name="My laptop")).to_be_visible()
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("status")).to_contain_text("This device has a passkey for your account already")
    page.get_by_role("button", name="Sign out").first.click()

    page.goto(f"{site.url}/sign-in?next=/account")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Your account", exact=True)).to_be_visible()

    site.server.clock.advance(minutes=11)
    page.goto(f"{site.url}/account/password")
    expect(page.get_by_role("heading", name="Enter your password again")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("heading", name="Change your password")).to_be_visible()


def test_warning_comes_in_time_can_be_extended_and_leaves_nothing_on_the_screen(site: Site, page: Page) -> None:
    page.clock.install()
    _sign_in(site, page)
    page.goto(f"{site.url}/account")
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_be_hidden()
    site.server.clock.advance(minutes=28, seconds=10)
    page.clock.run_for(28 * 60_000 + 10_000)
    expect(dialog).to_contain_text("You will be signed out soon")
    expect(dialog).to_contain_text("we sign you out in 2 minutes")
    expect(dialog.get_by_role("button", name="Stay signed in")).to_be_focused()
    page.get_by_role("button", name="Stay signed in").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Cymraeg").click()
    site.server.clock.advance(minutes=28, seconds=10)
    page.clock.run_for(28 * 60_000 + 10_000)
    expect(dialog).to_contain_text("ymhen 2 funud")
    site.server.clock.advance(seconds=80)
    page.clock.run_for(80_000)
    expect(dialog).to_contain_text(re.compile("ymhen [0-9]+ eiliad"))
    dialog.get_by_role("button", name="Aros wedi mewngofnodi").click()
    page.get_by_role("button", name="English").click()
    site.server.clock.advance(minutes=31)
    page.clock.run_for(31 * 60_000)
    expect(page.get_by_role("heading", name="You are signed out")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("to keep your information safe")


@pytest.mark.parametrize("path", [
    "/account", "/account/password", "/account/email", "/account/mobile", "/account/memorable",
    "/account/authenticator", "/account/text-codes", "/account/recovery-codes", "/account/passkeys",
    "/account/devices", "/stay-signed-in",
])  # fmt: skip
def test_page_about_the_account_is_accessible_on_a_small_phone(site: Site, page: Page, path: str) -> None:
    page.set_viewport_size({"width": 320, "height": 640})
    _sign_in(site, page)
    page.goto(f"{site.url}{path}")
    checked(page)


def test_second_proof_needs_no_javascript_and_is_accessible(site: Site, browser: Browser) -> None:
    visitor = Visitor(site.server, site.folder)
    visitor.client.environ_base["HTTP_HOST"] = site.url.removeprefix("http://")
    visitor.sign_in()
    app = visitor.set_up_app()
    context = browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 640})
    context.set_default_timeout(10_000)
    page = context.new_page()
    _sign_in(site, page)
    expect(page.get_by_role("heading", name="Prove that it is you")).to_be_visible()
    expect(page.get_by_role("button", name="Use a passkey")).to_be_hidden()
    page.get_by_label("Code from your authenticator app").fill("000000")
    page.get_by_role("button", name="Continue").click()
    assert page.title().startswith("Error: ")
    page.get_by_label("Code from your authenticator app").fill(visitor.shown(app))
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("link", name="Stay signed in").click()
    expect(page.get_by_role("heading", name="You are still signed in")).to_be_visible()
    context.close()


def test_proof_recovery_and_help_are_accessible(site: Site, page: Page) -> None:
    visitor = Visitor(site.server, site.folder)
    visitor.client.environ_base["HTTP_HOST"] = site.url.removeprefix("http://")
    visitor.sign_in()
    visitor.set_up_app()
    visitor.recovery_codes()
    page.set_viewport_size({"width": 320, "height": 640})
    _sign_in(site, page)
    for path in ("/sign-in/proof", "/sign-in/proof?way=recovery", "/sign-in/set-up", "/account-reset/unknown"):
        page.goto(f"{site.url}{path}")
        checked(page)
    page.goto(f"{site.url}/forgotten-password")
    page.get_by_label("E-mail address").fill("ada@example.org")
    page.get_by_role("button", name="Continue").click()
    page.goto(site.url + visitor.link("reset-password"))
    checked(page)
    page.get_by_role("button", name="Continue").click()
    checked(page)
    account(site.server, "desk@example.org", "service-desk")
    _sign_in(site, page, "desk@example.org")
    page.goto(f"{site.url}/service-desk/account-resets")
    checked(page)
    page.get_by_label("E-mail address of the account").fill("ada@example.org")
    page.get_by_label("How you checked who it is").fill("Came with her passport to the desk")
    page.get_by_role("button", name="Ask an administrator").click()
    expect(page.get_by_text("Tell the person this code")).to_be_visible()
    checked(page)
