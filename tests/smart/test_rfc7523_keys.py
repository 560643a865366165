"""Keys of a client that asserts who it is (RFC 7523 §3, RFC 7517): where they come from, and which are none."""

import http.server
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from joserfc.jwk import ECKey

from fhir_server.identity.client_keys import ClientKeys, KeysUnavailable, fetch, parse
from fhir_server.identity.guarded_fetch import is_safe
from fhir_server.store import oauth_clients
from tests.answering import answering
from tests.smart.world import World, ec_key, public_jwks, rsa_key


@dataclass
class KeyServer:
    url: str = ""
    body: bytes = b""
    status: int = 200
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    state = KeyServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(state.status)
            if state.status == 302:
                self.send_header("Location", f"{state.url}/elsewhere")
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            self.wfile.write(state.body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    with answering(server):
        yield state


def test_keys_are_fetched_once_and_again_when_one_is_new(world: World, key_server: KeyServer) -> None:
    service = world.backend(jwks="", jwks_uri=f"{key_server.url}/jwks.json")
    key_server.body = public_jwks(ec_key()).encode()

    assert world.system_token(world.assertion(service)).status_code == 200
    assert world.system_token(world.assertion(service)).status_code == 200
    assert key_server.asked == ["/jwks.json"]


def test_a_new_key_is_found_after_rotation(key_server: KeyServer, world: World) -> None:
    service = world.backend(jwks="", jwks_uri=f"{key_server.url}/jwks.json")
    with world.store.read() as session:
        client = oauth_clients.client(session, service)
    assert client is not None
    now_s = 0.0
    keys = ClientKeys(lambda: now_s, {"127.0.0.1"})
    key_server.body = public_jwks(ec_key()).encode()
    keys.of(client, "ec-1")
    key_server.body = public_jwks(rsa_key()).encode()

    assert [key.kid for key in keys.of(client, "rsa-1").keys] == ["ec-1"]
    now_s = 11.0
    assert [key.kid for key in keys.of(client, "rsa-1").keys] == ["rsa-1"]
    now_s = 20.0
    keys.of(client, "rsa-1")
    assert len(key_server.asked) == 2
    now_s = 312.0
    keys.of(client, "rsa-1")
    assert len(key_server.asked) == 3


def test_the_address_in_a_header_is_never_asked(world: World, key_server: KeyServer) -> None:
    service = world.backend()
    stranger = ECKey.generate_key("P-384", {"kid": "mine"}, private=True)
    key_server.body = public_jwks(stranger).encode()
    header = {"jku": f"{key_server.url}/jwks.json", "x5u": f"{key_server.url}/x5u"}

    world.refusal(world.assertion(service, key=stranger, header=header))

    assert key_server.asked == []


@pytest.mark.parametrize(
    "status, body",
    [
        (302, b""),
        (500, b"{}"),
        (200, b"not json"),
        (200, b"{}"),
        (200, b'{"keys":[]}'),
        (200, b'{"keys":[1]}'),
        (200, b'{"keys":[{"kty":"RSA"}]}'),
        (200, b" " * 70_000),
    ],
)
def test_an_address_without_keys_is_told_as_the_clients_mistake(
    world: World, key_server: KeyServer, status: int, body: bytes
) -> None:
    service = world.backend(jwks="", jwks_uri=f"{key_server.url}/jwks.json")
    key_server.status, key_server.body = status, body

    text = world.refusal(world.assertion(service))

    assert "jwks_uri" in text or "JWK Set" in text
    assert "/elsewhere" not in key_server.asked


def test_a_dead_address_is_told_as_the_clients_mistake(world: World) -> None:
    service = world.backend(jwks="", jwks_uri="http://127.0.0.1:1/jwks.json")

    assert "jwks_uri" in world.refusal(world.assertion(service))


@pytest.mark.parametrize(
    "url, safe",
    [
        ("https://epr.example/jwks.json", True),
        ("http://localhost:8080/jwks", True),
        ("http://127.0.0.1/jwks", True),
        ("http://[::1]/jwks", True),
        ("http://epr.example/jwks", False),
        ("http://169.254.169.254/latest", False),
        ("http://127.0.0.1.evil.test/", False),
        ("file:///etc/passwd", False),
        ("ftp://epr.example/jwks", False),
        ("https://user:secret@epr.example/", False),
        ("https://epr.example:port/", False),
        ("https:///jwks", False),
        ("", False),
    ],
)
def test_only_https_or_this_machine_is_asked(url: str, *, safe: bool) -> None:
    assert is_safe(url) is safe
    if not safe:
        with pytest.raises(KeysUnavailable):
            fetch(url)


def test_weak_and_private_keys_are_no_client_keys() -> None:
    weak = {"keys": [{"kty": "RSA", "n": "AQAB" * 40, "e": "AQAB", "kid": "weak"}]}
    edwards = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
    for text in (json.dumps({"keys": [ec_key().as_dict(private=True)]}), json.dumps(weak), json.dumps(edwards)):
        with pytest.raises(KeysUnavailable):
            parse(text)
