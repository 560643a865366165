"""Whose record an app opens: chosen by the carer or professional among what the patients' consents let them see."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_server.store import carers
from tests.server import Server, build
from tests.smart.world import World, answered, fields

HL7 = "http://terminology.hl7.org/CodeSystem"
PCF = "https://profiles.ihe.net/ITI/PCF/Policy-break-glass-only"
LABELS = ("general", "mental-health", "sexual-health", "social-care")


@pytest.fixture
def server(sqlite_url: str, signing_keys: Path) -> Server:
    made = build(sqlite_url, signing_keys.parent)
    operator = made.operator()
    for number, name in enumerate(("Ada Byron", "Bea Stone", "Cleo Marsh"), start=1):
        given, family = name.split()
        made.put(
            {
                "resourceType": "Patient",
                "id": str(number),
                "name": [{"use": "official", "given": [given], "family": family}],
                "birthDate": f"199{number}-01-02",
            },
            operator,
        )
    for number in (1, 2):
        made.put(
            {"resourceType": "RelatedPerson", "id": "carer", "patient": {"reference": "Patient/1"}, "active": True},
            operator,
        )
        made.put(consent(number), operator)
    return made


def consent(number: int, status: str = "active", actor: str = "RelatedPerson/carer") -> dict[str, Any]:
    labels = [{"system": "https://fhir-server.example.org/CodeSystem/privacy-label", "code": label} for label in LABELS]
    grantee = {
        "role": {"coding": [{"system": f"{HL7}/v3-ParticipationType", "code": "IRCP"}]},
        "reference": {"reference": actor},
    }
    return {
        "resourceType": "Consent",
        "id": f"proxy-{number}",
        "status": status,
        "scope": {"coding": [{"system": f"{HL7}/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{number}"},
        "policy": [{"uri": PCF}],
        "provision": {"type": "permit", "actor": [grantee], "securityLabel": labels},
    }


@pytest.fixture
def world(server: Server) -> World:
    return World(server.app, server.store, server.clock)


def carer_page(world: World, app_id: str) -> tuple[Any, TestResponse]:
    browser = world.browser(world.person("RelatedPerson/carer", role="carer", name="Charles"))
    page = world.ask(browser, world.request(app_id))
    return browser, page


def test_a_carer_chooses_among_the_records_shared_with_them(world: World) -> None:
    app_id = world.client()[0]
    browser, page = carer_page(world, app_id)

    assert re.findall(r'type="radio" value="([^"]+)"', page.text) == ["Patient/1", "Patient/2"]
    assert "Ada Byron, born 2 January 1991" in page.text
    assert "Cleo" not in page.text
    code = answered(world.decide(browser, page, record="Patient/2"))["code"]
    answer = world.redeem(app_id, code).json or {}

    assert answer["patient"] == "2"
    principal = world.principal(answer["access_token"])
    assert (principal.subject, principal.patient) == ("RelatedPerson/carer", "Patient/2")


def test_a_carer_of_several_people_lets_an_app_open_one_of_them_as_the_carer_of_that_one(
    world: World, server: Server
) -> None:
    """Each is cared for under a RelatedPerson of its own; the app is nobody more than that one."""
    operator, app_id = server.operator(), world.client()[0]
    account = world.person("Patient/3", name="Cleo Marsh")
    for number in (1, 2):
        related = f"RelatedPerson/carer-of-{number}"
        body = {"resourceType": "RelatedPerson", "id": related[14:], "patient": {"reference": f"Patient/{number}"}}
        server.put(body, operator)
        server.put(consent(number, actor=related) | {"id": f"carer-{number}"}, operator)
        with world.store.write() as session:
            carers.link(session, account.id, related, world.clock())
    browser = world.browser(account)

    page = world.ask(browser, world.request(app_id, scope="launch/patient patient/*.rs"))
    assert re.findall(r'type="radio" value="([^"]+)"( checked)?', page.text) == [
        ("Patient/3", " checked"), ("Patient/1", ""), ("Patient/2", ""),
    ]  # fmt: skip
    assert "Cleo Marsh (you)" in page.text
    answer = world.redeem(app_id, answered(world.decide(browser, page, record="Patient/2"))["code"]).json or {}

    principal = world.principal(answer["access_token"])
    assert (principal.subject, principal.patient, answer["patient"]) == ("RelatedPerson/carer-of-2", "Patient/2", "2")
    for number, status in ((2, 200), (1, 404), (3, 404)):
        assert server.call("GET", f"Patient/{number}", answer["access_token"]).status_code == status, number
    listed = browser.get("/apps", base_url="http://localhost").text
    assert ("Whose record" in listed, "Bea Stone" in listed, "Ada Byron" in listed) == (True, True, False)
    with world.store.write() as session:
        carers.unlink(session, account.id, "RelatedPerson/carer-of-2", world.clock())
    again = world.ask(browser, world.request(app_id))
    assert re.findall(r'type="radio" value="([^"]+)"', again.text) == ["Patient/3", "Patient/1"]


def test_a_professional_chooses_among_their_patients_and_the_app_sees_that_one_only(
    world: World, server: Server
) -> None:
    operator, app_id = server.operator(), world.client()[0]
    server.put({"resourceType": "Practitioner", "id": "doc", "name": [{"family": "House"}]}, operator)
    for number in (1, 3):
        server.put(consent(number, actor="Practitioner/doc") | {"id": f"doc-{number}"}, operator)
    browser = world.browser(world.person("Practitioner/doc", role="professional", name="Dr House"))

    page = world.ask(browser, world.request(app_id, scope="launch/patient patient/*.rs"))
    assert set(re.findall(r'type="radio" value="([^"]+)"', page.text)) == {"Patient/1", "Patient/3"}
    assert "Bea" not in page.text
    answer = world.redeem(app_id, answered(world.decide(browser, page, record="Patient/3"))["code"]).json or {}

    assert (answer["patient"], answer["need_patient_banner"]) == ("3", True)
    principal = world.principal(answer["access_token"])
    assert (principal.subject, principal.patient) == ("Practitioner/doc", "Patient/3")
    assert server.call("GET", "Patient/3", answer["access_token"]).status_code == 200
    assert server.call("GET", "Patient/1", answer["access_token"]).status_code == 404


@pytest.mark.parametrize("record", ["", "Patient/3", "Patient/unknown", "Patient/1/../3"])
def test_a_record_that_was_not_offered_cannot_be_chosen(world: World, record: str) -> None:
    browser, page = carer_page(world, world.client()[0])

    response = world.decide(browser, page, record=record)

    assert response.status_code == 400
    assert "Choose whose record" in response.text


def test_sharing_that_stops_before_the_decision_stops_the_choice(world: World, server: Server) -> None:
    browser, page = carer_page(world, world.client()[0])
    server.put(consent(2, "inactive"), server.operator())

    response = world.decide(browser, page, record="Patient/2")

    assert response.status_code == 400
    assert "Bea Stone" not in response.text


def test_whoever_sees_no_record_is_told_so(world: World) -> None:
    app_id = world.client()[0]
    browser = world.browser(world.person("RelatedPerson/nobody", role="carer", name="Nobody"))

    answer = answered(world.ask(browser, world.request(app_id)))

    assert answer["error"] == "access_denied"


def test_no_patient_is_chosen_where_the_app_asks_for_none(world: World) -> None:
    app_id = world.client()[0]
    account = world.person("RelatedPerson/carer", role="carer", name="Charles")

    answer = world.login(app_id, account, scope="openid fhirUser user/*.rs")

    assert "patient" not in answer
    assert "need_patient_banner" not in answer
    assert world.principal(answer["access_token"]).patient == ""


def test_connecting_and_refusing_an_app_are_in_the_access_log(world: World, server: Server) -> None:
    app_id = world.client()[0]
    ada = world.person()
    world.login(app_id, ada)
    browser = world.browser(ada)
    world.decide(browser, world.ask(browser, world.request(app_id)), decision="deny")

    token = server.token("Patient/1")
    found = server.get("/AuditEvent?patient=Patient/1&_sort=-date", token)["entry"]

    logins = [entry["resource"] for entry in found if entry["resource"]["type"]["code"] == "110114"]
    assert [event["outcome"] for event in logins if app_id in str(event["agent"])] == ["4", "0"]


def opened_from(browser: FlaskClient, app_id: str, patient: str) -> TestResponse:
    """Return the answer to a carer who opens the app from a patient's page."""
    form = fields(browser.get("/oauth/launch?patient=1").text)
    return browser.post("/oauth/launch", data=form | {"app": app_id, "patient": patient})


