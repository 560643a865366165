"""S10: the patient sees who looked and why, filters, takes a copy, checks it, asks; nobody else reads it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, GP, CARER, PRIVACY = (
    f"{name}@example.org" for name in ("amelia.hart", "helen.ashworth", "thomas.hart", "ruth.castellan")
)
EMERGENCY = "Dr Priya Raman"
"""She opened the record in an emergency before the story begins."""
ANSWER = "Dr Raman was on duty in the emergency department and needed your allergies."


def test_s10_a_patient_sees_who_looked_takes_proof_and_asks_and_nobody_else_reads_it(
    sqlite_site: Site, new_page: Callable[[], Page], tmp_path: Path
) -> None:
    site = sqlite_site
    gp, carer, patient, officer = (new_page() for _ in range(4))
    site.sign_in(gp, GP)
    gp.goto(f"{site.url}/patients/amelia-hart/letters")
    site.sign_in(carer, CARER)
    nobody_else_reads_it(site, gp, carer)

    site.sign_in(patient, AMELIA)
    keys = Keyboard(patient)
    the_patient_reads_who_looked(keys)
    the_patient_looks_at_one_organisation_only(keys)
    the_patient_checks_a_copy(keys, tmp_path)
    the_patient_asks(keys)

    site.sign_in(officer, PRIVACY)
    the_privacy_officer_answers(Keyboard(officer))
    the_patient_reads_the_answer(site, keys)


def nobody_else_reads_it(site: Site, gp: Page, carer: Page) -> None:
    for page in (gp, carer):
        for path in ("/access-log", "/access-log.json", "/access-log/proof.json"):
            assert page.request.get(f"{site.url}{path}").status == 403, path
    practice = site.system("gp-kenbourne-road-surgery")
    assert practice.get("AuditEvent?patient=Patient/amelia-hart")["total"] == 0
    assert practice.call("GET", "Patient/amelia-hart/$access-log-proof").status_code in {403, 404}


def the_patient_reads_who_looked(keys: Keyboard) -> None:
    page = keys.page
    keys.follow(page.get_by_role("link", name="See what they looked at, and why"), "Who looked at your record")
    keys.follow(page.get_by_role("link", name="Show everything"), "Who looked at your record")
    emergencies, others = page.locator("main > * ul.app-log").all()[:2]
    expect(emergencies.get_by_role("listitem").first).to_contain_text(EMERGENCY)
    expect(emergencies).to_contain_text("Reason given: Collapsed at home")
    visit = others.get_by_role("listitem").filter(has_text="Dr Helen Ashworth").first
    expect(visit).to_contain_text("Kenbourne Road Surgery")
    expect(visit).to_contain_text(re.compile("Looked at .*letters"))
    expect(visit).to_contain_text("Why: For your care · Through: this website")
    expect(page.get_by_role("link", name="All your own visits")).to_be_hidden()
    keys.unfold("Your own visits")
    expect(page.get_by_role("link", name="All your own visits")).to_be_visible()
    checked(page)


def the_patient_looks_at_one_organisation_only(keys: Keyboard) -> None:
    page = keys.page
    keys.unfold("Show only some days, people or emergencies")
    keys.write(page.get_by_role("group", name="From").get_by_label("Day"), "40")
    keys.send(page.get_by_role("button", name="Show", exact=True))
    keys.told("The first day must include a month")
    keys.write(page.get_by_role("group", name="From").get_by_label("Day"), "")
    keys.reach(page.get_by_label("Organisation"))
    page.keyboard.type("Kenbourne")
    keys.follow(page.get_by_role("button", name="Show", exact=True), "Who looked at your record")
    expect(page.get_by_role("main")).to_contain_text("Dr Helen Ashworth")
    expect(page.locator("ul.app-log")).not_to_contain_text(EMERGENCY)
    keys.follow(page.get_by_role("link", name="Show everything"), "Who looked at your record")


def the_patient_checks_a_copy(keys: Keyboard, folder: Path) -> None:
    page, kept = keys.page, folder / "access-log-with-proof.json"
    with page.expect_download() as download:
        keys.press(page.get_by_role("link", name="Download the list with proof"))
    download.value.save_as(kept)
    for file, said in ((kept, "Nothing was changed"), (changed(kept), "This file does not hold")):
        keys.follow(page.get_by_role("link", name="Check a list that you downloaded"), "Check a downloaded list")
        keys.send(page.get_by_role("button", name="Check"))
        keys.told("Choose the file that you downloaded")
        keys.reach(page.get_by_label("The file, access-log-with-proof.json"))
        page.get_by_label("The file, access-log-with-proof.json").set_input_files(file)
        keys.send(page.get_by_role("button", name="Check"))
        expect(page.get_by_role("alert")).to_contain_text(said)
        checked(page)
        keys.follow(page.get_by_role("link", name="Who looked", exact=True).last, "Who looked at your record")


def changed(kept: Path) -> Path:
    """Return the file as somebody would have it who wants to have been somebody else."""
    other, who = kept.with_name("changed.json"), b"Practitioner/priya-raman"
    said = re.findall(r'"valueBase64Binary": "([^"]+)"', kept.read_text())
    events = [each for each in said if who in base64.b64decode(each)]
    assert events
    forged = base64.b64encode(base64.b64decode(events[0]).replace(who, b"Practitioner/ida-nobody")).decode()
    other.write_text(kept.read_text().replace(events[0], forged))
    return other


def the_patient_asks(keys: Keyboard) -> None:
    page = keys.page
    keys.follow(
        page.get_by_role("link", name=re.compile(f"I do not recognise this ?: {EMERGENCY}")).first,
        "Ask the privacy officer",
    )
    keys.write(page.get_by_label("Why does it seem wrong to you?"), "I was at work that day")
    keys.follow(page.get_by_role("button", name="Send to the privacy officer"), "Who looked at your record")
    expect(page.get_by_role("alert")).to_contain_text("The privacy officer has your question")
    checked(page)


def the_privacy_officer_answers(keys: Keyboard) -> None:
    page = keys.page
    keys.follow(page.get_by_role("link", name="Questions"), "Questions about the access log")
    row = page.get_by_role("row").filter(has_text="I was at work that day")
    expect(row).to_contain_text(EMERGENCY)
    keys.follow(row.get_by_role("link"), "A patient does not recognise this")
    keys.send(page.get_by_role("button", name="Answer the patient"))
    keys.told("answer")
    keys.tick(page.get_by_role("radio").first)
    keys.write(page.get_by_label("Your answer"), ANSWER)
    checked(page)
    keys.follow(page.get_by_role("button", name="Answer the patient"), "Questions about the access log")
    expect(page.get_by_role("alert")).to_contain_text("Your answer is with the patient")


def the_patient_reads_the_answer(site: Site, keys: Keyboard) -> None:
    page = keys.page
    site.message("news", AMELIA)
    keys.open(f"{site.url}/access-log", "Who looked at your record")
    expect(page.get_by_role("main")).to_contain_text(ANSWER)
    expect(page.get_by_role("main")).to_contain_text("Ruth Castellan")
    checked(page)
