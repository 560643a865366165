"""Somebody with roles in several organisations chooses whom they work for: it says whose is what they add, no more."""

from __future__ import annotations

import pytest

from fhir_server import web
from fhir_server.web import acting
from tests.portal.conftest import AMELIA, CONSULTANT, COORDINATOR, GP, Person
from tests.portal.test_entries import LETTER, added
from tests.portal.test_inviting_colleagues import HELEN, TRUST, account, invited
from tests.portal.test_sharing_requests import AMELIA_IS, request_of
from tests.portal.test_tasks import EMERGENCY, RECORD
from tests.server import Server

PAGE = "/account/working-for"


@pytest.fixture
def doctor(server: Server) -> Person:
    """Return the doctor of a practice, who has a role in the trust, too."""
    entry = server.get(f"/{account(server, GP).reference}", server.operator())
    [number] = [each["value"] for each in entry["identifier"] if each["system"].endswith("/sds-user-id")]
    link = invited(server, Person(server, COORDINATOR), HELEN | {"number": number})
    doctor = Person(server, GP)
    assert doctor.send(link, {}, page=link).status_code == 200
    return doctor


def name_of(server: Server, organization: str) -> str:
    return str(server.get(f"/{organization}", server.operator())["name"])


def choose(server: Server, doctor: Person, organization: str) -> None:
    page = doctor.follow(doctor.send(PAGE, {"organization": organization}))
    assert f"Working for {name_of(server, organization)}" in page


def custodians(server: Server, title: str) -> list[str]:
    found = server.get("/DocumentReference?patient=amelia-hart&_count=200", server.operator())["entry"]
    letters = [each["resource"] for each in found]
    return [each["custodian"]["reference"] for each in letters if each.get("description") == title]


def test_what_somebody_adds_is_that_of_the_organisation_they_chose(server: Server, doctor: Person) -> None:
    practice = account(server, GP).organization
    assert f"Working for {name_of(server, practice)}" in doctor.get("/patients"), "as before, until they choose"
    for organization, title in ((TRUST, "For the trust"), (practice, "For the practice")):
        choose(server, doctor, organization)
        assert name_of(server, organization) in doctor.send(f"{RECORD}/add/letter", LETTER).text
        added(doctor, "letter", LETTER | {"title": title})
        assert custodians(server, title) == [organization]
    own = server.get("/DocumentReference?patient=amelia-hart&_count=200", server.token(TRUST))["entry"]
    seen = {each["resource"].get("description") for each in own}
    assert seen & {"For the trust", "For the practice"} == {"For the trust"}, "its own, and no more"
    choose(server, doctor, TRUST)
    late = LETTER | {"title": "Too late", "step": "save", "entry": "0" * 32, "added-for": practice}
    refused = doctor.send(f"{RECORD}/add/letter", late)
    assert (refused.status_code, "You work for another organisation now" in refused.text) == (409, True)
    assert custodians(server, "Too late") == []


def test_to_see_stays_the_same_and_the_log_names_the_one_chosen(server: Server, doctor: Person) -> None:
    before = doctor.get("/patients").partition("<main")[2]
    choose(server, doctor, TRUST)
    assert doctor.get("/patients").partition("<main")[2] == before
    found = server.get("/AuditEvent?subtype=choose-organisation", server.operator())["entry"]
    [event] = [each["resource"] for each in found]
    assert TRUST in str(event["entity"])
    doctor.get(RECORD)
    log = server.get("/AuditEvent?patient=amelia-hart&_count=1", server.operator())["entry"][0]["resource"]
    named = [agent["who"].get("reference") for agent in log["agent"]]
    assert TRUST in named
    assert account(server, GP).organization not in named
    doctor.send("/patients/ask", AMELIA_IS)
    amelia = Person(server, AMELIA)
    assert name_of(server, TRUST) in amelia.get(request_of(amelia.get("/sharing"))).partition("<main")[2]


def test_emergency_access_is_not_taken_along(server: Server, doctor: Person) -> None:
    doctor.follow(doctor.send("/emergency-access", EMERGENCY))
    assert "Emergency access is open" in doctor.get("/patients")
    choose(server, doctor, TRUST)
    assert "Emergency access is open" not in doctor.get("/patients")
    assert "Ended emergency access" in Person(server, AMELIA).get("/access-log?show=emergencies")
    assert PAGE in doctor.get("/emergency-access", 403).partition("<main")[2]
    assert doctor.send("/emergency-access", EMERGENCY).status_code == 403
    choose(server, doctor, account(server, GP).organization)
    doctor.get("/emergency-access")


def test_apps_that_are_connected_then_work_for_it_too(server: Server, doctor: Person) -> None:
    choose(server, doctor, TRUST)
    with doctor.client:
        doctor.get("/account")
        person = web.signed_in()
        assert person is not None
        [part] = acting.parts(person, web.context())
    assert (part.organization, part.may_break_glass) == (TRUST, False)


def test_the_choice_ends_with_the_session_and_with_the_role(server: Server, doctor: Person) -> None:
    practice = name_of(server, account(server, GP).organization)
    choose(server, doctor, TRUST)
    assert f"Working for {practice}" in Person(server, GP).get("/account"), "another session"
    about = f"practitioner={account(server, GP).reference}&organization={TRUST}"
    [role] = [each["resource"] for each in server.get(f"/PractitionerRole?{about}", server.operator())["entry"]]
    server.put({**role, "active": False}, server.operator())
    assert "Working for" not in doctor.get("/account"), "one is left, which it is for"
    added(doctor, "letter", LETTER | {"title": "After all"})
    assert custodians(server, "After all") == [account(server, GP).organization]
    refused = doctor.send(PAGE, {"organization": TRUST})
    assert (refused.status_code, "Choose an organisation" in refused.text) == (400, True)


def test_nobody_chooses_what_is_not_theirs(server: Server, doctor: Person) -> None:
    for wrong in ("", "Organization/nowhere", "Practitioner/priya-raman", "x" * 5_000, "Organization/*"):
        assert doctor.send(PAGE, {"organization": wrong}).status_code == 400, wrong
    priya = Person(server, CONSULTANT)
    assert "Working for" not in priya.get("/patients"), "who has one organisation is not asked"
    assert priya.send(PAGE, {"organization": account(server, GP).organization}).status_code == 400
