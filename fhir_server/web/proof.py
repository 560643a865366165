"""Tokens that are bound to a key (RFC 9449 §7): who presents one, and what a refusal has to say about how to."""

from __future__ import annotations

from flask import g, request

from fhir_server.access import dpop, tokens
from fhir_server.access.dpop import Proof, ProofRefused
from fhir_server.access.principal import Principal
from fhir_server.interactions.model import Context
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import oauth_codes
from fhir_server.web.extension import current


def resolved(here: Context, token: str) -> Principal:
    """Return who a bound token stands for; its proof counts once, for all that is done in this request.

    Raises:
        FhirError: UNAUTHENTICATED (401) without a proof that is right and new, and for any token that is not bound to
            the key that it proves.
    """
    proven = g.get("proven_key")
    if proven is not None:
        return _bound_to(here, token, proven)
    try:
        proof = _proof(here, token)
    except ProofRefused as error:
        raise _refusal(f"DPoP: {error}") from error
    principal = _bound_to(here, token, proof.key_thumbprint)
    # INVARIANT: remembered last, so that only the holder of a working token can fill the memory.
    with here.store.write() as session:
        is_new = oauth_codes.remember_proof(
            session, proof.key_thumbprint, proof.jti, expires_at=proof.until, now=here.now()
        )
    if not is_new:
        raise _refusal("DPoP: jti was used before")
    g.proven_key = proof.key_thumbprint
    return principal


def challenges(realm: str) -> tuple[str, str]:
    """Return the `WWW-Authenticate` headers of a 401: one per way to present a token, the one that was tried first.

    A request without credentials is told no error (RFC 6750 §3.1).
    """
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    error = f', error="{g.get("challenge_error", "invalid_token")}"' if scheme in {"bearer", "dpop"} else ""
    bearer, bound = f'Bearer realm="{realm}"', f'DPoP realm="{realm}", algs="{" ".join(dpop.ALGORITHMS)}"'
    return (bound + error, bearer) if scheme == "dpop" else (bearer + error, bound)


def _proof(here: Context, token: str) -> Proof:
    text = request.headers.get("DPoP")
    if not text:
        raise ProofRefused("the DPoP header is missing")
    url = current().base_url + request.path
    return dpop.verified(text, method=request.method, url=url, now=here.now(), access_token=token)


def _bound_to(here: Context, token: str, key_thumbprint: str) -> Principal:
    with here.store.glance() as session:
        return tokens.resolve(session, token, here.now(), proven_key=key_thumbprint)


def _refusal(text: str) -> FhirError:
    g.challenge_error = "invalid_dpop_proof"
    return FhirError(Kind.UNAUTHENTICATED, text)
