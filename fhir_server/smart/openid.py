"""ID tokens (OpenID Connect Core 1.0 §2) with `fhirUser` (SMART App Launch 2.2, "Identity data")."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fhir_server.smart.server import Here
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


def fhir_user(here: Here, subject: str) -> str:
    """Return the absolute URL of the person's resource."""
    return f"{here.fhir_base}/{subject}"
