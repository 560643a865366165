"""Client assertions (RFC 7523) and SMART Backend Services."""

import base64
import hmac
import http.server
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_server.identity.client_keys import ClientKeys, KeysUnavailable, fetch, parse
from fhir_server.identity.guarded_fetch import is_safe
from fhir_server.store import oauth_clients
from tests.answering import answering
from tests.smart.world import BASE, FHIR, TOKEN, World, ec_key, public_jwks, rsa_key


def refusal(world: World, assertion: str, **changes: str) -> str:
    response = world.system_token(assertion, **changes)
    assert response.status_code == 401, response.text
    body = response.json or {}
    assert body["error"] == "invalid_client"
    return str(body["error_description"])


# -------------------------------------------------------------------- the way it should go


@pytest.mark.parametrize("key", [ec_key, rsa_key])
def test_a_backend_service_acts_for_its_organisation(stored: World, key: object) -> None:
    service = stored.backend()

    response = stored.system_token(stored.assertion(service, key=key()))  # type: ignore[operator]

    answer = response.json or {}
    assert response.status_code == 200, response.text
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert answer["expires_in"] == 300
    assert response.headers["Cache-Control"] == "no-store"
    principal = stored.principal(answer["access_token"])
    assert (principal.subject, principal.client_id) == ("Organization/trust", service)
    assert principal.trusted is False
    assert principal.may_break_glass is False


def test_a_trusted_service_is_the_operator(world: World) -> None:
    service = world.backend(organization="", trusted=True)

    principal = world.principal((world.system_token(world.assertion(service)).json or {})["access_token"])

    assert (principal.subject, principal.trusted) == ("system", True)


def test_scopes_are_narrowed_to_the_registered_ones_and_told(world: World) -> None:
    service = world.backend(scope="system/Observation.rs system/Patient.r")

    answer = world.system_token(world.assertion(service), "system/*.rs system/Patient.cruds patient/*.rs openid").json

    assert (answer or {})["scope"].split() == ["system/Observation.rs", "system/Patient.r"]


@pytest.mark.parametrize("scope", ["system/Condition.rs", "patient/*.rs", "user/*.rs", "nonsense", "system/*.dus"])
def test_scopes_beyond_the_registration_are_refused(world: World, scope: str) -> None:
    service = world.backend(scope="system/Observation.rs")

    assert (world.system_token(world.assertion(service), scope).json or {})["error"] == "invalid_scope"


def test_scope_must_be_there(world: World) -> None:
    service = world.backend()

    response = world.system_token(world.assertion(service), scope="")

    assert (response.json or {})["error"] == "invalid_request"


def test_there_is_no_refresh_token(world: World) -> None:
    service = world.backend(scope="system/*.rs offline_access")

    answer = world.system_token(world.assertion(service), "system/*.rs offline_access").json

    assert "refresh_token" not in (answer or {})


@pytest.mark.parametrize("kind", ["public", "secret"])
def test_only_signed_assertions_give_client_credentials(world: World, kind: str) -> None:
    app_id, secret = world.client(kind=kind)
    form = {"grant_type": "client_credentials", "scope": "system/*.rs", "client_id": app_id}

    response = world.token(form | ({"client_secret": secret} if secret else {}))

    assert (response.status_code, (response.json or {})["error"]) == (401, "invalid_client")


def test_an_app_with_keys_is_no_backend_service(world: World) -> None:
    app_id = world.client(kind="jwks", jwks=public_jwks(ec_key()))[0]

    assert (world.system_token(world.assertion(app_id)).json or {})["error"] == "unauthorized_client"


def test_a_backend_service_is_no_app(world: World) -> None:
    service = world.backend()
    browser = world.browser(world.person())

    assert world.ask(browser, world.request(service)).status_code == 400


def test_a_suspended_service_gets_nothing(world: World) -> None:
    service = world.backend()
    with world.store.write() as session:
        oauth_clients.set_client_active(session, service, active=False)

    assert "suspended" in refusal(world, world.assertion(service))


# -------------------------------------------------------------------- claims


@pytest.mark.parametrize(
    "claims, names",
    [
        ({"iss": None}, "iss"),
        ({"iss": "other"}, "iss"),
        ({"sub": None}, "sub"),
        ({"sub": 5}, "sub"),
        ({"sub": "unknown"}, "sub"),
        ({"aud": None}, "aud"),
        ({"aud": FHIR}, "aud"),
        ({"aud": BASE}, "aud"),
        ({"aud": TOKEN + "/"}, "aud"),
        ({"aud": [TOKEN, "https://other.example/token"]}, "aud"),
        ({"jti": None}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 7}, "jti"),
        ({"jti": "x" * 256}, "jti"),
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 1e300}, "exp"),
    ],
)
def test_a_wrong_claim_is_refused_by_name(world: World, claims: dict[str, Any], names: str) -> None:
    service = world.backend()

    assert names in refusal(world, world.assertion(service, **claims))


