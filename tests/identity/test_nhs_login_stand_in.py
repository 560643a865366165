"""The stand-in for NHS login is as strict as the live service is documented to be, or it would prove nothing."""

import base64
import hashlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from werkzeug.test import TestResponse

from fhir_server.cli.nhs_login_stand_in_pages import application
from fhir_server.cli.nhs_login_stand_in_tokens import Issuer
from fhir_server.cli.stand_in_client import ASSERTION_TYPE, Client
from seed_data.nhs_login import NhsLoginPerson

URL, BACK = "http://localhost:8090", "http://localhost:8000/nhs-login/callback"
VERIFIER = "v" * 43
P9 = NhsLoginPerson("ann", "P9", "9434765919", "1984-03-15", "Example", "Ann", "a@example.org", "+447700900123", "")
P5 = NhsLoginPerson("ben", "P5", "9000000009", "1990-01-01", "Example", "Ben", "b@example.org", "+447700900124", "")
ASKED = {
    "client_id": "demo",
    "redirect_uri": BACK,
    "response_type": "code",
    "scope": "openid profile email",
    "state": "state-1",
    "nonce": "nonce-1",
    "vtr": '["P9.Cp.Cd"]',
    "code_challenge_method": "S256",
    "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("="),
}


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048)


@dataclass
class StandIn:
    """The stand-in, its clock, a browser and a client."""

    key: RSAKey
    now: float = 1_800_000_000.0
    browser: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        public = RSAKey.import_key(self.key.as_dict(private=False))
        self.issuer = Issuer(URL, Client("demo", public, (BACK,)), (P9, P5), clock=lambda: self.now)
        self.browser = application(self.issuer).test_client()

    def decide(self, person: str = "ann", act: str = "continue", **changed: Any) -> TestResponse:
        return self.browser.post("/authorize", data={**ASKED, **changed, "person": person, "act": act})

    def code(self, person: str = "ann", act: str = "continue") -> str:
        return dict(parse_qsl(urlsplit(self.decide(person, act).location).query))["code"]

    def assertion(self, key: Any = None, alg: str = "RS512", **changed: Any) -> str:
        claims = {"iss": "demo", "sub": "demo", "aud": f"{URL}/token", "exp": int(self.now) + 60}
        claims |= {"jti": secrets.token_hex(8)} | changed
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": alg}, kept, key or self.key, algorithms=[alg])

    def exchange(self, code: str, /, **changed: str) -> TestResponse:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(),
        }
        return self.browser.post("/token", data=form | changed)

    def refused(self, answer: TestResponse, error: str) -> None:
        assert answer.status_code in {400, 401}
        assert answer.json
        assert answer.json["error"] == error


@pytest.fixture
def stand_in(key: RSAKey) -> StandIn:
    return StandIn(key)


def test_a_correct_exchange_gives_tokens_with_the_documented_claims_and_times(stand_in: StandIn) -> None:
    found = stand_in.exchange(stand_in.code()).json
    assert found
    token = jwt.decode(found["id_token"], stand_in.issuer.key, algorithms=["RS512"])
    now = int(stand_in.now)
    assert token.header["alg"] == "RS512"
    assert token.claims | {"jti": "", "sub": ""} == {
        "iss": URL, "sub": "", "aud": "demo", "iat": now, "exp": now + 3_600, "auth_time": now, "nonce": "nonce-1",
        "jti": "", "vot": "P9.Cp.Cd", "vtm": f"{URL}/trustmark/localhost", "nhs_number": "9434765919",
        "birthdate": "1984-03-15", "family_name": "Example", "identity_proofing_level": "P9",
    }  # fmt: skip
    assert found["expires_in"] == 300
    asked = {"Authorization": f"Bearer {found['access_token']}"}
    said = stand_in.browser.get("/userinfo", headers=asked).json
    assert said
    assert (said["sub"], said["email"]) == (token.claims["sub"], "a@example.org")
    assert not {"gender", "address", "phone_number"} & set(said)
    stand_in.now += 300
    assert stand_in.browser.get("/userinfo", headers=asked).status_code == 401


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "other"},
        {"sub": "other"},
        {"aud": URL},
        {"aud": None},
        {"exp": None},
        {"exp": 1_800_000_000},
        {"exp": 1_800_004_000},
        {"exp": "soon"},
        {"iat": 1_800_000_100},
        {"jti": None},
        {"jti": ""},
    ],
)
def test_a_client_assertion_with_a_wrong_claim_is_refused(stand_in: StandIn, changed: dict[str, Any]) -> None:
    stand_in.refused(
        stand_in.exchange(stand_in.code(), client_assertion=stand_in.assertion(**changed)), "invalid_client"
    )


@pytest.mark.parametrize("alg", ["RS256", "PS512"])
def test_a_client_assertion_with_another_algorithm_is_refused(stand_in: StandIn, alg: str) -> None:
    stand_in.refused(stand_in.exchange(stand_in.code(), client_assertion=stand_in.assertion(alg=alg)), "invalid_client")


