"""Demonstrating Proof of Possession (RFC 9449) at the token endpoint: tokens that only the holder of a key can use.

Every client may send a proof and then gets bound tokens; one that is registered for `dpop_bound_access_tokens` has to.
"""

from __future__ import annotations

import re
from datetime import datetime

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError

from fhir_server.access import dpop
from fhir_server.access.dpop import Proof, ProofRefused
from fhir_server.smart.client import RegisteredClient
from fhir_server.store import oauth_codes
from fhir_server.store.database import Session

_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")


class InvalidProofError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A proof that proves nothing, or none where one is needed (§5)."""

    error = "invalid_dpop_proof"


def proof_of(text: str | None, *, token_endpoint: str, now: datetime) -> Proof | None:
    """Return the proof that came with a token request, None where none did.

    Raises:
        InvalidProofError: 400, saying what is wrong with it.
    """
    if text is None:
        return None
    try:
        return dpop.verified(text, method="POST", url=token_endpoint, now=now)
    except ProofRefused as error:
        raise InvalidProofError(description=str(error)) from error


def claim(session: Session, proof: Proof | None, client: RegisteredClient, now: datetime) -> None:
    """Use a proof up; it counts once for whichever client (§11.1).

    Raises:
        InvalidProofError: 400, when it was used before, or is missing from a client that must send one (§5.2).
    """
    if proof is None:
        if client.stored.dpop_bound:
            raise InvalidProofError(description="The DPoP header is missing: this client uses bound tokens only")
        return
    if not oauth_codes.remember_proof(session, proof.key_thumbprint, proof.jti, expires_at=proof.until, now=now):
        raise InvalidProofError(description="jti was used before")


def check_thumbprint(wanted: str | None) -> None:
    """Check the key that an authorization request binds its code to (`dpop_jkt`, §10).

    Raises:
        InvalidRequestError: When it is no thumbprint.
    """
    if wanted is not None and not _THUMBPRINT.fullmatch(wanted):
        raise InvalidRequestError("dpop_jkt must be the 43 base64url characters of a SHA-256 thumbprint")


def is_bound_elsewhere(bound: str, proof: Proof | None) -> bool:
    """Return whether a code or refresh token is bound to another key than the one proven here."""
    return bool(bound) and bound != key_of(proof)


def key_of(proof: Proof | None) -> str:
    """Return the thumbprint that tokens are bound to, "" for bearer tokens."""
    return proof.key_thumbprint if proof is not None else ""
