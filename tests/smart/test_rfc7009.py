"""Token revocation (RFC 7009)."""

from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.smart.world import ASSERTION_TYPE, World


def revoke(world: World, token: str, **form: Any) -> TestResponse:
    return world.programs.post("/oauth/revoke", data={"token": token} | form)


@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}, {"token_type_hint": "refresh_token"}])
def test_an_access_token_is_dead_on_the_next_request(stored: World, hint: dict[str, str]) -> None:
    app_id, ada = stored.client()[0], stored.person()
    answer = stored.login(app_id, ada)

    response = revoke(stored, answer["access_token"], client_id=app_id, **hint)

    assert response.status_code == 200
    assert not stored.is_alive(answer["access_token"])
    assert stored.refresh(app_id, answer["refresh_token"]).status_code == 200


def test_a_refresh_token_takes_its_access_tokens_along(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    answer = stored.login(app_id, ada)

    assert revoke(stored, answer["refresh_token"], client_id=app_id, token_type_hint="access_token").status_code == 200

    assert not stored.is_alive(answer["access_token"])
    assert stored.refresh(app_id, answer["refresh_token"]).status_code == 400


def test_an_unknown_token_is_no_error(world: World) -> None:
    app_id = world.client()[0]

    assert revoke(world, "unknown", client_id=app_id).status_code == 200


def test_an_unknown_hint_is_ignored(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    token = world.login(app_id, ada)["access_token"]

    assert revoke(world, token, client_id=app_id, token_type_hint="saml").status_code == 200
    assert not world.is_alive(token)


def test_another_clients_token_stays(world: World) -> None:
    app_id, ada = world.client()[0], world.person()
    stranger = world.client(name="Stranger")[0]
    answer = world.login(app_id, ada)

    for token in (answer["access_token"], answer["refresh_token"]):
        assert (revoke(world, token, client_id=stranger).json or {})["error"] == "invalid_grant"
    assert world.is_alive(answer["access_token"])
    assert world.refresh(app_id, answer["refresh_token"]).status_code == 200


def test_a_confidential_client_must_authenticate(world: World) -> None:
    app_id, secret = world.client(kind="secret")
    code = world.code(app_id, world.person())
    token = (world.redeem(app_id, code, client_secret=secret).json or {})["access_token"]

    assert revoke(world, token, client_id=app_id).status_code == 401
    assert world.is_alive(token)
    assert revoke(world, token, client_id=app_id, client_secret=secret).status_code == 200
    assert not world.is_alive(token)


def test_a_backend_service_revokes_its_token(world: World) -> None:
    service = world.backend()
    token = (world.system_token(world.assertion(service)).json or {})["access_token"]
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": world.assertion(service)}

    assert revoke(world, token, **proof).status_code == 200
    assert not world.is_alive(token)


def test_a_token_must_be_named_and_a_client_too(world: World) -> None:
    app_id = world.client()[0]

    nothing = world.programs.post("/oauth/revoke", data={"client_id": app_id})
    nobody = revoke(world, "x")

    assert (nothing.status_code, (nothing.json or {})["error"]) == (400, "invalid_request")
    assert (nobody.status_code, (nobody.json or {})["error"]) == (401, "invalid_client")
