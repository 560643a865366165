"""What a proof has to be (RFC 9449 §4.3), edge by edge; `tests/smart/test_rfc9449.py` shows it at the doors."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson
import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from fhir_server.access.dpop import ALGORITHMS, Proof, ProofRefused, verified

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
URL = "https://records.example/fhir/Patient/1"
LIMIT = 4_096
_SIGNING = jws.JWSRegistry(algorithms=list(ALGORITHMS))
_SIGNING.max_header_length = 2 * LIMIT


@cache
def _key(algorithm: str = "ES256") -> ECKey | RSAKey:
    if algorithm == "RS256":
        return RSAKey.generate_key(2048, private=True)
    return ECKey.generate_key("P-256" if algorithm == "ES256" else "P-384", private=True)


def _signed(payload: bytes, algorithm: str = "ES256", jwk: dict[str, Any] | None = None, **header: str) -> str:
    public = _key(algorithm).as_dict(private=False) | (jwk or {})
    head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": public, **header}
    return jws.serialize_compact(head, payload, _key(algorithm), registry=_SIGNING)


def _claims(**changed: object) -> bytes:
    return orjson.dumps({"jti": "a", "htm": "GET", "htu": URL, "iat": int(NOW.timestamp()), **changed})


def _read(text: str, *, url: str = URL, access_token: str = "", now: datetime = NOW) -> Proof:
    return verified(text, method="GET", url=url, now=now, access_token=access_token)


def _refusal(text: str, **how: Any) -> str:
    with pytest.raises(ProofRefused) as refused:
        _read(text, **how)
    return str(refused.value)


def _proves(**changed: object) -> bool:
    try:
        return bool(_read(_signed(_claims(**changed))))
    except ProofRefused:
        return False


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_proof_names_its_key_and_is_remembered_until_no_server_takes_it(algorithm: str) -> None:
    proof = _read(_signed(_claims(jti="one"), algorithm))

    assert proof == Proof(_key(algorithm).thumbprint(), "one", NOW + timedelta(seconds=120))


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_key_that_shows_a_private_or_shared_member_proves_nothing(member: str) -> None:
    for algorithm in ("ES256", "RS256"):
        assert "private or symmetric" in _refusal(_signed(_claims(), algorithm, {member: "AA"}))


def test_what_a_key_says_beside_itself_counts_for_nothing() -> None:
    decorated = {"kid": "other", "use": "enc", "x5u": "https://evil.example/", "key_ops": ["encrypt"]}

    for algorithm in ALGORITHMS:
        proof = _read(_signed(_claims(), algorithm, decorated))
        assert proof.key_thumbprint == _key(algorithm).thumbprint(), algorithm


def test_a_key_is_of_the_kind_that_its_algorithm_says_and_long_enough() -> None:
    for jwk in ({"kty": "RSA"}, {"kty": "oct"}, {"kty": None}):
        assert "kind that alg says" in _refusal(_signed(_claims(), jwk=jwk))
    shorter = _key("RS256").as_dict(private=False)["n"][:341]
    assert "2048 bits" in _refusal(_signed(_claims(), "RS256", {"n": shorter}))


def test_a_proof_may_be_as_long_as_the_limit_and_no_longer() -> None:
    def of(length: int) -> str:
        """Return a proof of exactly that length, which base64 alone does not always have."""
        room = length - len(_signed(_claims(x=""), jwk={"kid": "k"}))
        made = (
            _signed(_claims(x="x" * count), jwk={"kid": kid})
            for count in range(room * 3 // 4 - 4, room)
            for kid in ("k", "kk", "kkk")
        )
        return next(text for text in made if len(text) == length)

    longest = of(LIMIT)
    assert _read(longest).jti == "a"
    assert "longer" in _refusal(of(LIMIT + 1))


def test_text_that_is_no_signed_object_proves_nothing() -> None:
    whole = _signed(_claims())
    for text in ("", "é", "a.b", f"{whole}, {whole}", whole.rpartition(".")[0], "W10.e30.AA", "bnVsbA.e30.AA"):
        assert "One DPoP header" in _refusal(text), text
    for payload in (b"[]", b'"text"', b"null", b"1"):
        assert "not a JWT" in _refusal(_signed(payload)), payload


def test_the_edges_of_its_claims() -> None:
    cases: dict[str, tuple[bool, dict[str, object]]] = {
        "a name of one character": (True, {"jti": "x"}),
        "the longest name": (True, {"jti": "x" * 255}),
        "a longer name": (False, {"jti": "x" * 256}),
        "no name": (False, {"jti": ""}),
        "another method": (False, {"htm": "POST"}),
        "no method": (False, {"htm": None}),
        "a minute old": (True, {"iat": NOW.timestamp() - 60}),
        "older than a minute": (False, {"iat": NOW.timestamp() - 60.5}),
        "a minute from now": (True, {"iat": NOW.timestamp() + 60}),
        "more than a minute from now": (False, {"iat": NOW.timestamp() + 60.5}),
        "made at no number": (False, {"iat": str(NOW.timestamp())}),
    }
    for name, (is_right, claims) in cases.items():
        assert _proves(**claims) is is_right, name
    # In the first minute of 1970 `true` would be a time.
    assert "iat" in _refusal(_signed(_claims(iat=True)), now=datetime.fromtimestamp(1, UTC))


def test_an_address_may_be_spelt_otherwise_but_not_be_another() -> None:
    cases = {
        "https://records.example:443/fhir/Patient/1": True,
        "https://records.example:444/fhir/Patient/1": False,
        "https://records.example:80/fhir/Patient/1": False,
        "http://records.example/fhir/Patient/1": False,
        "http://records.example:443/fhir/Patient/1": False,
        "HTTPS://Records.Example/fhir/%50atient/1": True,
        "https://records.example/fhir/Patient/1?_format=json#here": True,
        "https://records.example/fhir/patient/1": False,
        "https://records.example/": False,
        "https://records.example": False,
        "https://user@records.example/fhir/Patient/1": False,
        "https://:word@records.example/fhir/Patient/1": False,
        "https://records.example:port/fhir/Patient/1": False,
        "https://[records.example/fhir/Patient/1": False,
        "//records.example/fhir/Patient/1": False,
        "https:///fhir/Patient/1": False,
        "": False,
    }
    for url, is_same in cases.items():
        assert _proves(htu=url) is is_same, url
    for url in ("http://localhost", "http://localhost:80", "http://localhost/"):
        assert _read(_signed(_claims(htu=url)), url="http://localhost:80/").jti == "a", url
    assert "htu" in _refusal(_signed(_claims(htu="https://localhost/")), url="http://localhost/")


def test_with_a_token_it_has_the_hash_of_that_token() -> None:
    def digest(token: str) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()

    assert _read(_signed(_claims(ath=digest("token"))), access_token="token").jti == "a"
    for wrong in (None, 7, "", "é", digest("other"), f"{digest('token')}="):
        text = _signed(_claims(ath=wrong))
        assert "ath" in _refusal(text, access_token="token"), wrong
        assert _read(text).jti == "a", "without a token nothing is asked of it"
