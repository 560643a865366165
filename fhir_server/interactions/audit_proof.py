"""A patient's access log with proofs, as FHIR Parameters: what is downloaded and kept.

Each entry carries the exact bytes that were hashed (`leaf`), so that a file which a program wrote anew, indented or
reordered, still verifies. `audit_proof_check` reads it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from fhir_server.store.audit_tree import Proof
from fhir_server.store.checkpoints import Checkpoint
from fhir_server.store.events import StoredEvent


@dataclass(frozen=True, slots=True)
class Extension:
    """That the log of the checkpoint extends an older one.

    Attributes:
        size: Number of entries of the older log.
        path: Hashes of the consistency proof (RFC 6962 §2.1.2).
    """

    size: int
    path: Sequence[bytes]


def document(
    page: Sequence[StoredEvent],
    proofs: Mapping[int, Proof],
    checkpoint: Checkpoint | None,
    *,
    extension: Extension | None = None,
    next_url: str = "",
) -> bytes:
    """Return the Parameters of one page, newest entry first.

    Args:
        page: The entries.
        proofs: Proofs by `seq`; an entry without one is newer than the checkpoint.
        checkpoint: The newest, None where nothing was signed yet.
        extension: Proof that it extends an older one, where asked for.
        next_url: Where the rest is, "" where this is all.
    """
    parts: list[bytes] = []
    if checkpoint is not None:
        parts.append(_text("origin", "String", checkpoint.origin))
        parts.append(_binary("publicKey", checkpoint.public_key))
        parts.append(_text("checkpoint", "String", checkpoint.note()))
    if extension is not None:
        hashes = [_binary("hash", each) for each in extension.path]
        parts.append(_parts("consistency", [_number("from", extension.size), *hashes]))
    parts.append(_number("pending", sum(event.seq not in proofs for event in page)))
    if next_url:
        parts.append(_text("next", "Uri", next_url))
    parts += [_entry(event, proofs.get(event.seq)) for event in page]
    return b'{"resourceType":"Parameters","parameter":[%b]}' % b",".join(parts)


def _entry(event: StoredEvent, proof: Proof | None) -> bytes:
    parts = [b'{"name":"auditEvent","resource":%b}' % event.content]
    if proof is not None:
        parts += [_number("index", proof.position), _binary("leaf", proof.leaf)]
        parts += [_binary("hash", each) for each in proof.path]
    return _parts("entry", parts)


def _parts(name: str, parts: Sequence[bytes]) -> bytes:
    return b'{"name":"%b","part":[%b]}' % (name.encode(), b",".join(parts))


def _number(name: str, value: int) -> bytes:
    return b'{"name":"%b","valueUnsignedInt":%d}' % (name.encode(), value)


def _binary(name: str, value: bytes) -> bytes:
    return b'{"name":"%b","valueBase64Binary":"%b"}' % (name.encode(), b64encode(value))


def _text(name: str, kind: str, value: str) -> bytes:
    return b'{"name":"%b","value%b":%b}' % (name.encode(), kind.encode(), orjson.dumps(value))
