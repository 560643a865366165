"""Every page, for every role, as people meet it: on a phone and a desk, zoomed, in forced colours, without scripts.

The addresses come from the routes, so that no new page is missed. A page that somebody else was shown already, word for
word, is not looked at twice: a menu is all that differs. `HYPOTHESIS_PROFILE=nightly` looks at each in every way.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, CDPSession, Page, Response, ViewportSize, expect

from fhir_server.portal.routes import ANY_ROLE, PAGES
from tests.browsers import RULES, broken_rules, isolated_page, too_wide
from tests.portal.conftest import PASSWORDS, Site
from tests.portal.html import Checker, running_checker
from tests.portal.test_pages import EXAMPLES, WHO

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PHONE, ZOOMED, DESK = (ViewportSize(width=width, height=800) for width in (320, 640, 1280))
"""640 px is what 200 % leaves of a desk's 1,280, and 320 px what 400 % leaves."""
PAPER = ViewportSize(width=680, height=1000)
"""An A4 page between margins of 15 mm."""
COLD_LIMIT_BYTES = 300_000
IN_EVERY_WAY = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
"""At night every page in each combination of screen, colours and scripts; else in those that differ most."""

NO_PAGES = ("/fhir", "/api/", "/assets/", "/.well-known/", "/health/", "/metrics", "/oauth/register", "/oauth/userinfo")
FILES = (".csv", ".ics", ".json", ".pdf", ".bundle", "<int:index>")
FOR_ANYBODY = ("", "patient", "professional", "service-desk")
"""Who meets the pages of other rooms: they sign in, are launched, let apps in."""

AUTHORIZE = (
    "/oauth/authorize?response_type=code&client_id=demo-app&state=1234567890abcdef&scope=openid%20patient/Observation.rs"
    "&redirect_uri=http://localhost:8000/demo-app/callback&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    "&code_challenge_method=S256&aud={root}/fhir"
)
FIELDS = (
    "main form[method=post] :is(input[type=text], input[type=password], input[type=radio], textarea, select)"
    " >> visible=true"
)
UNSEEN_FOCUS = """() => {
  const drawn = (element, pseudo) => {
    const style = getComputedStyle(element, pseudo);
    const { outline, boxShadow, backgroundColor, border, color, textDecoration } = style;
    return [outline, boxShadow, backgroundColor, border, color, textDecoration].join();
  };
  const look = (element) => {
    const label = element.labels?.[0];
    return drawn(element) + (label ? drawn(label, "::before") : "");
  };
  document.querySelectorAll("details").forEach((each) => { each.open = true; });
  const all = [...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")];
  const unseen = [];
  for (const element of all.filter((each) => !each.disabled && each.checkVisibility())) {
    document.activeElement.blur();
    const before = look(element);
    element.focus({ focusVisible: true });
    if (document.activeElement !== element || look(element) === before) {
      unseen.push(element.outerHTML.slice(0, 120));
    }
  }
  document.activeElement.blur();
  return unseen;
}"""
"""What of a page does not show that it has the focus."""
WEIGHT = """() => performance.getEntries().filter((each) => ["navigation", "resource"].includes(each.entryType))
  .reduce((sum, each) => sum + each.encodedBodySize, 0)"""
"""Bytes of a page and of all that it asked for, compressed as they came, also where the browser had kept them."""
NOT_FOR_PAPER = """() => {
  const shown = (selector) => [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility());
  const told = (words, elements) => elements.map((each) => `${words}: ${each.outerHTML.slice(0, 120)}`);
  return [
    ...told("is printed", shown("nav, button, input, select, textarea, footer, .nhsuk-button, .nhsuk-skip-link")),
    ...told("prints its address", shown("a").filter((each) => getComputedStyle(each, "::after").content !== "none")),
    ...told("stays folded", [...document.querySelectorAll("details:not(.app-no-print) > :last-child")]
      .filter((each) => !each.checkVisibility() && !each.closest(".app-no-print, form, nav"))),
  ];
}"""
"""What of a page does not belong on paper, and what is missing there."""
MORE = {
    "": ("/nothing", "/?lang=cy"),
    "patient": (
        "/record/results/4548-4",
        "/record/measurements/add/blood-pressure",
        "/sharing/add?q=raman",
        "/access-log?show=emergencies",
        "/oauth/launch?patient=amelia-hart",
        AUTHORIZE,
    ),
    "professional": ("/patients/nobody",),
    "privacy-officer": ("/privacy?show=closed", "/privacy/audit?patient=amelia-hart"),
}
"""Pages in a state that their plain address does not show."""

