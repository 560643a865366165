"""S9: emergency access after a fresh sign-in, read-only, under a countdown; told at once, reviewed by somebody else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CONSULTANT, RECEPTIONIST, PATIENT, CARER, OFFICER = (
    f"{name}@example.org" for name in ("yasmin.haddad", "dorothy.pike", "amelia.hart", "thomas.hart", "ruth.castellan")
)
AMELIA, DESMOND = ("999 002 4685", "14 3 1976"), ("999 018 3066", "2 11 1961")
"""NHS number and date of birth; Desmond switched all sharing off."""
REASON = "Collapsed in the street, takes medicines that nobody here knows"
BAND = "Emergency access"


def test_s9_an_emergency_opens_a_record_to_whom_it_may_and_somebody_else_closes_it(
    sqlite_site: Site, new_page: Callable[[], Page]
) -> None:
    site = sqlite_site
    doctor, carer, patient, officer = (new_page() for _ in range(4))
    who_may_not_is_refused(site, new_page)
    site.sign_in(carer, CARER)
    the_carer_wants_to_be_told(site, Keyboard(carer))

    site.sign_in(doctor, CONSULTANT)
    site.clock.advance(minutes=6)
    keys, began = Keyboard(doctor), site.clock()
    a_doctor_proves_who_they_are_and_says_why(site, keys)
    sharing_that_is_off_stays_off(keys)
    the_doctor_reads_and_changes_nothing(site, keys)
    for kind, to in (("access-log", PATIENT), ("shared-record", CARER)):
        body = sent(site, kind, to, began)
        assert not {"Haddad", "Amelia", "emergency department"} & set(body.split()), "nothing outside says who or why"

    site.sign_in(patient, PATIENT)
    expect(patient.get_by_role("main")).to_contain_text("Dr Yasmin Haddad, Brentmoor University Hospitals NHS Trust")
    site.sign_in(officer, OFFICER)
    an_officer_closes_the_review(Keyboard(officer))
    Keyboard(patient).follow(patient.get_by_role("link", name="See what they looked at"), "Who looked at your record")
    expect(patient.locator("ul.app-log").first).to_contain_text(f"Reason given: {REASON}")
    expect(patient.get_by_role("main")).to_contain_text("and found it appropriate")

    site.clock.advance(minutes=25)
    doctor.reload()
    site.clock.advance(minutes=25)
    doctor.reload()
    expect(doctor.get_by_role("region", name=BAND)).to_be_visible()
    site.clock.advance(minutes=11)
    doctor.reload()
    expect(doctor.get_by_role("heading", level=1)).to_have_text("You cannot see this record")
    expect(doctor.get_by_role("region", name=BAND)).to_be_hidden()


def sent(site: Site, kind: str, to: str, since: datetime) -> str:
    """Return the text of a message that was sent since then: the demo has sent some about an emergency before."""
    for _ in range(150):
        for message in [json.loads(path.read_text()) for path in site.outbox.glob("*.json")]:
            if (message["kind"], message["to"]) == (kind, to) and datetime.fromisoformat(message["sent_at"]) >= since:
                return str(message["body"])
        time.sleep(0.1)
    raise AssertionError(f"no {kind} was sent to {to}")


def who_may_not_is_refused(site: Site, new_page: Callable[[], Page]) -> None:
    for email, said in ((RECEPTIONIST, "Your role has no emergency access"), (PATIENT, "You cannot use this page")):
        page = new_page()
        site.sign_in(page, email)
        page.goto(f"{site.url}/emergency-access")
        expect(page.get_by_role("heading", level=1)).to_have_text(said)
    number = {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": AMELIA[0].replace(" ", "")}
    asked = {"resourceType": "Parameters", "parameter": [{"name": "identifier", "valueIdentifier": number}]}
    system = site.system("epr-brentmoor-hospitals")
    assert system.call("POST", "Patient/$break-glass", asked).status_code == 403


def the_carer_wants_to_be_told(site: Site, keys: Keyboard) -> None:
    keys.open(f"{site.url}/account/messages", "Messages")
    expect(keys.page.get_by_label("is opened in an emergency")).to_be_checked()
    keys.send(keys.page.get_by_role("button", name="Save"))
    expect(keys.page.get_by_role("alert")).to_be_visible()


def a_doctor_proves_who_they_are_and_says_why(site: Site, keys: Keyboard) -> None:
    page = keys.page
    page.goto(f"{site.url}/patients")
    keys.follow(page.get_by_role("link", name="Emergency access"), "Enter your password again")
    keys.write(page.get_by_label("Password", exact=True), site.accounts[CONSULTANT])
    keys.follow(page.get_by_role("button", name="Continue"), "Emergency access")
    keys.send(page.get_by_role("button", name="Open the record"))
    keys.told("Choose why you need emergency access", "Tick the box to make the declaration")
    checked(page)


def give(keys: Keyboard, person: tuple[str, str]) -> None:
    page = keys.page
    keys.write(page.get_by_label("NHS number"), person[0])
    for part, value in zip(("Day", "Month", "Year"), person[1].split(), strict=True):
        keys.write(page.get_by_label(part, exact=True), value)
    keys.tick(page.get_by_label("Emergency treatment"))
    keys.write(page.get_by_label("Describe the reason"), REASON)
    keys.tick(page.get_by_label("I am caring for this person now"))
    keys.send(page.get_by_role("button", name="Open the record"))


def sharing_that_is_off_stays_off(keys: Keyboard) -> None:
    give(keys, DESMOND)
    expect(keys.page).to_have_title("Error: Emergency access – Care Information Exchange")
    expect(keys.page.get_by_role("region", name=BAND)).to_be_hidden()


def the_doctor_reads_and_changes_nothing(site: Site, keys: Keyboard) -> None:
    page = keys.page
    give(keys, AMELIA)
    band = page.get_by_role("region", name=BAND)
    expect(band).to_contain_text("Read only. The patient is told.")
    expect(page.get_by_role("main")).to_contain_text("Allergy to penicillin")
    expect(page.get_by_role("main")).to_contain_text("Sertraline")
    keys.reach(band.get_by_role("button", name="End now"))
    checked(page)
    expect(page.get_by_role("link", name="Add to it")).to_have_count(0)
    assert page.request.get(f"{site.url}/patients/amelia-hart/add").status == 404
    keys.follow(page.get_by_role("navigation", name="Record").get_by_role("link", name="Letters"), "Letters")
    expect(band).to_be_visible()


def an_officer_closes_the_review(keys: Keyboard) -> None:
    page = keys.page
    row = page.get_by_role("row").filter(has_text="Dr Yasmin Haddad")
    expect(row).to_contain_text(REASON)
    keys.follow(row.get_by_role("link"), "Review an emergency access")
    expect(page.get_by_role("main")).to_contain_text(BAND)
    keys.tick(page.get_by_label("Appropriate", exact=True))
    keys.write(page.get_by_label("Why?"), "She was in the emergency department on duty, as the rota says.")
    checked(page)
    keys.follow(page.get_by_role("button", name="Close the review"), "Emergency accesses")
    expect(page.get_by_role("row").filter(has_text="Dr Yasmin Haddad")).to_have_count(0)
