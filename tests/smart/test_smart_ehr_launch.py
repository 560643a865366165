"""EHR launch: an app opened from a patient's page learns whose it was, once, for a short time, if its person allows."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from fhir_server.store import oauth_clients
from fhir_server.store.accounts import Account
from tests.databases import Databases
from tests.server import Server, build, create_schema
from tests.smart.world import FHIR, World, answered, fields

LAUNCH_URI = "https://app.example/launch?theme=dark"
SCOPE = "launch openid fhirUser offline_access patient/*.rs"


def prepared(url: str, signing_keys: Path) -> Server:
    made = build(url, signing_keys.parent)
    operator = made.operator()
    for number in ("1", "2"):
        made.put({"resourceType": "Patient", "id": number, "name": [{"family": f"Byron{number}"}]}, operator)
        made.put(
            {
                "resourceType": "Encounter",
                "id": f"visit-{number}",
                "status": "finished",
                "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
                "subject": {"reference": f"Patient/{number}"},
            },
            operator,
        )
    made.put(
        {
            "resourceType": "Observation",
            "id": "weight",
            "status": "final",
            "code": {"text": "Weight"},
            "subject": {"reference": "Patient/1"},
        },
        operator,
    )
    return made


@pytest.fixture
def world(sqlite_url: str, signing_keys: Path) -> Iterator[World]:
    server = prepared(sqlite_url, signing_keys)
    yield World(server.app, server.store, server.clock)
    server.close()


@pytest.fixture
def stored(databases: Databases, signing_keys: Path) -> Iterator[World]:
    server = prepared(databases.prepared("schema", create_schema), signing_keys)
    yield World(server.app, server.store, server.clock)
    server.close()


@pytest.fixture
def app_id(world: World) -> str:
    return world.client(launch_uri=LAUNCH_URI)[0]


def open_app(browser: FlaskClient, app_id: str, **changes: Any) -> TestResponse:
    form = fields(browser.get("/oauth/launch?patient=1").text)
    return browser.post("/oauth/launch", data=form | {"app": app_id, "patient": "1"} | changes)


def launched(browser: FlaskClient, app_id: str, **changes: Any) -> str:
    response = open_app(browser, app_id, **changes)
    assert response.status_code == 303, response.text
    return parse_qs(urlsplit(response.location).query)["launch"][0]


def refused(response: TestResponse) -> str:
    answer = answered(response)
    assert "code" not in answer
    return f"{answer['error']}: {answer['error_description']}"


def test_an_app_opened_from_a_patients_page_learns_whose_it_was(stored: World) -> None:
    app_id = stored.client(launch_uri=LAUNCH_URI)[0]
    browser = stored.browser(stored.person())

    response = open_app(browser, app_id, encounter="visit-1", context=["Observation/weight"])

    assert response.status_code == 303
    address = urlsplit(response.location)
    assert (address.netloc, address.path) == ("app.example", "/launch")
    sent = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert (sent["theme"], sent["iss"]) == ("dark", FHIR)
    page = stored.ask(browser, stored.request(app_id, scope=SCOPE, launch=sent["launch"]))
    answer = stored.redeem(app_id, answered(stored.decide(browser, page))["code"]).json or {}
    assert (answer["patient"], answer["encounter"]) == ("1", "visit-1")
    assert answer["fhirContext"] == [{"reference": "Observation/weight"}]
    assert answer["need_patient_banner"] is True
    assert "launch" in answer["scope"].split()
    again = stored.refresh(app_id, answer["refresh_token"]).json or {}
    assert {name: again[name] for name in ("patient", "encounter", "fhirContext")} == {
        name: answer[name] for name in ("patient", "encounter", "fhirContext")
    }


def test_the_page_offers_the_apps_that_can_be_opened(world: World, ada: Account, app_id: str) -> None:
    world.client(name="No launch address")
    suspended = world.client(name="Suspended", launch_uri=LAUNCH_URI)[0]
    with world.store.write() as session:
        oauth_clients.set_client_active(session, suspended, active=False)

    page = world.browser(ada).get("/oauth/launch?patient=1")

    assert re.findall(r'name="app" value="([^"]+)"', page.text) == [app_id]
    assert "https://app.example" in page.headers["Content-Security-Policy"]


def test_a_launch_works_once(stored: World) -> None:
    app_id = stored.client(launch_uri=LAUNCH_URI)[0]
    browser = stored.browser(stored.person())
    request = stored.request(app_id, scope=SCOPE, launch=launched(browser, app_id))
    first, second = stored.ask(browser, request), stored.ask(browser, request)
    assert "code" in answered(stored.decide(browser, first))

    assert refused(stored.decide(browser, second)).startswith("invalid_request: launch is unknown, used up")
    assert refused(stored.ask(browser, request)).startswith("invalid_request: launch")


def test_saying_no_uses_a_launch_up(world: World, ada: Account, app_id: str) -> None:
    browser = world.browser(ada)
    request = world.request(app_id, scope=SCOPE, launch=launched(browser, app_id))
    assert refused(world.decide(browser, world.ask(browser, request), decision="deny")).startswith("access_denied")

    assert refused(world.ask(browser, request)).startswith("invalid_request: launch")


def test_a_launch_ends_after_five_minutes(world: World, ada: Account, app_id: str) -> None:
    browser = world.browser(ada)
    request = world.request(app_id, scope=SCOPE, launch=launched(browser, app_id))
    world.clock.advance(seconds=301)

    assert refused(world.ask(browser, request)).startswith("invalid_request: launch")


def test_a_launch_is_bound_to_app_and_person(world: World, ada: Account, app_id: str) -> None:
    value = launched(world.browser(ada), app_id)
    other_app, somebody = world.client(launch_uri=LAUNCH_URI)[0], world.person("Patient/2")

    by_other_app = world.ask(world.browser(ada), world.request(other_app, scope=SCOPE, launch=value))
    by_somebody = world.ask(world.browser(somebody), world.request(app_id, scope=SCOPE, launch=value))

    assert refused(by_other_app).startswith("invalid_request: launch")
    assert refused(by_somebody).startswith("invalid_request: launch")
    mine = world.ask(world.browser(ada), world.request(app_id, scope=SCOPE, launch=value))
    assert mine.status_code == 200


@pytest.mark.parametrize("value", ["unknown", "x" * 3_000, "\u00e4", "1"])
def test_an_invented_launch_is_refused(world: World, ada: Account, app_id: str, value: str) -> None:
    response = world.ask(world.browser(ada), world.request(app_id, scope=SCOPE, launch=value))

    assert refused(response).startswith("invalid_request: launch is unknown")


def test_without_the_scope_a_launch_tells_nothing(world: World, ada: Account, app_id: str) -> None:
    browser = world.browser(ada)
    value = launched(browser, app_id, encounter="visit-1")

    answer = world.login(app_id, ada, scope="openid patient/*.rs", launch=value)

    assert "encounter" not in answer


@pytest.mark.parametrize(
    "changes, status",
    [
        ({"patient": "2"}, 404),
        ({"patient": "unknown"}, 404),
        ({"patient": "../1"}, 404),
        ({"app": "unknown"}, 400),
        ({"encounter": "visit-2"}, 400),
        ({"encounter": "a/b"}, 400),
        ({"context": ["Observation/unknown"]}, 400),
        ({"context": ["Patient/1"]}, 400),
        ({"context": ["javascript:alert(1)"]}, 400),
        ({"context": ["Observation/weight"] * 11}, 400),
    ],
)
def test_only_what_the_person_can_see_is_launched(
    world: World, ada: Account, app_id: str, changes: dict[str, Any], status: int
) -> None:
    assert open_app(world.browser(ada), app_id, **changes).status_code == status


def test_a_launch_needs_the_form_of_our_own_page(world: World, ada: Account, app_id: str) -> None:
    browser = world.browser(ada)

    assert browser.post("/oauth/launch", data={"app": app_id, "patient": "1"}).status_code == 400
    assert world.browser().get("/oauth/launch?patient=1").location.startswith("/sign-in?next=%2Foauth%2Flaunch")


def test_an_app_may_send_its_request_as_a_form(world: World, ada: Account, app_id: str) -> None:
    browser = world.browser(ada)

    response = browser.post("/oauth/authorize", data=world.request(app_id, scope="openid patient/*.rs"))

    assert response.status_code == 303
    assert response.location.startswith("/oauth/authorize?")
    page = browser.get(response.location)
    assert world.redeem(app_id, answered(world.decide(browser, page))["code"]).status_code == 200


def test_a_form_decides_nothing_and_repeats_nothing(world: World, ada: Account, app_id: str) -> None:
    browser = world.browser(ada)
    request = world.request(app_id)

    decided = browser.post("/oauth/authorize", data=request | {"decision": "allow", "query": "x", "allow": "identity"})
    repeated = browser.post("/oauth/authorize", data=request | {"state": ["a", "b"]})

    assert decided.location.startswith("/oauth/authorize?")
    assert "code=" not in decided.location
    assert browser.get(repeated.location).status_code == 400


def test_online_access_ends_with_the_sign_in(stored: World) -> None:
    app_id = stored.client(launch_uri=LAUNCH_URI)[0]
    browser = stored.browser(stored.person())
    page = stored.ask(browser, stored.request(app_id, scope="launch/patient online_access patient/*.rs"))
    assert "while you are signed in here" in page.text
    answer = stored.redeem(app_id, answered(stored.decide(browser, page))["code"]).json or {}
    again = stored.refresh(app_id, answer["refresh_token"])
    assert again.status_code == 200, again.text

    browser.post("/sign-out", data={"csrf_token": fields(page.text)["csrf_token"]})

    refused_one = stored.refresh(app_id, (again.json or {})["refresh_token"])
    assert (refused_one.status_code, (refused_one.json or {})["error"]) == (400, "invalid_grant")


def test_online_access_lasts_no_longer_than_a_sign_in_may(world: World, ada: Account, app_id: str) -> None:
    answer = world.login(app_id, ada, scope="launch/patient online_access patient/*.rs")
    world.clock.advance(hours=12, seconds=1)

    assert world.refresh(app_id, answer["refresh_token"]).status_code == 400


def test_userinfo_says_who_signed_in(world: World, ada: Account, app_id: str) -> None:
    token = world.login(app_id, ada, scope="openid fhirUser patient/*.rs")["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Origin": "https://app.example"}

    for answer in (
        world.programs.get("/oauth/userinfo", headers=headers),
        world.programs.post("/oauth/userinfo", headers=headers),
    ):
        assert answer.json == {"sub": ada.id, "fhirUser": f"{FHIR}/Patient/1"}
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert answer.headers["Cache-Control"] == "no-store"


def test_userinfo_needs_a_token_with_openid(world: World, ada: Account, app_id: str) -> None:
    token = world.login(app_id, ada, scope="patient/*.rs")["access_token"]

    without = world.programs.get("/oauth/userinfo", headers={"Authorization": f"Bearer {token}"})
    nobody = world.programs.get("/oauth/userinfo", headers={"Authorization": "Bearer x"})
    in_address = world.programs.get(f"/oauth/userinfo?access_token={token}")

    assert (without.status_code, nobody.status_code, in_address.status_code) == (403, 401, 401)
    assert 'error="invalid_token"' in nobody.headers["WWW-Authenticate"]


def test_a_refused_launch_is_told_as_a_page(world: World, ada: Account, app_id: str) -> None:
    response = open_app(world.browser(ada), app_id, patient="unknown")

    assert response.content_type.startswith("text/html")
    assert "There is no such record that you can open" in response.text
