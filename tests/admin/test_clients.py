"""`/api/v1/clients` and `/accounts`: who may, what is refused, what is recorded."""

import json
from typing import Any

import pytest

from tests.admin.conftest import Desk
from tests.smart.world import ec_key, public_jwks, rsa_key

APP = {"name": "Growth Chart", "kind": "secret", "redirect_uris": ["https://app.example/callback"]}
KEYS = json.loads(public_jwks(ec_key(), rsa_key()))
FEED = {"name": "EPR", "kind": "jwks", "jwks": KEYS, "organization": "Organization/trust", "scope": "system/*.cruds"}
CLIENTS = "/api/v1/clients"


def test_a_client_is_registered_read_listed_and_deactivated(desk: Desk) -> None:
    token = desk.operator()

    made = desk.call("POST", CLIENTS, token, APP)
    assert made.status_code == 201, made.text
    client_id = made.json["client_id"]
    assert len(made.json["client_secret"]) >= 43
    assert made.headers["Location"] == f"{CLIENTS}/{client_id}"
    assert made.headers["Cache-Control"] == "no-store"

    read = desk.call("GET", f"{CLIENTS}/{client_id}", token)
    assert (read.status_code, read.json["name"], read.json["active"]) == (200, "Growth Chart", True)
    assert "secret" not in read.text.replace('"kind":"secret"', "").replace('"kind": "secret"', "")
    assert [item["client_id"] for item in desk.call("GET", CLIENTS, token).json["clients"]] == [client_id]

    assert desk.call("DELETE", f"{CLIENTS}/{client_id}", token).status_code == 204
    assert desk.call("GET", f"{CLIENTS}/{client_id}", token).json["active"] is False


def test_tokens_of_a_deactivated_client_are_dead_at_once(desk: Desk) -> None:
    token = desk.operator()
    client_id = desk.call("POST", CLIENTS, token, FEED).json["client_id"]
    feed = desk.server.token("Organization/trust", client_id=client_id)
    assert desk.server.call("GET", "Patient", feed).status_code == 200

    desk.call("DELETE", f"{CLIENTS}/{client_id}", token)

    assert desk.server.call("GET", "Patient", feed).status_code == 401


def test_every_use_is_in_the_audit_log_with_who_and_what(desk: Desk) -> None:
    token = desk.operator()
    client_id = desk.call("POST", CLIENTS, token, FEED).json["client_id"]
    desk.call("DELETE", f"{CLIENTS}/{client_id}", token)
    desk.call("GET", "/api/v1/accounts", token)

    for action in ("register-client", "deactivate-client"):
        (event,) = desk.events(action)
        assert event["outcome"] == "0"
        assert f"client {client_id}" in [entity.get("name") for entity in event["entity"]]
        assert any(agent["requestor"] for agent in event["agent"])
    assert len(desk.events("list-accounts")) == 1


def test_a_refused_use_is_in_the_audit_log_too(desk: Desk) -> None:
    desk.call("POST", CLIENTS, desk.administrator("user/*.rs"), APP)
    desk.call("DELETE", f"{CLIENTS}/unknown", desk.operator())

    assert [event["outcome"] for event in desk.events("register-client")] == ["4"]
    assert [event["outcomeDesc"] for event in desk.events("deactivate-client")] == ["404"]


def test_a_change_whose_event_cannot_be_written_does_not_happen(one: Desk) -> None:
    token = one.operator()
    with one.server.store.write() as session:
        session.connection.exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON audit_event BEGIN "
                                           "SELECT RAISE(ABORT, 'disk is full'); END")  # fmt: skip
    assert one.call("POST", CLIENTS, token, FEED).status_code in {409, 503}
    with one.server.store.write() as session:
        session.connection.exec_driver_sql("DROP TRIGGER full")
    assert one.call("GET", CLIENTS, token).json["clients"] == []


@pytest.mark.parametrize("role", ["patient", "professional", "coordinator", "service-desk", "privacy-officer"])
def test_nobody_else_gets_in(one: Desk, role: str) -> None:
    for method, path in (("GET", CLIENTS), ("POST", CLIENTS), ("GET", "/api/v1/accounts"), ("GET", "/api/v1/status")):
        refused = one.call(method, path, one.administrator(role=role))
        assert (refused.status_code, refused.content_type) == (403, "application/json"), refused.text


def test_without_a_token_nothing_is_read_nor_parsed(one: Desk) -> None:
    refused = one.call("POST", CLIENTS, body={"wrong": 1})
    assert refused.status_code == 401
    assert refused.json["code"] == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert one.call("GET", CLIENTS, "made-up").status_code == 401


@pytest.mark.parametrize("scope", ["openid", "system/*.rs", "system/Patient.cruds", "system/*.cruds?_id=1"])
def test_a_trusted_token_of_narrower_scope_cannot_administer(one: Desk, scope: str) -> None:
    assert one.call("GET", CLIENTS, one.operator(scope)).status_code == 403


def test_a_feed_without_trust_cannot_administer(one: Desk) -> None:
    assert one.call("GET", CLIENTS, one.server.token("Organization/1", "system/*.cruds")).status_code == 403


def test_an_administrator_manages_clients_but_makes_none_that_reads_everything(one: Desk) -> None:
    token = one.administrator()
    assert one.call("POST", CLIENTS, token, FEED).status_code == 201

    refused = one.call("POST", CLIENTS, token, FEED | {"trusted": True, "organization": ""})
    assert (refused.status_code, refused.json["message"].partition(":")[0]) == (403, "trusted")
    allowed = one.call("POST", CLIENTS, one.operator(), FEED | {"trusted": True, "organization": ""})
    assert allowed.status_code == 201, allowed.text


