"""Page positions of the audit log: sealed, bound to caller and query, without authority."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.access.principal import Principal
from fhir_server.interactions.model import Context
from fhir_server.spec.outcome import FhirError, Kind

_NONCE_BYTES = 12
_POSITION = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class PageSeal:
    """Seals a page's position (recorded_at, seq)."""

    cipher: AESGCM
    binding: bytes

    @classmethod
    def of(cls, principal: Principal, query: Sequence[object], context: Context) -> PageSeal:
        """Return the seal of this caller's query."""
        # A key of its own: nothing sealed elsewhere opens here.
        key = sha256(b"AuditEvent page\x00" + context.page_key).digest()
        return cls(AESGCM(key), orjson.dumps([principal.subject, principal.client_id, query]))

    def close(self, recorded_at: int, seq: int) -> str:
        """Return the position as opaque text."""
        nonce = token_bytes(_NONCE_BYTES)
        sealed = nonce + self.cipher.encrypt(nonce, _POSITION.pack(recorded_at, seq), self.binding)
        return urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str) -> tuple[int, int]:
        """Return the position.

        Raises:
            FhirError: INVALID_VALUE (400) for another caller's, another query's or an invented cursor.
        """
        try:
            sealed = urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
            plain = self.cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], self.binding)
            recorded_at, seq = _POSITION.unpack(plain)
        except (ValueError, InvalidTag) as error:
            raise FhirError(Kind.INVALID_VALUE, "This page link is not valid for this search; start again") from error
        return recorded_at, seq
