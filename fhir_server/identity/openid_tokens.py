"""Whether an ID token is the answer to our question: OpenID Connect Core 1.0 §3.1.3.7, RFC 8485.

INVARIANT: every check refuses on doubt; a claim that is missing or of another type counts as wrong.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from fhir_server.identity.openid import OpenIdError, Problem

SKEW = timedelta(seconds=60)
"""How far the provider's clock may be from ours."""
LONGEST_LIFE = timedelta(minutes=60)
"""Of an ID token, as documented."""
_UNSAID = timedelta(hours=12)
_MAX_CHARACTERS = 16_384
_MAX_SUBJECT = 255
_HASHES = {"RS256": hashlib.sha256, "RS384": hashlib.sha384, "RS512": hashlib.sha512}

KeyOf = Callable[[str | None, str], RSAKey]


@dataclass(frozen=True, slots=True)
class Expected:
    """The question that an ID token has to answer.

    Attributes:
        nonce: The attempt's.
        access_token: Issued together with it; checked where the token has `at_hash`.
        asked_at: When the browser was sent to the provider.
        now: Aware UTC.
        vtr: The vectors of trust asked for; empty where the provider knows none.
        fresh: Whether the person had to prove themselves anew.
    """

    issuer: str
    client_id: str
    algorithms: tuple[str, ...]
    nonce: str
    access_token: str
    asked_at: datetime
    now: datetime
    vtr: tuple[str, ...] = ()
    fresh: bool = False


def verified(token: object, key_of: KeyOf, expected: Expected) -> Mapping[str, Any]:
    """Return the claims of an ID token whose signature and every claim hold.

    Args:
        token: As the token endpoint answered it.
        key_of: Finds the provider's key by `kid` and `alg`.
        expected: What it has to say.

    Raises:
        OpenIdError: UNTRUSTED, STALE for one that has expired, LEVEL where the person is not known well enough.
    """
    claims = _signed(token, key_of, expected.algorithms)
    if claims.get("iss") != expected.issuer:
        raise _untrusted("is of another issuer")
    _check_audience(claims, expected.client_id)
    _check_subject(claims)
    _check_times(claims, expected)
    if not _same(claims.get("nonce"), expected.nonce):
        raise _untrusted("answers another question: its nonce is not ours")
    at_hash = claims.get("at_hash")
    if at_hash is not None and not any(
        _same(at_hash, _half(expected.access_token, alg)) for alg in expected.algorithms
    ):
        raise _untrusted("belongs to another access token")
    if expected.vtr:
        _check_trust(claims, expected)
    return claims


def agreed(
    claims: Mapping[str, Any], userinfo: Mapping[str, Any], names: Sequence[str], *, required: Sequence[str] = ()
) -> Mapping[str, Any]:
    """Return the claims of userinfo, which must be about the person of the ID token and not contradict it.

    Args:
        claims: Of a verified ID token.
        userinfo: The answer of the userinfo endpoint.
        names: Claims that, where both state them, have to be equal.
        required: Claims that userinfo has to state.

    Raises:
        OpenIdError: UNTRUSTED (OpenID Connect Core §5.3.2).
    """
    # INVARIANT: without this, an access token of somebody else's would put their record under this person's sign-in.
    if not _same(userinfo.get("sub"), claims["sub"]):
        raise OpenIdError(Problem.UNTRUSTED, "Userinfo is about another person than the ID token")
    for name in names:
        if name in claims and name in userinfo and claims[name] != userinfo[name]:
            raise OpenIdError(Problem.UNTRUSTED, f"Userinfo and ID token disagree on {name}")
    for name in required:
        if not isinstance(userinfo.get(name), str) or not userinfo[name]:
            raise OpenIdError(Problem.UNTRUSTED, f"Userinfo does not state {name}")
    return userinfo


def authenticated_at(claims: Mapping[str, Any], now: datetime) -> datetime:
    """Return when the person proved themselves: `auth_time`; long ago where the provider does not say."""
    found = _instant(claims, "auth_time")
    # INVARIANT: a provider may rely on a session of its own: unsaid is not fresh.
    return min(found, now) if found is not None else now - _UNSAID


