"""S12: the age at which a parent's view ends, a coordinator's own invitation, a leaver, joined records, a death.

Who works for the service does it without JavaScript; the family with it, and once more without. Each goes by keyboard
alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.keyboard import Keyboard
from tests.stories.site import Site, running, seeded_on_sqlite

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, COORDINATOR, CONSULTANT = "amelia.hart@example.org", "nadia.lowe@example.org", "priya.raman@example.org"
DESK, ADMIN = "gareth.pugh@example.org", "sandra.voss@example.org"
MARY, HER_MOBILE, CHILDS_NUMBER = "mary.lund@example.org", "+447700900321", "9000000025"
EVIDENCE = "Passport seen, and the hospital's records office agrees"
EMAIL, MOBILE = "joan.hart@example.org", "+447700900456"
PASSWORD = "walrus kettle orbit 41"
BORN = 1976


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a running server for which Amelia, of the demo's patients, is still a child."""
    url, keys, folder = seeded_on_sqlite(tmp_path_factory)
    with running(url, keys, folder, child_until_years=80) as made:
        yield made


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Return a function that opens a browser of its own that runs no scripts."""
    contexts = []

    def open_page() -> Page:
        contexts.append(browser.new_context(java_script_enabled=False))
        return contexts[-1].new_page()

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def family_page(
    has_scripts: bool,  # noqa: FBT001 - a parameter
    new_page: Callable[[], Page],
    plain_page: Callable[[], Page],
) -> Callable[[], Page]:
    """Return a function that opens a browser of the family, with scripts or without."""
    return new_page if has_scripts else plain_page


@pytest.mark.parametrize("has_scripts", [True, False], ids=["scripts", "no scripts"])
def test_s12_family_leaver_join_and_death(
    site: Site, family_page: Callable[[], Page], plain_page: Callable[[], Page]
) -> None:
    child, parent, coordinator = family_page(), family_page(), plain_page()
    site.sign_in(child, AMELIA)
    the_child_invites_a_parent(site, child)
    the_parent_opens_an_account(site, parent)
    parent.goto(f"{site.url}/record")
    expect(parent.get_by_label("Whose record this is")).to_contain_text("Amelia Hart")

    professional = plain_page()
    site.sign_in(professional, CONSULTANT)
    site.sign_in(coordinator, COORDINATOR)
    a_coordinator_invites_a_parent(site, coordinator, plain_page())
    a_professional_leaves(site, coordinator)
    professional.goto(f"{site.url}/patients")
    expect(professional.get_by_role("heading", name="Sign in")).to_be_visible()

    desk, admin = plain_page(), plain_page()
    site.sign_in(desk, DESK)
    site.sign_in(admin, ADMIN)
    two_records_are_one(site, desk, admin, child, parent)

    site.clock.at = site.clock.at.replace(year=BORN + 80, month=3, day=14, hour=1)
    site.sign_in(parent, EMAIL, PASSWORD)
    expect(parent.get_by_role("heading", name="No record is shared with you now")).to_be_visible()
    site.sign_in(child, AMELIA)
    site.sign_in(desk, DESK)
    site.sign_in(admin, ADMIN)
    a_death_closes_the_account(site, desk, admin, child)


def a_coordinator_invites_a_parent(site: Site, page: Page, mary: Page) -> None:
    keys, her_keys = Keyboard(page), Keyboard(mary)
    page.goto(f"{site.url}/organisation/parents/invite")
    typed = {"given": "Tom", "family": "Lund", "born-day": "2", "born-month": "6", "born-year": "2019",
             "nhs-number": CHILDS_NUMBER, "name": "Mary Lund", "email": MARY, "mobile": "07700 900321"}  # fmt: skip
    for name, value in typed.items():
        keys.write(page.locator(f"#{name}"), value)
    keys.tick(page.get_by_label("Birth certificate with their name"))
    keys.tick(page.get_by_label("View only"))
    keys.send(page.get_by_role("button", name="Send the invitation"))
    expect(page.get_by_role("alert")).to_contain_text("The invitation is on its way")
    mary.goto(site.found("parent-invitation", MARY, r"(http\S+/carer/\S+)"))
    expect(mary.get_by_role("main")).not_to_contain_text("Lund")
    her_keys.write(
        mary.get_by_label("Code from the text message"), site.found("carer-code", HER_MOBILE, r"code is (\S+)\.")
    )
    for part in ("day", "month", "year"):
        her_keys.write(mary.locator(f"#born-{part}"), typed[f"born-{part}"])
    her_keys.write(mary.get_by_label("Choose a password"), PASSWORD)
    her_keys.tick(mary.get_by_label("I accept both"))
    her_keys.send(mary.get_by_role("button", name="Open my account"))
    expect(mary.get_by_role("heading", name="Your account is open")).to_be_visible()
    site.sign_in(mary, MARY, PASSWORD)
    mary.goto(f"{site.url}/record")
    expect(mary.get_by_label("Whose record this is")).to_contain_text("Tom Lund")


def propose(site: Site, page: Page, kind: str, typed: dict[str, str]) -> None:
    keys = Keyboard(page)
    page.goto(f"{site.url}/service-desk/cases/new/{kind}")
    for name, value in (typed | {"evidence": EVIDENCE}).items():
        keys.write(page.locator(f"#{name}"), value)
    keys.send(page.get_by_role("button", name="Propose"))
    expect(page.get_by_role("alert")).to_contain_text("waits for somebody else")


def agree(site: Site, page: Page, what: str) -> None:
    keys = Keyboard(page)
    page.goto(f"{site.url}/service-desk/cases")
    keys.send(page.get_by_role("link", name=what))
    keys.send(page.get_by_role("button", name="Agree"))
    expect(page.get_by_role("alert")).to_contain_text("Done")


def born(name: str) -> dict[str, str]:
    return {f"{name}-day": "14", f"{name}-month": "3", f"{name}-year": str(BORN)}


def two_records_are_one(site: Site, desk: Page, admin: Page, child: Page, parent: Page) -> None:
    keys = Keyboard(child)
    twin = {"resourceType": "Patient", "birthDate": f"{BORN}-03-14", "name": [{"family": "Hart", "given": ["Amelia"]}],
            "identifier": [{"system": "https://brentmoor.example.org/mrn", "value": "twin"}]}  # fmt: skip
    made = site.system("epr-brentmoor-hospitals").call("POST", "Patient", twin)
    assert made.status_code == 201, made.text
    both = {"number": f"Patient/{made.json()['id']}", "other-number": "Patient/amelia-hart"}
    propose(site, desk, "merge", both | born("born") | born("other-born"))
    agree(site, admin, "Two records of one person")
    parent.goto(f"{site.url}/record")
    expect(parent.get_by_role("heading", name="No record is shared with you now")).to_be_visible()
    child.goto(f"{site.url}/sharing/paused")
    expect(child.get_by_role("main")).to_contain_text("There were two records of you")
    keys.tick(child.get_by_label("I have looked at my record"))
    keys.send(child.get_by_role("button", name="Share again"))
    expect(child.get_by_role("alert")).to_contain_text("Sharing is on again")
    parent.goto(f"{site.url}/record")
    expect(parent.get_by_label("Whose record this is")).to_contain_text("Amelia Hart")


def a_death_closes_the_account(site: Site, desk: Page, admin: Page, child: Page) -> None:
    keys = Keyboard(child)
    day = {"day-day": "1", "day-month": "2", "day-year": str(BORN + 80)}
    propose(site, desk, "death", {"number": "Patient/amelia-hart"} | born("born") | day)
    agree(site, admin, "A death")
    child.goto(f"{site.url}/record")
    expect(child.get_by_role("heading", name="Sign in")).to_be_visible()
    child.goto(f"{site.url}/sign-in")
    keys.write(child.get_by_label("E-mail address"), AMELIA)
    keys.write(child.get_by_label("Password", exact=True), site.accounts[AMELIA])
    keys.send(child.get_by_role("button", name="Sign in"))
    expect(child.get_by_role("alert")).to_be_visible()


def the_child_invites_a_parent(site: Site, page: Page) -> None:
    keys = Keyboard(page)
    page.goto(f"{site.url}/sharing/carers/invite")
    keys.write(page.get_by_label("Their full name"), "Joan Hart")
    keys.write(page.get_by_label("Their e-mail address"), EMAIL)
    keys.write(page.get_by_label("Their mobile phone number"), "07700 900456")
    keys.tick(page.get_by_label("Parent", exact=True))
    keys.tick(page.get_by_label("View only"))
    keys.tick(page.get_by_label("Until I stop it"))
    keys.send(page.get_by_role("button", name="Continue"))
    expect(page.get_by_role("main")).to_contain_text("13 March 2056: from your birthday on you decide anew")
    keys.send(page.get_by_role("button", name="Send the invitation"))
    expect(page.get_by_role("alert")).to_contain_text("Your invitation is on its way")


def the_parent_opens_an_account(site: Site, page: Page) -> None:
    keys = Keyboard(page)
    page.goto(site.found("carer-invitation", EMAIL, r"(http\S+/carer/\S+)"))
    keys.write(page.get_by_label("Code from the text message"), site.found("carer-code", MOBILE, r"code is (\S+)\."))
    keys.write(page.get_by_label("Choose a password"), PASSWORD)
    keys.tick(page.get_by_label("I accept both"))
    keys.send(page.get_by_role("button", name="Open my account"))
    expect(page.get_by_role("heading", name="Your account is open")).to_be_visible()
    site.sign_in(page, EMAIL, PASSWORD)


def a_professional_leaves(site: Site, page: Page) -> None:
    keys = Keyboard(page)
    page.goto(f"{site.url}/organisation/team")
    keys.send(page.get_by_role("link", name=re.compile("End their access.*Priya Raman")))
    keys.tick(page.get_by_label("Dr Priya Raman no longer works here"))
    keys.send(page.get_by_role("button", name="End their access"))
    expect(page.get_by_role("alert")).to_contain_text("Their access has ended")
