"""The server's own keys: they sign ID tokens, and their public halves are published (RFC 7517).

A key is a file `id-token-ALGORITHM-NUMBER.jwk` of the key folder with the instant it was made. All else follows from
files and clock, so workers that share the folder agree without a word: a new key is published at once and signs an hour
later, when no client has an older JWK Set any more; the one before is published for another hour, when none of its
tokens lives any more, and is removed then.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import orjson
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

ALGORITHMS = ("RS256", "ES256")
DEFAULT_ALGORITHM = "RS256"
"""Of clients that ask for none (OpenID Connect Dynamic Client Registration 1.0 §2)."""
LEAD = timedelta(hours=1)
"""So long a key is published before it signs: longer than a JWK Set may be kept (five minutes)."""
KEPT = timedelta(hours=1)
"""So long a key is published after the next one signs: longer than an ID token lives (five minutes)."""
_BITS = 2048
_PATTERN = "id-token-*.jwk"
_NUMBER = re.compile(r"-(\d+)\.jwk$")
_REREAD_S = 60.0


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key.

    Attributes:
        path: Its file.
        algorithm: What it signs with.
        created_at: When it was made, aware UTC.
    """

    path: Path
    algorithm: str
    created_at: datetime
    private: RSAKey | ECKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Private keys, the oldest first."""

    keys: tuple[SigningKey, ...]

    def newest(self, algorithm: str) -> SigningKey:
        """Return the key that was made last."""
        return [key for key in self.keys if key.algorithm == algorithm][-1]

    def signer(self, algorithm: str, now: datetime) -> SigningKey:
        """Return the key that signs at this instant: the newest that was published long enough, else the oldest."""
        candidates = [key for key in self.keys if key.algorithm == algorithm]
        return next((key for key in reversed(candidates) if key.created_at + LEAD <= now), candidates[0])

    def outlived(self, now: datetime) -> tuple[SigningKey, ...]:
        """Return the keys of which no token can be valid any more."""
        return tuple(
            key
            for index, key in enumerate(self.keys)
            if any(
                later.algorithm == key.algorithm and later.created_at + LEAD + KEPT <= now
                for later in self.keys[index + 1 :]
            )
        )

    def jwks(self, now: datetime) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517 §5)."""
        outlived = self.outlived(now)
        published = KeySet([key.private for key in self.keys if key not in outlived])
        return cast("dict[str, Any]", published.as_dict(private=False))

    def sign(self, claims: Mapping[str, Any], algorithm: str, now: datetime) -> str:
        """Return a signed JWT of these claims."""
        key = self.signer(algorithm, now).private
        return jwt.encode({"alg": algorithm, "kid": key.kid}, dict(claims), key, algorithms=[algorithm])


class KeyFolder:
    """The keys of a folder as they are now; other processes may add and remove some."""

    def __init__(self, folder: Path) -> None:
        """Read what is there."""
        self._folder = folder
        self._lock = threading.Lock()
        self._read_at_s, self._changed_ns, self._keys = -_REREAD_S, -1, SigningKeys(())

    def current(self) -> SigningKeys:
        """Return the keys; they are read again when the folder has changed, and every minute."""
        now_s, changed_ns = time.monotonic(), self._folder.stat().st_mtime_ns
        with self._lock:
            # Two changes within one tick of the file system's clock look like one: hence also now and again.
            if changed_ns != self._changed_ns or now_s - self._read_at_s >= _REREAD_S:
                self._read_at_s, self._changed_ns, self._keys = now_s, changed_ns, _read(self._folder)
            return self._keys


def load_or_create(folder: Path, now: datetime | None = None) -> KeyFolder:
    """Open the signing keys of a folder; the first start makes one for each algorithm.

    Several workers may start at once: the first to finish wins, the others use its key.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = {key.algorithm for key in _read(folder).keys}
    for algorithm in ALGORITHMS:
        if algorithm not in known:
            _create(folder, algorithm, 1, now or datetime.now(UTC))
    return KeyFolder(folder)


def rotate(folder: Path, now: datetime, every: timedelta) -> int:
    """Make the next key where the newest is older than `every`, and remove what is outlived; return how many changed.

    Several processes may do so at once: of each next key there is one.
    """
    found = load_or_create(folder, now).current()
    due = [name for name in ALGORITHMS if found.newest(name).created_at + every <= now]
    made = [_create(folder, name, _number(found.newest(name)) + 1, now) for name in due]
    outlived = found.outlived(now)
    for key in outlived:
        key.path.unlink(missing_ok=True)
    return sum(made) + len(outlived)


def replace_all(folder: Path, now: datetime) -> None:
    """Let new keys sign at once and publish no other: for keys that somebody may have seen. ID tokens of them die."""
    found = load_or_create(folder, now).current()
    for name in ALGORITHMS:
        _create(folder, name, _number(found.newest(name)) + 1, now - LEAD)
    for key in found.keys:
        key.path.unlink(missing_ok=True)


def _read(folder: Path) -> SigningKeys:
    found = []
    for path in folder.glob(_PATTERN):
        try:
            stored = orjson.loads(path.read_bytes())
        except FileNotFoundError:  # removed by another process a moment ago
            continue
        created_at = datetime.fromtimestamp(stored.pop("created_at", 0), UTC)
        private = (RSAKey if stored["kty"] == "RSA" else ECKey).import_key(stored)
        found.append(SigningKey(path, stored["alg"], created_at, private))
    return SigningKeys(tuple(sorted(found, key=lambda key: (key.created_at, _number(key)))))


def _number(key: SigningKey) -> int:
    found = _NUMBER.search(key.path.name)
    return int(found[1]) if found else 0


def _create(folder: Path, algorithm: str, number: int, created_at: datetime) -> bool:
    """Make a key; False where another worker has made the one of this number."""
    key: RSAKey | ECKey
    if algorithm == "RS256":
        key = RSAKey.generate_key(_BITS, {"use": "sig", "alg": algorithm}, private=True, auto_kid=True)
    else:
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": algorithm}, private=True, auto_kid=True)
    stored = key.as_dict(private=True) | {"created_at": int(created_at.timestamp())}
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")  # readable by this user only
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(stored))
        # INVARIANT: link, not rename: a key that another worker made meanwhile is never replaced.
        os.link(name, folder / f"id-token-{algorithm}-{number}.jwk")
    except FileExistsError:
        return False
    finally:
        Path(name).unlink()
    return True