_CHANGING = re.compile(r'(name="csrf_token" value=|data-session-[a-z]+=|nonce=)"[^"]*"|\d\d?:\d\d[ap]m')
_MAIN = re.compile(r"<main.*</main>", re.DOTALL)
_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([a-z_]+)>")


@dataclass
class Seen:
    """What has been looked at: addresses, and the words of pages; and which of them have a form to fill in."""

    addresses: set[str] = field(default_factory=set)
    forms: list[str] = field(default_factory=list)
    mains: set[str] = field(default_factory=set)

    def is_new(self, html: str) -> bool:
        """Return whether nobody was shown this before, and note it."""
        found = _MAIN.search(html)
        main = _CHANGING.sub("", found[0] if found else html)
        known = main in self.mains
        self.mains.add(main)
        return not known


@pytest.fixture(scope="module")
def seen() -> Seen:
    return Seen()


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    with running_checker() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    yield from isolated_page(browser)


def addresses(site: Site, role: str) -> list[str]:
    """Return the address of every page that a role can open, of other rooms for some, and further states."""
    ours = {each.path: each.roles for each in PAGES}
    rules = [rule.rule for rule in site.server.app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    wanted = [
        rule
        for rule in rules
        if not rule.startswith(NO_PAGES)
        and not rule.endswith(FILES)
        and role in (("", *(ours[rule] or ANY_ROLE)) if ours.get(rule) == () else ours.get(rule, FOR_ANYBODY))
    ]
    plain = [_VARIABLE.sub(lambda match: EXAMPLES.get(match[1], "unknown"), rule) for rule in wanted]
    return [*plain, *(state.format(root=site.url) for state in MORE.get(role, ()))]


def sign_in(page: Page, site: Site, email: str) -> None:
    page.goto(f"{site.url}/sign-in")
    page.fill("#email", email)
    page.fill("#password", PASSWORDS[email])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def is_page(answer: Response | None) -> bool:
    return answer is not None and answer.headers.get("content-type", "").startswith("text/html")


@pytest.mark.parametrize("role", ["", *WHO])
def test_everybody_can_use_every_page(page: Page, site: Site, seen: Seen, checker: Checker, role: str) -> None:
    page.set_viewport_size(PHONE)
    if role:
        sign_in(page, site, WHO[role])
    devtools = page.context.new_cdp_session(page)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    for path in addresses(site, role):
        wrong += [f"{path}: {each}" for each in looked_at(page, devtools, site, path, seen, checker)]
    while seen.forms:
        path = seen.forms.pop(0)
        wrong += [f"{path}, sent as it is: {each}" for each in mistakes_shown(page, site, path, checker)]
    assert not wrong, "\n".join(wrong)


def looked_at(page: Page, devtools: CDPSession, site: Site, path: str, seen: Seen, checker: Checker) -> Iterator[str]:
    """Yield what is wrong with a page, unless it was looked at before."""
    url = f"{site.url}{path}"
    if path in seen.addresses:
        # Asking costs less than showing.
        answer = page.request.get(url, max_redirects=0)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            yield f"the server failed: {answer.status}"
        if answer.status in {302, 303} or not seen.is_new(answer.text()):
            return
    seen.addresses.add(path)
    shown = page.goto(url)
    if shown is not None and shown.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        yield f"the server failed: {shown.status}"
    if not is_page(shown) or shown is None or not (seen.is_new(html := shown.text())):
        return
    yield from (f"HTML: {mistake}" for mistake in checker.mistakes(html))
    page.wait_for_load_state()
    page.evaluate(AXE_SCRIPT)
    refused = shown.status >= HTTPStatus.BAD_REQUEST
    # One template makes every refusal: a phone is enough to see what is in it.
    for size in (PHONE,) if refused else (PHONE, DESK):
        page.set_viewport_size(size)
        at = f"at {size['width']} px: "
        yield from (f"{at}{each}" for each in (*broken_rules(page, RULES), *too_wide(page)))
    if IN_EVERY_WAY:
        yield from every_way(page, devtools)
    if refused:
        return
    if (weight := page.evaluate(WEIGHT)) > COLD_LIMIT_BYTES:
        yield f"weighs {weight} bytes"
    yield from (f"on paper: {each}" for each in on_paper(page))
    yield from (f"focus cannot be seen: {each}" for each in page.evaluate(UNSEEN_FOCUS))
    if page.locator(FIELDS).count():
        seen.forms.append(path)
    yield from without_scripts(page, devtools)


def mistakes_shown(page: Page, site: Site, path: str, checker: Checker) -> Iterator[str]:
    """Send a form as it is; yield what is wrong with how the page tells what is missing, where something is."""
    page.goto(f"{site.url}{path}")
    with page.expect_navigation() as navigation:
        page.locator(FIELDS).last.locator("xpath=ancestor::form").locator("[type=submit]").first.click()
    shown = navigation.value
    if shown.status < HTTPStatus.BAD_REQUEST:
        return
    yield from (f"HTML: {mistake}" for mistake in checker.mistakes(shown.text()))
    page.wait_for_load_state()
    if not page.title().startswith("Error: "):
        yield f"the title is {page.title()!r}"
    if not page.locator(".nhsuk-error-summary [role=alert]").count():
        yield "no summary of what is wrong is announced"
    if not page.evaluate("document.activeElement.matches('.nhsuk-error-summary')"):
        yield "the summary of what is wrong has no focus"
    for href in page.locator(".nhsuk-error-summary a").evaluate_all("links => links.map(link => link.hash)"):
        if not page.locator(href).count():
            yield f"{href} leads nowhere"
    page.evaluate(AXE_SCRIPT)
    yield from (*broken_rules(page, RULES), *too_wide(page))


def every_way(page: Page, devtools: CDPSession) -> Iterator[str]:
    """Yield what is wrong on every screen, in the page's colours and in forced ones, with and without scripts."""
    for runs, size in itertools.product((False, True), (ZOOMED, DESK, PHONE)):
        page.set_viewport_size(size)
        devtools.send("Emulation.setScriptExecutionDisabled", {"value": not runs})
        page.reload()
        page.wait_for_load_state()
        devtools.send("Emulation.setScriptExecutionDisabled", {"value": False})
        page.evaluate(AXE_SCRIPT)
        way = f"{size['width']} px, {'with' if runs else 'without'} scripts"
        yield from (f"{way}: {each}" for each in (*broken_rules(page, RULES), *too_wide(page)))
        page.emulate_media(forced_colors="active")
        yield from (f"{way}, forced colours: {each}" for each in (*broken_rules(page, RULES), *too_wide(page)))
        page.emulate_media(forced_colors="none")


def on_paper(page: Page) -> list[str]:
    """Return what is wrong with a page that is printed; ends on a desk's screen."""
    page.set_viewport_size(PAPER)
    page.emulate_media(media="print")
    found = [*page.evaluate(NOT_FOR_PAPER), *too_wide(page)]
    page.emulate_media(media="screen")
    page.set_viewport_size(DESK)
    return found


def without_scripts(page: Page, devtools: CDPSession) -> Iterator[str]:
    """Yield what is wrong without scripts, zoomed, in forced colours, with less motion; ends on a phone's screen."""
    page.set_viewport_size(ZOOMED)
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    devtools.send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.reload()
    page.wait_for_load_state()
    # The page has been made without scripts; axe is one.
    devtools.send("Emulation.setScriptExecutionDisabled", {"value": False})
    page.evaluate(AXE_SCRIPT)
    found = [*broken_rules(page, RULES), *too_wide(page)]
    if page.evaluate("document.getAnimations().length"):
        found.append("moves though less motion is wanted")
    page.emulate_media(forced_colors="none", reduced_motion="no-preference")
    page.set_viewport_size(PHONE)
    found += too_wide(page)
    yield from (f"without scripts: {each}" for each in found)
