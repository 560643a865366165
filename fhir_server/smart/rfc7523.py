"""Client authentication by a signed assertion: `private_key_jwt` (RFC 7523, SMART App Launch 2.2 "Asymmetric").

Keys are looked up before the transaction (`keys_of_assertion`), as that may ask the client's own server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fhir_server.identity.client_keys import ClientKeys, KeysUnavailable
from fhir_server.smart import waiting
from fhir_server.smart.client import ASSERTION_METHOD, RegisteredClient
from fhir_server.smart.discovery import ASSERTION_ALGORITHMS
from fhir_server.smart.server import IncomingRequest, Server
from fhir_server.store import oauth_clients, oauth_codes
from fhir_server.store.database import Store

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MAX_LIFETIME = timedelta(minutes=5)
_SKEW = timedelta(seconds=10)
_MAX_JTI_CHARS = 255
_MAX_ASSERTION_CHARS = 8_192


def keys_of_assertion(store: Store, client_keys: ClientKeys, request: IncomingRequest) -> KeySet | None:
    """Return the keys that the request's assertion must be signed with, None where it carries none.

    Raises:
        InvalidClientError: When the assertion cannot be read, or the client is unknown or has no usable keys.
    """
    assertion = request.form.get("client_assertion")
    if assertion is None:
        return None
    header, claims = _unverified(assertion)
    subject = claims.get("sub")
    if not isinstance(subject, str):
        raise _refusal("sub is missing: it must be the client id")
    with store.read() as session:
        client = oauth_clients.client(session, subject)
        if client is not None and not client.active:
            raise _refusal(waiting.reason(session, client))
    if client is None or not client.active or client.kind != "jwks":
        raise _refusal("sub is not a client that is registered for private_key_jwt")
    try:
        return client_keys.of(client, str(header.get("kid", "")))
    except KeysUnavailable as error:
        raise _refusal(str(error)) from error


def authenticate(
    server: Server,
) -> Callable[[Callable[[str], RegisteredClient | None], IncomingRequest], RegisteredClient | None]:
    """Return the authentication method of a server, for Authlib's registry."""

    def check(
        query_client: Callable[[str], RegisteredClient | None], request: IncomingRequest
    ) -> RegisteredClient | None:
        if "client_assertion" not in request.form:
            return None
        if request.form.get("client_assertion_type") != ASSERTION_TYPE:
            # The request is wrong whoever sends it, so it is no failed authentication (RFC 6749 §5.2).
            raise InvalidRequestError(f"client_assertion_type must be {ASSERTION_TYPE}")
        claims = _verified(request.form["client_assertion"], server.client_keys)
        _check_claims(claims, audience=server.here.token_endpoint, now=server.here.now)
        client = query_client(claims["sub"])  # again, as it may have been suspended since its keys were looked up
        if client is None or not client.check_endpoint_auth_method(ASSERTION_METHOD, "token"):
            raise _refusal("sub is not a client that is registered for private_key_jwt")
        # INVARIANT: remembered last, so that only the holder of the key can fill the memory.
        expires_at = datetime.fromtimestamp(claims["exp"], UTC)
        if not oauth_codes.remember_assertion(
            server.session, claims["sub"], claims["jti"], expires_at=expires_at + _SKEW, now=server.here.now
        ):
            raise _refusal("jti was used before")
        return client

    return check


def _unverified(assertion: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if len(assertion) > _MAX_ASSERTION_CHARS:
        raise _refusal("The assertion is too long")
    try:
        parsed = jws.extract_compact(assertion.encode("ascii"))
        claims = orjson.loads(parsed.payload or b"")
    except (JoseError, ValueError, TypeError) as error:
        raise _refusal("The assertion is not a signed JWT") from error
    if not isinstance(claims, dict):
        raise _refusal("The assertion is not a signed JWT")
    return parsed.headers(), claims


def _verified(assertion: str, keys: KeySet | None) -> Mapping[str, Any]:
    header, _ = _unverified(assertion)
    if header.get("alg") not in ASSERTION_ALGORITHMS:
        raise _refusal("alg must be RS384 or ES384")
    kid = header.get("kid")
    if not isinstance(kid, str):
        raise _refusal("kid is missing from the header: it must name a key of the client's JWK Set")
    if keys is None or all(key.kid != kid for key in keys.keys):
        raise _refusal("kid is not a key of the client's JWK Set")
    try:
        return jwt.decode(assertion, keys, algorithms=list(ASSERTION_ALGORITHMS)).claims
    except (JoseError, ValueError, TypeError) as error:
        raise _refusal("The signature does not verify with the client's key") from error


def _check_claims(claims: Mapping[str, Any], *, audience: str, now: datetime) -> None:
    """Check RFC 7523 §3 as SMART App Launch 2.2 narrows it."""
    jti, expires = claims.get("jti"), _instant(claims, "exp")
    if claims.get("iss") != claims.get("sub"):
        raise _refusal("iss and sub must both be the client id")
    if claims.get("aud") not in (audience, [audience]):
        raise _refusal(f"aud must be {audience}")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_JTI_CHARS:
        raise _refusal(f"jti is missing or longer than {_MAX_JTI_CHARS} characters")
    if expires is None:
        raise _refusal("exp is missing")
    if expires <= now:
        raise _refusal("exp has passed")
    if expires > now + _MAX_LIFETIME + _SKEW:
        raise _refusal("exp must be at most five minutes ahead")
    for name in ("nbf", "iat"):
        start = _instant(claims, name)
        if start is not None and start > now + _SKEW:
            raise _refusal(f"{name} is in the future")


def _instant(claims: Mapping[str, Any], name: str) -> datetime | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _refusal(f"{name} must be a number of seconds")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise _refusal(f"{name} is not an instant") from error


def _refusal(text: str) -> InvalidClientError:
    return InvalidClientError(text, status_code=401)
