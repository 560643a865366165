"""What pages do in a real browser: charts, letters, the keyboard alone, no scripts, and how much a cold page weighs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browsers import violations
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


def test_sharing_works_with_the_keyboard_alone(page: Page, site: Site) -> None:
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}/sharing/with/Organization/ealdene-health-centre")
    page.locator("#labels").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.locator("#ends").focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Continue")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Check before you share")
    assert violations(page) == []
    page.get_by_role("button", name="Share my record").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Your choice is saved")
    expect(page.get_by_role("heading", name="Ealdene Health Centre")).to_be_visible()


def tab_to(page: Page, control: Locator) -> None:
    """Press Tab until a control has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if control.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"the keyboard does not reach {control}")


def test_a_professional_adds_a_note_with_the_keyboard_alone(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/sign-in")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    for field, typed in (("#email", GP), ("#password", PASSWORDS[GP])):
        tab_to(page, page.locator(field))
        page.keyboard.type(typed)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.goto(f"{site.url}/patients/amelia-hart")
    expect(page.get_by_text("You are seeing only what is shared with you")).to_be_visible()
    tab_to(page, page.get_by_role("link", name="Add to it"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Add to this record")
    tab_to(page, page.get_by_role("link", name="A note"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Add: a note")
    for field, typed in (("#title", "Agreed today"), ("#text", "Walk every day.")):
        tab_to(page, page.locator(field))
        page.keyboard.type(typed)
    tab_to(page, page.locator("#label"))
    page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Continue"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Check before you add a note")
    assert violations(page) == []
    tab_to(page, page.get_by_role("button", name="Add to the record"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("A note is in the record now")


def test_the_day_is_asked_for_only_where_it_is_wanted(page: Page, site: Site) -> None:
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}/sharing/with/Organization/brentmoor-council")
    expect(page.locator("#until-day")).to_be_hidden()
    page.check("#ends-on")
    expect(page.locator("#until-day")).to_be_visible()


def test_a_chart_is_drawn_from_the_table(page: Page, site: Site) -> None:
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}/record/results/85354-9")
    expect(page.locator(".app-chart canvas")).to_be_visible()
    expect(page.locator("#history tbody tr").first).to_be_visible()


def test_a_letter_is_shown_on_the_page_when_asked_for(page: Page, site: Site) -> None:
    sign_in(page, site, AMELIA)
    page.goto(f"{site.url}{LETTER}")
    page.get_by_role("button", name="Show the letter as it was sent").click()
    expect(page.get_by_role("img", name="Page 1 of 1")).to_be_visible()
    assert violations(page) == []


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


def test_everything_works_without_scripts(browser: Browser, site: Site) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 360, "height": 800})
    page = context.new_page()
    sign_in(page, site, AMELIA)
    page.get_by_role("link", name="Test results", exact=True).click()
    page.goto(f"{site.url}/record/results/85354-9")
    expect(page.locator(".app-chart svg")).to_be_visible()
    page.goto(f"{site.url}{LETTER}")
    expect(page.get_by_text("Dear Amelia Hart")).to_be_visible()
    expect(page.get_by_role("link", name="Download the letter")).to_be_visible()
    page.goto(f"{site.url}/sharing/with/Practitioner/marcus-feld")
    page.check("#ends-on")
    page.fill("#until-day", "1")
    page.fill("#until-month", "1")
    page.fill("#until-year", "2030")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Share my record").click()
    expect(page.get_by_text("Your choice is saved")).to_be_visible()
    context.close()


@pytest.mark.parametrize("path", ["/", "/record/results", "/record/results/85354-9", LETTER, "/sharing"])
def test_a_cold_page_is_light(browser: Browser, site: Site, path: str) -> None:
    signing = browser.new_context()
    page = signing.new_page()
    sign_in(page, site, AMELIA)
    cold = browser.new_context(storage_state=signing.storage_state())
    page = cold.new_page()
    session = cold.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"])))
    page.goto(f"{site.url}{path}")
    page.wait_for_load_state("networkidle")
    assert sizes
    assert sum(sizes) < COLD_LIMIT_BYTES
    signing.close()
    cold.close()
