"""What pages do in a real browser: mistakes, a person without a mouse, countdowns, what comes out of a printer."""

from __future__ import annotations

from io import BytesIO

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.browsers import violations
from tests.keyboard import Keyboard
from tests.portal.conftest import AMELIA, CONSULTANT, GP, PASSWORDS, Site
from tests.portal.test_quality import sign_in

pytestmark = pytest.mark.browser


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


def test_a_printed_page_has_all_that_is_known_and_nothing_to_press(page: Page, site: Site) -> None:
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}/record/measurements/85354-9")
    page.wait_for_load_state("networkidle")
    rows = page.locator("tr[data-at]").count()
    paper = PdfReader(BytesIO(page.pdf(format="A4")))
    words = " ".join(" ".join(sheet.extract_text() for sheet in paper.pages).split())
    assert words.startswith("Care Information Exchange Amelia Hart (you) Born 14 March 1976")
    assert words.count("Kenbourne Road Surgery") >= rows > 5
    assert "What a place has not sent is not here" in words, "what is folded away on the screen is on paper"
    assert words.count("Date Result Source") == 2, "the head of a table is on each sheet that the table is on"
    for pressed in ("Sign out", "Who can see this", "Back", "/record", "Help and contact"):
        assert pressed not in words


def test_a_chart_follows_forced_colours(page: Page, site: Site) -> None:
    page.emulate_media(forced_colors="active")
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}/record/measurements/85354-9")
    page.wait_for_load_state("networkidle")
    expect(page.locator(".app-chart svg")).to_be_visible()
    assert page.locator(".app-chart canvas").count() == 0
    page.emulate_media(forced_colors="none")
    page.reload()
    expect(page.locator(".app-chart canvas")).to_be_visible()
