"""DPoP (RFC 9449): tokens that only the holder of a key can use, at the token endpoint, on FHIR and at userinfo."""

import base64
import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey
from werkzeug.test import TestResponse

from fhir_server.smart.discovery import authorization_server, configuration, openid_configuration
from tests.databases import Databases
from tests.server import Server, build, create_schema
from tests.smart.world import BASE, TOKEN, World

PATIENT = f"{BASE}/fhir/Patient/1"
SCOPE = "launch/patient openid fhirUser offline_access patient/*.rs"


@cache
def key(kind: str = "ES256") -> ECKey | RSAKey:
    """Return a client's key; "other" is another one of the same kind."""
    if kind.startswith("RS"):
        return RSAKey.generate_key(2048, private=True)
    return ECKey.generate_key("P-384" if kind == "ES384" else "P-256", private=True)


def digest(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


def proof(
    world: World,
    url: str = TOKEN,
    *,
    method: str = "POST",
    signer: ECKey | RSAKey | OctKey | None = None,
    token: str = "",
    header: Mapping[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return a proof as a client makes it; None takes a member away."""
    signer = signer or key()
    algorithm = "RS256" if isinstance(signer, RSAKey) else "HS256" if isinstance(signer, OctKey) else "ES256"
    head: dict[str, Any] = {"typ": "dpop+jwt", "alg": algorithm}
    head["jwk"] = signer.as_dict(private=isinstance(signer, OctKey))
    body: dict[str, Any] = {"jti": str(uuid.uuid4()), "htm": method, "htu": url}
    body |= {"iat": int(world.clock().timestamp())} | ({"ath": digest(token)} if token else {})
    head = {name: value for name, value in (head | dict(header or {})).items() if value is not None}
    body = {name: value for name, value in (body | claims).items() if value is not None}
    reader = jws.JWSRegistry(algorithms=["ES256", "ES384", "RS256", "HS256", "none"])
    reader.max_header_length = 8_000
    signed = {"alg": algorithm} | {name: value for name, value in head.items() if name != "crit"}
    if head.get("alg") == "none":
        parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (head, body)]
        return ".".join([*parts, ""])
    made = jws.serialize_compact(signed, json.dumps(body), signer, registry=reader)
    if "crit" not in head:
        return made
    parts = made.split(".")
    parts[0] = base64.urlsafe_b64encode(json.dumps(head).encode()).rstrip(b"=").decode()
    return ".".join(parts)


def read(server: Server, token: str, shown: str | None, scheme: str = "DPoP", path: str = "Patient/1") -> TestResponse:
    headers = {"Authorization": f"{scheme} {token}"} | ({"DPoP": shown} if shown is not None else {})
    return server.call("GET", path, headers=headers)


@pytest.fixture
def server(sqlite_url: str, signing_keys: Path) -> Iterator[Server]:
    made = build(sqlite_url, signing_keys.parent)
    made.put({"resourceType": "Patient", "id": "1", "name": [{"family": "Byron"}]}, made.operator())
    yield made
    made.store.close()


@pytest.fixture
def world(server: Server) -> World:
    return World(server.app, server.store, server.clock)


def login(
    world: World, client_id: str, shown: str | None, /, *, dpop_jkt: str | None = None, **form: Any
) -> TestResponse:
    code = world.code(client_id, world.person(), scope=SCOPE, dpop_jkt=dpop_jkt)
    values = {"grant_type": "authorization_code", "code": code, "client_id": client_id}
    values |= {"redirect_uri": "https://app.example/callback"}
    values |= {"code_verifier": "a-verifier-of-more-than-forty-three-characters-0123456789"} | form
    return world.token(values, **({"DPoP": shown} if shown is not None else {}))


def bound(world: World, client_id: str) -> dict[str, Any]:
    answer = login(world, client_id, proof(world))
    assert answer.status_code == 200, answer.text
    return dict(answer.json or {})


def test_a_bound_token_opens_the_record_with_a_proof_of_its_key_only(server: Server, world: World) -> None:
    app_id = world.client()[0]
    answer = bound(world, app_id)
    token = answer["access_token"]
    assert answer["token_type"] == "DPoP"
    shown = proof(world, PATIENT, method="GET", token=token)

    assert read(server, token, shown).status_code == 200
    userinfo = f"{BASE}/oauth/userinfo"
    headers = {"Authorization": f"DPoP {token}", "DPoP": proof(world, userinfo, method="GET", token=token)}
    assert (world.programs.get("/oauth/userinfo", headers=headers).json or {})["fhirUser"] == PATIENT

    again = read(server, token, shown)
    assert (again.status_code, "jti was used before" in again.text) == (401, True), "a proof counts once"
    challenges = again.headers.getlist("WWW-Authenticate")
    assert challenges[0] == 'DPoP realm="fhir", algs="ES256 ES384 RS256", error="invalid_dpop_proof"'
    for name, refused in {
        "downgraded": read(server, token, None, "Bearer"),
        "downgraded with a proof": read(server, token, proof(world, PATIENT, method="GET", token=token), "Bearer"),
        "no proof": read(server, token, None),
        "another key": read(server, token, proof(world, PATIENT, method="GET", token=token, signer=key("other"))),
        "another token": read(server, token, proof(world, PATIENT, method="GET", token=token[:-1] + "x")),
        "no ath": read(server, token, proof(world, PATIENT, method="GET")),
        "another method": read(server, token, proof(world, PATIENT, method="PUT", token=token)),
        "another address": read(server, token, proof(world, f"{PATIENT}0", method="GET", token=token)),
        "proof of the token endpoint": read(server, token, proof(world, token=token)),
        "two proofs": read(server, token, ", ".join(proof(world, PATIENT, method="GET", token=token) for _ in "ab")),
    }.items():
        assert refused.status_code == 401, name
        assert 'realm="fhir"' in refused.headers["WWW-Authenticate"], name
        assert "Byron" not in refused.text, name
    nobody = server.call("GET", "Patient/1").headers.getlist("WWW-Authenticate")
    assert nobody == ['Bearer realm="fhir"', 'DPoP realm="fhir", algs="ES256 ES384 RS256"']


def test_a_bearer_token_gains_nothing_by_a_proof(server: Server, world: World) -> None:
    token = world.login(world.client()[0], world.person(), scope=SCOPE)["access_token"]

    refused = read(server, token, proof(world, PATIENT, method="GET", token=token))

    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert read(server, token, None, "Bearer").status_code == 200


def test_addresses_are_compared_as_they_mean_the_same(server: Server, world: World) -> None:
    token = bound(world, world.client()[0])["access_token"]

    for url, status in {
        "HTTP://LOCALHOST:80/fhir/Patient/1": 200,
        "http://localhost/fhir/%50atient/1?_format=json#x": 200,
        "https://localhost/fhir/Patient/1": 401,
        "http://localhost:8080/fhir/Patient/1": 401,
        "http://localhost.evil.test/fhir/Patient/1": 401,
        "http://localhost@evil.test/fhir/Patient/1": 401,
        "http://localhost:x/fhir/Patient/1": 401,
        "/fhir/Patient/1": 401,
        "": 401,
    }.items():
        shown = proof(world, url, method="GET", token=token)
        assert read(server, token, shown, path="Patient/1?_pretty=true").status_code == status, url


@pytest.mark.parametrize("algorithm", configuration(BASE)["dpop_signing_alg_values_supported"])
def test_every_advertised_algorithm_proves(world: World, algorithm: str) -> None:
    documents = (configuration(BASE), openid_configuration(BASE), authorization_server(BASE))
    assert all(algorithm in found["dpop_signing_alg_values_supported"] for found in documents)

    answer = login(world, world.client()[0], proof(world, signer=key(algorithm), header={"alg": algorithm}))

    assert (answer.json or {})["token_type"] == "DPoP"


def test_a_wrong_proof_gets_no_token(world: World) -> None:
    app_id, now = world.client()[0], int(world.clock().timestamp())
    weak = {"kty": "RSA", "e": "AQAB", "n": key("RS256").as_dict(private=False)["n"][:171]}
    cases: dict[str, tuple[str, str]] = {
        "another typ": ("typ", proof(world, header={"typ": "JWT"})),
        "no typ": ("typ", proof(world, header={"typ": None})),
        "alg none": ("alg", proof(world, header={"alg": "none"})),
        "alg of a shared key": ("alg", proof(world, signer=OctKey.generate_key(256))),
        "alg of another kind": ("jwk", proof(world, header={"jwk": key("RS256").as_dict(private=False)})),
        "no jwk": ("jwk", proof(world, header={"jwk": None})),
        "jwk with its private half": ("private", proof(world, header={"jwk": key().as_dict(private=True)})),
        "jwk that did not sign": ("signature", proof(world, header={"jwk": key("other").as_dict(private=False)})),
        "jwk of another curve": ("signature", proof(world, header={"jwk": key("ES384").as_dict(private=False)})),
        "jwk that is weak": ("2048 bits", proof(world, signer=key("RS256"), header={"jwk": weak})),
        "jwk off the curve": (
            "read",
            proof(world, header={"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
        ),
        "jwk without members": ("read", proof(world, signer=key("RS256"), header={"jwk": {"kty": "RSA", "e": "AQAB"}})),
        "jwk that is shared": ("symmetric", proof(world, header={"jwk": {"kty": "oct", "k": "AAAA"}})),
        "crit": ("crit", proof(world, header={"crit": ["exp"]})),
        "another htm": ("htm", proof(world, method="GET")),
        "htm in small letters": ("htm", proof(world, method="post")),
        "another htu": ("htu", proof(world, f"{BASE}/oauth/revoke")),
        "htu of no text": ("htu", proof(world, htu=["http://localhost/oauth/token"])),
        "no htu": ("htu", proof(world, htu=None)),
        "no jti": ("jti", proof(world, jti=None)),
        "empty jti": ("jti", proof(world, jti="")),
        "long jti": ("jti", proof(world, jti="x" * 256)),
        "jti of no text": ("jti", proof(world, jti=7)),
        "no iat": ("iat", proof(world, iat=None)),
        "old iat": ("iat", proof(world, iat=now - 61)),
        "future iat": ("iat", proof(world, iat=now + 61)),
        "iat of no number": ("iat", proof(world, iat="now")),
        "iat that is true": ("iat", proof(world, iat=True)),
        "iat beyond time": ("iat", proof(world, iat=1e30)),
        "too long": ("longer", "x" * 5_000),
        "no JWT": ("JWT", "n0-j-w-t"),
        "empty": ("JWT", ""),
        "changed": ("signature", proof(world)[:-8] + "AAAAAAAA"),
    }
    code = world.code(app_id, world.person(), scope=SCOPE)

    for name, (told, shown) in cases.items():
        answer = login_with(world, app_id, code, shown)
        assert answer.status_code == 400, (name, answer.text)
        assert (answer.json or {})["error"] == "invalid_dpop_proof", name
        assert told in (answer.json or {})["error_description"], (name, answer.text)
        assert not shown or shown not in answer.text, name
    assert login_with(world, app_id, code, proof(world)).status_code == 200, "a wrong proof does not burn the code"


def login_with(world: World, app_id: str, code: str, shown: str) -> TestResponse:
    form = {"grant_type": "authorization_code", "code": code, "client_id": app_id}
    form |= {"redirect_uri": "https://app.example/callback"}
    form |= {"code_verifier": "a-verifier-of-more-than-forty-three-characters-0123456789"}
    return world.token(form, DPoP=shown)


def test_the_refresh_token_of_a_public_client_is_bound_that_of_another_is_not(world: World) -> None:
    app_id = world.client()[0]
    answer = bound(world, app_id)
    form = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"], "client_id": app_id}

    for shown in (None, proof(world, signer=key("other"))):
        refused = world.token(form, **({"DPoP": shown} if shown else {}))
        assert (refused.status_code, (refused.json or {})["error"]) == (400, "invalid_grant")
    without_id = {name: value for name, value in form.items() if name != "client_id"}
    renewed = world.token(without_id, DPoP=proof(world))
    assert (renewed.json or {})["token_type"] == "DPoP", "and a wrong key does not burn it"

    hospital, secret = world.client(kind="secret")
    first = login(world, hospital, proof(world), client_secret=secret).json or {}
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": hospital}
    second = world.token(form | {"client_secret": secret}, DPoP=proof(world, signer=key("other"))).json or {}
    assert (first["token_type"], second["token_type"]) == ("DPoP", "DPoP")


def test_a_code_may_be_bound_to_a_key_when_it_is_asked_for(world: World) -> None:
    app_id, wanted = world.client()[0], key().thumbprint()

    assert login(world, app_id, proof(world), dpop_jkt=wanted).status_code == 200
    for shown in (proof(world, signer=key("other")), None):
        answer = login(world, app_id, shown, dpop_jkt=wanted)
        assert (answer.status_code, (answer.json or {})["error"]) == (400, "invalid_grant")
    request = world.request(app_id, dpop_jkt="no-thumbprint")
    assert "error=invalid_request" in world.ask(world.browser(world.person()), request).location


def test_a_client_registered_for_bound_tokens_gets_no_other(world: World) -> None:
    service = world.backend(dpop_bound=True)

    refused = world.system_token(world.assertion(service))
    assert (refused.status_code, (refused.json or {})["error"]) == (400, "invalid_dpop_proof")
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.cruds",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    answer = world.token(form | {"client_assertion": world.assertion(service)}, DPoP=proof(world))

    assert (answer.json or {})["token_type"] == "DPoP"


def test_introspection_names_the_key(world: World) -> None:
    app_id, secret = world.client(kind="secret")
    gateway, password = world.client(kind="secret", redirect_uris=[], scope="introspect")
    answer = login(world, app_id, proof(world), client_secret=secret).json or {}

    form = {"client_id": gateway, "client_secret": password, "token": answer["access_token"]}
    found = world.programs.post("/oauth/introspect", data=form).json or {}

    assert found["active"] is True
    assert (found["token_type"], found["cnf"]) == ("DPoP", {"jkt": key().thumbprint()})
    public = bound(world, world.client()[0])["refresh_token"]
    assert (world.programs.post("/oauth/introspect", data=form | {"token": public}).json or {})["cnf"] == found["cnf"]


def test_a_proof_counts_once_across_workers_and_after_a_restart(databases: Databases, signing_keys: Path) -> None:
    url = databases.prepared("schema", create_schema)
    first, second = (build(url, signing_keys.parent) for _ in "ab")
    first.put({"resourceType": "Patient", "id": "1"}, first.operator())
    token = bound(World(first.app, first.store, first.clock), World(first.app, first.store, first.clock).client()[0])[
        "access_token"
    ]
    shown = proof(World(first.app, first.store, first.clock), PATIENT, method="GET", token=token)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda server: read(server, token, shown).status_code, (first, second) * 2))
    restarted = build(url, signing_keys.parent)
    restarted.clock.advance(seconds=59)
    later = read(restarted, token, shown).status_code

    assert sorted(answers) == [200, 401, 401, 401]
    assert later == 401
    for server in (first, second, restarted):
        server.store.close()


def test_browser_apps_may_send_proofs(server: Server, world: World) -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}

    for path in ("/fhir/Patient/1", "/oauth/token", "/oauth/userinfo"):
        answer = world.programs.options(path, headers=asked | {"Access-Control-Request-Headers": "dpop"})
        assert "DPoP" in answer.headers["Access-Control-Allow-Headers"], path
    assert "WWW-Authenticate" in server.call("GET", "Patient/1").headers["Access-Control-Expose-Headers"]
