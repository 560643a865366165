"""Resource indicators (RFC 8707): a token is for this server and no other."""

from tests.smart.world import FHIR, World, answered


def test_a_token_may_be_asked_for_this_server_only(world: World) -> None:
    client_id, ada = world.client()[0], world.person()
    for mine in (FHIR, f"{FHIR}/"):
        assert world.login(client_id, ada, scope="patient/*.rs", resource=mine)["scope"] == "patient/*.rs"

    for other in ("https://other.test/fhir", f"{FHIR}x", f"{FHIR}/Patient", "urn:x", FHIR.upper()):
        refused = answered(world.ask(world.browser(ada), world.request(client_id, resource=other)))
        assert refused["error"] == "invalid_target", other
        assert "code" not in refused, other
