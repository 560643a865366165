"""Seal the position of a page, so that a link is opaque, cannot be altered and serves its own caller and query only.

It carries no authority: the query it continues is decided anew. What it holds (sort keys of the last row) is
encrypted, for links end up in logs. AES-256-GCM with a random nonce; caller and query are its associated data.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_server.spec.outcome import FhirError, Kind

SortValue = str | int | float | None
Position = tuple[SortValue, ...]


class Way(IntEnum):
    """Which rows a page holds, seen from its position; the values are in links that are out there."""

    AFTER = 0
    BEFORE = 1
    END = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page is: after or before a row, or (without a position) at the start or at the end."""

    way: Way = Way.AFTER
    position: Position = ()

    @property
    def backwards(self) -> bool:
        """Return whether the page is read from its last row to its first."""
        return self.way is not Way.AFTER


_NONCE_BYTES = 12
_SYNTAX = "The page link is not one that this server gave you for this search; search again without _cursor"


def seal(place: Place, *, page_key: bytes, binding: str, understood: Sequence[tuple[str, str]]) -> str:
    """Return the cursor of a place."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    plain = msgspec.msgpack.encode((int(place.way), place.position))
    sealed = AESGCM(_key(page_key)).encrypt(nonce, plain, _context(binding, understood))
    return urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()


def unseal(cursor: str, *, page_key: bytes, binding: str, understood: Sequence[tuple[str, str]]) -> Place:
    """Return the place of a cursor.

    Raises:
        FhirError: 400 when it was not made for this caller and query, or altered.
    """
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        context = _context(binding, understood)
        plain = AESGCM(_key(page_key)).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context)
        sealed_way, position = msgspec.msgpack.decode(plain, type=tuple[int, tuple[SortValue, ...]])
        return Place(Way(sealed_way), position)
    except (ValueError, InvalidTag, msgspec.DecodeError) as error:
        raise FhirError(Kind.INVALID_VALUE, _SYNTAX) from error


def _key(page_key: bytes) -> bytes:
    return blake2b(b"search page cursor", key=page_key, digest_size=32).digest()


def _context(binding: str, understood: Sequence[tuple[str, str]]) -> bytes:
    return msgspec.msgpack.encode((binding, tuple(understood)))
