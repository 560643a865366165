"""OpenID Connect Core 1.0: ID tokens with `fhirUser`, verified by a client with the published keys."""

from typing import Any
from urllib.parse import unquote

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_server.smart.discovery import openid_configuration
from fhir_server.spec.outcome import FhirError
from tests.smart.world import BASE, CALLBACK, FHIR, World, answered, fields


def claims_of(world: World, id_token: str, algorithm: str = "RS256") -> dict[str, Any]:
    jwks = world.programs.get("/.well-known/jwks.json").json
    assert jwks is not None
    decoded = jwt.decode(id_token, KeySet.import_key_set(jwks), algorithms=[algorithm])
    assert decoded.header["kid"] in {key["kid"] for key in jwks["keys"] if key["alg"] == algorithm}
    return dict(decoded.claims)


def test_the_id_token_says_who_signed_in_when_and_to_which_app(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    signed_in_at = int(world.clock().timestamp())

    answer = world.login(app_id, ada, nonce="n-0S6_WzA2Mj")

    assert claims_of(world, answer["id_token"]) == {
        "iss": BASE,
        "sub": ada.id,
        "aud": app_id,
        "iat": signed_in_at,
        "exp": signed_in_at + 300,
        "auth_time": signed_in_at,
        "nonce": "n-0S6_WzA2Mj",
        "fhirUser": f"{FHIR}/Patient/1",
    }


def test_fhir_user_is_told_nowhere_else(world: World) -> None:
    answer = world.login(world.client()[0], world.person())

    assert "fhirUser" not in answer


def test_there_is_no_id_token_without_openid(world: World) -> None:
    answer = world.login(world.client()[0], world.person(), scope="launch/patient fhirUser patient/Observation.rs")

    assert "id_token" not in answer


def test_fhir_user_only_if_asked_for(world: World) -> None:
    answer = world.login(world.client()[0], world.person(), scope="openid launch/patient patient/Observation.rs")

    claims = claims_of(world, answer["id_token"])
    assert "fhirUser" not in claims
    assert "nonce" not in claims


def test_the_profile_scope_of_smart_1_gives_the_profile_claim(world: World) -> None:
    answer = world.login(world.client()[0], world.person(), scope="openid profile patient/*.read")

    assert claims_of(world, answer["id_token"])["profile"] == f"{FHIR}/Patient/1"


def test_a_client_gets_its_id_tokens_signed_as_it_asked_for_and_no_other_way(world: World) -> None:
    ada = world.person()

    for algorithm in openid_configuration(BASE)["id_token_signing_alg_values_supported"]:
        token = world.login(world.client(id_token_alg=algorithm)[0], ada)["id_token"]
        assert claims_of(world, token, algorithm)["sub"] == ada.id
        with pytest.raises(JoseError):
            claims_of(world, token, "RS256" if algorithm == "ES256" else "ES256")
    for wrong in ("none", "HS256", "RS1"):
        with pytest.raises(FhirError, match="id_token_signed_response_alg must be one of RS256, ES256"):
            world.client(id_token_alg=wrong)


def test_the_subject_is_the_same_for_every_app(world: World) -> None:
    ada = world.person()

    assert {claims_of(world, world.login(world.client()[0], ada)["id_token"])["sub"] for _ in "ab"} == {ada.id}


def test_an_app_may_want_a_new_sign_in(world: World) -> None:
    app_id, browser = world.client()[0], world.browser(world.person())

    asked = world.ask(browser, world.request(app_id, prompt="login"))

    assert asked.status_code == 303
    assert asked.location.startswith("/sign-in/again?next=%2Foauth%2Fauthorize%3F")
    assert "prompt" not in asked.location
    assert browser.get(unquote(asked.location.partition("next=")[2])).status_code == 200


@pytest.mark.parametrize("max_age, status", [("60", 200), ("59", 303), ("0", 303), ("999999999", 200)])
def test_max_age_is_held_when_asking_and_when_deciding(world: World, max_age: str, status: int) -> None:
    app_id, browser = world.client()[0], world.browser(world.person())
    page = world.ask(browser, world.request(app_id))
    world.clock.advance(seconds=60)

    asked = world.ask(browser, world.request(app_id, max_age=max_age))
    form = fields(page.text)
    form["query"] += f"&max_age={max_age}"
    decided = browser.post("/oauth/decision", data=form | {"decision": "allow"})

    assert asked.status_code == status
    assert decided.status_code == 303
    assert decided.location.startswith(CALLBACK if status == 200 else "/oauth/authorize?")


@pytest.mark.parametrize("max_age", ["soon", "-1", "1e9", "1" * 10, "²"])
def test_a_max_age_that_is_no_number_is_refused(world: World, max_age: str) -> None:
    app_id, browser = world.client()[0], world.browser(world.person())

    assert answered(world.ask(browser, world.request(app_id, max_age=max_age)))["error"] == "invalid_request"


@pytest.mark.parametrize("nonce", ["é ö", "x" * 500])
def test_any_nonce_comes_back_as_it_was(world: World, nonce: str) -> None:
    answer = world.login(world.client()[0], world.person(), nonce=nonce)

    assert claims_of(world, answer["id_token"])["nonce"] == nonce
