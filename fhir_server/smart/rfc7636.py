"""Proof Key for Code Exchange, S256 only and never optional (RFC 7636, RFC 9700 §2.1.1)."""

from __future__ import annotations

import hmac
import re
from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc7636 import CodeChallenge, create_s256_code_challenge

_S256_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")


def _matches(verifier: str, challenge: str) -> bool:
    return hmac.compare_digest(create_s256_code_challenge(verifier), challenge)


class RequiredS256(CodeChallenge):  # type: ignore[misc]  # Authlib ships no types
    """PKCE as SMART App Launch 2.2 wants it.

    INVARIANT: Authlib lets a request without a challenge through and takes `plain` for its default; both are refused
    here, at the authorization endpoint, so that no code without an S256 challenge is ever stored.
    """

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)
    CODE_CHALLENGE_METHODS = {"S256": _matches}  # noqa: RUF012 - Authlib's own class attribute

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Refuse a request without an S256 challenge."""
        del redirect_uri
        parameters = grant.request.payload.data
        if "code_challenge" not in parameters:
            raise InvalidRequestError("code_challenge is missing: PKCE (RFC 7636) is required of every client")
        if parameters.get("code_challenge_method") != "S256":
            raise InvalidRequestError("code_challenge_method must be S256")
        if not _S256_CHALLENGE.fullmatch(parameters["code_challenge"]):
            raise InvalidRequestError("code_challenge must be the 43 base64url characters of a SHA-256 digest")
