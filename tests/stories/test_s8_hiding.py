"""S8: a mental-health letter comes labelled; who is not shown that kind has no sign of it until the patient says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browsers import checked
from tests.keyboard import Keyboard
from tests.stories import hospital_data
from tests.stories.site import Site, System

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AMELIA, GP = "amelia.hart@example.org", "helen.ashworth@example.org"
LETTER = hospital_data.HIDDEN_LETTER
SIGNS = (LETTER, hospital_data.HIDDEN_TEXT, "Perivane")
"""Words of the letter, and who sent it."""
PRACTICE = "Kenbourne Road Surgery"


def test_s8_a_labelled_letter_is_hidden_in_every_way_until_the_patient_makes_an_exception(
    sqlite_site: Site, new_page: Callable[[], Page]
) -> None:
    site = sqlite_site
    letter = a_letter_arrives(site)
    practice = site.system("gp-kenbourne-road-surgery")
    gp, patient = new_page(), new_page()
    site.sign_in(gp, GP)
    before = everything_the_practice_gets(practice, letter)
    the_gp_has_no_sign_of_it(site, gp, letter)

    site.sign_in(patient, AMELIA)
    keys = Keyboard(patient)
    the_patient_shows_it_to_the_practice(site, keys, letter)
    assert len(everything_the_practice_gets(practice, letter)) == len(before) + 1
    the_gp_reads_it(site, gp, letter)
    the_patient_undoes_the_exception(keys)
    assert everything_the_practice_gets(practice, letter) == before
    the_gp_has_no_sign_of_it(site, gp, letter)

    the_patient_says_that_it_is_of_another_kind(keys)
    the_gp_reads_it(site, gp, letter)
    assert site.system("epr-perivane-mental-health").get(f"{letter}")["description"] == LETTER, "its author always does"


def a_letter_arrives(site: Site) -> str:
    """Let the mental health trust send it about somebody whom it treats."""
    _, *entries = hospital_data.mental_health_letter(site.clock())
    entries[0]["resource"]["subject"] = {"reference": "Patient/amelia-hart"}
    return site.system("epr-perivane-mental-health").transaction(*entries)[0]


def everything_the_practice_gets(practice: System, letter: str) -> set[str]:
    """Return the letters the practice finds; no search, count, link or history tells of another."""
    total, found = practice.found("DocumentReference?patient=amelia-hart&_count=200")
    assert total == len(found) == practice.get("DocumentReference?patient=amelia-hart&_summary=count")["total"]
    seen = letter in found
    for query in (f"DocumentReference?_id={letter.partition('/')[2]}", f"DocumentReference?description={LETTER}"):
        assert practice.found(query)[0] == seen, query
    for path in (letter, f"{letter}/_history", f"{letter}/_history/1"):
        assert practice.call("GET", path).status_code == (200 if seen else 404), path
    everything = practice.call("GET", "Patient/amelia-hart/$everything?_count=1000").text
    assert (LETTER in everything) == seen
    return found


def the_gp_has_no_sign_of_it(site: Site, page: Page, letter: str) -> None:
    root = f"{site.url}/patients/amelia-hart"
    logical_id = letter.partition("/")[2]
    for path in (
        "",
        "/letters",
        f"/letters?q={LETTER}",
        "/appointments",
        "/search?q=sleeping",
        f"/letters/{logical_id}",
    ):
        page.goto(f"{root}{path}")
        shown = page.get_by_role("main").inner_text().replace(f"“{LETTER}”", "")
        assert not any(sign in shown for sign in SIGNS), f"{path} shows it"


def the_gp_reads_it(site: Site, page: Page, letter: str) -> None:
    page.goto(f"{site.url}/patients/amelia-hart/letters/{letter.partition('/')[2]}")
    expect(page.get_by_role("main")).to_contain_text(hospital_data.HIDDEN_TEXT)


def the_patient_shows_it_to_the_practice(site: Site, keys: Keyboard, letter: str) -> None:
    page = keys.page
    keys.open(f"{site.url}/record/letters", "Letters")
    keys.follow(page.get_by_role("link", name=LETTER), LETTER)
    keys.follow(page.get_by_role("link", name="Who can see this"), "Who can see this")
    expect(page.get_by_role("main")).to_contain_text("Mental health")
    practice = page.get_by_role("listitem").filter(has_text=PRACTICE)
    expect(practice).to_contain_text("Does not see it")
    keys.follow(practice.get_by_role("link", name="Show it to them"), f"Show this to {PRACTICE}?")
    expect(page.get_by_role("main")).to_contain_text("Then they would see")
    checked(page)
    keys.follow(page.get_by_role("button", name="Show it"), "Who can see this")
    expect(page.get_by_role("alert")).to_contain_text("They can see this entry now")
    expect(practice).to_contain_text("Your exception")
    checked(page)


def the_patient_undoes_the_exception(keys: Keyboard) -> None:
    page = keys.page
    keys.follow(page.get_by_role("link", name="Undo the exception"), f"Undo the exception for {PRACTICE}?")
    keys.follow(page.get_by_role("button", name="Undo the exception"), "Who can see this")
    expect(page.get_by_role("alert")).to_contain_text("The exception is gone")


def the_patient_says_that_it_is_of_another_kind(keys: Keyboard) -> None:
    page = keys.page
    keys.follow(page.get_by_role("link", name="Change the kind of information"), "What kind of information is this?")
    keys.tick(page.get_by_label("General health"))
    checked(page)
    keys.follow(page.get_by_role("button", name="Save"), "Who can see this")
    expect(page.get_by_role("alert")).to_contain_text("The kind of information is changed")
    expect(page.get_by_role("main")).to_contain_text("General health (you chose this)")
