"""S7: a patient invites family, stops, and answers a professional who asks; by keyboard, with scripts and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, CONSULTANT = "amelia.hart@example.org", "priya.raman@example.org"
EMAIL, MOBILE = "joan.hart@example.org", "+447700900456"
PASSWORD = "walrus kettle orbit 41"


@pytest.fixture
def new_page(browser: Browser, has_scripts: bool) -> Iterator[Callable[[], Page]]:  # noqa: FBT001 - a parameter
    """Return a function that opens a phone-sized browser with no cookies, with scripts or without."""
    with ExitStack() as stack:

        def opened() -> Page:
            size: Any = {"width": 360, "height": 740}
            context = browser.new_context(locale="en-GB", java_script_enabled=has_scripts, viewport=size)
            stack.callback(context.close)
            return context.new_page()

        yield opened


@pytest.mark.parametrize(
    "databases,has_scripts",
    [("sqlite", True), ("postgresql", False)],
    indirect=["databases"],
    ids=["scripts", "no scripts"],
)
def test_s7_a_patient_invites_family_and_answers_who_asks(site: Site, new_page: Callable[[], Page]) -> None:
    patient = new_page()
    site.sign_in(patient, AMELIA)
    keys = Keyboard(patient)
    the_patient_invites_her_sister(site, keys)

    carer = new_page()
    the_sister_opens_an_account(site, Keyboard(carer))
    the_sister_sees_what_is_shared(site, carer)
    the_patient_stops(site, keys)
    carer.goto(f"{site.url}/record")
    expect(carer.get_by_role("heading", name="No record is shared with you now")).to_be_visible()

    professional = new_page()
    site.sign_in(professional, CONSULTANT)
    a_professional_asks(site, Keyboard(professional))
    the_patient_says_yes(site, keys)
    professional.goto(f"{site.url}/patients/amelia-hart")
    expect(professional.get_by_label("Whose record this is")).to_contain_text("Amelia Hart")
    professional.goto(f"{site.url}/patients/requests")
    expect(professional.get_by_role("main")).to_contain_text("They said yes")


def the_patient_invites_her_sister(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/sharing", "Who can see your record")
    keys.follow(page.get_by_role("link", name="Invite family or a carer"), "Invite family or a carer")
    accessible(page)
    keys.send(page.get_by_role("button", name="Continue"))
    expect(page.get_by_role("alert")).to_contain_text("Enter their full name")
    accessible(page)
    keys.write(page.get_by_label("Their full name"), "Joan Hart")
    keys.write(page.get_by_label("Their e-mail address"), EMAIL)
    keys.write(page.get_by_label("Their mobile phone number"), "07700 900456")
    for choice in ("Brother or sister", "View only", "General health", "Until I stop it"):
        keys.tick(page.get_by_label(choice))
    keys.follow(page.get_by_role("button", name="Continue"), "Check before you invite")
    expect(page.get_by_role("main")).to_contain_text("They would see")
    accessible(page)
    keys.follow(page.get_by_role("button", name="Send the invitation"), "Who can see your record")
    expect(page.get_by_role("alert")).to_contain_text("Your invitation is on its way")
    expect(page.get_by_role("heading", name="Invitations that wait")).to_be_visible()
    accessible(page)


def the_sister_opens_an_account(site: Site, keys: Keyboard) -> None:
    page = keys.page
    page.goto(site.found("carer-invitation", EMAIL, r"(http\S+/carer/\S+)"))
    code = site.found("carer-code", MOBILE, r"code is (\S+)\.").lower()
    keys.write(page.get_by_label("Code from the text message"), code)
    keys.write(page.get_by_label("Choose a password"), PASSWORD)
    keys.tick(page.get_by_label("I accept both"))
    accessible(page)
    keys.follow(page.get_by_role("button", name="Open my account"), "Your account is open")
    site.sign_in(page, EMAIL, PASSWORD)


def the_sister_sees_what_is_shared(site: Site, page: Page) -> None:
    for path in ("/record", "/record/letters", "/record/results", "/record/appointments"):
        page.goto(f"{site.url}{path}")
        expect(page.get_by_label("Whose record this is")).to_contain_text("Amelia Hart")
        expect(page.get_by_label("What you can see")).to_contain_text("only what is shared with you")
    page.goto(f"{site.url}/record")
    expect(page.get_by_role("main")).to_contain_text("Metformin")
    expect(page.get_by_role("main")).not_to_contain_text("Sertraline")
    page.goto(f"{site.url}/choose-record")
    accessible(page)
    site.message("news", AMELIA)


def the_patient_stops(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/sharing", "Who can see your record")
    keys.follow(page.get_by_role("link", name="Stop sharing with Joan Hart"), "Stop sharing with Joan Hart?")
    keys.follow(page.get_by_role("button", name="Stop sharing"), "Who can see your record")
    expect(page.get_by_role("alert")).to_contain_text("They can no longer see your record")
    site.message("news", EMAIL)


def a_professional_asks(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/patients/find", "Find a patient")
    keys.write(page.get_by_label("NHS number"), "999 002 4685")
    for part, value in (("Day", "14"), ("Month", "3"), ("Year", "1976")):
        keys.write(page.get_by_label(part), value)
    keys.follow(page.get_by_role("main").get_by_role("button"), "You cannot see this record")
    keys.follow(page.get_by_role("button", name="Ask for access"), "Ask for access")
    keys.write(page.get_by_label("Why do you need to see their record?"), "You come to my clinic next week")
    accessible(page)
    keys.follow(page.get_by_role("button", name="Send the request"), "My requests for access")
    expect(page.get_by_role("main")).to_contain_text("Waiting")
    accessible(page)


def the_patient_says_yes(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/sharing", "Who can see your record")
    keys.follow(page.get_by_role("link", name="Say yes or no to Dr Priya Raman"), "Dr Priya Raman")
    expect(page.get_by_role("main")).to_contain_text("You come to my clinic next week")
    accessible(page)
    keys.follow(page.get_by_role("button", name="Yes, choose what they see"), "What should")
    keys.tick(page.get_by_label("General health"))
    keys.tick(page.get_by_label("Until I stop it"))
    keys.follow(page.get_by_role("button", name="Continue"), "Check before you share")
    keys.follow(page.get_by_role("button", name="Share my record"), "Who can see your record")
    expect(page.get_by_role("alert")).to_contain_text("Your choice is saved")


def accessible(page: Page) -> None:
    """Insist that axe finds nothing; it is a script itself, so a browser without scripts is not asked."""
    page.wait_for_load_state()
    if page.evaluate("document.body.classList.contains('js-enabled')"):
        checked(page)
