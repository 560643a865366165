"""Secrets that the server must be able to use again, sealed; short codes, hashed with a key.

An authenticator's secret cannot be hashed, for codes are computed from it; a code of six digits could be guessed from
a plain hash in no time. Both depend on the server's secret key, so a copy of the database alone opens neither.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Vault:
    """What is derived from the server's secret key for people's proofs."""

    secret_key: str = field(repr=False)

    def seal(self, secret: str, owner: str) -> str:
        """Return a secret encrypted (AES-256-GCM); it opens for the same owner only."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(self._key(b"seal")).encrypt(nonce, secret.encode(), owner.encode())
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def opened(self, sealed: str, owner: str) -> str:
        """Return a sealed secret, "" where it was sealed with another key, for another owner, or changed."""
        content = base64.urlsafe_b64decode(sealed)
        try:
            nonce, secret = content[:_NONCE_BYTES], content[_NONCE_BYTES:]
            return AESGCM(self._key(b"seal")).decrypt(nonce, secret, owner.encode()).decode()
        except InvalidTag:
            return ""

    def hashed(self, code: str, owner: str) -> str:
        """Return the keyed hash of a short code (HMAC-SHA-256), another one for each owner."""
        content = f"{owner}\0{code}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key(b"code"), content, hashlib.sha256).hexdigest()

    def matches(self, known_hash: str, code: str, owner: str) -> bool:
        """Return whether a short code is the one hashed; no hash ("") matches nothing."""
        return hmac.compare_digest(known_hash, self.hashed(code, owner)) and bool(known_hash)

    def _key(self, purpose: bytes) -> bytes:
        return HKDF(SHA256(), 32, salt=None, info=b"fhir-server people " + purpose).derive(self.secret_key.encode())