def test_a_client_assertion_of_another_key_or_a_mac_is_refused(stand_in: StandIn) -> None:
    mac = OctKey.import_key("x" * 64)
    for token in (
        stand_in.assertion(RSAKey.generate_key(2048)),
        stand_in.assertion(mac, "HS512"),
        "",
        "no token",
    ):
        stand_in.refused(stand_in.exchange(stand_in.code(), client_assertion=token), "invalid_client")


def test_a_client_assertion_works_once(stand_in: StandIn) -> None:
    token = stand_in.assertion()
    assert stand_in.exchange(stand_in.code(), client_assertion=token).status_code == 200
    stand_in.refused(stand_in.exchange(stand_in.code(), client_assertion=token), "invalid_client")


def test_a_code_works_once_and_its_second_use_ends_what_the_first_got(stand_in: StandIn) -> None:
    code = stand_in.code()
    found = stand_in.exchange(code).json
    assert found
    asked = {"Authorization": f"Bearer {found['access_token']}"}
    assert stand_in.browser.get("/userinfo", headers=asked).status_code == 200
    stand_in.refused(stand_in.exchange(code), "invalid_grant")
    assert stand_in.browser.get("/userinfo", headers=asked).status_code == 401


def test_a_code_works_for_a_minute(stand_in: StandIn) -> None:
    code = stand_in.code()
    stand_in.now += 60
    stand_in.refused(stand_in.exchange(code), "invalid_grant")


@pytest.mark.parametrize(
    "changed", [{"code_verifier": "w" * 43}, {"code_verifier": ""}, {"redirect_uri": f"{BACK}/"}, {"code": "guessed"}]
)
def test_a_code_is_bound_to_its_request(stand_in: StandIn, changed: dict[str, str]) -> None:
    stand_in.refused(stand_in.exchange(stand_in.code(), **changed), "invalid_grant")


def test_a_token_request_of_another_kind_or_with_a_parameter_twice_is_refused(stand_in: StandIn) -> None:
    stand_in.refused(stand_in.exchange(stand_in.code(), grant_type="password"), "unsupported_grant_type")
    stand_in.refused(stand_in.browser.post("/token", data={"code": ["a", "b"]}), "invalid_request")


@pytest.mark.parametrize("changed", [{"client_id": "other"}, {"redirect_uri": "https://evil.example.org/"}])
def test_nobody_is_sent_to_an_address_that_is_not_registered(stand_in: StandIn, changed: dict[str, str]) -> None:
    answer = stand_in.browser.get("/authorize", query_string=ASKED | changed)
    assert answer.status_code == 400
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "changed, error",
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"state": ""}, "invalid_request"),
        ({"nonce": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"vtr": "P9"}, "invalid_request"),
        ({"vtr": '["P7.Cp"]'}, "invalid_request"),
        ({"vtr": "[]"}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
        ({"nonce": ["a", "b"]}, "invalid_request"),
    ],
)
def test_a_wrong_request_goes_back_with_the_documented_error(
    stand_in: StandIn, changed: dict[str, Any], error: str
) -> None:
    answer = stand_in.browser.get("/authorize", query_string=ASKED | changed)
    assert answer.location.startswith(BACK)
    assert dict(parse_qsl(urlsplit(answer.location).query))["error"] == error


def test_who_is_known_to_p5_proves_more_or_goes_back(stand_in: StandIn) -> None:
    assert "Prove who you are" in stand_in.decide("ben").text
    assert "error=access_denied" in stand_in.decide("ben", "cancel").location
    found = stand_in.exchange(stand_in.code("ben", "prove")).json
    assert found
    claims = jwt.decode(found["id_token"], stand_in.issuer.key, algorithms=["RS512"]).claims
    assert (claims["vot"], claims["identity_proofing_level"]) == ("P9.Cp.Cd", "P9")


@pytest.fixture
def command(tmp_path: Path) -> Iterator[str]:
    """Run the command; return the line that it prints."""
    arguments = ["nhs-login-stand-in", "--port", "0", "--client-key", str(tmp_path / "keys" / "client.pem")]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FHIR_SERVER_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "fhir_server", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout
    yield process.stdout.readline()
    process.terminate()
    process.wait(timeout=10)
    process.stdout.close()


def test_the_command_prints_the_servers_settings_and_serves(command: str, tmp_path: Path) -> None:
    found = re.fullmatch(
        r"export FHIR_SERVER_NHS_LOGIN_ISSUER=(\S+) FHIR_SERVER_NHS_LOGIN_CLIENT_ID=demo "
        r"FHIR_SERVER_NHS_LOGIN_PRIVATE_KEY_FILE=(\S+)\n",
        command,
    )
    assert found
    published = httpx.get(f"{found[1]}/.well-known/openid-configuration").json()
    assert published["issuer"] == found[1]
    assert published["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    key_file = tmp_path / "keys" / "client.pem"
    assert found[2] == str(key_file)
    assert key_file.stat().st_mode & 0o077 == 0