def _signed(token: object, key_of: KeyOf, algorithms: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(token, str) or not token.isascii() or len(token) > _MAX_CHARACTERS:
        raise _untrusted("is missing or no JWT")
    try:
        parsed = jws.extract_compact(token.encode("ascii"))
        header = parsed.headers()
    except (JoseError, ValueError, TypeError) as error:
        raise _untrusted("is no JWT") from error
    algorithm, kid = header.get("alg"), header.get("kid")
    # INVARIANT: the algorithm is ours to say, before a key is looked at: neither `none` nor a MAC with a public key.
    if algorithm not in algorithms:
        raise _untrusted("is signed with an algorithm that was not agreed on")
    if "crit" in header or header.get("b64", True) is not True:
        raise _untrusted("has a header that we do not understand")
    if kid is not None and not isinstance(kid, str):
        raise _untrusted("names its key in a way that we do not understand")
    key = key_of(kid, algorithm)
    try:
        payload = jws.deserialize_compact(token, key, algorithms=[algorithm]).payload
        claims = orjson.loads(payload or b"")
    except (JoseError, ValueError, TypeError) as error:
        raise _untrusted("has a signature that does not verify") from error
    if not isinstance(claims, dict):
        raise _untrusted("holds no claims")
    return claims


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    if claims.get("aud") not in (client_id, [client_id]):
        raise _untrusted("is for another client")
    if claims.get("azp", client_id) != client_id:
        raise _untrusted("was issued to another client")


def _check_subject(claims: Mapping[str, Any]) -> None:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT or not subject.isascii():
        raise _untrusted("does not say who it is about")


def _check_times(claims: Mapping[str, Any], expected: Expected) -> None:
    issued, expires, starts = (_instant(claims, name) for name in ("iat", "exp", "nbf"))
    if issued is None or expires is None:
        raise _untrusted("does not say when it was issued and ends")
    if issued > expected.now + SKEW:
        raise _untrusted("was issued in the future")
    if issued < expected.asked_at - SKEW:
        raise _untrusted("was issued before we asked")
    if starts is not None and starts > expected.now + SKEW:
        raise _untrusted("is not valid yet")
    if expires <= expected.now - SKEW:
        raise OpenIdError(Problem.STALE, "The ID token has expired")
    if expires > issued + LONGEST_LIFE + SKEW:
        raise _untrusted("is valid for longer than was agreed on")
    proved = _instant(claims, "auth_time")
    if proved is not None and proved > expected.now + SKEW:
        raise _untrusted("is about a sign-in in the future")
    if expected.fresh and (proved is None or proved < expected.asked_at - SKEW):
        raise _untrusted("is about an earlier sign-in, though a new one was asked for")


def _check_trust(claims: Mapping[str, Any], expected: Expected) -> None:
    vector, mark = claims.get("vot"), claims.get("vtm")
    # RFC 8485 §3.2: a vector means something only under the trustmark of who we trust.
    if not isinstance(mark, str) or not mark.startswith(f"{expected.issuer.rstrip('/')}/trustmark/"):
        raise _untrusted("has a vector of trust under another trustmark, or none")
    if not isinstance(vector, str):
        raise _untrusted("has no vector of trust")
    if vector not in expected.vtr:
        raise OpenIdError(Problem.LEVEL, "The vector of trust is none that was asked for")


def _instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _untrusted(f"has a {name} that is no number of seconds")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise _untrusted(f"has a {name} that is no instant") from error


def _same(found: object, wanted: str) -> bool:
    return isinstance(found, str) and hmac.compare_digest(found.encode("utf-8", "surrogatepass"), wanted.encode())


def _half(access_token: str, algorithm: str) -> str:
    """Return the left half of the hash of an access token (OpenID Connect Core §3.1.3.6)."""
    digest = _HASHES[algorithm](access_token.encode()).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def _untrusted(what: str) -> OpenIdError:
    return OpenIdError(Problem.UNTRUSTED, f"The ID token {what}")
