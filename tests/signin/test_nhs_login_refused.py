"""What NHS login might say wrongly, or somebody in its name: each is refused with a clear page, and nobody is in."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from tests.databases import SqliteDatabases
from tests.server import create_schema
from tests.signin import nhs_login_issuer as lies
from tests.signin.nhs_login_issuer import rsa_key
from tests.signin.nhs_login_world import NhsWorld, heading, running_world

UNTRUSTED = (403, "We could not sign you in")
STALE = (400, "This sign-in is not valid any more")
LEVEL = (403, "Prove who you are")
DECLINED = (403, "You are not signed in")
UNAVAILABLE = (503, "NHS login is not available")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NhsWorld]:
    templates = tmp_path_factory.getbasetemp() / "sqlite-templates"
    templates.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("refused")
    url = SqliteDatabases(folder, templates).prepared("schema", create_schema)
    with running_world(url, folder) as made:
        made.patient()
        yield made


@pytest.fixture
def nhs(running: NhsWorld) -> NhsWorld:
    running.reset()
    return running


def refused(nhs: NhsWorld, answer: Any, expected: tuple[int, str]) -> None:
    """Check that a page says no, in our words only, and that nothing was begun."""
    assert (answer.status_code, heading(answer)) == expected
    assert "Set-Cookie" not in answer.headers or "session=" not in answer.headers["Set-Cookie"]
    assert not re.search(r"code-1|access-1|person-1|traceback|eyJ", answer.text, re.IGNORECASE)


def back_with(nhs: NhsWorld, expected: tuple[int, str]) -> None:
    """Sign in; it must end like that."""
    browser = nhs.browser()
    refused(nhs, browser.nhs_login(), expected)
    assert not browser.is_signed_in()


def test_the_provider_that_tells_the_truth_is_believed(nhs: NhsWorld) -> None:
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"


def seconds(nhs: NhsWorld, delta: int) -> int:
    return int(nhs.server.clock().timestamp()) + delta


WRONG_CLAIMS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "no iss": ({"iss": None}, UNTRUSTED),
    "another issuer": ({"iss": "https://auth.example.org"}, UNTRUSTED),
    "an issuer with a slash more": ({"iss": "{url}/"}, UNTRUSTED),
    "an issuer that is a list": ({"iss": ["{url}"]}, UNTRUSTED),
    "no sub": ({"sub": None}, UNTRUSTED),
    "empty sub": ({"sub": ""}, UNTRUSTED),
    "sub too long": ({"sub": "a" * 256}, UNTRUSTED),
    "sub that is a number": ({"sub": 1}, UNTRUSTED),
    "no aud": ({"aud": None}, UNTRUSTED),
    "another aud": ({"aud": "client-2"}, UNTRUSTED),
    "one aud too many": ({"aud": ["client-1", "client-2"]}, UNTRUSTED),
    "empty aud": ({"aud": []}, UNTRUSTED),
    "azp of another client": ({"azp": "client-2"}, UNTRUSTED),
    "no nonce": ({"nonce": ""}, UNTRUSTED),
    "another nonce": ({"nonce": "n" * 43}, UNTRUSTED),
    "nonce that is a list": ({"nonce": ["n"]}, UNTRUSTED),
    "no exp": ({"exp": None}, UNTRUSTED),
    "exp as text": ({"exp": "tomorrow"}, UNTRUSTED),
    "exp as truth value": ({"exp": True}, UNTRUSTED),
    "exp beyond all time": ({"exp": 10**18}, UNTRUSTED),
    "no iat": ({"iat": None}, UNTRUSTED),
    "iat as text": ({"iat": "now"}, UNTRUSTED),
    "no vot": ({"vot": None}, UNTRUSTED),
    "vot that is a list": ({"vot": ["P9.Cp.Cd"]}, UNTRUSTED),
    "vot of a lower level": ({"vot": "P5.Cp.Cd"}, LEVEL),
    "vot of no level": ({"vot": "P0.Cp"}, LEVEL),
    "vot with fewer factors": ({"vot": "P9.Cp"}, LEVEL),
    "vot that nobody asked for": ({"vot": "P9.Cp.Cd.Ck"}, LEVEL),
    "no vtm": ({"vtm": None}, UNTRUSTED),
    "vtm of another provider": ({"vtm": "https://auth.example.org/trustmark/x"}, UNTRUSTED),
    "at_hash of another access token": ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, UNTRUSTED),
    "auth_time as text": ({"auth_time": "now"}, UNTRUSTED),
}


@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_an_id_token_with_a_wrong_claim_is_refused(nhs: NhsWorld, name: str) -> None:
    claims, expected = WRONG_CLAIMS[name]
    nhs.issuer.claims = {
        key: value.replace("{url}", nhs.issuer.url)
        if isinstance(value, str)
        else [nhs.issuer.url]
        if value == ["{url}"]
        else value
        for key, value in claims.items()
    }
    back_with(nhs, expected)


WRONG_TIMES: dict[str, tuple[dict[str, int], tuple[int, str]]] = {
    "expired": ({"iat": -3700, "exp": -100}, UNTRUSTED),
    "expired just now": ({"iat": -55, "exp": -61}, STALE),
    "issued in the future": ({"iat": 120}, UNTRUSTED),
    "issued before we asked": ({"iat": -120}, UNTRUSTED),
    "not valid yet": ({"nbf": 120}, UNTRUSTED),
    "valid for more than an hour": ({"exp": 3_900}, UNTRUSTED),
    "signed in there in the future": ({"auth_time": 120}, UNTRUSTED),
}


@pytest.mark.parametrize("name", WRONG_TIMES)
def test_an_id_token_of_another_time_is_refused(nhs: NhsWorld, name: str) -> None:
    deltas, expected = WRONG_TIMES[name]
    nhs.issuer.claims = {claim: seconds(nhs, delta) for claim, delta in deltas.items()}
    back_with(nhs, expected)


@pytest.mark.parametrize("delta", [-50, 50])
def test_clocks_may_differ_by_less_than_a_minute(nhs: NhsWorld, delta: int) -> None:
    nhs.issuer.claims = {
        "iat": seconds(nhs, delta),
        "exp": seconds(nhs, delta + 3600),
        "auth_time": seconds(nhs, delta),
    }
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"


WRONG_SIGNATURES: dict[str, Callable[[dict[str, Any], dict[str, Any]], str]] = {
    "none": lies.unsigned,
    "a MAC with the public key": lies.signed_with_public_key,
    "a MAC with the client id": lies.with_mac,
    "changed after signing": lies.tampered,
    "five parts, as if encrypted": lambda *_: "a.b.c.d.e",
    "no JWT": lambda *_: "hello",
    "a JWT of something else than claims": lambda *_: "e30.W10.AA",
    "much too long": lambda *_: "a" * 20_000,
    "not ASCII": lambda *_: "é.é.é",
}


@pytest.mark.parametrize("name", WRONG_SIGNATURES)
def test_an_id_token_with_a_wrong_signature_is_refused(nhs: NhsWorld, name: str) -> None:
    nhs.issuer.sign = WRONG_SIGNATURES[name]
    back_with(nhs, UNTRUSTED)


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "PS512"])
def test_an_id_token_with_an_algorithm_that_was_not_agreed_on_is_refused(nhs: NhsWorld, algorithm: str) -> None:
    nhs.issuer.header = {"alg": algorithm}
    back_with(nhs, UNTRUSTED)


def test_an_id_token_signed_with_another_key_under_the_published_name_is_refused(nhs: NhsWorld) -> None:
    nhs.issuer.key = RSAKey.import_key(rsa_key("two").as_dict(private=True) | {"kid": "one"})
    back_with(nhs, UNTRUSTED)


def test_an_id_token_that_brings_its_own_key_is_refused(nhs: NhsWorld) -> None:
    nhs.issuer.key = rsa_key("two")
    nhs.issuer.header = {"kid": "two", "jwk": rsa_key("two").as_dict(private=False)}
    back_with(nhs, UNTRUSTED)


def test_an_id_token_that_names_a_place_for_its_key_is_refused_and_the_place_is_not_asked(nhs: NhsWorld) -> None:
    nhs.issuer.key = rsa_key("two")
    nhs.issuer.header = {"kid": "two", "jku": f"{nhs.issuer.url}/elsewhere"}
    back_with(nhs, UNTRUSTED)
    assert "/elsewhere" not in nhs.issuer.requests


@pytest.mark.parametrize("kid", ["unknown", 1, ["one"]])
def test_an_id_token_with_a_key_that_is_not_published_is_refused(nhs: NhsWorld, kid: object) -> None:
    nhs.issuer.sign = lambda header, claims: ".".join([lies.part(header | {"kid": kid}), lies.part(claims), "AA"])
    back_with(nhs, UNTRUSTED)


def test_an_id_token_with_a_critical_extension_is_refused(nhs: NhsWorld) -> None:
    nhs.issuer.sign = lambda header, claims: ".".join(
        [lies.part(header | {"crit": ["x"], "x": 1}), lies.part(claims), "AA"]
    )
    back_with(nhs, UNTRUSTED)


def test_without_a_key_name_one_published_key_is_enough_and_two_are_doubt(nhs: NhsWorld) -> None:
    nhs.issuer.header = {"kid": None}
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"
    nhs.reset()
    nhs.issuer.header = {"kid": None}
    nhs.issuer.published = [rsa_key(name).as_dict(private=False) for name in ("one", "two")]
    back_with(nhs, UNTRUSTED)


def test_a_new_key_of_the_provider_is_found_without_waiting(nhs: NhsWorld) -> None:
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"
    nhs.party.published._clock = lambda: time.monotonic() + 11
    nhs.issuer.key, nhs.issuer.header = rsa_key("two"), {"kid": "two"}
    nhs.issuer.published = [rsa_key(name).as_dict(private=False) for name in ("one", "two")]
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"


def test_tokens_of_unknown_keys_do_not_make_us_ask_for_keys_each_time(nhs: NhsWorld) -> None:
    nhs.issuer.sign = lambda header, claims: ".".join([lies.part(header | {"kid": "x"}), lies.part(claims), "AA"])
    for _ in range(3):
        back_with(nhs, UNTRUSTED)
    assert nhs.issuer.requests.count("/jwks") == 1


def test_a_key_that_is_gone_from_the_set_signs_nobody_in_an_hour_later(nhs: NhsWorld) -> None:
    nhs.browser().nhs_login()
    nhs.issuer.published = [rsa_key("two").as_dict(private=False)]
    nhs.party.published._clock = lambda: time.monotonic() + 3_601
    back_with(nhs, UNTRUSTED)


WEAK_KEYS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "none": list,
    "too short": lambda: [rsa_key("weak", 1024).as_dict(private=False) | {"kid": "one"}],
    "for encryption": lambda: [rsa_key("one").as_dict(private=False) | {"use": "enc"}],
    "symmetric": lambda: [{"kty": "oct", "kid": "one", "k": "AAAA"}],
    "of another kind": lambda: [{"kty": "EC", "kid": "one", "crv": "P-256", "x": "AA", "y": "AA"}],
    "without a modulus": lambda: [{"kty": "RSA", "kid": "one", "e": "AQAB"}],
    "no objects": lambda: ["one"],  # type: ignore[list-item]
}


@pytest.mark.parametrize("name", WEAK_KEYS)
def test_a_set_without_a_usable_key_signs_nobody_in(nhs: NhsWorld, name: str) -> None:
    nhs.issuer.published = WEAK_KEYS[name]()
    back_with(nhs, UNAVAILABLE)


WRONG_USERINFO: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "about somebody else": ({"sub": "person-2"}, UNTRUSTED),
    "about nobody": ({"sub": None}, UNTRUSTED),
    "another NHS number": ({"nhs_number": "9000000009"}, UNTRUSTED),
    "another birthday": ({"birthdate": "1990-01-01"}, UNTRUSTED),
    "another surname": ({"family_name": "Smith"}, UNTRUSTED),
    "another level": ({"identity_proofing_level": "P5"}, UNTRUSTED),
    "no level": ({"identity_proofing_level": None}, LEVEL),
    "no NHS number": ({"nhs_number": None}, UNTRUSTED),
    "no birthday": ({"birthdate": None}, UNTRUSTED),
    "no surname": ({"family_name": None}, UNTRUSTED),
    "an NHS number as a number": ({"nhs_number": 9434765919}, UNTRUSTED),
}


@pytest.mark.parametrize("name", WRONG_USERINFO)
def test_userinfo_that_contradicts_the_id_token_or_says_too_little_is_refused(nhs: NhsWorld, name: str) -> None:
    nhs.issuer.userinfo, expected = WRONG_USERINFO[name]
    back_with(nhs, expected)


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"nhs_number": "9434765918"}, UNTRUSTED),
        ({"nhs_number": "943 476 5919"}, UNTRUSTED),
        ({"birthdate": "15/03/1984"}, UNTRUSTED),
        ({"birthdate": "1984-02-30"}, UNTRUSTED),
        ({"family_name": "  "}, UNTRUSTED),
        ({"identity_proofing_level": "P5"}, LEVEL),
        ({"identity_proofing_level": "P0"}, LEVEL),
        ({"identity_proofing_level": ["P9"]}, LEVEL),
    ],
)
def test_claims_that_both_state_but_are_not_good_enough_are_refused(
    nhs: NhsWorld, changed: dict[str, Any], expected: tuple[int, str]
) -> None:
    nhs.issuer.claims = nhs.issuer.userinfo = changed
    back_with(nhs, expected)


WRONG_ANSWERS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "the person declined": ({"error": "access_denied", "code": None}, DECLINED),
    "sign-in required": ({"error": "login_required", "code": None}, DECLINED),
    "single sign-on required": ({"error": "sso_login_required", "code": None}, DECLINED),
    "interaction required": ({"error": "interaction_required", "code": None}, DECLINED),
    "the provider failed": ({"error": "server_error", "code": None}, UNAVAILABLE),
    "an error nobody knows": ({"error": "<script>alert(1)</script>", "code": None}, UNAVAILABLE),
    "an error beside a code": ({"error": "access_denied"}, DECLINED),
    "neither code nor error": ({"code": None}, UNTRUSTED),
    "an empty code": ({"code": ""}, UNTRUSTED),
    "a code with a line break": ({"code": "a\r\nb"}, UNTRUSTED),
    "two codes": ({"code": ["code-1", "code-2"]}, UNTRUSTED),
    "a parameter nobody knows, twice": ({"x": ["1", "2"]}, UNTRUSTED),
    "an issuer that we did not ask": ({"iss": "https://auth.example.org"}, UNTRUSTED),
    "an empty issuer": ({"iss": ""}, UNTRUSTED),
    "no state": ({"state": None}, STALE),
    "another state": ({"state": "s" * 43}, STALE),
    "two states": ({"state": ["s" * 43, "t" * 43]}, STALE),
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_a_wrong_answer_to_the_browser_is_refused_and_no_code_is_sent_anywhere(nhs: NhsWorld, name: str) -> None:
    nhs.issuer.answer, expected = WRONG_ANSWERS[name]
    back_with(nhs, expected)
    assert nhs.issuer.forms == []


def test_a_provider_that_says_that_it_names_itself_has_to(nhs: NhsWorld) -> None:
    nhs.issuer.metadata = {"authorization_response_iss_parameter_supported": True}
    back_with(nhs, UNTRUSTED)
    nhs.issuer.answer = {"iss": nhs.issuer.url}
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"


def test_the_answer_works_once(nhs: NhsWorld) -> None:
    browser = nhs.browser()
    path = browser.leave()
    assert browser.get(path).status_code == 303
    refused(nhs, browser.get(path), STALE)


def test_an_answer_that_was_refused_does_not_work_afterwards(nhs: NhsWorld) -> None:
    browser = nhs.browser()
    path = browser.leave()
    nhs.issuer.claims = {"aud": "client-2"}
    refused(nhs, browser.get(path), UNTRUSTED)
    nhs.issuer.claims = {}
    refused(nhs, browser.get(path), STALE)


def test_the_answer_to_one_browser_does_not_work_in_another(nhs: NhsWorld) -> None:
    victim, attacker = nhs.browser(), nhs.browser()
    victim.leave()
    refused(nhs, victim.get(attacker.leave()), STALE)
    refused(nhs, nhs.browser().get(attacker.leave()), STALE)


def test_two_tabs_of_one_browser_can_both_come_back(nhs: NhsWorld) -> None:
    browser = nhs.browser()
    first = browser.leave()
    asked = nhs.issuer.asked
    browser.leave()
    nhs.issuer.asked = asked
    assert browser.get(first).location == "/nhs-login/agreement"


def test_an_answer_after_an_hour_is_too_late(nhs: NhsWorld) -> None:
    browser = nhs.browser()
    path = browser.leave()
    nhs.server.clock.advance(minutes=60)
    refused(nhs, browser.get(path), STALE)


def test_a_sign_in_that_was_to_be_fresh_is_not_met_by_an_old_one(nhs: NhsWorld) -> None:
    for claims in ({"auth_time": seconds(nhs, -300)}, {"auth_time": None}):
        nhs.issuer.claims = claims
        refused(nhs, nhs.browser().nhs_login("/nhs-login?again=1"), UNTRUSTED)


WRONG_TOKENS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "code used or expired": ({"error": "invalid_grant"}, STALE),
    "our key not accepted": ({"error": "invalid_client"}, UNAVAILABLE),
    "no ID token": ({"id_token": None}, UNTRUSTED),
    "an ID token that is no text": ({"id_token": {"sub": "person-1"}}, UNTRUSTED),
    "no access token": ({"access_token": None}, UNTRUSTED),
    "an access token with a line break": ({"access_token": "a\r\nX-Admin: 1"}, UNTRUSTED),
    "a token of another type": ({"token_type": "DPoP"}, UNTRUSTED),
    "no token type": ({"token_type": None}, UNTRUSTED),
}


@pytest.mark.parametrize("name", WRONG_TOKENS)
def test_a_wrong_answer_of_the_token_endpoint_is_refused(nhs: NhsWorld, name: str) -> None:
    nhs.issuer.tokens, expected = WRONG_TOKENS[name]
    back_with(nhs, expected)


WRONG_METADATA: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "another issuer's": ({"issuer": "https://auth.example.org"}, UNTRUSTED),
    "no issuer": ({"issuer": None}, UNTRUSTED),
    "no token endpoint": ({"token_endpoint": None}, UNAVAILABLE),
    "plain http elsewhere": ({"token_endpoint": "http://auth.example.org/token"}, UNAVAILABLE),
    "a file": ({"jwks_uri": "file:///etc/passwd"}, UNAVAILABLE),
    "a script": ({"authorization_endpoint": "javascript:alert(1)"}, UNAVAILABLE),
    "an address with a password": ({"userinfo_endpoint": "https://a:b@auth.example.org/"}, UNAVAILABLE),
    "a list": ({"userinfo_endpoint": ["https://auth.example.org/"]}, UNAVAILABLE),
}


@pytest.mark.parametrize("name", WRONG_METADATA)
def test_a_configuration_that_cannot_be_trusted_sends_nobody_anywhere(nhs: NhsWorld, name: str) -> None:
    nhs.issuer.metadata, expected = WRONG_METADATA[name]
    refused(nhs, nhs.browser().get("/nhs-login"), expected)


BROKEN = {
    "redirects": (302, {"Location": "http://127.0.0.1:9/"}, b""),
    "redirects for ever": (307, {"Location": "{path}"}, b"{}"),
    "fails": (500, JSON, b'{"error": "server_error"}'),
    "is not found": (404, {"Content-Type": "text/html"}, b"<h1>Not found</h1>"),
    "says too much": (200, JSON, b'{"a": "' + b"x" * 200_000 + b'"}'),
    "says half": (200, JSON, b'{"issuer": '),
    "says a list": (200, JSON, b"[]"),
    "says a page": (200, {"Content-Type": "text/html"}, b"{}"),
    "says nothing": (200, JSON, b""),
}


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_provider_that_does_not_answer_as_one_is_not_available(nhs: NhsWorld, path: str, name: str) -> None:
    status, headers, body = BROKEN[name]
    nhs.issuer.raw[path] = (status, {key: value.replace("{path}", path) for key, value in headers.items()}, body)
    browser = nhs.browser()
    answer = browser.get("/nhs-login") if path.startswith("/.well-known") else browser.nhs_login()
    refused(nhs, answer, UNAVAILABLE)
    assert nhs.issuer.requests.count(path) == 1


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/jwks", "/userinfo"])
def test_a_provider_that_drips_its_answer_is_cut_off(nhs: NhsWorld, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_server.identity.openid_wire.TIMEOUT_S", 0.3)
    nhs.issuer.delay_s[path] = 0.02
    browser = nhs.browser()
    answer = browser.get("/nhs-login") if path.startswith("/.well-known") else browser.nhs_login()
    refused(nhs, answer, UNAVAILABLE)


def test_a_provider_that_cannot_be_reached_is_not_available_and_is_asked_again(nhs: NhsWorld) -> None:
    nhs.party.published._issuer = "http://127.0.0.1:9"
    refused(nhs, nhs.browser().get("/nhs-login"), UNAVAILABLE)
    nhs.party.published._issuer = nhs.issuer.url
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"


def test_every_refusal_is_on_the_audit_log_in_words_of_ours(nhs: NhsWorld) -> None:
    nhs.issuer.claims = {"aud": "client-2"}
    nhs.browser().nhs_login()
    assert nhs.events() == [("4", "The ID token is for another client")]


def test_answers_that_nobody_asked_for_do_not_fill_the_audit_log(nhs: NhsWorld) -> None:
    for number in range(5):
        nhs.browser().get(f"/nhs-login/callback?code=c&state=s{number}")
    assert len(nhs.events()) == 1


def test_our_proof_to_the_provider_is_the_documented_one(nhs: NhsWorld) -> None:
    from joserfc import jwt  # noqa: PLC0415 - beside its use

    nhs.browser().nhs_login()
    (form,) = nhs.issuer.forms
    proof = jwt.decode(form["client_assertion"], rsa_key("client"), algorithms=["RS512"])
    now = int(nhs.server.clock().timestamp())
    assert proof.header == {"alg": "RS512", "typ": "JWT", "kid": rsa_key("client").thumbprint()}
    assert proof.claims | {"jti": ""} == {
        "iss": "client-1",
        "sub": "client-1",
        "aud": f"{nhs.issuer.url}/token",
        "iat": now,
        "exp": now + 120,
        "jti": "",
    }
    assert {name: form[name] for name in ("grant_type", "code", "redirect_uri", "client_assertion_type")} == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "redirect_uri": "http://localhost/nhs-login/callback",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    }
    assert len(form["code_verifier"]) == 43


def test_each_attempt_has_secrets_of_its_own(nhs: NhsWorld) -> None:
    browser = nhs.browser()
    seen = []
    for _ in range(2):
        browser.nhs_login()
        seen.append({nhs.issuer.asked[name] for name in ("state", "nonce", "code_challenge")})
    assert not seen[0] & seen[1]


def test_without_a_registration_there_is_nothing_to_sign_in_with(nhs: NhsWorld) -> None:
    nhs.server.app.extensions["relying-parties"], kept = {}, nhs.server.app.extensions["relying-parties"]
    try:
        assert nhs.browser().get("/nhs-login").status_code == 404
        assert nhs.browser().get("/nhs-login/callback?code=1&state=1").status_code == 404
    finally:
        nhs.server.app.extensions["relying-parties"] = kept
