"""S6: on any screen, without mouse or scripts: see and print the record, add to it, be told of what is new."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browsers import checked, too_wide
from tests.keyboard import Keyboard
from tests.stories.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, CONSULTANT = "amelia.hart@example.org", "helen.ashworth@example.org"
PHONE, TABLET, DESK = (ViewportSize(width=width, height=900) for width in (320, 768, 1280))
BESIDE = "Walk every day, and come back in June."


def test_s6_people_see_the_record_and_add_to_it_on_any_screen(
    sqlite_site: Site, new_page: Callable[[], Page], browser: Browser
) -> None:
    site = sqlite_site
    patient, professional = new_page(), new_page()
    patient.set_viewport_size(PHONE)
    site.sign_in(patient, AMELIA)
    keys = Keyboard(patient)
    the_patient_sees_appointments(site, keys)
    the_patient_reads_a_letter(keys)
    the_patient_follows_a_result(site, keys)
    every_screen_and_paper_has_it(patient)
    the_patient_adds_a_blood_pressure(site, keys)
    the_patient_writes_a_note(site, keys)

    site.clock.advance(minutes=5)
    site.sign_in(professional, CONSULTANT)
    a_professional_adds_a_letter(site, Keyboard(professional))
    the_patient_is_told_and_reads_it(site, keys)
    without_scripts_it_is_the_same(site, browser, patient)


def the_patient_sees_appointments(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.follow(page.get_by_role("link", name="All appointments"), "Appointments")
    main = page.get_by_role("main")
    expect(main).to_contain_text("Booked")
    expect(main).to_contain_text("Attended")
    keys.unfold("Where this comes from, and how fresh it is")
    expect(main).to_contain_text(re.compile("Brentmoor University Hospitals NHS Trust.*last heard of", re.DOTALL))
    checked(page)
    file = page.get_by_role("link", name="Add to your calendar").first
    keys.reach(file)
    calendar = page.request.get(f"{site.url}{file.get_attribute('href')}").text()
    assert calendar.startswith("BEGIN:VCALENDAR\r\n")
    assert re.search(r"\r\nDTSTART[:;]", calendar)


def the_patient_reads_a_letter(keys: Keyboard) -> None:
    page = keys.page
    keys.press(page.get_by_role("button", name="More"))
    keys.follow(page.get_by_role("navigation", name="Menu").get_by_role("link", name="Letters"), "Letters")
    keys.write(page.get_by_role("searchbox").or_(page.get_by_label("Search letters")), "diabetes")
    keys.follow(page.get_by_role("button", name="Search"), "Letters")
    keys.follow(page.get_by_role("link", name="Diabetes clinic letter").first, "Diabetes clinic letter")
    expect(page.get_by_role("main")).to_contain_text("Dear Amelia Hart")
    with page.expect_download() as download:
        keys.press(page.get_by_role("link", name="Download the letter (PDF"))
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    keys.press(page.get_by_role("button", name="Show the letter as it was sent"))
    expect(page.get_by_role("img", name="Page 1 of 1")).to_be_visible()
    keys.reach(page.get_by_role("group", name="Pages of the letter"))
    checked(page)


def the_patient_follows_a_result(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/record/results", "Test results")
    row = page.get_by_role("row").filter(has_text="HbA1c")
    expect(row).to_contain_text("Above the expected range")
    expect(row).to_contain_text("Expected: 20 to 41 mmol/mol")
    expect(row).to_contain_text(re.compile(r"(Up|Down) from \d+ mmol/mol on"))
    expect(row).to_contain_text("Brentmoor University Hospitals NHS Trust")
    keys.follow(row.get_by_role("link"), "HbA1c")
    expect(page.locator(".app-chart canvas")).to_be_visible()
    expect(page.locator("#history").get_by_role("row").nth(2)).to_contain_text("mmol/mol")
    checked(page)


def every_screen_and_paper_has_it(page: Page) -> None:
    """Look at the chart and its table at each size, and as it is printed: the table without menu and buttons."""
    for size in (TABLET, DESK):
        page.set_viewport_size(size)
        expect(page.locator("#history")).to_be_visible()
        assert too_wide(page) == []
    page.emulate_media(media="print")
    expect(page.locator("#history")).to_be_visible()
    expect(page.get_by_label("Whose record this is")).to_contain_text("Amelia Hart")
    expect(page.get_by_role("navigation", name="Menu")).to_be_hidden()
    page.emulate_media(media="screen")
    page.set_viewport_size(PHONE)


def the_patient_adds_a_blood_pressure(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/record/measurements", "Measurements")
    keys.follow(page.get_by_role("link", name="Add a blood pressure"), "Add: blood pressure")
    keys.write(page.get_by_label("Top number"), "900")
    keys.send(page.get_by_role("button", name="Save"))
    keys.told("Top number (systolic) must be between", "bottom number (diastolic)")
    checked(page)
    keys.write(page.get_by_label("Top number"), "128")
    keys.write(page.get_by_label("Bottom number"), "79")
    keys.follow(page.get_by_role("button", name="Save"), "Measurements")
    row = page.get_by_role("row").filter(has_text="128/79 mmHg")
    expect(row).to_contain_text("Entered by you")


def the_patient_writes_a_note(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/record/notes", "Notes")
    keys.follow(page.get_by_role("link", name="Write a note"), "Write a note")
    keys.send(page.get_by_role("button", name="Save"))
    keys.told("Write your note")
    keys.write(page.get_by_label("Your note"), "Dizzy in the morning.")
    keys.follow(page.get_by_role("button", name="Save"), "Notes")
    expect(page.get_by_role("alert")).to_contain_text("Your note is saved")
    expect(page.get_by_role("main")).to_contain_text("Dizzy in the morning.")
    checked(page)


def a_professional_adds_a_letter(site: Site, keys: Keyboard) -> None:
    page = keys.page
    keys.open(f"{site.url}/patients/amelia-hart", "Amelia Hart's record")
    expect(page.get_by_label("What you can see")).to_contain_text("only what is shared with you")
    keys.follow(page.get_by_role("link", name="Add to it"), "Add to this record")
    keys.follow(page.get_by_role("link", name="A letter"), "Add: a letter")
    keys.send(page.get_by_role("button", name="Continue"))
    keys.told("Enter what the letter is about", "Choose what kind of information it is")
    keys.write(page.get_by_label("Title"), "After your visit")
    keys.tick(page.get_by_label("As text, written here"))
    keys.write(page.get_by_label("The letter"), BESIDE)
    keys.tick(page.get_by_label("General health"))
    keys.follow(page.get_by_role("button", name="Continue"), "Check before you add a letter")
    checked(page)
    keys.follow(page.get_by_role("button", name="Add to the record"), "Add to this record")
    expect(page.get_by_role("alert")).to_contain_text("A letter is in the record now")


def the_patient_is_told_and_reads_it(site: Site, keys: Keyboard) -> None:
    page = keys.page
    told = site.message("record-news", AMELIA)
    assert not {"letter", "visit", "Ashworth", "Amelia"} & set(re.findall(r"\w+", told["subject"] + told["body"]))
    keys.open(f"{site.url}/record/letters", "Letters")
    entry = page.get_by_role("listitem").filter(has_text="After your visit")
    expect(entry).to_contain_text("Unread")
    keys.follow(entry.get_by_role("link"), "After your visit")
    expect(page.get_by_role("main")).to_contain_text(BESIDE)


def without_scripts_it_is_the_same(site: Site, browser: Browser, patient: Page) -> None:
    context = browser.new_context(
        java_script_enabled=False, viewport=PHONE, storage_state=patient.context.storage_state()
    )
    page = context.new_page()
    page.goto(f"{site.url}/record/measurements/85354-9")
    expect(page.locator(".app-chart svg")).to_be_visible()
    expect(page.locator("#history")).to_contain_text("128/79 mmHg")
    page.goto(f"{site.url}/record/letters")
    page.get_by_role("link", name="Diabetes clinic letter").first.click()
    expect(page.get_by_role("main")).to_contain_text("Dear Amelia Hart")
    context.close()
