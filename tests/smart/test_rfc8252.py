"""Native apps (RFC 8252): how their redirect addresses may look, and that one is compared to the letter."""

import pytest

from fhir_server.spec.outcome import FhirError
from tests.smart.world import World


def test_native_apps_come_back_to_their_own_address_only(world: World) -> None:
    for address in ("org.example.app:/callback", "http://127.0.0.1:5123/callback", "http://[::1]:5123/callback"):
        client_id, browser = world.client(redirect_uris=[address])[0], world.browser(world.person())
        page = world.ask(browser, world.request(client_id, redirect_uri=address))
        answer = world.decide(browser, page)
        assert answer.status_code == 303, address
        assert answer.location.startswith(f"{address}?code="), address
        for other in (f"{address}/x", f"{address}?x=1", address.replace("5123", "5124").replace("app:", "apps:")):
            refused = world.ask(browser, world.request(client_id, redirect_uri=other))
            assert (refused.status_code, refused.headers.get("Location")) == (400, None), other
    for address in ("myapp:/callback", "javascript:alert(1)", "http://evil.test/callback", "file:///etc/passwd"):
        with pytest.raises(FhirError, match="redirect_uri"):
            world.client(redirect_uris=[address])


def test_a_native_app_keeps_no_secret_and_needs_none(world: World) -> None:
    client_id, secret = world.client(redirect_uris=["org.example.app:/callback"])

    assert secret == ""
    with_secret = world.token(
        {"grant_type": "authorization_code", "code": "x", "client_id": client_id, "client_secret": "y"}
    )
    assert with_secret.status_code == 401
