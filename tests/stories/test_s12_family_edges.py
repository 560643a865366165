"""S12, family: what a child shares with a parent ends by the clock, and a professional who leaves is out at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.databases import Databases
from tests.stories.site import Site, running, seeded

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, COORDINATOR, CONSULTANT = "amelia.hart@example.org", "nadia.lowe@example.org", "priya.raman@example.org"
EMAIL, MOBILE = "joan.hart@example.org", "+447700900456"
PASSWORD = "walrus kettle orbit 41"
BORN = 1976


@pytest.fixture
def site(databases: Databases, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a running server for which Amelia, of the demo's patients, is still a child."""
    url, keys = seeded(databases, tmp_path_factory)
    with running(url, keys, tmp_path, child_until_years=80) as made:
        yield made


def test_s12_a_parents_view_ends_and_a_leaver_is_out(site: Site, new_page: Callable[[], Page]) -> None:
    child, parent = new_page(), new_page()
    site.sign_in(child, AMELIA)
    the_child_invites_a_parent(site, child)
    the_parent_opens_an_account(site, parent)
    parent.goto(f"{site.url}/record")
    expect(parent.get_by_label("Whose record this is")).to_contain_text("Amelia Hart")

    professional, coordinator = new_page(), new_page()
    site.sign_in(professional, CONSULTANT)
    site.sign_in(coordinator, COORDINATOR)
    a_professional_leaves(site, coordinator)
    professional.goto(f"{site.url}/patients")
    expect(professional.get_by_role("heading", name="Sign in")).to_be_visible()

    site.clock.at = site.clock.at.replace(year=BORN + 80, month=3, day=14, hour=1)
    site.sign_in(parent, EMAIL, PASSWORD)
    expect(parent.get_by_role("heading", name="No record is shared with you now")).to_be_visible()


def the_child_invites_a_parent(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/sharing/carers/invite")
    page.get_by_label("Their full name").fill("Joan Hart")
    page.get_by_label("Their e-mail address").fill(EMAIL)
    page.get_by_label("Their mobile phone number").fill("07700 900456")
    page.get_by_label("Parent", exact=True).check()
    page.get_by_label("View only").check()
    page.get_by_label("Until I stop it").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("main")).to_contain_text("13 March 2056: from your birthday on you decide anew")
    page.get_by_role("button", name="Send the invitation").click()
    expect(page.get_by_role("alert")).to_contain_text("Your invitation is on its way")


def the_parent_opens_an_account(site: Site, page: Page) -> None:
    page.goto(site.found("carer-invitation", EMAIL, r"(http\S+/carer/\S+)"))
    page.get_by_label("Code from the text message").fill(site.found("carer-code", MOBILE, r"code is (\S+)\."))
    page.get_by_label("Choose a password").fill(PASSWORD)
    page.get_by_label("I accept both").check()
    page.get_by_role("button", name="Open my account").click()
    expect(page.get_by_role("heading", name="Your account is open")).to_be_visible()
    site.sign_in(page, EMAIL, PASSWORD)


def a_professional_leaves(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/organisation/team")
    page.get_by_role("link", name=re.compile("They leave.*Priya Raman")).click()
    page.get_by_label("Dr Priya Raman no longer works here").check()
    page.get_by_role("button", name="End their access").click()
    expect(page.get_by_role("alert")).to_contain_text("Their access has ended")