@pytest.fixture
def carer(world: World) -> FlaskClient:
    return world.browser(world.person("RelatedPerson/carer", role="carer", name="Charles"))


@pytest.fixture
def launchable(world: World) -> str:
    return world.client(launch_uri="https://app.example/launch")[0]


def launch_request(world: World, app_id: str, response: TestResponse) -> dict[str, str]:
    assert response.status_code == 303, response.text
    value = parse_qs(urlsplit(response.location).query)["launch"][0]
    return world.request(app_id, scope="launch patient/*.rs", launch=value)


def test_a_carer_who_opens_an_app_from_a_record_is_not_asked_whose(
    world: World, carer: FlaskClient, launchable: str
) -> None:
    page = world.ask(carer, launch_request(world, launchable, opened_from(carer, launchable, "2")))

    assert 'type="radio"' not in page.text
    assert "It will open the record of <strong>Bea Stone</strong>" in page.text
    assert world.decide(carer, page, record="Patient/1").status_code == 400
    code = answered(world.decide(carer, page))["code"]
    assert (world.redeem(launchable, code).json or {})["patient"] == "2"


def test_no_app_is_opened_with_a_record_that_is_not_shared(carer: FlaskClient, launchable: str) -> None:
    hidden, absent = opened_from(carer, launchable, "3"), opened_from(carer, launchable, "unknown")

    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert carer.get("/oauth/launch?patient=3").status_code == 404


def test_sharing_that_stops_after_the_launch_stops_the_launch(
    world: World, server: Server, carer: FlaskClient, launchable: str
) -> None:
    request = launch_request(world, launchable, opened_from(carer, launchable, "2"))
    page = world.ask(carer, request)
    server.put(consent(2, "inactive"), server.operator())

    assert answered(world.ask(carer, request))["error"] == "access_denied"
    assert answered(world.decide(carer, page))["error"] == "access_denied"
