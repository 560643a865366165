"""Stable integer keys of references, tokens and types.

A key is the first 8 (or 4) bytes of BLAKE2b, signed, so that it fits a database integer and can be computed from the
text
without a look-up, also for a target that does not exist yet. `resource.key` is a primary key, so two resources with one
key cannot both be stored: a collision is refused at write, never mixed up at read (see ADR 0003).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

NONE = 0


@lru_cache(maxsize=8_192)
def hash64(text: str) -> int:
    """Return the 64-bit key of a text; never 0."""
    return (
        int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True) or 1
    )


@lru_cache(maxsize=8_192)
def hash32(text: str) -> int:
    """Return the 32-bit key of a short, closed vocabulary (types, search parameters); never 0."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big", signed=True) or 1


def type_key(resource_type: str) -> int:
    """Return the key of a resource type, such as `Observation`."""
    return hash32(resource_type)


def reference_key(resource_type: str, logical_id: str) -> int:
    """Return the key of a resource, the value of `resource.key`."""
    return hash64(f"{resource_type}/{logical_id}")


def key_of_reference(reference: str) -> int:
    """Return the key of a literal relative reference such as `Patient/1`."""
    return hash64(reference)
