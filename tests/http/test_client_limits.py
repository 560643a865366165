"""A client that asks more often than it may: 429 at FHIR and token endpoint, with the time to wait."""

from fhir_server.access import tokens
from fhir_server.store import oauth_clients
from tests.server import Server
from tests.smart.world import ec_key, public_jwks


def _limited_token(server: Server) -> str:
    """Return a token of a client that may ask three times a minute."""
    from fhir_server.smart.registry import register_client  # noqa: PLC0415 - of another door than the others here

    with server.store.write() as session:
        client_id, _ = register_client(
            session,
            name="EPR",
            kind="jwks",
            now=server.clock(),
            jwks=public_jwks(ec_key()),
            organization="Organization/trust",
        )
        limited = oauth_clients.client(session, client_id)
        assert limited is not None
        values = {name: getattr(limited, name) for name in limited.__slots__} | {"requests_per_minute": 3}
        oauth_clients.change_client(session, oauth_clients.Client(**values))
    return server.token("Organization/trust", client_id=client_id)


def test_who_is_looked_up_again_because_somebody_changed_is_counted_once(server: Server) -> None:
    token = _limited_token(server)
    statuses = []
    for _ in range(4):
        statuses.append(server.call("GET", "Patient", token).status_code)
        another = server.operator()
        with server.store.write() as session:
            tokens.revoke(session, another, server.clock())
    assert statuses == [200, 200, 200, 429]


def test_too_many_requests_are_told_when_to_come_back(server: Server) -> None:
    token = _limited_token(server)

    answers = [server.call("GET", "Patient", token) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    refused = answers[-1]
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert (refused.json or {})["resourceType"] == "OperationOutcome"
    assert (refused.json or {})["issue"][0]["code"] == "throttled"
    assert "Retry-After" in refused.headers["Access-Control-Expose-Headers"]
    assert server.call("GET", "Patient", server.operator()).status_code == 200, "others go on"
    server.clock.advance(minutes=1)
    assert server.call("GET", "Patient", token).status_code == 200
