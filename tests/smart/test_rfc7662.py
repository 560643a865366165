"""Token introspection (RFC 7662) with SMART's launch context."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from tests.smart.world import ASSERTION_TYPE, BASE, FHIR, SCOPE, World


@pytest.fixture
def confidential(world: World) -> tuple[str, str]:
    return world.client(kind="secret")


@pytest.fixture
def answer(world: World, confidential: tuple[str, str], ada: Account) -> dict[str, Any]:
    app_id, secret = confidential
    return world.redeem(app_id, world.code(app_id, ada), client_secret=secret).json or {}


def introspect(world: World, credentials: tuple[str, str], token: str, **form: str) -> TestResponse:
    return world.programs.post("/oauth/introspect", auth=credentials, data={"token": token} | form)


@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "saml"}])
def test_a_client_learns_what_its_access_token_stands_for(
    world: World, confidential: tuple[str, str], answer: dict[str, Any], ada: Account, hint: dict[str, str]
) -> None:
    response = introspect(world, confidential, answer["access_token"], **hint)

    at = int(world.clock().timestamp())
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json == {
        "active": True,
        "client_id": confidential[0],
        "scope": SCOPE,
        "iss": BASE,
        "iat": at,
        "exp": at + 900,
        "token_type": "Bearer",
        "aud": FHIR,
        "sub": ada.id,
        "patient": "1",
        "fhirUser": f"{FHIR}/Patient/1",
    }


def test_a_refresh_token_is_active_until_used(
    world: World, confidential: tuple[str, str], answer: dict[str, Any]
) -> None:
    app_id, secret = confidential

    before = introspect(world, confidential, answer["refresh_token"]).json or {}
    world.refresh(app_id, answer["refresh_token"], client_secret=secret)
    after = introspect(world, confidential, answer["refresh_token"]).json

    assert (before["active"], before["scope"]) == (True, SCOPE)
    assert "patient" not in before
    assert after == {"active": False}


def test_an_expired_or_revoked_or_unknown_token_is_only_inactive(
    world: World, confidential: tuple[str, str], answer: dict[str, Any]
) -> None:
    assert introspect(world, confidential, "unknown").json == {"active": False}
    world.programs.post("/oauth/revoke", auth=confidential, data={"token": answer["access_token"]})
    assert introspect(world, confidential, answer["access_token"]).json == {"active": False}
    world.clock.advance(days=90)
    assert introspect(world, confidential, answer["refresh_token"]).json == {"active": False}


def test_a_token_of_a_closed_account_is_inactive(
    world: World, confidential: tuple[str, str], answer: dict[str, Any], ada: Account
) -> None:
    with world.store.write() as session:
        accounts.set_active(session, ada.id, active=False, now=world.clock())

    assert introspect(world, confidential, answer["access_token"]).json == {"active": False}


def test_another_clients_token_is_inactive(world: World, answer: dict[str, Any]) -> None:
    stranger = world.client(name="Stranger", kind="secret")

    for token in (answer["access_token"], answer["refresh_token"]):
        assert introspect(world, stranger, token).json == {"active": False}


def test_a_resource_server_asks_about_any_token(world: World, answer: dict[str, Any]) -> None:
    client_id, secret = world.client(kind="secret", redirect_uris=[], scope="introspect")
    form = {"token": answer["access_token"], "client_id": client_id, "client_secret": secret}

    found = world.programs.post("/oauth/introspect", data=form).json or {}

    assert found["active"] is True
    assert found["client_id"] != client_id
    assert world.token({"grant_type": "client_credentials", "scope": "system/*.rs"} | form).status_code == 401


def test_who_asks_must_prove_who_they_are(world: World, confidential: tuple[str, str], ada: Account) -> None:
    app_id = world.client()[0]
    token = world.login(app_id, ada)["access_token"]

    public = world.programs.post("/oauth/introspect", data={"token": token, "client_id": app_id})
    nobody = world.programs.post("/oauth/introspect", data={"token": token})
    wrong = introspect(world, (confidential[0], "wrong"), token)

    for response in (public, nobody, wrong):
        assert (response.status_code, (response.json or {})["error"]) == (401, "invalid_client")


def test_a_backend_service_asks_about_its_token(world: World) -> None:
    service = world.backend()
    token = (world.system_token(world.assertion(service)).json or {})["access_token"]
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": world.assertion(service)}

    found = world.programs.post("/oauth/introspect", data={"token": token} | proof).json or {}

    assert (found["active"], found["sub"], found["scope"]) == (True, service, "system/*.cruds")
    assert "patient" not in found


def test_a_token_must_be_named(world: World, confidential: tuple[str, str]) -> None:
    response = world.programs.post("/oauth/introspect", auth=confidential, data={"x": "y"})

    assert (response.status_code, (response.json or {})["error"]) == (400, "invalid_request")
