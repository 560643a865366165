"""What a provider publishes: its configuration, pinned to the issuer, and its keys, which it may rotate."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from fhir_server.identity import openid_wire as wire
from fhir_server.identity.bounded_http import is_loopback
from fhir_server.identity.guarded_fetch import is_safe
from fhir_server.identity.openid import OpenIdError, Problem

_KEPT_S = 3_600
_RETRY_S = 10
_MOST_KEYS = 50
_MIN_MODULUS_CHARACTERS = 342  # base64url of 2048 bits


@dataclass(frozen=True, slots=True)
class Metadata:
    """The addresses of a provider (OpenID Connect Discovery 1.0 §3, SMART App Launch 2.2 §4).

    Attributes:
        issuer: The `iss` of its ID tokens.
        userinfo_endpoint: "" for an EHR, which says who somebody is as a FHIR resource.
        says_issuer: Every answer to the browser carries `iss` (RFC 9207 §3).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str
    jwks_uri: str
    says_issuer: bool


def read(found: Mapping[str, Any], issuer: str) -> Metadata:
    """Read a configuration that was published at an issuer's address.

    Raises:
        OpenIdError: UNTRUSTED for another issuer; UNAVAILABLE where an address is missing or not https.
    """
    # INVARIANT: to the letter (Discovery §4.3): who may publish another issuer's name could sign in its people.
    if found.get("issuer") != issuer:
        raise OpenIdError(Problem.UNTRUSTED, "The provider publishes the configuration of another issuer")
    return Metadata(
        issuer,
        _address(found, "authorization_endpoint", issuer),
        _address(found, "token_endpoint", issuer),
        _address(found, "userinfo_endpoint", issuer),
        _address(found, "jwks_uri", issuer),
        says_issuer=found.get("authorization_response_iss_parameter_supported") is True,
    )


def read_smart(found: Mapping[str, Any], fhir_base: str) -> Metadata:
    """Read what an EHR publishes at `.well-known/smart-configuration` below its FHIR base URL.

    Raises:
        OpenIdError: UNAVAILABLE where an address is missing or not https, or where PKCE with S256 is not supported.
    """
    methods = found.get("code_challenge_methods_supported")
    if not isinstance(methods, list) or "S256" not in methods:
        raise OpenIdError(Problem.UNAVAILABLE, "The EHR does not support PKCE with S256")
    return Metadata(
        _address(found, "issuer", fhir_base),
        _address(found, "authorization_endpoint", fhir_base),
        _address(found, "token_endpoint", fhir_base),
        "",
        _address(found, "jwks_uri", fhir_base),
        says_issuer=found.get("authorization_response_iss_parameter_supported") is True,
    )


def keys_of(found: Mapping[str, Any]) -> tuple[RSAKey, ...]:
    """Return the keys of a JWK Set that may have signed an ID token: RSA of at least 2048 bits, not for encryption.

    Raises:
        OpenIdError: UNAVAILABLE when there is none.
    """
    listed = found.get("keys")
    usable = []
    for item in listed[:_MOST_KEYS] if isinstance(listed, list) else ():
        if not isinstance(item, Mapping) or item.get("kty") != "RSA" or item.get("use", "sig") != "sig":
            continue
        if not isinstance(item.get("n"), str) or len(item["n"]) < _MIN_MODULUS_CHARACTERS:
            continue
        try:
            # INVARIANT: its public half only: what else a set says of a key is not taken over.
            key = RSAKey.import_key({name: item[name] for name in ("kty", "n", "e", "kid", "alg") if name in item})
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        usable.append(key)
    if not usable:
        raise OpenIdError(Problem.UNAVAILABLE, "The provider publishes no RSA key of at least 2048 bits")
    return tuple(usable)


class Publications:
    """A provider's configuration and keys, each kept for an hour; shared by the threads of a process."""

    def __init__(self, issuer: str, clock: Callable[[], float] = time.monotonic, *, is_ehr: bool = False) -> None:
        """Start with nothing kept; `clock` counts seconds."""
        self._issuer = issuer
        self._is_ehr = is_ehr
        self._clock = clock
        self._lock = threading.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, tuple[RSAKey, ...]] | None = None

    def metadata(self) -> Metadata:
        """Return the provider's configuration.

        Raises:
            OpenIdError: As `read` and `openid_wire.document`.
        """
        kept = self._metadata
        if kept is not None and self._clock() - kept[0] < _KEPT_S:
            return kept[1]
        place = "smart-configuration" if self._is_ehr else "openid-configuration"
        document = wire.document(f"{self._issuer.rstrip('/')}/.well-known/{place}")
        found = (read_smart if self._is_ehr else read)(document, self._issuer)
        with self._lock:
            self._metadata = (self._clock(), found)
        return found

    def key(self, kid: str | None, algorithm: str) -> RSAKey:
        """Return the key that a token names; an unknown one fetches the set anew, at most every ten seconds.

        Args:
            kid: The token's `kid`; None is enough where the provider has exactly one key (OpenID Connect Core §10.1).
            algorithm: The token's `alg`, which a key that says one must have.

        Raises:
            OpenIdError: UNTRUSTED where no key has that name; UNAVAILABLE where the set cannot be had.
        """
        for is_last_try in (False, True):
            matching = [
                key
                for key in self._kept_keys(anew=is_last_try)
                if (kid is None or key.kid == kid) and key.get("alg", algorithm) == algorithm
            ]
            if len(matching) == 1:
                return matching[0]
        raise OpenIdError(Problem.UNTRUSTED, "The ID token is signed with a key that the provider does not publish")

    def _kept_keys(self, *, anew: bool) -> tuple[RSAKey, ...]:
        kept = self._keys
        if kept is not None and self._clock() - kept[0] < (_RETRY_S if anew else _KEPT_S):
            return kept[1]
        found = keys_of(wire.document(self.metadata().jwks_uri))
        with self._lock:
            self._keys = (self._clock(), found)
        return found


def _address(found: Mapping[str, Any], name: str, issuer: str) -> str:
    url = found.get(name)
    # A provider on the network must not lead to services of this machine.
    is_local = is_loopback(urlsplit(issuer).hostname or "")
    if not isinstance(url, str) or not is_safe(url) or not (is_local or url.startswith("https:")):
        raise OpenIdError(Problem.UNAVAILABLE, "The provider's configuration lacks an https address")
    return url
