"""DPoP proofs (RFC 9449 §4): whoever presents a token shows with each request that they hold the key it is bound to.

Comes in: the text of a `DPoP` header. Goes out: which key was proven, or why none was. Whether a proof is new is not
known here: the doors remember its `jti` (`store.oauth_codes.remember_proof`) once all else is right.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = ("ES256", "ES384", "RS256")
"""Algorithms of proofs; every one of them signs with a private key (§11.6)."""
WINDOW = timedelta(seconds=60)
"""So much may a client's clock be off, and so long is a proof good for (§11.1)."""
_MAX_PROOF_CHARS = 4_096
_MAX_JTI_CHARS = 255
_MIN_RSA_CHARS = 342  # base64url of 2048 bits
_READER = jws.JWSRegistry(algorithms=list(ALGORITHMS))
_READER.max_header_length = _MAX_PROOF_CHARS  # an RSA key in the header is longer than the library's 512
_PUBLIC = {"EC": frozenset({"kty", "crv", "x", "y"}), "RSA": frozenset({"kty", "n", "e"})}
_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_PORTS = {"http": 80, "https": 443}


class ProofRefused(Exception):  # noqa: N818 - what happened; the text may be told to the client
    """A proof that proves nothing; the text says why and may be told to the client."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof whose signature, address and time are right.

    Attributes:
        key_thumbprint: SHA-256 thumbprint of the key that was proven (RFC 7638), which tokens name as `jkt`.
        jti: Its name, to be accepted once.
        until: After this instant it is refused anyway, even where a server's clock is off as much as a client's may be.
    """

    key_thumbprint: str
    jti: str
    until: datetime


def verified(text: str, *, method: str, url: str, now: datetime, access_token: str = "") -> Proof:
    """Return what a proof proves (RFC 9449 §4.3).

    Args:
        text: The `DPoP` header of the request.
        method: HTTP method of the request.
        url: Public address of the request; its query does not count.
        now: Aware UTC.
        access_token: The token presented with it; none at the token endpoint.

    Raises:
        ProofRefused: Naming the member that is wrong and what is allowed.
    """
    header = _header(text)
    key = _key(header)
    try:
        claims = orjson.loads(jws.deserialize_compact(text, key, [header["alg"]], _READER).payload)
    except (JoseError, ValueError, TypeError) as error:
        raise ProofRefused("The signature does not verify with jwk") from error
    if not isinstance(claims, dict):
        raise ProofRefused("The proof is not a JWT")
    issued_at = _check_claims(claims, method, url, now)
    if access_token and not _is_hash(claims.get("ath"), access_token):
        raise ProofRefused("ath must be the base64url SHA-256 of the access token")
    return Proof(key.thumbprint(), claims["jti"], issued_at + 2 * WINDOW)


def _header(text: str) -> Mapping[str, Any]:
    if len(text) > _MAX_PROOF_CHARS:
        raise ProofRefused(f"The proof is longer than {_MAX_PROOF_CHARS} characters")
    try:
        header: dict[str, Any] = jws.extract_compact(text.encode("ascii"), registry=_READER).headers()
    except (JoseError, ValueError, TypeError) as error:  # two headers arrive as one with a comma, and end here too
        raise ProofRefused("One DPoP header with one signed JWT is needed") from error
    if header.get("typ") != "dpop+jwt":
        raise ProofRefused("typ must be dpop+jwt")
    if header.get("alg") not in ALGORITHMS:
        raise ProofRefused(f"alg must be one of {', '.join(ALGORITHMS)}")
    if "crit" in header:
        raise ProofRefused("crit names nothing that is understood here")
    return header


def _key(header: Mapping[str, Any]) -> ECKey | RSAKey:
    jwk = header.get("jwk")
    if not isinstance(jwk, dict) or _SECRET & set(jwk):
        raise ProofRefused("jwk must be a public key, without private or symmetric members")
    kind = jwk.get("kty")
    if kind != ("RSA" if header["alg"].startswith("RS") else "EC"):
        raise ProofRefused("jwk must be a key of the kind that alg says")
    try:
        # Only what makes the key: what else it carries (`kid`, `use`, `x5u`) is neither believed nor followed.
        public = {name: value for name, value in jwk.items() if name in _PUBLIC[kind]}
        if kind == "RSA" and len(public["n"]) < _MIN_RSA_CHARS:
            raise ProofRefused("jwk must have at least 2048 bits")
        key: ECKey | RSAKey = (RSAKey if kind == "RSA" else ECKey).import_key(public)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise ProofRefused("jwk is not a key that can be read") from error
    return key


def _check_claims(claims: Mapping[str, Any], method: str, url: str, now: datetime) -> datetime:
    """Check the claims that each proof has and return when it was made (RFC 9449 §4.2)."""
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI_CHARS:
        raise ProofRefused(f"jti is missing or longer than {_MAX_JTI_CHARS} characters")
    if claims.get("htm") != method:
        raise ProofRefused(f"htm must be {method}")
    if not isinstance(claims.get("htu"), str) or _normal(claims["htu"]) != _normal(url):
        raise ProofRefused("htu must be the address of the request")
    issued_at = _instant(claims.get("iat"))
    if issued_at is None or abs(issued_at - now) > WINDOW:
        raise ProofRefused(f"iat must be within {WINDOW.seconds} seconds of the server's time")
    return issued_at


def _instant(value: object) -> datetime | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def _normal(url: str) -> tuple[str, str | None, int | None, str] | None:
    """Return what two spellings of one address share (RFC 3986 §6.2.2, §6.2.3); query and fragment do not count."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.username is not None:
        return None
    return parts.scheme, parts.hostname, port, unquote(parts.path) or "/"


def _is_hash(claimed: object, token: str) -> bool:
    digest = hashlib.sha256(token.encode("ascii", "replace")).digest()
    expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return isinstance(claimed, str) and hmac.compare_digest(claimed.encode(), expected.encode())
