"""The server's own keys: they sign ID tokens, and their public halves are published.

Every `id-token-*.jwk` of the key folder is published; the last by name signs. To rotate, add one and remove the oldest
once no ID token of it can be valid any more.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

ALGORITHM = "RS256"
ALGORITHMS = ("RS256", "ES256")
DEFAULT_ALGORITHM = "RS256"
_BITS = 2048
_PATTERN = "id-token-*.jwk"


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Private keys, the oldest first; the last one signs."""

    private: tuple[RSAKey, ...] = field(repr=False)

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517 §5)."""
        return cast("dict[str, Any]", KeySet(list(self.private)).as_dict(private=False))

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a signed JWT of these claims."""
        key = self.private[-1]
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, dict(claims), key, algorithms=[ALGORITHM])


def load_or_create(folder: Path) -> SigningKeys:
    """Read the signing keys of a folder; the first start makes one.

    Several workers may start at once: the first to finish wins, the others use its key.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not any(folder.glob(_PATTERN)):
        _create(folder / "id-token-1.jwk")
    found = [RSAKey.import_key(orjson.loads(path.read_bytes())) for path in sorted(folder.glob(_PATTERN))]
    return SigningKeys(tuple(found))


def _create(path: Path) -> None:
    key = RSAKey.generate_key(_BITS, {"use": "sig", "alg": ALGORITHM}, private=True, auto_kid=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # readable by this user only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(key.as_dict(private=True)))
        # INVARIANT: link, not rename: a key that another worker made meanwhile is never replaced.
        os.link(name, path)
    except FileExistsError:
        pass
    finally:
        Path(name).unlink()
