"""What Authlib's client needs of us to redeem a code: a signed assertion, and an HTTP session that is bounded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign

from fhir_server.identity import openid_wire
from fhir_server.identity.bounded_http import Answer
from fhir_server.identity.openid import OpenIdError, Problem, Provider

_ASSERTION_FOR_S = 120
_OK = 200


class Assertion(PrivateKeyJWT):  # type: ignore[misc]  # Authlib ships no types
    """Our proof to the token endpoint (RFC 7523 §2.2), short-lived and by the server's own clock."""

    def __init__(self, provider: Provider, token_endpoint: str, now: datetime) -> None:
        super().__init__(token_endpoint, alg=provider.assertion_algorithm)
        self._provider = provider
        self._now_s = int(now.timestamp())

    def sign(self, auth: ClientAuth, token_endpoint: str) -> str:
        """Return the assertion."""
        del auth
        key = self._provider.key
        signed = private_key_jwt_sign(
            key,
            self._provider.client_id,
            token_endpoint,
            alg=self.alg,
            header={"typ": "JWT", "kid": key.kid},
            issued_at=self._now_s,
            expires_at=self._now_s + _ASSERTION_FOR_S,
        )
        return cast("str", signed)


class Wire:
    """What Authlib takes for an HTTP session: our bounded way to ask."""

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: ClientAuth) -> _TokenAnswer:
        """Send a form."""
        asked, sent, body = auth.prepare("POST", url, dict(headers), urlencode(data))
        return _TokenAnswer(openid_wire.ask(asked, form=body, headers=sent))


class _TokenAnswer:
    """What Authlib reads of an answer."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self._answer = answer

    def json(self) -> dict[str, Any]:
        """Return tokens, or a refusal (RFC 6749 §5.2)."""
        found = openid_wire.json_of(self._answer)
        if self.status_code != _OK and "error" not in found:
            self.raise_for_status()
        return found

    def raise_for_status(self) -> None:
        """Say that the answer is none."""
        raise OpenIdError(Problem.UNAVAILABLE, "The token endpoint answers with an error")