@pytest.mark.parametrize("name, seconds", [("exp", 0), ("exp", -1), ("exp", 311), ("nbf", 60), ("iat", 60)])
def test_times_are_held(world: World, name: str, seconds: int) -> None:
    service = world.backend()
    claims: dict[str, Any] = {name: int(world.clock().timestamp()) + seconds}

    assert name in refusal(world, world.assertion(service, **claims))


def test_an_audience_of_one_in_a_list_is_an_audience(world: World) -> None:
    service = world.backend()

    assert world.system_token(world.assertion(service, aud=[TOKEN])).status_code == 200


# -------------------------------------------------------------------- replay


def test_an_assertion_works_once(stored: World) -> None:
    service = stored.backend()
    assertion = stored.assertion(service)

    assert stored.system_token(assertion).status_code == 200
    assert "jti" in refusal(stored, assertion)


def test_of_concurrent_uses_one_succeeds(stored: World) -> None:
    service = stored.backend()
    assertion = stored.assertion(service)

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: stored.system_token(assertion).status_code, range(4)))

    assert statuses == [200, 401, 401, 401]


def test_two_services_may_use_the_same_jti(world: World) -> None:
    first, second = world.backend(), world.backend()

    assert world.system_token(world.assertion(first, jti="one")).status_code == 200
    assert world.system_token(world.assertion(second, jti="one")).status_code == 200


def test_an_unsigned_stranger_cannot_use_up_a_jti(world: World) -> None:
    service = world.backend()
    stranger = ECKey.generate_key("P-384", {"kid": "ec-1"}, private=True)
    refusal(world, world.assertion(service, key=stranger, jti="guessed"))

    assert world.system_token(world.assertion(service, jti="guessed")).status_code == 200


# -------------------------------------------------------------------- signature, algorithm, key


def test_another_key_with_the_same_kid_is_refused(world: World) -> None:
    service = world.backend()
    stranger = ECKey.generate_key("P-384", {"kid": "ec-1"}, private=True)

    assert "signature" in refusal(world, world.assertion(service, key=stranger))


@pytest.mark.parametrize("kid", [None, "unknown", 7, "../ec-1", ""])
def test_kid_must_name_a_registered_key(world: World, kid: object) -> None:
    service = world.backend()

    with_kid = _rewritten(world.assertion(service), {"kid": kid})

    assert "kid" in refusal(world, with_kid)


def test_an_embedded_key_is_not_believed(world: World) -> None:
    service = world.backend()
    stranger = ECKey.generate_key("P-384", {"kid": "mine"}, private=True)
    header = {"jwk": stranger.as_dict(private=False)}

    assert "kid" in refusal(world, world.assertion(service, key=stranger, header=header))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384"])
def test_the_public_key_is_no_shared_secret(world: World, algorithm: str) -> None:
    service = world.backend()
    secret = rsa_key().as_pem(private=False)
    signed = _rewritten(world.assertion(service), {"alg": algorithm, "kid": "rsa-1"}).rpartition(".")[0]
    mac = hmac.digest(secret, signed.encode(), algorithm.replace("HS", "sha"))
    forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    assert "alg" in refusal(world, forged)


def test_alg_none_is_refused(world: World) -> None:
    service = world.backend()
    header, claims, _ = _rewritten(world.assertion(service), {"alg": "none"}).split(".")

    assert "alg" in refusal(world, f"{header}.{claims}.")


def test_other_algorithms_of_a_registered_key_are_refused(world: World) -> None:
    service = world.backend()
    claims = json.loads(_part(world.assertion(service), 1))
    key = RSAKey.import_key(rsa_key().as_dict(private=True) | {"alg": "RS256"})

    assert "alg" in refusal(world, jwt.encode({"alg": "RS256", "kid": "rsa-1"}, claims, key, algorithms=["RS256"]))


@pytest.mark.parametrize(
    "text", ["x", "a.b.c", "é.é.é", "..", "e30.e30.e30", "e30.W10.e30", "eyJhbGciOiJFUzM4NCJ9.W10.eA", "x" * 9000]
)
def test_what_is_no_jwt_is_refused(world: World, text: str) -> None:
    refusal(world, text)


def test_another_assertion_type_is_refused(world: World) -> None:
    service = world.backend()

    response = world.system_token(world.assertion(service), client_assertion_type="saml")

    assert response.status_code == 400
    assert (response.json or {})["error"] == "invalid_request"
    assert "client_assertion_type" in (response.json or {})["error_description"]


# -------------------------------------------------------------------- keys from the client's own address


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

    refusal(world, world.assertion(service, key=stranger, header=header))

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

    text = refusal(world, world.assertion(service))

    assert "jwks_uri" in text or "JWK Set" in text
    assert "/elsewhere" not in key_server.asked


def test_a_dead_address_is_told_as_the_clients_mistake(world: World) -> None:
    service = world.backend(jwks="", jwks_uri="http://127.0.0.1:1/jwks.json")

    assert "jwks_uri" in refusal(world, world.assertion(service))


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


def _part(token: str, index: int) -> bytes:
    text = token.split(".")[index]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _rewritten(token: str, changes: dict[str, object]) -> str:
    header = {name: value for name, value in (json.loads(_part(token, 0)) | changes).items() if value is not None}
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return ".".join([encoded, *token.split(".")[1:]])
