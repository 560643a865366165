"""Signed checkpoints over the audit log.

A checkpoint says, under the server's Ed25519 key: the log had so many entries and this root. Kept elsewhere, it holds
the server to its past. It is written as a C2SP checkpoint (https://c2sp.org/tlog-checkpoint), a signed note that
common tools verify.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from sqlalchemy import Row, insert, select

from fhir_server.store import audit_tree
from fhir_server.store.database import Session, Store
from fhir_server.store.event_tables import audit_checkpoint
from fhir_server.store.instants import from_us, to_us

KEY_FILE = "audit-ed25519.pem"
_ED25519 = b"\x01"
_BATCH = 5_000
_NOTE = re.compile(
    r"(?P<origin>[^\s+]+)\n(?P<size>0|[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"signed (?P<signed>[0-9T:.+-]{10,40}Z?)\n\n"
    r"\u2014 [^\s+]+ (?P<signature>[A-Za-z0-9+/]{91}=)\n?"
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed state of the log.

    Attributes:
        size: Number of entries.
        root: Root hash of RFC 6962 over them.
        signed_at: When, aware UTC.
        origin: Name of this log, such as `record.example.org/audit`.
        public_key: The 32 bytes of the Ed25519 key it claims.
        signature: Ed25519 over `body`.
    """

    size: int
    root: bytes
    signed_at: datetime
    origin: str
    public_key: bytes
    signature: bytes

    @property
    def body(self) -> bytes:
        """Return the signed text."""
        return _body(self.origin, self.size, self.root, self.signed_at)

    def is_signed_by(self, public_key: bytes) -> bool:
        """Return whether this key signed it."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(self.signature, self.body)
        except (InvalidSignature, ValueError):
            return False
        return True

    def note(self) -> str:
        """Return the checkpoint as a signed note, to be kept elsewhere."""
        signature = b64encode(_key_hash(self.origin, self.public_key) + self.signature).decode()
        return f"{self.body.decode()}\n\u2014 {self.origin} {signature}\n"


def parse_note(text: str, public_key: bytes) -> Checkpoint:
    """Return the checkpoint of a signed note, its signature verified.

    Raises:
        ValueError: Not a note, or not signed by this key.
    """
    match = _NOTE.fullmatch(text.replace("\r\n", "\n").lstrip("\ufeff"))
    if match is None:
        raise ValueError("this is not a checkpoint as `audit checkpoint` prints it")
    signed_at = datetime.fromisoformat(match["signed"])
    signature = b64decode(match["signature"])[4:]
    checkpoint = Checkpoint(
        int(match["size"]), b64decode(match["root"]), signed_at, match["origin"], public_key, signature
    )
    if not checkpoint.is_signed_by(public_key):
        raise ValueError("the checkpoint is not signed by this server's key")
    return checkpoint


@dataclass(frozen=True, slots=True)
class Signer:
    """The server's key and the name of its log."""

    origin: str
    key: Ed25519PrivateKey

    @property
    def public_key(self) -> bytes:
        """Return the 32 bytes of the public key."""
        return self.key.public_key().public_bytes_raw()


def load_signer(folder: Path, origin: str) -> Signer:
    """Return the signer of a key folder; the key is made at first use, readable by its owner alone.

    Args:
        folder: The key directory.
        origin: Name of the log, without spaces or `+`, such as `record.example.org/audit`.

    Raises:
        ValueError: The file holds no Ed25519 key.
    """
    path = folder / KEY_FILE
    if not path.exists():
        _make_key(path)
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{KEY_FILE} is not an Ed25519 private key")  # noqa: TRY004 - a file, not an argument
    return Signer(origin, key)


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    unfinished = path.with_suffix(f".{token_hex(8)}")
    descriptor = os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(descriptor)
        # A link fails where the name exists, so of several processes at first start one key wins, complete.
        os.link(unfinished, path)
    except FileExistsError:
        return
    finally:
        unfinished.unlink()


def sign(session: Session, signer: Signer, now: datetime, *, limit: int = _BATCH) -> Checkpoint | None:
    """Seal what is new, up to `limit` events, and sign the state; the newest checkpoint where nothing is new.

    Runs in a write transaction of its own, never in that of a read or a change: it waits for another sealer.

    Returns:
        The checkpoint, None for an empty log.
    """
    sealed = audit_tree.seal(session, limit=limit)
    if not sealed.grown:
        return newest(session)
    return _signed(session, signer, now, sealed)


def sign_all(store: Store, signer: Signer, now: datetime, *, limit: int = _BATCH) -> Checkpoint | None:
    """Seal and sign everything committed so far, a transaction per `limit` events so that writers get their turn."""
    after = 0
    while True:
        with store.write() as session:
            sealed = audit_tree.seal(session, limit=limit, after=after)
            checkpoint = _signed(session, signer, now, sealed) if sealed.grown else newest(session)
        if not sealed.more:
            return checkpoint
        after = sealed.reached_seq


def _signed(session: Session, signer: Signer, now: datetime, sealed: audit_tree.Sealed) -> Checkpoint:
    signed_at = from_us(to_us(now))
    body = _body(signer.origin, sealed.size, sealed.root, signed_at)
    signature = signer.key.sign(body)
    session.connection.execute(
        insert(audit_checkpoint).values(
            size=sealed.size,
            signed_at=to_us(signed_at),
            root=sealed.root,
            origin=signer.origin,
            public_key=signer.public_key,
            signature=signature,
            newest_seq=sealed.newest_seq,
            settled_seq=sealed.settled_seq,
            sealed_at=sealed.sealed_at,
        )
    )
    return Checkpoint(sealed.size, sealed.root, signed_at, signer.origin, signer.public_key, signature)


def newest(session: Session) -> Checkpoint | None:
    """Return the newest signed checkpoint, None where there is none."""
    query = select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(1)
    row = session.connection.execute(query).first()
    return None if row is None else of_row(row)


def of_row(row: Row[*tuple[object, ...]]) -> Checkpoint:
    """Return the checkpoint of a row of `audit_checkpoint`."""
    return Checkpoint(row.size, row.root, from_us(row.signed_at), row.origin, row.public_key, row.signature)


def _body(origin: str, size: int, root: bytes, signed_at: datetime) -> bytes:
    instant = signed_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return f"{origin}\n{size}\n{b64encode(root).decode()}\nsigned {instant}\n".encode()


def _key_hash(origin: str, public_key: bytes) -> bytes:
    """Return the key hash of a signed note (https://c2sp.org/signed-note)."""
    return sha256(origin.encode() + b"\n" + _ED25519 + public_key).digest()[:4]
