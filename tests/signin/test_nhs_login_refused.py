"""What NHS login might say wrongly, or somebody in its name: each is refused with a clear page, and nobody is in."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from tests.signin import nhs_login_issuer as lies
from tests.signin.nhs_login_issuer import rsa_key
from tests.signin.nhs_login_refusals import LEVEL, STALE, UNAVAILABLE, UNTRUSTED, back_with, seconds
from tests.signin.nhs_login_world import NhsWorld


def test_the_provider_that_tells_the_truth_is_believed(nhs: NhsWorld) -> None:
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"


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
