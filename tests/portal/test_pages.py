"""Every page: who may open it, what it shows, and that it discloses nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fhir_server.portal.routes import ANY_ROLE, PAGES, Page
from tests.pages import said
from tests.portal.conftest import (
    ADMIN,
    AMELIA,
    COORDINATOR,
    DESK,
    DEVELOPER,
    GP,
    PRIVACY,
    RECEPTIONIST,
    THOMAS,
    Person,
)
from tests.server import Server

WHO = {
    "patient": AMELIA,
    "carer": THOMAS,
    "professional": GP,
    "coordinator": COORDINATOR,
    "service-desk": DESK,
    "privacy-officer": PRIVACY,
    "admin": ADMIN,
    "developer": DEVELOPER,
}
EXAMPLES = {
    "patient_id": "amelia-hart",
    "appointment_id": "amelia-hart-appointment-1",
    "letter_id": "amelia-hart-letter-16",
    "index": "0",
    "code": "85354-9",
    "kind_code": "weight",
    "entry_kind": "letter",
    "grantee_type": "Practitioner",
    "grantee_id": "priya-raman",
    "consent_id": "consent-amelia-hart-practice",
    "grant_id": "unknown",
    "invitation_id": "unknown",
    "review_id": "unknown",
    "event_id": "unknown",
    "entry_type": "DocumentReference",
    "entry_id": "amelia-hart-letter-16",
    "dispute_id": "unknown",
    "action": "resend",
    "carer_invitation_id": "unknown",
    "parent_invitation_id": "unknown",
    "choice": "unknown",
    "request_id": "unknown",
    "account_id": "unknown",
    "batch_id": "unknown",
    "message_id": "unknown",
    "token": "unknown",
    "client_id": "unknown",
    "case_id": "unknown",
    "case_kind": "merge",
    "team_id": "unknown",
}
_VARIABLE = re.compile(r"<(?:[^:<>]+:)?([a-z_]+)>")
READ_PAGES = [page for page in PAGES if "GET" in page.methods]


def example(page: Page) -> str:
    return _VARIABLE.sub(lambda match: EXAMPLES[match[1]], page.path)


@pytest.fixture(scope="module")
def people(quiet_server: Server) -> dict[str, Person]:
    return {role: Person(quiet_server, email) for role, email in WHO.items()} | {"": Person(quiet_server)}


@pytest.mark.parametrize("page", READ_PAGES, ids=lambda page: page.path)
def test_each_page_answers_the_roles_it_is_for(people: dict[str, Person], page: Page) -> None:
    for role in page.roles or ("", *ANY_ROLE):
        answer = people[role].open(example(page))
        # Thomas has a share of one record, so his letters are those of it; some ids are somebody else's for him.
        allowed = {200, 302, 303} | ({404} if role == "carer" else set())
        # Nobody was sent such a link, shares such a record, made such a request or file, or is in the team.
        unknown = {"<event_id>", "<token>", "<choice>", "<request_id>", "<account_id>", "<batch_id>", "<client_id>"}
        unknown |= {"<case_id>", "<team_id>", "<parent_invitation_id>"}
        allowed |= {404, 410} if unknown & set(page.path.split("/")) else set()
        assert answer.status_code in allowed, (role, page.path, answer.status_code)


@pytest.mark.parametrize("page", [page for page in PAGES if page.roles], ids=lambda page: page.path)
def test_each_page_refuses_every_other_role(people: dict[str, Person], page: Page) -> None:
    path = example(page)
    for role in set(ANY_ROLE) - set(page.roles):
        answer = people[role].open(path) if "GET" in page.methods else people[role].send(path, {})
        assert answer.status_code == 403, (role, path)


@pytest.mark.parametrize("page", [page for page in PAGES if page.roles], ids=lambda page: page.path)
def test_each_page_sends_strangers_to_sign_in(people: dict[str, Person], page: Page) -> None:
    path = example(page)
    answer = people[""].open(path) if "GET" in page.methods else people[""].send(path, {}, page="/sign-in")
    assert answer.status_code == 303
    assert answer.location.startswith("/sign-in?next=")


def test_every_page_has_one_first_heading_and_a_title(people: dict[str, Person]) -> None:
    for page in READ_PAGES:
        for role in page.roles or ("",):
            answer = people[role].open(example(page))
            if answer.status_code != 200 or answer.mimetype != "text/html":
                continue
            assert answer.text.count("<h1") == 1, page.path
            title = re.search(r"<title>(.+?) – Care Information Exchange</title>", answer.text)
            assert title, page.path


def test_no_page_has_a_script_or_style_of_its_own(people: dict[str, Person]) -> None:
    for page in READ_PAGES:
        for role in page.roles or ("",):
            answer = people[role].open(example(page))
            text = answer.text if answer.mimetype == "text/html" else ""
            assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=", text), page.path
            # What an administrator reads as a setting's value is text; nothing asks for it.
            asked = re.sub(r'<span class="app-secret">[^<]*</span>', "", text)
            assert "http://" not in asked.replace("http://www.w3.org/2000/svg", ""), page.path


def test_home_shows_what_is_next_and_who_looked(people: dict[str, Person]) -> None:
    page = people["patient"].get("/")
    assert "Next appointment" in page
    assert "Your record was opened in an emergency" in page
    assert "Dr Priya Raman" in page


def test_the_record_begins_with_what_matters_most(people: dict[str, Person]) -> None:
    page = people["patient"].get("/record")
    assert page.index("Allergies") < page.index("Medicines") < page.index("Vaccinations")
    assert "Allergy to penicillin" in page
    assert "Metformin 500 mg tablets" in page


def test_results_are_told_in_words_with_range_date_and_source(people: dict[str, Person]) -> None:
    page = people["patient"].get("/record/results")
    assert "In the expected range" in page
    assert re.search(r"Expected: [\d.]+ to [\d.]+ mmol/L", page)
    assert "Brentmoor University Hospitals NHS Trust" in page


def test_a_result_has_a_chart_and_the_same_numbers_as_a_table(people: dict[str, Person]) -> None:
    page = people["patient"].get("/record/measurements/85354-9")
    points = page.count("app-chart__dot--0")
    assert points >= 2
    assert len(re.findall(r'data-values="\d+ \d+"', page)) == points
    assert "Systolic blood pressure went" in page


def test_a_measurement_is_among_measurements_and_a_test_among_results(people: dict[str, Person]) -> None:
    patient, professional = people["patient"], people["professional"]
    for kind, code, other in (("measurements", "85354-9", "results"), ("results", "59261-8", "measurements")):
        for person, root in ((patient, "/record"), (professional, "/patients/amelia-hart")):
            path = f"{root}/{kind}/{code}"
            assert path in person.get(f"{root}/{kind}")
            assert person.open(f"{root}/{other}/{code}").location == path
        marked = re.search(r'href="([^"]+)"[^>]*aria-current="true"', patient.get(f"/record/{kind}/{code}"))
        assert marked
        assert marked[1] == f"/record/{kind}"


def test_a_code_with_search_syntax_in_it_finds_nothing(people: dict[str, Person]) -> None:
    assert people["patient"].open("/record/results/85354-9,2951-2").status_code == 404
    assert people["patient"].open("/record/results/%7C85354-9").status_code == 404


def test_a_letter_has_its_words_beside_the_file(people: dict[str, Person]) -> None:
    page = people["patient"].get("/record/letters/amelia-hart-letter-16")
    assert "Dear Amelia Hart" in page
    assert "/record/letters/amelia-hart-letter-16/files/0" in page


def test_a_file_comes_sandboxed_and_as_a_download(people: dict[str, Person]) -> None:
    answer = people["patient"].open("/record/letters/amelia-hart-letter-16/files/0")
    assert answer.data.startswith(b"%PDF-")
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="letter.pdf"'
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["files/7", "files/-1", "files/x"])
def test_a_file_that_is_not_there_is_not_found(people: dict[str, Person], path: str) -> None:
    assert people["patient"].open(f"/record/letters/amelia-hart-letter-16/{path}").status_code == 404


def test_an_appointment_comes_as_a_calendar_file(people: dict[str, Person]) -> None:
    answer = people["patient"].open("/record/appointments/amelia-hart-appointment-1.ics")
    assert answer.mimetype == "text/calendar"
    assert answer.text.startswith("BEGIN:VCALENDAR")


def test_a_carer_sees_whose_record_it_is_and_only_what_is_shared(people: dict[str, Person]) -> None:
    page = people["carer"].get("/record")
    assert "Amelia Hart" in page
    assert "You are seeing only what is shared with you" in page
    assert "Sertraline" not in page
    assert "Sertraline" in people["patient"].get("/record")


def test_a_professional_does_not_see_what_is_hidden(people: dict[str, Person]) -> None:
    page = people["professional"].get("/patients/amelia-hart")
    assert "Metformin" in page
    assert "Sertraline" not in page
    assert "Depressive" not in page


def test_hidden_and_absent_are_one_answer(people: dict[str, Person]) -> None:
    hidden = people["professional"].open("/patients/desmond-clarke")
    absent = people["professional"].open("/patients/nobody-at-all")
    assert hidden.status_code == absent.status_code == 404
    assert said(hidden.text) == said(absent.text)


def test_a_professional_lists_those_who_share(people: dict[str, Person]) -> None:
    page = people["professional"].get("/patients")
    assert "Amelia Hart" in page
    assert "Desmond Clarke" not in page
    assert "Amelia Hart" not in people["professional"].get("/patients?q=zzz")


def test_a_role_without_emergency_access_is_told_so(quiet_server: Server) -> None:
    assert "Your role has no emergency access" in Person(quiet_server, RECEPTIONIST).get("/emergency-access", 403)


def test_the_privacy_officer_sees_each_emergency_access_with_its_reason(people: dict[str, Person]) -> None:
    page = people["privacy-officer"].get("/privacy")
    assert "Collapsed at home, brought in unconscious" in page
    assert "Dr Priya Raman" in page
    assert "Overdue" in page


def test_the_audit_log_refuses_what_is_no_record_number(people: dict[str, Person]) -> None:
    assert "Enter a record number" in people["privacy-officer"].get("/privacy/audit?patient=%27%20or%201", 400)


def test_an_unknown_address_is_a_page_with_a_way_on(people: dict[str, Person]) -> None:
    page = people["patient"].get("/nothing/here", 404)
    assert "Page not found" in page
    assert 'href="/contact"' in page


def test_assets_are_kept_for_a_year_and_compressed(people: dict[str, Person]) -> None:
    path = re.search(r'href="(/assets/[^"]+nhsuk-frontend.min.css)"', people[""].get("/"))
    assert path
    answer = people[""].client.get(path[1], headers={"Accept-Encoding": "gzip"})
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < 60_000


@pytest.mark.parametrize("name", ["../assets.py", "nothing.css", "css/../../routes.py", "%2e%2e/assets.py"])
def test_only_assets_are_assets(people: dict[str, Person], name: str) -> None:
    assert people[""].open(f"/assets/x/{name}").status_code == 404


def test_somebody_signed_in_is_told_when_the_database_is_gone(server: Server, tmp_path: Path) -> None:
    patient = Person(server, AMELIA)
    server.store.close()
    for file in tmp_path.glob("seed.db*"):
        file.unlink()
    answer = patient.open("/record")
    assert (answer.status_code, answer.mimetype, answer.headers["Retry-After"]) == (503, "text/html", "2")
    assert "Sorry, the service is not available" in answer.text
    assert "Try again in a few minutes" in answer.text
    assert "table" not in answer.text
