"""A Backend Services client made from the specification alone: standard library, `cryptography` and `httpx`.

INVARIANT: it imports nothing of the server, nor a library that the server checks tokens with.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

_BYTES = 48  # of a coordinate of P-384


@dataclass
class BackendService:
    """One registered service with a key of its own."""

    fhir_base: str
    algorithm: str = "ES384"
    client_id: str = ""
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def __post_init__(self) -> None:
        self.elliptic = ec.generate_private_key(ec.SECP384R1())
        self.rsa = rsa.generate_private_key(65537, 2048) if self.algorithm == "RS384" else None

    def jwks(self) -> dict[str, Any]:
        if self.rsa is not None:
            numbers = self.rsa.public_key().public_numbers()
            key = {"kty": "RSA", "n": _number(numbers.n, 256), "e": _number(numbers.e, 3)}
        else:
            point = self.elliptic.public_key().public_numbers()
            key = {"kty": "EC", "crv": "P-384", "x": _number(point.x, _BYTES), "y": _number(point.y, _BYTES)}
        return {"keys": [key | {"kid": "mine", "alg": self.algorithm, "key_ops": ["verify"]}]}

    def configuration(self) -> dict[str, Any]:
        return dict(self.http.get(f"{self.fhir_base}/.well-known/smart-configuration").raise_for_status().json())

    def assertion(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        head = {"alg": self.algorithm, "typ": "JWT", "kid": "mine"} | (header or {})
        body = {"iss": self.client_id, "sub": self.client_id, "jti": secrets.token_urlsafe(16)}
        body |= {"aud": self.configuration()["token_endpoint"], "exp": int(time.time()) + 240} | claims
        signed = f"{_text(json.dumps(head).encode())}.{_text(json.dumps(body).encode())}"
        return f"{signed}.{_text(self._signature(signed.encode()))}"

    def _signature(self, signed: bytes) -> bytes:
        if self.rsa is not None:
            return self.rsa.sign(signed, padding.PKCS1v15(), hashes.SHA384())
        first, second = decode_dss_signature(self.elliptic.sign(signed, ec.ECDSA(hashes.SHA384())))
        return first.to_bytes(_BYTES, "big") + second.to_bytes(_BYTES, "big")

    def ask(self, scope: str, assertion: str | None = None) -> httpx.Response:
        form = {
            "grant_type": "client_credentials",
            "scope": scope,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.assertion(),
        }
        return self.http.post(self.configuration()["token_endpoint"], data=form)

    def read(self, path: str, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
        return self.http.get(f"{self.fhir_base}/{path}", headers=headers)


def _number(value: int, length: int) -> str:
    return _text(value.to_bytes(length, "big"))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
