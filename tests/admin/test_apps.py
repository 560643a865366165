"""`/api/v1/apps` and `/my-apps`: the pages' functions with the pages' rights."""

import uuid
from typing import Any

from fhir_server.access import tokens
from fhir_server.access.tokens import TokenGrant
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from tests.admin.conftest import Desk

APP = {
    "client_name": "Growth Chart",
    "redirect_uris": ["https://app.example/callback"],
    "token_endpoint_auth_method": "client_secret_basic",
    "scope": "launch/patient patient/Observation.rs",
}


def _developer(desk: Desk, name: str) -> str:
    server = desk.server
    account = Account(
        id=str(uuid.uuid4()), email=f"{name}-{uuid.uuid4()}@example.org", name=name, role="developer", reference="",
        organization="", may_break_glass=False, active=True, created_at=server.clock(),
    )  # fmt: skip
    with server.store.write() as session:
        accounts.add(session, account, accounts.Secrets("", ""))
        grant = TokenGrant(f"account:{account.id}", "test", "user/*.cruds", server.clock(), 3600, account_id=account.id)
        return tokens.issue(session, grant, server.clock())


def test_a_developer_registers_and_an_administrator_decides(desk: Desk) -> None:
    mine, other, admin = _developer(desk, "mina"), _developer(desk, "otto"), desk.operator()
    made = desk.call("POST", "/api/v1/my-apps", mine, APP)
    assert made.status_code == 201, made.text
    body: dict[str, Any] = made.json
    path, app = made.headers["Location"], f"/api/v1/apps/{body['client_id']}"
    assert body["state"] == "pending"
    assert body["client_secret"].startswith("fhsec_")

    for method, at, token in (("GET", path, other), ("DELETE", path, other), ("PUT", path, other)):
        answer = desk.call(method, at, token, APP if method == "PUT" else None)
        assert answer.status_code == 404, (method, at)
    for at, token in (("/api/v1/apps", mine), (app, mine), ("/api/v1/my-apps", admin)):
        assert desk.call("GET", at, token).status_code == 403, at

    read = desk.call("GET", app, admin).json
    assert (read["name"], read["about"]["grant_types"]) == ("Growth Chart", ["authorization_code"])
    assert "secret_hash" not in read
    waiting = [one["client_id"] for one in desk.call("GET", "/api/v1/apps", admin).json["apps"]]
    assert body["client_id"] in waiting

    decisions = f"{app}/decisions"
    assert desk.call("POST", decisions, admin, {"step": "refuse"}).status_code == 400
    assert desk.call("POST", decisions, admin, {"step": "allow"}).status_code == 422
    assert desk.call("POST", decisions, admin, {"step": "resume"}).status_code == 409
    assert desk.call("POST", decisions, admin, {"step": "approve", "requests_per_minute": 60}).status_code == 204
    token = desk.server.token("Patient/1", client_id=body["client_id"])
    assert desk.server.call("GET", "Organization", token).status_code == 200
    assert desk.call("POST", decisions, admin, {"step": "suspend", "reason": "Leaks"}).status_code == 204
    assert desk.server.call("GET", "Organization", token).status_code == 401
    seen = desk.call("GET", path, mine).json
    assert (seen["state"], seen["reason"], seen["requests_per_minute"]) == ("suspended", "Leaks", 60)
    assert "decided_by" not in seen
    assert desk.call("PUT", path, mine, APP).status_code == 403
    assert len(desk.events("decide-app")) >= 2
    assert desk.call("DELETE", path, mine).status_code == 204
    assert desk.call("GET", path, mine).status_code == 404


def test_metadata_is_refused_as_at_the_registration_endpoint(one: Desk) -> None:
    mine = _developer(one, "mina")
    for change in ({"redirect_uris": ["http://app.example/"]}, {"client_name": "NHS\u202e"}, {"scope": "system/*.rs"}):
        answer = one.call("POST", "/api/v1/my-apps", mine, {**APP, **change})
        assert answer.status_code == 400, change
        assert next(iter(change)) in answer.json["message"], change
    assert one.call("POST", "/api/v1/my-apps", mine, {**APP, "trusted": True}).status_code == 422
