"""Token revocation (RFC 7009)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.databases import Databases
from tests.full_log import full_log
from tests.server import Server, build, create_schema
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


@pytest.fixture
def server(databases: Databases, signing_keys: Path) -> Iterator[Server]:
    """Return the whole server with one person's record, where the log can be searched."""
    made = build(databases.prepared("schema", create_schema), signing_keys.parent)
    made.put({"resourceType": "Patient", "id": "1", "name": [{"family": "Byron"}]}, made.operator())
    yield made
    made.close()


@pytest.fixture
def logged(server: Server) -> World:
    return World(server.app, server.store, server.clock)


def ended(server: Server) -> list[tuple[str, str]]:
    """Return (client, what happened) of the tokens that ended, oldest first, as the person's access log has them."""
    found = server.get("/AuditEvent?subtype=110123&_sort=date", server.operator()).get("entry", ())
    shown = [entry["resource"] for entry in found]
    return [(json.dumps(event["agent"]), event["outcomeDesc"]) for event in shown if "outcomeDesc" in event]


def test_what_is_given_back_is_on_the_log_of_its_person(logged: World, server: Server) -> None:
    app_id, ada = logged.client()[0], logged.person()
    answer = logged.login(app_id, ada)
    for kind in ("access_token", "refresh_token"):
        revoke(logged, answer[kind], client_id=app_id)
        revoke(logged, answer[kind], client_id=app_id)
    revoke(logged, "unknown", client_id=app_id)

    found = ended(server)

    assert [said for _, said in found] == ["The app gave an access token back", "The app gave its refresh token back"]
    assert all(app_id in agents and ada.reference in agents for agents, _ in found)
    own = server.get("/AuditEvent?patient=Patient/1&subtype=110123", server.token("Patient/1"))["entry"]
    assert len(own) == 2


def test_a_systems_token_is_on_the_log_as_its_own(logged: World, server: Server) -> None:
    service = logged.backend()
    token = (logged.system_token(logged.assertion(service)).json or {})["access_token"]
    revoke(logged, token, client_assertion_type=ASSERTION_TYPE, client_assertion=logged.assertion(service))
    [(agents, _)] = ended(server)
    assert service in agents


def test_what_ends_since_it_was_used_twice_is_on_the_log_once(logged: World, server: Server) -> None:
    app_id, ada = logged.client()[0], logged.person()
    code = logged.code(app_id, ada)
    assert logged.redeem(app_id, code).status_code == 200
    again = logged.login(app_id, ada)
    assert logged.refresh(app_id, again["refresh_token"]).status_code == 200
    for _ in range(2):
        assert logged.redeem(app_id, code).status_code == 400
        assert logged.refresh(app_id, again["refresh_token"]).status_code == 400
    assert [said for _, said in ended(server)] == [
        "Access ended, since a code was used a second time",
        "Access ended, since a refresh token was used a second time",
    ]


def test_nothing_is_revoked_off_the_log(stored: World) -> None:
    app_id, ada = stored.client()[0], stored.person()
    answer = stored.login(app_id, ada)
    with full_log(stored.store):
        assert revoke(stored, answer["refresh_token"], client_id=app_id).status_code >= 409
    assert stored.is_alive(answer["access_token"])
    assert stored.refresh(app_id, answer["refresh_token"]).status_code == 200
