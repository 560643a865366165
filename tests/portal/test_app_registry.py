"""The registry of apps in the portal: a developer registers, an administrator decides, people's tokens follow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from fhir_server.identity import app_registry
from fhir_server.store import accounts
from fhir_server.store import app_registry as rows
from tests.portal.conftest import ADMIN, DEVELOPER, Person
from tests.server import Server

FORM: Mapping[str, str] = {
    "client_name": "Growth Chart",
    "description": "Draws growth charts",
    "use": "app",
    "method": "client_secret_basic",
    "redirect_uris": "https://app.example/callback\nhttps://app.example/two",
    "scope": "launch/patient openid fhirUser offline_access patient/Observation.rs",
    "client_uri": "https://app.example/",
}
_ID = re.compile(r"<code>([0-9a-f-]{36})</code>")
_SECRET = re.compile(r"<code>(fhsec_[A-Za-z0-9_-]+)</code>")


def registered(developer: Person, **changes: str) -> str:
    answer = developer.send("/developer/apps/register", {**FORM, **changes})
    assert answer.status_code == 200, answer.text
    found = _ID.search(answer.text)
    assert found, answer.text
    return found[1]


def decided(admin: Person, client_id: str, step: str, **form: str) -> int:
    return admin.send(f"/administration/apps/{client_id}", {"step": step, **form}).status_code


def mail(server: Server) -> list[str]:
    with server.store.engine.connect() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT kind FROM message ORDER BY queued_at")]


def state(server: Server, client_id: str) -> tuple[str, bool]:
    with server.store.read() as session:
        found = app_registry.found(session, client_id)
    return str(found.state), found.client.active


def test_an_app_goes_from_registration_to_approval_suspension_and_back(server: Server) -> None:
    developer, admin = Person(server, DEVELOPER), Person(server, ADMIN)
    answer = developer.send("/developer/apps/register", FORM)
    client_id, secret = _ID.search(answer.text)[1], _SECRET.search(answer.text)[1]  # type: ignore[index]
    assert state(server, client_id) == ("pending", False)
    assert "Waits for approval" in developer.get("/developer")
    assert secret not in developer.get(f"/developer/apps/{client_id}")

    assert client_id in admin.get("/administration/apps")
    page = admin.get(f"/administration/apps/{client_id}")
    for fact in ("Mina Kovac", DEVELOPER, "app.example", "https://app.example/two", "patient/Observation.rs", "secret"):
        assert fact in page, fact
    assert decided(admin, client_id, "refuse") == 400
    assert decided(admin, client_id, "approve", requests_per_minute="600", organization="Organization/x") == 400
    assert decided(admin, client_id, "approve", requests_per_minute="600") == 303
    assert decided(admin, client_id, "approve") == 400
    assert state(server, client_id) == ("approved", True)

    token = server.token("Patient/amelia-hart", client_id=client_id)
    assert server.call("GET", "Patient/amelia-hart", token).status_code == 200
    assert decided(admin, client_id, "suspend") == 400
    assert decided(admin, client_id, "suspend", reason="It leaks") == 303
    assert server.call("GET", "Patient/amelia-hart", token).status_code == 401
    assert "It leaks" in developer.get(f"/developer/apps/{client_id}")
    assert decided(admin, client_id, "resume") == 303
    assert state(server, client_id) == ("approved", True)
    assert server.call("GET", "Patient/amelia-hart", token).status_code == 401, "old tokens stay dead"

    sent = mail(server)
    assert [kind for kind in sent if kind.startswith("app-")] == ["app-approved", "app-suspended", "app-resumed"]
    for action in ("register-app", "approve-app", "suspend-app", "resume-app"):
        found = server.get(f"AuditEvent?subtype={action}", server.operator())["entry"]
        assert client_id in str(found), action


def test_a_change_that_widens_waits_again_and_says_what_changed(server: Server) -> None:
    developer, admin = Person(server, DEVELOPER), Person(server, ADMIN)
    client_id = registered(developer)
    assert decided(admin, client_id, "approve") == 303
    path = f"/developer/apps/{client_id}/change"
    assert "https://app.example/two" in developer.get(path)

    narrower = {**FORM, "redirect_uris": "https://app.example/callback"}
    assert developer.send(path, narrower).status_code == 303
    assert state(server, client_id)[0] == "approved"
    assert developer.send(path, {**narrower, "scope": "launch/patient patient/*.cruds"}).status_code == 303
    assert state(server, client_id) == ("pending", False)
    assert "What it asks for" in admin.get(f"/administration/apps/{client_id}").partition("Changed since")[2][:100]


def test_a_wrong_form_is_told_beside_its_field_and_registers_nothing(server: Server) -> None:
    developer = Person(server, DEVELOPER)
    cases = {
        "redirect_uris": "http://app.example/callback",
        "client_name": "NHS \u202eapp",
        "scope": "system/*.rs",
        "client_uri": "javascript:alert(1)",
        "jwks": "{",
        "policy_uri": "http://app.example/",
    }
    for name, value in cases.items():
        answer = developer.send("/developer/apps/register", {**FORM, name: value})
        assert answer.status_code == 400, name
        assert f'href="#{name}"' in answer.text, name
    with server.store.read() as session:
        assert rows.count_pending(session) == 0


def test_keys_are_tested_as_the_token_endpoint_reads_them(server: Server) -> None:
    developer = Person(server, DEVELOPER)
    key = '{"keys":[{"kty":"EC","crv":"P-384","kid":"k1","x":"%s","y":"%s"}]}'
    good = key % (
        "qgYS6dYJOKsQ-qMeK7Ajd8vVtHAmXBhEaQuTfLYMSZSzyCzCpAEUqJxjAYW8AoL6",
        "YgSzOOZt4cRE1f8FtQMLQGkTPNOlfZXBgPsKxqxAmJ4fQ0eHRBLuAtLqNSvqFEMi",
    )
    client_id = registered(developer, method="private_key_jwt", jwks=good)
    answer = developer.send(f"/developer/apps/{client_id}/keys", {})
    assert answer.status_code == 400, "a point that is not on the curve"
    assert "cannot be used" in answer.text

    dead = registered(developer, method="private_key_jwt", jwks_uri="https://keys.invalid/jwks.json")
    assert developer.send(f"/developer/apps/{dead}/keys", {}).status_code == 400


def test_a_new_secret_replaces_the_old_one_and_a_removed_app_is_gone(server: Server) -> None:
    developer = Person(server, DEVELOPER)
    client_id = registered(developer)
    first = developer.send(f"/developer/apps/{client_id}/secret", {})
    assert _SECRET.search(first.text)
    assert developer.send(f"/developer/apps/{client_id}/remove", {}).status_code == 303
    assert developer.open(f"/developer/apps/{client_id}").status_code == 404
    assert "You have registered no app" in developer.get("/developer")


def test_another_developers_app_is_as_if_it_were_not_there(server: Server) -> None:
    developer = Person(server, DEVELOPER)
    client_id = registered(developer)
    with server.store.write() as session:
        other: Any = accounts.with_role(session, "admin")[0]
        assert app_registry.of_owner(session, other) == ()
        with pytest.raises(Exception, match="no such app"):
            app_registry.own(session, other, client_id)
    unknown = developer.open("/developer/apps/00000000-0000-0000-0000-000000000000")
    operators = developer.open("/developer/apps/command-line")
    assert (unknown.status_code, operators.status_code) == (404, 404)
