"""Dynamic client registration (RFC 7591, RFC 7592): hostile metadata is refused, and nobody gets a token unapproved."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from fhir_server.identity import app_decisions, app_metadata, app_names
from fhir_server.smart.discovery import SPECIAL_SCOPES
from fhir_server.store import app_registry, oauth_clients
from tests.smart.world import BASE, CALLBACK, World, definitions, ec_key, public_jwks

REGISTER = "/oauth/register"
APP: Mapping[str, Any] = {
    "client_name": "Growth Chart",
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "scope": "launch/patient openid fhirUser offline_access patient/Observation.rs patient/Condition.read",
    "contacts": ["maker@app.example"],
}
KEYS = json.loads(public_jwks(ec_key()))
SERVICE: Mapping[str, Any] = {
    "client_name": "Practice system",
    "token_endpoint_auth_method": "private_key_jwt",
    "grant_types": ["client_credentials"],
    "response_types": [],
    "jwks": KEYS,
    "scope": "system/Observation.rs",
}


WRONG_KEYS: tuple[dict[str, Any], ...] = (
    {},
    {"jwks": KEYS, "jwks_uri": "https://app.example/jwks"},
    {"jwks": {"keys": []}},
    {"jwks": "x"},
    {"jwks": {"keys": [ec_key().as_dict(private=True)]}},
    {"jwks_uri": "http://app.example/jwks"},
    {"jwks": {"keys": [{"kty": "RSA", "n": "AQAB" * 40, "e": "AQAB"}]}},
    {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}},
    {"jwks_uri": "https://localhost/jwks"},
    {"jwks_uri": "https://169.254.169.254/latest"},
    {"jwks_uri": "https://[::ffff:10.0.0.1]/"},
    {"jwks_uri": "https://metadata.google.internal/"},
    {"jwks_uri": "https://127.1/"},
    {"jwks_uri": "https://10.1.2.3/"},
    {"jwks_uri": "https://[::1]/"},
    {"jwks": KEYS, "token_endpoint_auth_signing_alg": "HS256"},
)


@pytest.fixture
def open_world(world: World) -> World:
    """Return a server at which anybody may register."""
    return opened(world)


def opened(world: World) -> World:
    world.app.extensions["smart"] = replace(world.app.extensions["smart"], registration=True)
    return world


def sent(world: World, body: Any, address: str = "192.0.2.1") -> TestResponse:
    return world.programs.post(REGISTER, json=body, environ_base={"REMOTE_ADDR": address})


def registered(world: World, **changes: Any) -> dict[str, Any]:
    answer = sent(world, {**APP, **changes})
    assert answer.status_code == 201, answer.text
    return dict(answer.json or {})


def managed(world: World, made: Mapping[str, Any], method: str, body: Any = None, token: str = "") -> TestResponse:
    headers = {"Authorization": f"Bearer {token or made['registration_access_token']}"}
    path = made["registration_client_uri"].removeprefix(BASE)
    return world.programs.open(path, method=method, json=body, headers=headers)


def approve(world: World, client_id: str, **values: Any) -> None:
    with world.store.write() as session:
        app_decisions.approve(session, client_id, by="administrator", now=world.clock(), **values)


def test_an_app_gets_its_first_token_when_an_administrator_approved_it(stored: World) -> None:
    world = opened(stored)
    answer = sent(world, APP)
    made = answer.json or {}
    client_id = made["client_id"]

    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    assert made["registration_status"] == "pending"
    assert (made["scope"], made["redirect_uris"]) == (APP["scope"], APP["redirect_uris"])
    assert made["token_endpoint_auth_method"] == "none"
    assert "client_secret" not in made

    page = world.ask(world.browser(world.person()), world.request(client_id))
    assert page.status_code == 400
    assert "waits for the approval" in page.text
    refused = world.redeem(client_id, "any-code")
    assert refused.status_code == 401
    assert "waits for the approval" in (refused.json or {})["error_description"]

    approve(world, client_id)

    assert world.login(client_id, world.person())["access_token"]
    assert (managed(world, made, "GET").json or {})["registration_status"] == "approved"


def test_a_backend_service_acts_for_whom_the_administrator_says(open_world: World) -> None:
    made = sent(open_world, SERVICE).json or {}

    refused = open_world.system_token(open_world.assertion(made["client_id"]), "system/Observation.rs")
    assert refused.status_code == 401
    assert "waits for the approval" in (refused.json or {})["error_description"]
    with open_world.store.write() as session, pytest.raises(Exception, match="organization"):
        app_decisions.approve(session, made["client_id"], by="a", now=open_world.clock())
    with open_world.store.read() as session:
        assert not (oauth_clients.client(session, made["client_id"]) or pytest.fail("gone")).active


def test_a_secret_and_the_registration_token_are_kept_as_hashes_only(open_world: World) -> None:
    made = registered(open_world, token_endpoint_auth_method="client_secret_basic")

    assert made["client_secret_expires_at"] == 0
    with open_world.store.engine.connect() as connection:
        kept = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    assert made["client_id"] in kept
    for secret in (made["client_secret"], made["registration_access_token"]):
        assert secret not in kept
        assert secret not in json.dumps(managed(open_world, made, "GET", token="wrong").json)


@pytest.mark.parametrize(
    "code, cases",
    [
        (
            "invalid_redirect_uri",
            [
                {"redirect_uris": value}
                for value in (
                    None, [], "https://app.example/cb", [1], ["http://app.example/cb"], ["https://app.example/#x"],
                    ["https://app.example/*"], ["javascript:alert(1)"], ["data:text/html,x"], ["https://a@app.example/"],
                    ["https://app.example\\@evil.example/"], ["https:///cb"], ["https://\u0430pp.example/cb"],
                    ["https://app.example/\r\nX: y"], ["https://app.example/ b"], [CALLBACK, CALLBACK], ["app:/cb"],
                    ["http://127.0.0.1.evil.example/"], ["https://app.example/" + "x" * 2_000], ["file:///etc/passwd"],
                    [f"https://app.example/{n}" for n in range(21)],
                )
            ] + [{"application_type": "web", "redirect_uris": ["com.example.app:/cb"]}],
        ),
        (
            "invalid_client_metadata",
            [
                {"client_name": value}
                for value in (
                    None, "", "  ", " Growth", "x" * 101, 1, "Growth\nChart", "Growth\u202eChart", "Growth\u200bChart",
                    "Gr\u043ewth Chart", "\uff27rowth", "NHS\u0301\u0301\u0301", "!!!",
                )
            ]
            + [{name: value} for name in ("client_uri", "logo_uri", "tos_uri", "policy_uri", "initiate_login_uri")
               for value in ("http://app.example/", "javascript:alert(1)", "data:image/svg+xml,x", 1, "https://u:p@a.b/")]
            + [{"grant_types": value} for value in (["implicit"], ["password"], ["refresh_token"], "authorization_code",
               ["client_credentials"], ["authorization_code", "client_credentials"])]
            + [{"response_types": value} for value in (["token"], ["code", "id_token"], [])]
            + [{"token_endpoint_auth_method": value} for value in ("client_secret_jwt", "tls_client_auth", 1)]
            + [{"scope": value} for value in ("system/*.rs", "patient/Nonsense.rs", "introspect", 1, "x " * 101)]
            + [{"contacts": value} for value in (["nobody"], "a@app.example", [f"a{n}@app.example" for n in range(6)])]
            + [{"id_token_signed_response_alg": "none"}, {"software_version": "1\x00"}, {"jwks": KEYS}]
            + [{"token_endpoint_auth_method": "private_key_jwt", **keys} for keys in WRONG_KEYS],
        ),
        ("unapproved_software_statement", [{"software_statement": "e30.e30."}]),
    ],
)  # fmt: skip
def test_hostile_metadata_is_refused_with_the_code_of_the_rfc(code: str, cases: list[dict[str, Any]]) -> None:
    for case in cases:
        body = {name: value for name, value in {**APP, **case}.items() if value is not None}
        with pytest.raises(app_metadata.MetadataError) as refused:
            app_metadata.read(body, definitions().resource_types)
        assert refused.value.code == code, (case, refused.value.diagnostics)
        assert refused.value.issues[0].expression[0].partition("[")[0] in refused.value.diagnostics


def test_what_is_not_understood_is_left_out_and_scope_is_narrowed(open_world: World) -> None:
    made = registered(
        open_world,
        grant_types=["authorization_code"],
        scope="openid launch/patient offline_access patient/*.rs patient/Nonsense.rs system/*.rs introspect",
        redirect_uris=[CALLBACK, "http://127.0.0.1:3000/cb", "com.example.app:/cb"],
        tls_client_certificate_bound_access_tokens=True,
        **{"client_name#de": "Wachstum", "trusted": True, "organization": "Organization/rxh"},
    )

    assert made["scope"] == "openid launch/patient patient/*.rs"
    assert "trusted" not in made
    with open_world.store.read() as session:
        client = oauth_clients.client(session, made["client_id"])
    assert client is not None
    assert (client.trusted, client.organization, client.active) == (False, "", False)


def test_the_answer_to_what_is_no_registration_is_a_refusal(open_world: World) -> None:
    for body, kind in (
        (b"[]", "json"),
        (b"{", "json"),
        (b"\xff", "json"),
        (b'{"a":1,"a":2}', "json"),
        (b"a=b", "form"),
    ):
        mimetype = "application/json" if kind == "json" else "application/x-www-form-urlencoded"
        address = {"REMOTE_ADDR": f"198.51.100.{len(body)}"}
        answer = open_world.programs.post(REGISTER, data=body, content_type=mimetype, environ_base=address)
        assert (answer.status_code, (answer.json or {})["error"]) == (400, "invalid_client_metadata"), body
    large = sent(open_world, {**APP, "padding": "x" * 70_000}, "198.51.100.99")
    assert large.status_code == 400


def test_registrations_are_limited_by_network_address(open_world: World) -> None:
    answers = [sent(open_world, APP, "203.0.113.9").status_code for _ in range(11)]

    assert answers == [201] * 10 + [429]
    assert sent(open_world, APP, "203.0.113.10").status_code == 201


def test_only_the_holder_of_the_registration_token_manages_it(open_world: World) -> None:
    made, other = registered(open_world), registered(open_world)

    for token in ("", "x", other["registration_access_token"], made["client_id"]):
        for method in ("GET", "PUT", "DELETE"):
            headers = {"Authorization": f"Bearer {token}"}
            path = f"{REGISTER}/{made['client_id']}"
            answer = open_world.programs.open(path, method=method, json={}, headers=headers)
            assert answer.status_code == 401, (token, method)
    unknown = open_world.programs.get(f"{REGISTER}/nobody", headers={"Authorization": "Bearer x"})
    wrong = open_world.programs.get(f"{REGISTER}/{made['client_id']}", headers={"Authorization": "Bearer x"})
    assert (unknown.status_code, unknown.json) == (wrong.status_code, wrong.json)


def test_a_change_that_widens_waits_again_and_one_that_narrows_does_not(open_world: World) -> None:
    made = registered(open_world, redirect_uris=[CALLBACK, "https://app.example/two"])
    client_id = made["client_id"]
    approve(open_world, client_id)
    token = open_world.login(client_id, open_world.person())["access_token"]
    body = {**APP, "client_id": client_id}

    narrower = managed(open_world, made, "PUT", {**body, "scope": "launch/patient openid patient/Observation.rs"})
    assert (narrower.status_code, (narrower.json or {})["registration_status"]) == (200, "approved")
    assert open_world.principal(token).client_id == client_id

    wider: list[dict[str, Any]] = [
        {"redirect_uris": [CALLBACK, "https://app.example/three"]},
        {"scope": "launch/patient patient/*.cruds"},
        {"client_name": "NHS Login"},
        {"logo_uri": "https://app.example/logo.png"},
        {"initiate_login_uri": "https://app.example/launch"},
        {"token_endpoint_auth_method": "client_secret_basic"},
    ]
    for change in wider:
        answer = managed(open_world, made, "PUT", {**body, **change})
        assert (answer.json or {})["registration_status"] == "pending", change
        with pytest.raises(Exception, match="token"):
            open_world.principal(token)
        with open_world.store.read() as session:
            app = app_registry.found(session, client_id)
        assert app is not None
        assert set(change) <= set(app.about["changed"])
        managed(open_world, made, "PUT", body)
        approve(open_world, client_id)

    for wrong in ({"client_id": "another"}, {"registration_access_token": "x"}, {"client_secret": "x"}):
        assert managed(open_world, made, "PUT", {**body, **wrong}).status_code == 400, wrong


def test_a_removed_registration_and_its_tokens_are_dead_at_once(open_world: World) -> None:
    made = registered(open_world)
    approve(open_world, made["client_id"])
    answer = open_world.login(made["client_id"], open_world.person())

    assert managed(open_world, made, "DELETE").status_code == 204

    with pytest.raises(Exception, match="token"):
        open_world.principal(answer["access_token"])
    assert open_world.refresh(made["client_id"], answer["refresh_token"]).status_code == 401
    assert managed(open_world, made, "GET").status_code == 401


def test_each_registration_and_each_refused_one_is_in_the_audit_log(open_world: World) -> None:
    made = registered(open_world)
    sent(open_world, {**APP, "redirect_uris": []})

    with open_world.store.engine.connect() as connection:
        kept = "\n".join(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]
    assert kept.count("register-app") >= 2
    assert made["client_id"] in kept


def test_registration_is_advertised_where_it_is_open_and_nowhere_else(world: World) -> None:
    documents = (
        "/fhir/.well-known/smart-configuration",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
    )
    assert sent(world, APP).status_code == 404
    assert all("registration_endpoint" not in (world.programs.get(path).json or {}) for path in documents)
    opened(world)
    for path in documents:
        endpoint = (world.programs.get(path).json or {})["registration_endpoint"]
        assert world.programs.post(endpoint, json=APP).status_code == 201
        preflight = world.programs.options(endpoint, headers={"Origin": "https://app.example"})
        assert preflight.headers["Access-Control-Allow-Origin"] == "*"


def test_names_that_look_alike_have_one_skeleton() -> None:
    pairs = (
        ("Growth Chart", "GROWTH-CHART"),
        ("Ace", "\u0410\u0441\u0435"),
        ("NHS App", "NHS  \u0410\u0440\u0440"),
        ("Pill 10", "Pi11 IO"),
    )
    for one, other in pairs:
        assert app_names.skeleton(one) == app_names.skeleton(other), (one, other)
    assert app_names.skeleton("Growth Chart") != app_names.skeleton("Growth Charts")
    for name in ("Müller & Söhne", "東京カルテ App", "Здоровье", "Ωmega"[1:], "3D Heart"):
        assert app_names.problem_of_name(name) == "", name


def test_the_special_scopes_are_those_that_discovery_tells() -> None:
    assert frozenset(SPECIAL_SCOPES) == app_metadata.SPECIAL_SCOPES