def _keys(**changes: Any) -> dict[str, Any]:
    return {"keys": [{name: value for name, value in (KEYS["keys"][0] | changes).items() if value is not None}]}


@pytest.mark.parametrize(
    "changes, status, named",
    [
        ({"name": ""}, 422, "name"),
        ({"name": 5}, 422, "name"),
        ({"kind": "confidential"}, 422, "kind"),
        ({"colour": "red"}, 422, "colour"),
        ({"redirect_uris": ["https://a.example/", 7]}, 422, "redirect_uris[1]"),
        ({"redirect_uris": ["http://a.example/"], "kind": "public"}, 400, "jwks"),
        ({"redirect_uris": ["https://a.example/\0"]}, 400, "The body has a NUL"),
        ({"scope": "x" * 3_000}, 422, "scope"),
        ({"jwks": [1]}, 422, "jwks"),
        ({"jwks": {}}, 422, "jwks.keys is missing"),
        ({"jwks": {"keys": []}}, 422, "jwks.keys needs at least one entry"),
        ({"jwks": {"keys": [KEYS["keys"][0]] * 21}}, 422, "jwks.keys has more than 20"),
        ({"jwks": {"keys": ["key"]}}, 422, "jwks.keys[0] must be of type object"),
        ({"jwks": _keys(kty=None)}, 422, "jwks.keys[0].kty is missing"),
        ({"jwks": _keys(kty="oct")}, 422, "jwks.keys[0].kty must be one of RSA, EC"),
        ({"jwks": _keys(x=None)}, 422, "jwks.keys[0].x is missing"),
        ({"jwks": _keys(x="a/b=")}, 422, "jwks.keys[0].x must be base64url"),
        ({"jwks": _keys(x="AAAA")}, 400, "jwks"),
    ],
)
def test_a_wrong_registration_is_refused_by_element(
    one: Desk, changes: dict[str, Any], status: int, named: str
) -> None:
    refused = one.call("POST", CLIENTS, one.operator(), FEED | changes)

    assert refused.status_code == status, refused.text
    assert refused.json["message"].startswith(named)


def test_a_private_key_is_refused_and_not_repeated(one: Desk) -> None:
    private = ec_key().as_dict(private=True)

    refused = one.call("POST", CLIENTS, one.operator(), FEED | {"jwks": {"keys": [private]}})

    assert (refused.status_code, refused.json["message"][:14]) == (422, "jwks.keys[0].d")
    assert str(private["d"]) not in refused.text


@pytest.mark.parametrize(
    "content, media_type, status",
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"name":"a","name":"b"}', "application/json", 400),
        (b'{"jwks":' * 5_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b'{"name":"' + b"a" * 300_000 + b'"}', "application/json", 413),
        (b"name=a", "application/x-www-form-urlencoded", 415),
        (b"", "application/json", 400),
    ],
)
def test_a_body_that_is_no_registration_is_refused(one: Desk, content: bytes, media_type: str, status: int) -> None:
    refused = one.call("POST", CLIENTS, one.operator(), data=content, content_type=media_type)
    assert refused.status_code == status, refused.text
    assert refused.json["code"] == status


def test_accounts_are_listed_a_page_at_a_time_without_secrets(desk: Desk) -> None:
    made = {desk.account("patient", f"Patient/{number}").id for number in range(5)}
    token = desk.administrator()

    first = desk.call("GET", "/api/v1/accounts?role=patient&count=3", token).json
    second = desk.call("GET", f"/api/v1/accounts?role=patient&count=3&after={first['next']}", token)

    assert {item["id"] for item in first["accounts"] + second.json["accounts"]} == made
    assert "next" not in second.json
    text = json.dumps(first)
    assert not [secret for secret in ("hash", "First school", "07700") if secret in text]
    assert len(desk.call("GET", "/api/v1/accounts", token).json["accounts"]) == 6


@pytest.mark.parametrize(
    "query, named", [("count=0", "count"), ("count=x", "count"), ("role=king", "role"), ("x=1", "x")]
)
def test_a_wrong_query_is_refused_by_parameter(one: Desk, query: str, named: str) -> None:
    refused = one.call("GET", f"/api/v1/accounts?{query}", one.operator())
    assert (refused.status_code, refused.json["message"].partition(":")[0]) == (422, named)


def test_status_tells_revision_queue_and_checkpoint(desk: Desk) -> None:
    found = desk.call("GET", "/api/v1/status", desk.operator()).json
    assert found["schema_revision"] == found["schema_revision_wanted"]
    assert found["schema_revision"]
    assert (found["messages_waiting_count"], found["checkpoint"]) == (0, None)


def test_unknown_address_and_method_are_refused_as_json(one: Desk) -> None:
    for method, path, status in (("GET", "/api/v1/nothing", 404), ("PUT", CLIENTS, 405), ("GET", f"{CLIENTS}/no", 404)):
        refused = one.call(method, path, one.operator())
        assert (refused.status_code, refused.json["code"]) == (status, status)


def test_errors_of_other_doors_keep_their_own_face(one: Desk) -> None:
    assert one.call("GET", "/fhir/Nothing/1", one.operator()).json["resourceType"] == "OperationOutcome"
    assert one.call("POST", "/oauth/token", data={}).json["error"]
    assert one.call("GET", "/nothing-here").content_type.startswith("text/html")
