"""A real browser for the tests: Chromium of the machine, driven by Playwright."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, Request, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page that asks another host gets no answer, whatever network the machine has.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def chromium_path(bundled: str) -> str | None:
    """Return the machine's Chromium, else the one that Playwright has installed, else None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    installed = next((path for path in map(shutil.which, names) if path), None)
    return installed or (bundled if Path(bundled).exists() else None)


def install_command() -> str:
    """Return the one command that gives this machine a browser."""
    return "sudo apt-get install -y chromium" if shutil.which("apt-get") else "playwright install chromium"


def launched_chromium() -> Iterator[Browser]:
    """Yield a headless browser; Playwright gives each launch a new user data folder."""
    with sync_playwright() as playwright:
        path = chromium_path(playwright.chromium.executable_path)
        if path is None:
            pytest.skip(f"no Chromium on this machine: {install_command()}")
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()


def isolated_page(browser: Browser) -> Iterator[Page]:
    """Yield a page with cookies and storage of its own and insist that it stayed on this machine."""
    offsite: list[str] = []

    def note(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme in {"http", "https", "ws", "wss"} and url.hostname not in LOOPBACK:
            offsite.append(request.url)

    context = browser.new_context(locale="en-GB", timezone_id="Europe/London")
    context.set_default_timeout(10_000)
    context.on("request", note)
    yield context.new_page()
    context.close()
    assert not offsite, f"the page asked another host: {offsite}"


def violations(page: Page) -> list[str]:
    """Return what makes a page hard to use or wider than its screen, once the page has come whole.

    A click ends when the next page has begun: a page that is read at once may be half there, and half a page
    breaks few rules.
    """
    page.wait_for_load_state()
    page.evaluate(AXE_SCRIPT)
    return [*broken_rules(page, RULES), *too_wide(page)]


def broken_rules(page: Page, rules: list[str]) -> list[str]:
    """Return what of a page breaks these rules, or rules with these tags, of axe; axe is on the page already.

    What is not reported is not written down either: axe takes four times as long to tell what passed and where.
    """
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run(options).then(results => results.violations)", options)
    return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


def too_wide(page: Page) -> list[str]:
    """Return that a page is wider than its screen, if it is."""
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return ["wider than the screen"] if wide else []


def checked(page: Page) -> None:
    """Insist that a page is accessible and fits its screen."""
    assert violations(page) == []
