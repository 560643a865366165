"""Discovery: SMART configuration, OpenID configuration, `oauth-uris`, CORS; the lines not exercised by other files."""

from typing import Any

import pytest
from fhirclient.models.capabilitystatement import CapabilityStatementRestSecurity

from fhir_server.smart.discovery import authorization_server, configuration, oauth_uris, openid_configuration
from tests.smart.world import BASE, SCOPE, TOKEN, World

OPEN_PATHS = (
    "/fhir/.well-known/smart-configuration",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
    "/.well-known/jwks.json",
)
PROGRAM_PATHS = ("/oauth/token", "/oauth/revoke", "/oauth/introspect")


def fetched(world: World, path: str) -> dict[str, Any]:
    response = world.programs.get(path)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    return response.json or {}


def test_the_smart_configuration_has_what_smart_2_2_requires(world: World) -> None:
    found = fetched(world, "/fhir/.well-known/smart-configuration")

    assert found == configuration(BASE)
    assert found["issuer"] == BASE
    assert found["token_endpoint"] == TOKEN
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["token_endpoint_auth_signing_alg_values_supported"] == ["RS384", "ES384"]
    assert {"launch-standalone", "client-public", "sso-openid-connect", "permission-v2"} <= set(found["capabilities"])
    assert "registration_endpoint" not in found


def test_the_openid_configuration_has_what_openid_requires(world: World) -> None:
    found = fetched(world, "/.well-known/openid-configuration")

    assert found == openid_configuration(BASE)
    assert found["id_token_signing_alg_values_supported"] == ["RS256", "ES256"]
    assert found["subject_types_supported"] == ["public"]
    assert found["response_types_supported"] == ["code"]
    assert found["userinfo_endpoint"] == f"{BASE}/oauth/userinfo"


def test_the_authorization_server_metadata_is_that_of_rfc_8414(world: World) -> None:
    found = fetched(world, "/.well-known/oauth-authorization-server")

    assert found == authorization_server(BASE)
    assert found["issuer"] == BASE
    assert found["response_types_supported"] == ["code"]
    smart = configuration(BASE)
    assert {name: smart[name] for name in found if name in smart} == {
        name: value for name, value in found.items() if name in smart
    }


def test_every_advertised_endpoint_answers(world: World) -> None:
    found = fetched(world, "/.well-known/openid-configuration")

    assert world.programs.get(found["jwks_uri"]).status_code == 200
    assert world.programs.get(found["authorization_endpoint"]).status_code == 400
    for name in ("token_endpoint", "revocation_endpoint", "introspection_endpoint"):
        assert world.programs.post(found[name], data={}).status_code in {400, 401}


def test_every_advertised_scope_is_understood(world: World) -> None:
    advertised = " ".join(configuration(BASE)["scopes_supported"])
    app_id = world.client(scope=f"{advertised.replace('system/*.cruds', '')}")[0]
    service = world.backend()

    granted = world.login(app_id, world.person(), scope=advertised)["scope"].split()
    system = (world.system_token(world.assertion(service), advertised).json or {})["scope"].split()

    assert {*granted, *system} == set(advertised.split())


def test_the_capability_statement_says_the_same() -> None:
    security = oauth_uris(BASE)

    assert CapabilityStatementRestSecurity(security).as_json() == security
    (extension,) = security["extension"]
    found = {item["url"]: item["valueUri"] for item in extension["extension"]}
    said = configuration(BASE)
    assert found == {
        "authorize": said["authorization_endpoint"],
        "token": said["token_endpoint"],
        "revoke": said["revocation_endpoint"],
        "introspect": said["introspection_endpoint"],
        "manage": said["management_endpoint"],
    }


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_discovery_is_open_to_browser_apps(world: World, path: str) -> None:
    response = world.programs.get(path, headers={"Origin": "https://app.example"})

    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cache-Control"] == "public, max-age=300"


@pytest.mark.parametrize("path", [*OPEN_PATHS, *PROGRAM_PATHS])
def test_a_preflight_is_answered(world: World, path: str) -> None:
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }

    response = world.programs.options(path, headers=asked)

    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    assert ("POST" if path in PROGRAM_PATHS else "GET") in response.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in response.headers


def test_errors_of_the_token_endpoint_are_readable_by_browser_apps(world: World) -> None:
    response = world.token({"grant_type": "authorization_code"}, Origin="https://app.example")

    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_the_consent_page_is_closed_to_scripts_of_other_sites(world: World) -> None:
    app_id = world.client()[0]

    response = world.ask(world.browser(world.person()), world.request(app_id, scope=SCOPE))

    assert response.status_code == 200
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
