"""ID tokens (OpenID Connect Core 1.0 §2) with `fhirUser` (SMART App Launch 2.2, "Identity data")."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, jsonify

from fhir_server.interactions.model import Context
from fhir_server.smart.server import Here
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import oauth
from fhir_server.store.oauth import Authorization
from fhir_server.web import bearer, proof

_LIFETIME = timedelta(minutes=5)


def id_token(here: Here, authorization: Authorization, *, scope: str, nonce: str, algorithm: str) -> str:
    """Return an ID token for the person who gave this permission, addressed to the client and signed as it wants."""
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
    return here.signing.sign(claims, algorithm, here.now)


def userinfo(here: Here, context: Context) -> Response:
    """Answer who the access token's person is (OpenID Connect Core 1.0 §5.3): the claims of its ID token.

    401 with a challenge for a token that does not work, 403 for one without `openid` (RFC 6750 §3.1).
    """
    try:
        bearer.caller()
        with context.store.read() as session:
            found = oauth.live_access_token(session, bearer.presented()[1], here.now)
    except FhirError as error:
        if error.kind is not Kind.UNAUTHENTICATED:
            raise
        found = None
    if found is None:
        return _challenge(401, "invalid_token", *proof.challenges("userinfo"))
    scopes = set(found.scope.split())
    if "openid" not in scopes or not found.account_id:
        return _challenge(403, "insufficient_scope", 'Bearer error="insufficient_scope", scope="openid"')
    claims = {name: fhir_user(here, found.subject) for name in ("fhirUser", "profile") if name in scopes}
    answer = jsonify({"sub": found.account_id, **claims})
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _challenge(status: int, error: str, *challenges: str) -> Response:
    answer = jsonify({"error": error})
    answer.status_code = status
    for challenge in challenges:
        answer.headers.add("WWW-Authenticate", challenge)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def fhir_user(here: Here, subject: str) -> str:
    """Return the absolute URL of the person's resource."""
    return f"{here.fhir_base}/{subject}"
