"""What NHS login might answer wrongly beside its ID token: each is refused with a clear page, and nobody is in."""

from typing import Any

import pytest

from tests.signin.nhs_login_issuer import rsa_key
from tests.signin.nhs_login_refusals import DECLINED, JSON, STALE, UNAVAILABLE, UNTRUSTED, back_with, refused, seconds
from tests.signin.nhs_login_world import NhsWorld

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
