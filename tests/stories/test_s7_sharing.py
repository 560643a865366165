"""S7: a patient invites family, stops, and answers a professional who asks; with scripts and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import checked
from tests.stories.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, CONSULTANT = "amelia.hart@example.org", "priya.raman@example.org"
EMAIL, MOBILE = "joan.hart@example.org", "+447700900456"
PASSWORD = "walrus kettle orbit 41"


@pytest.fixture(params=["scripts", "no-scripts"])
def new_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[[], Page]]:
    """Return a function that opens a phone-sized browser with no cookies, with scripts and without."""
    has_scripts = request.param == "scripts"
    with ExitStack() as stack:

        def opened() -> Page:
            size: Any = {"width": 360, "height": 740}
            context = browser.new_context(locale="en-GB", java_script_enabled=has_scripts, viewport=size)
            stack.callback(context.close)
            return context.new_page()

        yield opened


def test_s7_a_patient_invites_family_and_answers_who_asks(site: Site, new_page: Callable[[], Page]) -> None:
    patient = new_page()
    site.sign_in(patient, AMELIA)
    the_patient_invites_her_sister(site, patient)

    carer = new_page()
    the_sister_opens_an_account(site, carer)
    the_sister_sees_what_is_shared(site, carer)
    the_patient_stops(site, patient)
    carer.goto(f"{site.url}/record")
    expect(carer.get_by_role("heading", name="No record is shared with you now")).to_be_visible()

    professional = new_page()
    site.sign_in(professional, CONSULTANT)
    a_professional_asks(site, professional)
    the_patient_says_yes(site, patient)
    professional.goto(f"{site.url}/patients/amelia-hart")
    expect(professional.get_by_label("Whose record this is")).to_contain_text("Amelia Hart")
    professional.goto(f"{site.url}/patients/requests")
    expect(professional.get_by_role("main")).to_contain_text("They said yes")


def the_patient_invites_her_sister(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/sharing")
    page.get_by_role("link", name="Invite family or a carer").click()
    accessible(page)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("Enter their full name")
    accessible(page)
    page.get_by_label("Their full name").fill("Joan Hart")
    page.get_by_label("Their e-mail address").fill(EMAIL)
    page.get_by_label("Their mobile phone number").fill("07700 900456")
    page.get_by_label("Brother or sister").check()
    page.get_by_label("View only").check()
    page.get_by_label("General health").check()
    page.get_by_label("Until I stop it").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Check before you invite")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("They would see")
    accessible(page)
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_role("alert")).to_contain_text("Your invitation is on its way")
    expect(page.get_by_role("heading", name="Invitations that wait")).to_be_visible()
    accessible(page)


def the_sister_opens_an_account(site: Site, page: Page) -> None:
    page.goto(site.found("carer-invitation", EMAIL, r"(http\S+/carer/\S+)"))
    page.get_by_label("Code from the text message").fill(site.found("carer-code", MOBILE, r"code is (\S+)\.").lower())
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_label("I accept both").check()
    accessible(page)
    page.get_by_role("button", name="Open my account").click()
    expect(page.get_by_role("heading", name="Your account is open")).to_be_visible()
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


def the_patient_stops(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/sharing")
    page.get_by_role("link", name="Stop sharing with Joan Hart").click()
    page.get_by_role("button", name="Stop sharing").click()
    expect(page.get_by_role("alert")).to_contain_text("They can no longer see your record")
    site.message("news", EMAIL)


def a_professional_asks(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/patients/find")
    page.get_by_label("NHS number").fill("999 002 4685")
    for part, value in (("Day", "14"), ("Month", "3"), ("Year", "1976")):
        page.get_by_label(part).fill(value)
    page.get_by_role("main").get_by_role("button").click()
    expect(page.get_by_role("heading", name="You cannot see this record")).to_be_visible()
    page.get_by_role("button", name="Ask for access").click()
    page.get_by_label("Why do you need to see their record?").fill("You come to my clinic next week")
    accessible(page)
    page.get_by_role("button", name="Send the request").click()
    expect(page.get_by_role("main")).to_contain_text("Waiting")
    accessible(page)


def the_patient_says_yes(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/sharing")
    page.get_by_role("link", name="Say yes or no to Dr Priya Raman").click()
    expect(page.get_by_role("main")).to_contain_text("You come to my clinic next week")
    accessible(page)
    page.get_by_role("button", name="Yes, choose what they see").click()
    page.get_by_label("General health").check()
    page.get_by_label("Until I stop it").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Share my record").click()
    expect(page.get_by_role("alert")).to_contain_text("Your choice is saved")


def accessible(page: Page) -> None:
    """Insist that axe finds nothing; it is a script itself, so a browser without scripts is not asked."""
    page.wait_for_load_state()
    if page.evaluate("document.body.classList.contains('js-enabled')"):
        checked(page)
