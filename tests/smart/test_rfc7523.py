"""Client assertions (RFC 7523) and SMART Backend Services."""

import base64
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from fhir_server.store import oauth_clients
from tests.smart.world import BASE, FHIR, TOKEN, World, ec_key, public_jwks, rsa_key

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

    assert "suspended" in world.refusal(world.assertion(service))


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

    assert names in world.refusal(world.assertion(service, **claims))


@pytest.mark.parametrize("name, seconds", [("exp", 0), ("exp", -1), ("exp", 311), ("nbf", 60), ("iat", 60)])
def test_times_are_held(world: World, name: str, seconds: int) -> None:
    service = world.backend()
    claims: dict[str, Any] = {name: int(world.clock().timestamp()) + seconds}

    assert name in world.refusal(world.assertion(service, **claims))


def test_an_audience_of_one_in_a_list_is_an_audience(world: World) -> None:
    service = world.backend()

    assert world.system_token(world.assertion(service, aud=[TOKEN])).status_code == 200


# -------------------------------------------------------------------- replay


def test_an_assertion_works_once(stored: World) -> None:
    service = stored.backend()
    assertion = stored.assertion(service)

    assert stored.system_token(assertion).status_code == 200
    assert "jti" in stored.refusal(assertion)


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
    world.refusal(world.assertion(service, key=stranger, jti="guessed"))

    assert world.system_token(world.assertion(service, jti="guessed")).status_code == 200


# -------------------------------------------------------------------- signature, algorithm, key


def test_another_key_with_the_same_kid_is_refused(world: World) -> None:
    service = world.backend()
    stranger = ECKey.generate_key("P-384", {"kid": "ec-1"}, private=True)

    assert "signature" in world.refusal(world.assertion(service, key=stranger))


@pytest.mark.parametrize("kid", [None, "unknown", 7, "../ec-1", ""])
def test_kid_must_name_a_registered_key(world: World, kid: object) -> None:
    service = world.backend()

    with_kid = _rewritten(world.assertion(service), {"kid": kid})

    assert "kid" in world.refusal(with_kid)


def test_an_embedded_key_is_not_believed(world: World) -> None:
    service = world.backend()
    stranger = ECKey.generate_key("P-384", {"kid": "mine"}, private=True)
    header = {"jwk": stranger.as_dict(private=False)}

    assert "kid" in world.refusal(world.assertion(service, key=stranger, header=header))


@pytest.mark.parametrize("algorithm", ["HS256", "HS384"])
def test_the_public_key_is_no_shared_secret(world: World, algorithm: str) -> None:
    service = world.backend()
    secret = rsa_key().as_pem(private=False)
    signed = _rewritten(world.assertion(service), {"alg": algorithm, "kid": "rsa-1"}).rpartition(".")[0]
    mac = hmac.digest(secret, signed.encode(), algorithm.replace("HS", "sha"))
    forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    assert "alg" in world.refusal(forged)


def test_alg_none_is_refused(world: World) -> None:
    service = world.backend()
    header, claims, _ = _rewritten(world.assertion(service), {"alg": "none"}).split(".")

    assert "alg" in world.refusal(f"{header}.{claims}.")


def test_other_algorithms_of_a_registered_key_are_refused(world: World) -> None:
    service = world.backend()
    claims = json.loads(_part(world.assertion(service), 1))
    key = RSAKey.import_key(rsa_key().as_dict(private=True) | {"alg": "RS256"})

    assert "alg" in world.refusal(jwt.encode({"alg": "RS256", "kid": "rsa-1"}, claims, key, algorithms=["RS256"]))


@pytest.mark.parametrize(
    "text", ["x", "a.b.c", "é.é.é", "..", "e30.e30.e30", "e30.W10.e30", "eyJhbGciOiJFUzM4NCJ9.W10.eA", "x" * 9000]
)
def test_what_is_no_jwt_is_refused(world: World, text: str) -> None:
    world.refusal(text)


def test_another_assertion_type_is_refused(world: World) -> None:
    service = world.backend()

    response = world.system_token(world.assertion(service), client_assertion_type="saml")

    assert response.status_code == 400
    assert (response.json or {})["error"] == "invalid_request"
    assert "client_assertion_type" in (response.json or {})["error_description"]


def _part(token: str, index: int) -> bytes:
    text = token.split(".")[index]
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _rewritten(token: str, changes: dict[str, object]) -> str:
    header = {name: value for name, value in (json.loads(_part(token, 0)) | changes).items() if value is not None}
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return ".".join([encoded, *token.split(".")[1:]])
