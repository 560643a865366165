"""What pages do in a real browser: mistakes, a person without a mouse, countdowns, how much a cold page weighs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browsers import violations
from tests.keyboard import Keyboard
from tests.portal.conftest import AMELIA, CONSULTANT, GP, PASSWORDS, Site
from tests.portal.test_quality import sign_in

pytestmark = pytest.mark.browser

LETTER = "/record/letters/amelia-hart-letter-16"
COLD_LIMIT_BYTES = 300_000


def test_a_page_with_mistakes_is_accessible_and_leads_to_the_field(page: Page, site: Site) -> None:
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}/record/measurements/add/blood-pressure")
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_title("Error: Add: blood pressure – Care Information Exchange")
    assert violations(page) == []
    page.get_by_role("link", name="Enter top number (systolic) as a number").click()
    expect(page.locator("#systolic")).to_be_focused()


def test_a_person_signs_in_with_the_keyboard_alone_and_may_skip_the_menu(page: Page, site: Site) -> None:
    keys = Keyboard(page)
    page.goto(f"{site.url}/sign-in")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    keys.write(page.locator("#email"), GP)
    keys.write(page.locator("#password"), PASSWORDS[GP])
    keys.follow(page.get_by_role("button", name="Sign in"), "My patients")


def test_the_day_is_asked_for_only_where_it_is_wanted(page: Page, site: Site) -> None:
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}/sharing/with/Organization/brentmoor-council")
    expect(page.locator("#until-day")).to_be_hidden()
    page.check("#ends-on")
    expect(page.locator("#until-day")).to_be_visible()


def test_an_emergency_access_counts_down(page: Page, site: Site) -> None:
    page.clock.install()
    sign_in(page, site, CONSULTANT)
    page.goto(f"{site.url}/emergency-access")
    page.fill("#nhs-number", "999 002 4685")
    for part, value in (("day", "14"), ("month", "3"), ("year", "1976")):
        page.fill(f"#born-{part}", value)
    page.check("#reason-code")
    page.fill("#reason", "Collapsed in the clinic, cannot speak")
    expect(page.get_by_text("You have 963 characters remaining").first).to_be_attached()
    page.check("#declaration")
    page.get_by_role("button", name="Open the record").click()
    banner = page.get_by_role("region", name="Emergency access")
    expect(banner).to_contain_text("left)")
    assert violations(page) == []
    page.clock.fast_forward("50:05")
    expect(banner.get_by_role("status")).to_have_text("Emergency access ends in 10 minutes.")
    banner.get_by_role("button", name="End now").click()
    expect(page.get_by_role("alert")).to_contain_text("Emergency access has ended")


def test_a_cold_page_is_light(browser: Browser, site: Site) -> None:
    signing = browser.new_context()
    sign_in(signing.new_page(), site, AMELIA)
    for path in ("/", "/record/results", "/record/results/85354-9", LETTER, "/sharing"):
        cold = browser.new_context(storage_state=signing.storage_state())
        page = cold.new_page()
        session = cold.new_cdp_session(page)
        session.send("Network.enable")
        sizes: list[int] = []
        session.on("Network.loadingFinished", lambda event, sizes=sizes: sizes.append(int(event["encodedDataLength"])))
        page.goto(f"{site.url}{path}")
        page.wait_for_load_state("networkidle")
        assert sizes
        assert sum(sizes) < COLD_LIMIT_BYTES, path
        cold.close()
    signing.close()
