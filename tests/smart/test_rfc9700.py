"""Attacks of RFC 9700 and of the OWASP API list that no other file of this folder names, against the whole server."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from fhir_server.store.accounts import Account
from tests.server import Server, build
from tests.smart.exercised import missing
from tests.smart.world import CALLBACK, World, fields

EVIL = "https://evil.test"
CODE = "test_rfc6749_authorization_code.py"
CLASSES = {
    "open redirect": ["test_rfc9700.py::test_nobody_is_led_to_an_address_that_is_not_registered"],
    "code replay": [f"{CODE}::test_a_code_works_once_and_its_second_use_ends_its_tokens"],
    "code injection": ["test_rfc9700.py::test_a_code_of_somebody_else_is_of_no_use_to_an_attacker"],
    "downgrade": [
        "test_rfc7636.py::test_no_code_without_an_s256_challenge",
        "test_rfc9449.py::test_a_bound_token_opens_the_record_with_a_proof_of_its_key_only",
    ],
    "mix-up": ["test_rfc9207.py::test_every_answer_names_its_issuer_against_mix_up"],
    "csrf on sign-in": ["test_rfc9700.py::test_a_sign_in_form_of_another_site_signs_nobody_in"],
    "csrf on the consent screen": [
        f"{CODE}::test_a_forged_decision_is_refused",
        "test_rfc9700.py::test_a_form_of_somebody_elses_session_decides_nothing",
    ],
    "clickjacking": ["test_rfc9700.py::test_no_other_site_can_frame_the_consent_page"],
    "session fixation": ["test_rfc9700.py::test_signing_in_gives_a_new_session_so_that_none_can_be_planted"],
    "scope escalation on refresh": ["test_rfc9700.py::test_a_refresh_never_escalates"],
    "token confusion": [
        "test_rfc9700.py::test_no_other_token_opens_the_record",
        "test_rfc9700.py::test_no_other_token_refreshes_or_redeems",
    ],
    "alg none and confusion": [
        "test_rfc7523.py::test_alg_none_is_refused",
        "test_rfc7523.py::test_the_public_key_is_no_shared_secret",
        "test_rfc9700.py::test_a_token_made_by_its_bearer_is_refused",
    ],
    "kid and jku injection, ssrf": [
        "test_rfc7523.py::test_kid_must_name_a_registered_key",
        "test_rfc7523_keys.py::test_the_address_in_a_header_is_never_asked",
        "test_rfc7523_keys.py::test_only_https_or_this_machine_is_asked",
    ],
    "jti replay": [
        "test_rfc7523.py::test_an_assertion_works_once",
        "test_rfc7523.py::test_of_concurrent_uses_one_succeeds",
        "test_rfc9700.py::test_an_assertion_is_remembered_by_every_worker_and_after_a_restart",
        "test_rfc9449.py::test_a_proof_counts_once_across_workers_and_after_a_restart",
    ],
    "another client's token": [
        "test_rfc7009.py::test_another_clients_token_stays",
        "test_rfc7662.py::test_another_clients_token_is_inactive",
    ],
    "wrong-audience assertion": ["test_rfc7523.py::test_a_wrong_claim_is_refused_by_name"],
    "duplicate parameters": ["test_rfc9700.py::test_a_parameter_sent_twice_is_refused_everywhere"],
    "token in the query string": ["test_rfc9700.py::test_a_token_in_the_address_is_no_token"],
}
"""Each class of bad input, and the tests that it is named in."""


@pytest.fixture
def server(sqlite_url: str, signing_keys: Path) -> Iterator[Server]:
    made = build(sqlite_url, signing_keys.parent)
    made.put({"resourceType": "Patient", "id": "1", "name": [{"family": "Byron"}]}, made.operator())
    yield made
    made.close()


@pytest.fixture
def world(server: Server) -> World:
    return World(server.app, server.store, server.clock)


@pytest.fixture
def answer(world: World, ada: Account, app_id: str) -> dict[str, Any]:
    return world.login(app_id, ada, scope="launch/patient openid fhirUser offline_access patient/*.rs")


def test_every_class_of_bad_input_is_a_named_test() -> None:
    assert missing(name for names in CLASSES.values() for name in names) == []


# -------------------------------------------------------------------- open redirects


@pytest.mark.parametrize(
    "address",
    [
        f"{CALLBACK}@evil.test",
        f"{CALLBACK}%2f@evil.test",
        f"{CALLBACK}#@evil.test",
        f"{CALLBACK}\\@evil.test",
        f"{CALLBACK}/..;/",
        f"{CALLBACK}%0d%0aLocation: {EVIL}",
        f"{CALLBACK}\r\nLocation: {EVIL}",
        f"{CALLBACK} ",
        f" {CALLBACK}",
        CALLBACK.upper(),
        CALLBACK.replace("app.example", "app.example:443"),
        CALLBACK.replace("app.example", "app.example."),
        CALLBACK.replace("app.example", "user@app.example"),
        CALLBACK.replace("https://", "https:///"),
        CALLBACK.replace("https://", "https:/\\"),
        "data:text/html,x",
        "/callback",
        EVIL,
    ],
)
def test_nobody_is_led_to_an_address_that_is_not_registered(
    world: World, ada: Account, app_id: str, address: str
) -> None:
    response = world.ask(world.browser(ada), world.request(app_id, redirect_uri=address))

    assert response.status_code == 400
    assert "Location" not in response.headers
    assert EVIL not in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("target", ["//evil.test", EVIL, "/\\evil.test", "/%09/evil.test\t", "javascript:alert(1)"])
def test_a_form_that_another_site_sends_leads_to_our_own_page_only(world: World, target: str) -> None:
    response = world.browser().post("/oauth/authorize", data={"redirect_uri": target, "next": target, target: target})

    assert response.status_code == 303
    assert response.location.startswith("/oauth/authorize?")
    assert world.browser().get(response.location).status_code == 400


# -------------------------------------------------------------------- the consent page


def test_no_other_site_can_frame_the_consent_page(world: World, ada: Account, app_id: str) -> None:
    page = world.ask(world.browser(ada), world.request(app_id))

    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Frame-Options"] == "DENY"


def test_a_form_of_somebody_elses_session_decides_nothing(world: World, ada: Account, app_id: str) -> None:
    eve = world.browser(world.person("Patient/2"))
    planted = fields(world.ask(eve, world.request(app_id)).text)

    response = world.browser(ada).post("/oauth/decision", data=planted | {"decision": "allow"})

    assert response.status_code == 400


def test_signing_in_gives_a_new_session_so_that_none_can_be_planted(world: World, ada: Account) -> None:
    browser = world.app.test_client()
    browser.set_cookie("session", "planted-by-somebody")

    signed_in = world.browser(ada).get_cookie("session")

    assert signed_in is not None
    assert signed_in.value != "planted-by-somebody"
    assert browser.get("/account").location.startswith("/sign-in")


def test_a_sign_in_form_of_another_site_signs_nobody_in(world: World) -> None:
    browser = world.app.test_client()
    token = fields(browser.get("/sign-in").text)["csrf_token"]
    attempts = {
        "no token": {},
        "an invented one": {"csrf_token": "x" * len(token)},
        "one of another browser": {"csrf_token": fields(world.app.test_client().get("/sign-in").text)["csrf_token"]},
    }

    for name, forged in attempts.items():
        answer = browser.post("/sign-in", data={"email": "eve@example.org", "password": "of the attacker"} | forged)
        assert answer.status_code == 400, name
        assert "did not come from this website" in answer.text, name
        assert browser.get("/account").location.startswith("/sign-in"), name


def test_an_assertion_is_remembered_by_every_worker_and_after_a_restart(
    server: Server, world: World, sqlite_url: str, signing_keys: Path
) -> None:
    service = world.backend()
    used = world.assertion(service)
    assert world.system_token(used).status_code == 200

    restarted = build(sqlite_url, signing_keys.parent)
    refused = World(restarted.app, restarted.store, restarted.clock).system_token(used)

    assert (refused.status_code, "jti was used before" in refused.text) == (401, True)
    restarted.store.close()


# -------------------------------------------------------------------- tokens


@pytest.mark.parametrize("kind", ["refresh_token", "id_token"])
def test_no_other_token_opens_the_record(server: Server, answer: dict[str, Any], kind: str) -> None:
    assert server.call("GET", "Patient/1", answer["access_token"]).status_code == 200
    assert server.call("GET", "Patient/1", answer[kind]).status_code == 401


def test_a_code_opens_no_record(world: World, server: Server, ada: Account, app_id: str) -> None:
    assert server.call("GET", "Patient/1", world.code(app_id, ada)).status_code == 401


@pytest.mark.parametrize("name", ["access_token", "token", "Authorization"])
def test_a_token_in_the_address_is_no_token(server: Server, answer: dict[str, Any], name: str) -> None:
    response = server.call("GET", f"Patient/1?{urlencode({name: answer['access_token']})}")

    assert response.status_code in {400, 401}
    assert answer["access_token"] not in response.text


def test_a_token_made_by_its_bearer_is_refused(server: Server, answer: dict[str, Any]) -> None:
    header, claims, _ = answer["id_token"].split(".")
    unsigned = base64.urlsafe_b64encode(json.dumps({"alg": "none"}).encode()).rstrip(b"=").decode()

    for token in (f"{unsigned}.{claims}.", f"{header}.{claims}.", answer["access_token"][:-1], "null", "undefined"):
        assert server.call("GET", "Patient/1", token).status_code == 401


@pytest.mark.parametrize("kind", ["id_token", "access_token"])
def test_no_other_token_refreshes_or_redeems(world: World, app_id: str, answer: dict[str, Any], kind: str) -> None:
    assert world.refresh(app_id, answer[kind]).status_code == 400
    assert world.redeem(app_id, answer[kind]).status_code == 400


@pytest.mark.parametrize("scope", ["patient/*.cruds", "user/*.rs", "system/*.rs", "patient/*.rs user/Patient.rs"])
def test_a_refresh_never_escalates(world: World, app_id: str, answer: dict[str, Any], scope: str) -> None:
    response = world.refresh(app_id, answer["refresh_token"], scope=scope)

    assert (response.status_code, (response.json or {})["error"]) == (400, "invalid_scope")


def test_a_code_of_somebody_else_is_of_no_use_to_an_attacker(world: World, ada: Account, app_id: str) -> None:
    stolen = world.code(app_id, ada)

    injected = world.redeem(app_id, stolen, code_verifier="a-verifier-that-the-attacker-made-up-0123456789-0123")

    assert (injected.status_code, (injected.json or {})["error"]) == (400, "invalid_grant")


# -------------------------------------------------------------------- what is sent where


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
@pytest.mark.parametrize("name", ["client_id", "token", "grant_type", "scope", "refresh_token"])
def test_a_parameter_sent_twice_is_refused_everywhere(world: World, path: str, name: str) -> None:
    response = world.programs.post(path, data={name: ["a", "b"]})

    assert response.status_code == 400
    assert f"{name} is sent more than once" in (response.json or {})["error_description"]


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect"])
def test_parameters_in_the_address_are_refused_everywhere(world: World, path: str) -> None:
    response = world.programs.post(f"{path}?client_id=a", data={"token": "x"})

    assert response.status_code == 400
    assert "not in the address" in (response.json or {})["error_description"]


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke", "/oauth/introspect", "/oauth/userinfo"])
def test_no_cookie_is_a_credential_for_programs(world: World, ada: Account, path: str) -> None:
    response = world.browser(ada).post(path, data={"token": "x", "grant_type": "authorization_code"})

    assert response.status_code == 401
    assert "Access-Control-Allow-Credentials" not in response.headers
