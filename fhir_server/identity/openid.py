"""What is agreed with an OpenID Provider, and the ways in which a sign-in there can fail.

Takes values, gives values; the flow is `signin.relying_party`'s, the checks are in the other `openid_*` modules.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

MIN_RSA_BITS = 2048


class Problem(StrEnum):
    """Why nobody is signed in; decides the page."""

    UNAVAILABLE = "unavailable"
    """The provider cannot be reached, or does not answer as one."""
    UNTRUSTED = "untrusted"
    """What the provider said does not hold."""
    STALE = "stale"
    """The attempt is unknown, used, too old or another browser's; or its code or token has run out."""
    DECLINED = "declined"
    """The person, or the provider, said no."""
    LEVEL = "level"
    """The person is known, but not well enough."""


class OpenIdError(Exception):
    """A sign-in that failed.

    Attributes:
        problem: What kind of failure.
        detail: A fixed sentence of ours for the audit log; nothing that the provider or the browser sent.
    """

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Ehr:
    """What is agreed with the hospital whose system launches the portal.

    Attributes:
        name: Short name; part of our URLs.
        organization_code: ODS code of the organisation whose staff it vouches for.
        emergency_roles: Codes of PractitionerRole whose holders may use emergency access; nobody else of it may.
    """

    name: str
    organization_code: str
    emergency_roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Provider:
    """One registration with one provider.

    Attributes:
        name: `nhs-login`, `cis2` or `ehr-…`; part of our URLs.
        issuer: The only `iss` that counts (OpenID Connect Discovery 1.0 §4.3); of an EHR its FHIR base URL, which
            publishes who signs its ID tokens (SMART App Launch 2.2 §4).
        client_id: Who we are there.
        key: Our private key, which signs client assertions.
        redirect_uri: Where browsers come back to.
        scope: Separated by spaces.
        algorithms: The only `alg` of ID tokens that count.
        assertion_algorithm: The `alg` of our client assertions.
        vtr: Acceptable vectors of trust (RFC 8485), the first request's; empty where the provider knows none.
        ehr: The hospital whose system it is; None for a provider of identities only.
    """

    name: str
    issuer: str
    client_id: str
    key: RSAKey = field(repr=False)
    redirect_uri: str
    scope: str
    algorithms: tuple[str, ...] = ("RS512",)
    assertion_algorithm: str = "RS512"
    vtr: tuple[str, ...] = ()
    ehr: Ehr | None = None


@dataclass(frozen=True, slots=True)
class Secrets:
    """What binds one attempt to one browser; all of it follows from the cookie's token and `state`.

    So the database holds nothing that would finish somebody's sign-in, and another browser cannot have them.
    """

    nonce: str
    code_verifier: str


def secrets_of(browser_token: str, state: str) -> Secrets:
    """Return `nonce` and PKCE `code_verifier` (RFC 7636 §4.1, 43 characters) of an attempt."""
    return Secrets(*(_derived(purpose, browser_token, state) for purpose in ("nonce", "code_verifier")))


def private_key(path: Path) -> RSAKey:
    """Read our private key from a PEM file.

    Raises:
        ValueError: The file holds no RSA key of at least 2048 bits.
    """
    try:
        key = RSAKey.import_key(path.read_text(encoding="ascii"))
    except (OSError, JoseError, ValueError) as error:
        raise ValueError(f"{path}: not readable as an RSA private key in PEM") from error
    if not key.is_private or key.raw_value.key_size < MIN_RSA_BITS:
        raise ValueError(f"{path}: an RSA private key of at least {MIN_RSA_BITS} bits is needed")
    return RSAKey.import_key(key.as_dict(private=True) | {"kid": key.thumbprint()})


def _derived(purpose: str, browser_token: str, state: str) -> str:
    digest = hashlib.sha256(f"{purpose}\0{browser_token}\0{state}".encode("utf-8", "surrogatepass")).digest()
    return urlsafe_b64encode(digest).decode().rstrip("=")
