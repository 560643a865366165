"""ID tokens (OpenID Connect Core 1.0 §2) with `fhirUser` (SMART App Launch 2.2, "Identity data")."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, jsonify

from fhir_server.access import tokens
from fhir_server.smart.server import Here
from fhir_server.spec.outcome import FhirError
from fhir_server.store import oauth
from fhir_server.store.database import Store
from fhir_server.store.oauth import Authorization

_LIFETIME = timedelta(minutes=5)


def id_token(here: Here, authorization: Authorization, *, scope: str, nonce: str) -> str:
    """Return a signed ID token for the person who gave this permission, addressed to the client."""
    claims: dict[str, Any] = {
        "iss": here.base_url,
        "sub": authorization.account_id,
        "aud": authorization.client_id,
        "iat": int(here.now.timestamp()),
        "exp": int((here.now + _LIFETIME).timestamp()),
        "auth_time": int(authorization.auth_time.timestamp()),
    }
    if nonce:
        claims["nonce"] = nonce
    # `profile` is how SMART 1 asked for the same; both claims hold the absolute URL.
    for name in ("fhirUser", "profile"):
        if name in scope.split():
            claims[name] = fhir_user(here, authorization.subject)
    return here.signing.sign(claims)


def userinfo(here: Here, store: Store, authorization: str) -> Response:
    """Answer who the bearer token's person is (OpenID Connect Core 1.0 §5.3): the claims of its ID token.

    401 with a challenge for a token that does not work, 403 for one without `openid` (RFC 6750 §3.1).
    """
    scheme, _, token = authorization.partition(" ")
    with store.read() as session:
        found = oauth.live_access_token(session, token, here.now) if scheme.lower() == "bearer" else None
        try:
            if found is not None:
                tokens.resolve(session, token, here.now)
        except FhirError:  # its person may not sign in any more
            found = None
    if found is None:
        return _challenge(401, "invalid_token")
    scopes = set(found.scope.split())
    if "openid" not in scopes or not found.account_id:
        return _challenge(403, "insufficient_scope")
    claims = {name: fhir_user(here, found.subject) for name in ("fhirUser", "profile") if name in scopes}
    answer = jsonify({"sub": found.account_id, **claims})
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _challenge(status: int, error: str) -> Response:
    answer = jsonify({"error": error})
    answer.status_code = status
    answer.headers["WWW-Authenticate"] = f'Bearer error="{error}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def fhir_user(here: Here, subject: str) -> str:
    """Return the absolute URL of the person's resource."""
    return f"{here.fhir_base}/{subject}"
