"""A passkey in software: makes and signs what a device would, and what a thief or a phisher would."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_bytes

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import bytes_to_base64url

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


@dataclass
class SoftKey:
    """One credential.

    Attributes:
        origin: What the browser says it is at.
        rp_id: Host that the device signs for.
        count: Signature counter.
        is_verified: Whether the device asked for finger, face or PIN.
    """

    origin: str = "http://localhost"
    rp_id: str = "localhost"
    count: int = 1
    is_verified: bool = True
    user_handle: str = ""
    id: bytes = field(default_factory=lambda: token_bytes(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def create(self, options: str) -> str:
        """Answer `navigator.credentials.create` in JSON."""
        asked = json.loads(options)
        self.user_handle = asked["user"]["id"]
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(16) + len(self.id).to_bytes(2) + self.id + cbor2.dumps(cose)
        data = self._authenticator_data(_ATTESTED) + attested
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client_data("webauthn.create", asked["challenge"])
        return self._credential(
            clientDataJSON=bytes_to_base64url(client), attestationObject=bytes_to_base64url(statement)
        )

    def get(self, options: str) -> str:
        """Answer `navigator.credentials.get` in JSON."""
        self.count += 1
        client = self._client_data("webauthn.get", json.loads(options)["challenge"])
        data = self._authenticator_data()
        signature = self.key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
        return self._credential(
            clientDataJSON=bytes_to_base64url(client),
            authenticatorData=bytes_to_base64url(data),
            signature=bytes_to_base64url(signature),
            userHandle=self.user_handle,
        )

    def _credential(self, **response: str) -> str:
        name = bytes_to_base64url(self.id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()

    def _authenticator_data(self, flags: int = 0) -> bytes:
        said = _PRESENT | flags | (_VERIFIED if self.is_verified else 0)
        return sha256(self.rp_id.encode()).digest() + bytes([said]) + self.count.to_bytes(4)
