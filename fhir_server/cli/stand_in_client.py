"""What the stand-ins hold the one client that is registered with them to, and how they refuse it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response, jsonify
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST_ASSERTION_S = 3_600
_SKEW_S = 5


class RefusedError(Exception):
    """An OAuth error: its code, what to tell the client's developer, and the HTTP status of the token endpoint."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class Client:
    """The registered client."""

    client_id: str
    key: RSAKey
    redirect_uris: tuple[str, ...]


def check_client(
    form: Mapping[str, str], client: Client, audience: str, algorithm: str, *, now: float, used: set[str]
) -> None:
    """Hold a client to `private_key_jwt` (OpenID Connect Core §9).

    Args:
        form: Of the token request.
        client: As registered.
        audience: The token endpoint.
        algorithm: The one `alg` that counts.
        now: Seconds since the epoch.
        used: Every `jti` so far; this one is added.

    Raises:
        RefusedError: `invalid_client` (401).
    """
    if form.get("client_assertion_type") != ASSERTION_TYPE:
        raise RefusedError("invalid_client", "client_assertion_type is wrong or missing", 401)
    if form.get("client_id", client.client_id) != client.client_id:
        raise RefusedError("invalid_client", "client_id is another one than the assertion's", 401)
    try:
        token = jwt.decode(form.get("client_assertion", ""), client.key, algorithms=[algorithm])
    except (JoseError, ValueError) as error:
        raise RefusedError(
            "invalid_client", f"client_assertion is not signed by the client with {algorithm}", 401
        ) from error
    claims = token.claims
    for name, value in {"iss": client.client_id, "sub": client.client_id, "aud": audience}.items():
        if claims.get(name) != value:
            raise RefusedError("invalid_client", f"{name} of the client_assertion is wrong", 401)
    expires, issued, jti = claims.get("exp"), claims.get("iat", now), claims.get("jti")
    if not isinstance(expires, int) or not now < expires <= now + _LONGEST_ASSERTION_S + _SKEW_S:
        raise RefusedError("invalid_client", "exp of the client_assertion has passed or is too far ahead", 401)
    if not isinstance(issued, int | float) or issued > now + _SKEW_S:
        raise RefusedError("invalid_client", "iat of the client_assertion is in the future", 401)
    if not isinstance(jti, str) or not jti or jti in used:
        raise RefusedError("invalid_client", "jti of the client_assertion is missing or was used", 401)
    used.add(jti)


def s256(verifier: str) -> str:
    """Return the PKCE challenge of a verifier (RFC 7636 §4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def refused(error: RefusedError) -> Response:
    """Return the answer of an endpoint for programs (RFC 6749 §5.2)."""
    response = jsonify({"error": error.code, "error_description": error.description})
    response.status_code = error.status
    return response
