"""SMART Backend Services over real HTTP, by a client that shares no code with the server."""

import json
import time

import pytest

from tests.server import Server
from tests.smart.backend_client import BackendService
from tests.smart.test_fhirclient import patient_and_results
from tests.smart.world import World


@pytest.mark.parametrize("algorithm", ["ES384", "RS384"])
def test_a_service_finds_the_server_gets_a_token_reads_and_is_refused_what_is_wrong(
    listening: Server, algorithm: str
) -> None:
    patient_and_results(listening)
    world = World(listening.app, listening.store, listening.clock)
    service = BackendService(f"{listening.app.extensions['fhir'].base_url}/fhir", algorithm)
    organization = {"resourceType": "Organization", "id": "trust", "name": "The Trust", "active": True}
    listening.put(organization, listening.operator())
    scope = "system/Observation.rs system/Organization.rs"
    service.client_id = world.backend(jwks=json.dumps(service.jwks()), scope=scope)
    found = service.configuration()
    assert algorithm in found["token_endpoint_auth_signing_alg_values_supported"]
    assert "client_credentials" in found["grant_types_supported"]

    answer = service.ask("system/Organization.rs system/Patient.rs system/Observation.cruds")
    assert answer.status_code == 200, answer.text
    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 300)
    assert token["scope"] == "system/Organization.rs system/Observation.rs", "narrowed, and told"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "refresh_token" not in token
    assert service.read("Organization/trust", token["access_token"]).json()["name"] == "The Trust"
    assert service.read("Patient/1", token["access_token"]).status_code == 403

    used = service.assertion()
    assert service.ask(scope, used).status_code == 200
    signed = service.assertion()
    stranger = BackendService(service.fhir_base, algorithm, service.client_id)
    now = int(time.time())
    for name, wrong in {
        "used before": used,
        "of another key": stranger.assertion(),
        "changed": f"{signed[:-6]}AAAAAA",
        "unsigned": f"{'.'.join(signed.split('.')[:2])}.",
        "unknown kid": service.assertion(header={"kid": "other"}),
        "key of its own": service.assertion(header={"kid": "x", "jwk": stranger.jwks()["keys"][0]}),
        "another audience": service.assertion(aud=f"{service.fhir_base}"),
        "another issuer": service.assertion(iss="somebody"),
        "unknown client": service.assertion(iss="somebody", sub="somebody"),
        "expired": service.assertion(exp=now - 60),
        "too long": service.assertion(exp=now + 3_600),
        "no jti": service.assertion(jti=""),
    }.items():
        refused = service.ask(scope, wrong)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), name
        assert wrong not in refused.text, name
    for wrong_scope in ("system/Practitioner.rs", "patient/Observation.rs", "openid", "everything"):
        refused = service.ask(wrong_scope)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope"), wrong_scope
    listening.clock.advance(seconds=301)
    assert service.read("Organization/trust", token["access_token"]).status_code == 401
    service.http.close()
    stranger.http.close()
