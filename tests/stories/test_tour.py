"""The tour of the README: one record from its first entry to an app that is sent away, as people and systems see it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.documentreference import DocumentReference
from fhirclient.models.observation import Observation
from fhirclient.server import FHIRPermissionDeniedException, FHIRUnauthorizedException
from playwright.sync_api import Locator, Page, expect

from tests.stories import hospital_data
from tests.stories.site import Site, System

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LONDON = ZoneInfo("Europe/London")
PASSWORD = "walrus kettle orbit 41"
REASON = "Brought in unconscious after a fall, medicines and allergies not known."
APP_ADDRESS = "http://localhost:8000/demo-app/callback"
APP_SCOPES = "openid fhirUser offline_access patient/Patient.rs patient/Observation.rs patient/DocumentReference.rs"


@dataclass(frozen=True)
class Record:
    """`Type/id` of what the trusts sent about one person."""

    patient: str
    appointment: str
    letter: str
    file: str
    result: str
    hidden_letter: str
    hidden_file: str

    @property
    def shared(self) -> dict[str, set[str]]:
        """Return what everything but mental health is, by the search that finds it."""
        return {
            f"Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{hospital_data.NHS_NUMBER}": {self.patient},
            f"Appointment?patient={self.patient}": {self.appointment},
            f"DocumentReference?patient={self.patient}": {self.letter},
            f"Observation?patient={self.patient}": {self.result},
        }

    @property
    def hidden(self) -> tuple[str, str]:
        """Return what is labelled mental health."""
        return self.hidden_letter, self.hidden_file


def test_the_tour(site: Site, new_page: Callable[[], Page]) -> None:
    record = two_trusts_send_a_record(site)

    a_coordinator_invites_the_patient(site, new_page())
    patient = new_page()
    the_patient_registers(site, patient)
    the_patient_sees_appointment_letters_and_result(site, patient)

    practice = site.system("gp-kenbourne-road-surgery")
    the_practice_finds_nothing(practice, record)
    the_patient_shares_all_but_mental_health(patient)
    the_practice_finds_exactly_that(practice, record)
    the_patient_stops_sharing(patient)
    the_practice_finds_nothing(practice, record)

    a_consultant_breaks_the_glass_until_it_ends(site, new_page(), record)
    the_patient_learns_who_looked_and_why(site, patient)

    app = an_app_is_connected(site, patient)
    the_app_reads_what_was_granted(app, record)
    the_patient_removes_the_app(site, patient)
    the_app_is_refused(app)


def two_trusts_send_a_record(site: Site) -> Record:
    trust = site.system("epr-harrowmere-community")
    patient, appointment, letter, file, result = trust.transaction(*hospital_data.record(site.clock()))
    assert trust.found(f"Observation?patient={patient}") == (1, {result})

    mental_health_trust = site.system("epr-perivane-mental-health")
    sent = mental_health_trust.transaction(*hospital_data.mental_health_letter(site.clock()))
    assert sent[0] == patient, "one person, known by NHS number and date of birth"
    assert mental_health_trust.found(f"DocumentReference?patient={patient}") == (1, {sent[1]})
    assert mental_health_trust.call("GET", letter).status_code == 404, "nobody's letters but its own"
    assert trust.call("GET", sent[1]).status_code == 404
    return Record(patient, appointment, letter, file, result, sent[1], sent[2])


def a_coordinator_invites_the_patient(site: Site, page: Page) -> None:
    site.sign_in(page, "nadia.lowe@example.org")
    page.get_by_role("link", name="Invite a patient").click()
    given, family = hospital_data.NAME.split()
    page.get_by_label("First name").fill(given)
    page.get_by_label("Last name").fill(family)
    fill_birth_date(page)
    page.get_by_label("NHS number").fill("999 876 5021")
    page.get_by_label("E-mail address").fill(hospital_data.EMAIL)
    page.get_by_label("Mobile phone number").fill(hospital_data.MOBILE)
    page.get_by_role("button", name="Send the invitation").click()

    expect(page.get_by_role("alert")).to_contain_text("The invitation is on its way")
    row = page.get_by_role("row").filter(has_text=hospital_data.NAME)
    expect(row).to_contain_text(hospital_data.EMAIL)
    assert status(page, f"{site.url}/record/letters") == 403, "a coordinator opens no record"


def the_patient_registers(site: Site, page: Page) -> None:
    link = site.found("invitation", hospital_data.EMAIL, r"(http\S+/register/\S+)")
    code = site.found("invitation-code", "+447700900123", r"code is (\S+)\.")
    page.goto(link)
    page.get_by_label("Code from the text message").fill(code.lower())
    fill_birth_date(page)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("What was the name of your first school?").check()
    page.get_by_label("Your answer").fill("Millpond Primary")
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("I accept the user agreement").check()
    page.get_by_label("I have read and accept the privacy policy").check()
    page.get_by_role("button", name="Open my account").click()
    expect(page.get_by_role("heading", name="Check your e-mail")).to_be_visible()

    page.goto(site.found("confirm-email", hospital_data.EMAIL, r"(http\S+/confirm-email/\S+)"))
    expect(page.get_by_role("heading", name="Your e-mail address is confirmed")).to_be_visible()
    site.sign_in(page, hospital_data.EMAIL, PASSWORD)
    expect(page.get_by_role("heading", name="Your health record")).to_be_visible()


def the_patient_sees_appointment_letters_and_result(site: Site, page: Page) -> None:
    expect(page.get_by_role("main")).to_contain_text(hospital_data.VISIT)
    sender = page.get_by_role("listitem").filter(has_text=hospital_data.TRUST["display"]).last
    expect(sender).to_contain_text("Added")

    menu(page, "Appointments").click()
    expect(page.get_by_role("main")).to_contain_text(f"{hospital_data.VISIT} Booked")
    expect(page.get_by_role("main")).to_contain_text("Millpond Clinic, room 3")

    menu(page, "Letters").click()
    assert links(page, "letters") == [hospital_data.HIDDEN_LETTER, hospital_data.LETTER]
    page.get_by_role("link", name=hospital_data.LETTER).click()
    expect(page.get_by_role("main")).to_contain_text(hospital_data.LETTER_TEXT)
    page.get_by_role("button", name="Show the letter as it was sent").click()
    expect(page.locator(".app-viewer canvas").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the letter (PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")

    menu(page, "Test results").click()
    row = page.get_by_role("row").filter(has_text=hospital_data.RESULT)
    expect(row).to_contain_text("61 mmol/mol")
    expect(row).to_contain_text("Above the expected range")
    row.get_by_role("link").click()
    expect(page.get_by_role("heading", name=hospital_data.RESULT, exact=True)).to_be_visible()
    assert status(page, f"{site.url}/patients") == 403, "a patient is no professional"


def the_practice_finds_nothing(practice: System, record: Record) -> None:
    for query in record.shared:
        assert practice.found(query) == (0, set()), query
    for place in (record.patient, record.appointment, record.letter, record.file, record.result, *record.hidden):
        assert practice.call("GET", place).status_code == 404, place


def the_patient_shares_all_but_mental_health(page: Page) -> None:
    menu(page, "Sharing").click()
    expect(page.get_by_role("main")).to_contain_text("You are not sharing your record with anybody.")
    page.get_by_role("link", name="Share with somebody").click()
    page.get_by_label("Name of a practice, hospital or professional").fill("kenbourne")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Kenbourne Road Surgery").first.click()
    for kind in ("General health", "Sexual health", "Social care"):
        page.get_by_label(kind).check()
    page.get_by_label("Until I stop it").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"They will not see\s*Mental health"))
    page.get_by_role("button", name="Share my record").click()
    expect(page.get_by_role("alert")).to_contain_text("Your choice is saved and works from now on")
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"Hidden from them\s*Mental health"))


def the_practice_finds_exactly_that(practice: System, record: Record) -> None:
    for query, expected in record.shared.items():
        assert practice.found(query) == (1, expected), query
        assert practice.get(f"{query}&_summary=count")["total"] == 1, query
    assert practice.get(record.result)["valueQuantity"]["value"] == 61
    assert practice.call("GET", record.file).content.startswith(b"%PDF-")
    unknown = practice.call("GET", "DocumentReference/unknown")
    for place in record.hidden:
        answer = practice.call("GET", place)
        assert answer.status_code == 404, place
        assert answer.text.replace(place.partition("/")[2], "unknown") == unknown.text.replace(
            "DocumentReference", place.partition("/")[0]
        )


def the_patient_stops_sharing(page: Page) -> None:
    page.get_by_role("link", name="Stop sharing").click()
    page.get_by_role("button", name="Stop sharing").click()
    expect(page.get_by_role("alert")).to_contain_text("They can no longer see your record")


def a_consultant_breaks_the_glass_until_it_ends(site: Site, page: Page, record: Record) -> None:
    site.sign_in(page, "yasmin.haddad@example.org")
    menu(page, "Find a patient").click()
    page.get_by_label("NHS number").fill(hospital_data.NHS_NUMBER)
    fill_birth_date(page)
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("heading", name="You cannot see this record")).to_be_visible()
    assert hospital_data.NAME not in page.content()

    site.clock.advance(minutes=6)
    menu(page, "Emergency access").click()
    expect(page.get_by_role("heading", name="Enter your password again")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(site.accounts["yasmin.haddad@example.org"])
    page.get_by_role("button", name="Continue").click()

    give_a_reason(page, "Needs it")
    expect(page.get_by_role("alert")).to_contain_text("Describe the reason in at least 20 characters")
    give_a_reason(page, REASON)
    expect(page.get_by_role("region", name="Emergency access")).to_contain_text("Read only. The patient is told.")
    expect(page.get_by_role("region", name="Whose record this is")).to_contain_text(hospital_data.NAME)
    page.get_by_role("navigation", name="Record").get_by_role("link", name="Letters").click()
    assert links(page, "letters") == [hospital_data.HIDDEN_LETTER, hospital_data.LETTER]
    page.get_by_role("link", name=hospital_data.HIDDEN_LETTER).click()
    expect(page.get_by_role("main")).to_contain_text(hospital_data.HIDDEN_TEXT)

    letter = f"{site.url}/patients/{record.patient.partition('/')[2]}/letters/{record.hidden_letter.partition('/')[2]}"
    for minutes in (25, 25):
        site.clock.advance(minutes=minutes)
        assert status(page, letter) == 200
    site.clock.advance(minutes=11)
    assert status(page, letter) == 404, "it has ended by itself"
    assert hospital_data.HIDDEN_LETTER not in page.content()
    page.get_by_role("button", name="Sign out").click()


def the_patient_learns_who_looked_and_why(site: Site, page: Page) -> None:
    told = site.message("access-log", hospital_data.EMAIL)
    assert "Haddad" not in told["body"], "nothing outside the record says who or why"
    site.sign_in(page, hospital_data.EMAIL, PASSWORD)
    expect(page.get_by_role("main")).to_contain_text("Your record was opened in an emergency")
    menu(page, "Who looked").click()
    # A click ends when the next page has begun: what is read at once, and not waited for, may not be there yet.
    page.wait_for_load_state()

    headings = [text for text in page.get_by_role("heading", level=2).all_text_contents() if text != "Menu"]
    assert headings.index("Emergency access") < headings.index("Other people and systems")
    emergencies, others = page.locator("ul.app-log").all()[:2]
    expect(emergencies).to_contain_text("Dr Yasmin Haddad")
    expect(emergencies).to_contain_text("Brentmoor University Hospitals NHS Trust")
    expect(emergencies).to_contain_text(f"{site.clock().astimezone(LONDON):%A}")
    expect(emergencies).to_contain_text("Started emergency access")
    reload_until(page, "Ended emergency access")
    expect(emergencies).to_contain_text("Ended emergency access")
    expect(emergencies).to_contain_text(re.compile("Looked at .*letters"))
    expect(emergencies).to_contain_text(f"Reason given: {REASON}")
    expect(others).to_contain_text("Kenbourne Road Surgery")
    expect(others).to_contain_text("Harrowmere Community Healthcare NHS Trust")
    expect(others).not_to_contain_text(REASON)


def an_app_is_connected(site: Site, page: Page) -> FHIRClient:
    app = FHIRClient({"app_id": "demo-app", "api_base": site.fhir, "redirect_uri": APP_ADDRESS, "scope": APP_SCOPES})
    assert not app.prepare()
    # The app's own site: what the browser brings back to it is all that it gets.
    page.route(f"{APP_ADDRESS}?*", lambda route: route.fulfill(body="Welcome back to the app"))
    page.goto(app.authorize_url)
    expect(page.get_by_role("heading", name="Allow Heartbeat Diary")).to_be_visible()
    page.get_by_label("See letters and documents").uncheck()
    page.get_by_role("button", name="Allow", exact=True).click()
    expect(page.get_by_text("Welcome back to the app")).to_be_visible()
    app.handle_callback(page.url)
    assert app.ready
    return app


def the_app_reads_what_was_granted(app: FHIRClient, record: Record) -> None:
    assert app.patient.relativePath() == record.patient
    assert app.patient.birthDate.isostring == hospital_data.BORN
    found = list(Observation.where({}).perform_resources_iter(app.server))
    assert [(entry.relativePath(), entry.valueQuantity.value) for entry in found] == [(record.result, 61)]
    with pytest.raises(FHIRPermissionDeniedException):
        next(DocumentReference.where({}).perform_iter(app.server))


def the_patient_removes_the_app(site: Site, page: Page) -> None:
    page.goto(f"{site.url}/apps")
    expect(page.get_by_role("main")).to_contain_text("Heartbeat Diary")
    page.get_by_role("link", name="Remove Heartbeat Diary").click()
    page.get_by_role("button", name="Remove the app").click()
    expect(page.get_by_role("alert")).to_contain_text("It can no longer see anything")
    expect(page.get_by_role("main")).to_contain_text("No app is connected.")


def the_app_is_refused(app: FHIRClient) -> None:
    with pytest.raises(FHIRUnauthorizedException):
        next(Observation.where({}).perform_iter(app.server))
    app.server.session.close()


def menu(page: Page, name: str) -> Locator:
    return page.get_by_role("navigation", name="Menu").get_by_role("link", name=name)


def reload_until(page: Page, text: str) -> None:
    """Wait for what a background job of the server does every few seconds."""
    for _ in range(40):
        if text in page.content():
            return
        page.wait_for_timeout(500)
        page.reload()


def status(page: Page, url: str) -> int:
    answer = page.goto(url)
    assert answer is not None
    return answer.status


def links(page: Page, section: str) -> list[str]:
    page.wait_for_load_state()
    return page.locator(f"main a.app-entry__name[href*='/{section}/']").all_text_contents()


def fill_birth_date(page: Page) -> None:
    year, month, day = hospital_data.BORN.split("-")
    for label, value in (("Day", day), ("Month", month), ("Year", year)):
        page.get_by_label(label, exact=True).fill(value)


def give_a_reason(page: Page, reason: str) -> None:
    page.get_by_label("NHS number").fill(hospital_data.NHS_NUMBER)
    fill_birth_date(page)
    page.get_by_label("Emergency treatment").check()
    page.get_by_label("Describe the reason").fill(reason)
    page.get_by_label("I am caring for this person now").check()
    page.get_by_role("button", name="Open the record").click()
