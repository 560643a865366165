"""Registration of clients: what is refused there can never be asked for later."""

import json
from typing import Any

import pytest

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import oauth_clients
from tests.smart.world import CALLBACK, World, ec_key, public_jwks

BACKEND = {"kind": "jwks", "redirect_uris": [], "scope": "system/*.rs", "organization": "Organization/1"}


def test_a_secret_is_shown_once_and_kept_as_a_hash(stored: World) -> None:
    client_id, secret = stored.client(kind="secret", launch_uri="https://app.example/launch")

    with stored.store.read() as session:
        kept = oauth_clients.client(session, client_id)
        everything = oauth_clients.clients(session)
    assert kept is not None
    assert everything == (kept,)
    assert len(secret) >= 43
    assert secret.encode() not in kept.secret_hash
    assert oauth_clients.secret_matches(kept, secret)
    assert "secret_hash" not in repr(kept)
    assert (kept.redirect_uris, kept.launch_uri) == ((CALLBACK,), "https://app.example/launch")


def test_without_a_scope_an_app_may_read_and_a_service_all_of_its_own(world: World) -> None:
    app_id, service = world.client(scope="")[0], world.backend(scope="")

    with world.store.read() as session:
        app, backend = oauth_clients.client(session, app_id), oauth_clients.client(session, service)
    assert app is not None
    assert backend is not None
    assert "patient/*.rs" in app.scope.split()
    assert backend.scope == "system/*.cruds"


def test_a_chosen_client_id_is_taken_once(world: World) -> None:
    assert world.client(client_id="growth-chart")[0] == "growth-chart"

    with pytest.raises(FhirError) as refused:
        world.client(client_id="growth-chart")
    assert refused.value.kind is Kind.CONFLICT


@pytest.mark.parametrize(
    "uri",
    [
        "https://app.example/callback?x=1",
        "http://localhost:5000/cb",
        "http://127.0.0.1/cb",
        "http://[::1]:9000/cb",
        "com.example.app:/cb",
    ],
)
def test_a_safe_address_is_accepted(world: World, uri: str) -> None:
    assert world.client(redirect_uris=[uri])[0]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "http://app.example/callback",
        "https:///callback",
        "https://user@app.example/",
        "https://app.example/#fragment",
        "https://app.example/#",
        "https://app.example/a b",
        "https://äpp.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "app:/cb",
        "https://[bad/",
    ],
)
def test_an_unsafe_address_is_refused(world: World, uri: str) -> None:
    with pytest.raises(FhirError, match="redirect_uri") as refused:
        world.client(redirect_uris=[CALLBACK, uri])
    assert refused.value.kind is Kind.INVALID_VALUE


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"name": " "}, "name"),
        ({"kind": "confidential"}, "kind"),
        ({"client_id": "a b"}, "client_id"),
        ({"redirect_uris": [], "scope": "patient/*.rs"}, "redirect_uri"),
        ({"launch_uri": "http://app.example/launch"}, "launch_uri"),
        ({"jwks": public_jwks(ec_key())}, "jwks"),
        ({"kind": "jwks"}, "jwks"),
        ({"kind": "jwks", "jwks": "{"}, "jwks"),
        ({"kind": "jwks", "jwks": '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'}, "jwks"),
        ({"kind": "jwks", "jwks": public_jwks(ec_key()), "jwks_uri": "https://app.example/jwks"}, "jwks"),
        ({"kind": "jwks", "jwks_uri": "http://app.example/jwks"}, "jwks_uri"),
        ({"scope": "system/*.rs"}, "kind"),
        ({"kind": "secret", "redirect_uris": [], "scope": "system/*.rs", "organization": "Organization/1"}, "kind"),
        (BACKEND | {"jwks": public_jwks(ec_key()), "organization": ""}, "organization"),
        (BACKEND | {"jwks": public_jwks(ec_key()), "organization": "Practitioner/1"}, "organization"),
        (BACKEND | {"jwks": public_jwks(ec_key()), "trusted": True, "redirect_uris": [CALLBACK]}, "trusted"),
        (BACKEND | {"jwks": public_jwks(ec_key()), "trusted": True, "scope": "system/*.rs user/*.rs"}, "scope"),
        ({"trusted": True}, "trusted"),
    ],
)
def test_a_wrong_registration_is_refused_by_name(world: World, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(FhirError) as refused:
        world.client(**changes)

    assert refused.value.kind is Kind.INVALID_VALUE
    assert refused.value.diagnostics.startswith(named)


def test_a_private_key_is_never_stored(world: World) -> None:
    private = json.dumps({"keys": [ec_key().as_dict(private=True)]})

    with pytest.raises(FhirError, match="private"):
        world.backend(jwks=private)
