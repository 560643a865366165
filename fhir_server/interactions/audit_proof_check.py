"""Check a downloaded access log: offline, from the file alone, with what its reader kept from before.

Shows that every entry is part of the signed log and unaltered, and, given an older checkpoint, that the log of today
extends the one of then. What it cannot show is that the log has no further entries about the patient.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from fhir_server.store.checkpoints import Checkpoint, parse_note
from fhir_server.store.merkle import leaf_hash, verify_consistency, verify_inclusion

Json = Mapping[str, Any]


class ProofError(ValueError):
    """What is wrong with a file, in a sentence."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that was found right.

    Attributes:
        origin: Name of the log.
        public_key: The 32 bytes of the key that signed; whoever trusts the file has to know that it is the server's.
        signed_at: When.
        size: Number of entries of the whole log.
        proved_count: Entries of the file that are proved.
        pending_count: Entries newer than the checkpoint.
        extends: Size of the older log that this one was shown to extend, None where none was given.
        next_url: Where the rest is, "" where the file is all.
        root: What was signed of that log.
    """

    origin: str
    public_key: bytes
    signed_at: datetime
    size: int
    proved_count: int
    pending_count: int
    extends: int | None
    next_url: str
    root: bytes


def check(text: bytes, *, public_key: bytes | None = None, older: bytes | None = None) -> Checked:
    """Return what a file proves.

    Args:
        text: The answer of `$access-log-proof`.
        public_key: The server's key, known from elsewhere; else the one in the file is taken at its word.
        older: A checkpoint, or an older such file, that was kept.

    Raises:
        ProofError: The file is no such answer, or does not prove what it says; names the entry.
    """
    parameters = _parameters(text)
    checkpoint = _checkpoint(parameters, public_key)
    proved = pending = 0
    for number, entry in enumerate(_named(parameters, "entry"), 1):
        parts = entry.get("part", [])
        if not _named(parts, "index"):
            pending += 1
            continue
        _check_entry(parts, checkpoint, f"entry {number} ({_event_id(parts)})")
        proved += 1
    extends = None if older is None else _check_extension(parameters, checkpoint, older)
    next_urls = [str(each.get("valueUri", "")) for each in _named(parameters, "next")]
    return Checked(
        checkpoint.origin, checkpoint.public_key, checkpoint.signed_at, checkpoint.size, proved, pending, extends,
        "".join(next_urls[:1]), checkpoint.root,
    )  # fmt: skip


def _parameters(text: bytes) -> list[Json]:
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ProofError("it is not JSON") from error
    parameters = found.get("parameter") if isinstance(found, dict) else None
    if not isinstance(parameters, list) or found.get("resourceType") != "Parameters":
        raise ProofError("it is not the Parameters that $access-log-proof answers")
    return parameters


def _checkpoint(parameters: list[Json], public_key: bytes | None) -> Checkpoint:
    claimed = _bytes(_one(parameters, "publicKey"))
    if public_key is not None and claimed != public_key:
        raise ProofError("its checkpoint is signed with another key than the one given")
    try:
        return parse_note(str(_one(parameters, "checkpoint").get("valueString")), claimed)
    except ValueError as error:
        raise ProofError(str(error).replace("this server's key", "the key it names")) from error


def _check_entry(parts: list[Json], checkpoint: Checkpoint, name: str) -> None:
    leaf = _bytes(_one(parts, "leaf"))
    index = _one(parts, "index").get("valueUnsignedInt")
    path = [_bytes(each) for each in _named(parts, "hash")]
    if not isinstance(index, int) or not verify_inclusion(
        leaf_hash(leaf), index, checkpoint.size, path, checkpoint.root
    ):
        raise ProofError(f"{name} is not in the signed log")
    try:
        same = orjson.loads(leaf.partition(b"\n")[2]) == _one(parts, "auditEvent").get("resource")
    except orjson.JSONDecodeError:
        same = False
    if not same:
        raise ProofError(f"{name} does not read as the log has it")


def _check_extension(parameters: list[Json], checkpoint: Checkpoint, older: bytes) -> int:
    before = _older(older, checkpoint.public_key)
    if before.origin != checkpoint.origin:
        raise ProofError(f"the older checkpoint is of another log, {before.origin}")
    path: list[bytes] = []
    if before.size < checkpoint.size:
        found = [each.get("part", []) for each in _named(parameters, "consistency")]
        found = [parts for parts in found if _one(parts, "from").get("valueUnsignedInt") == before.size]
        if not found:
            raise ProofError(f"it has no proof from the older checkpoint on; download it with ?from={before.size}")
        path = [_bytes(each) for each in _named(found[0], "hash")]
    if not verify_consistency(before.size, before.root, checkpoint.size, checkpoint.root, path):
        raise ProofError("the log of today does not extend the log of the older checkpoint")
    return before.size


def _older(text: bytes, public_key: bytes) -> Checkpoint:
    if text.lstrip()[:1] == b"{":
        return _checkpoint(_parameters(text), public_key)
    try:
        return parse_note(text.decode("utf-8", "replace"), public_key)
    except ValueError as error:
        raise ProofError(
            f"the older checkpoint: {error}".replace("this server's key", "the key of the file")
        ) from error


def _named(parameters: object, name: str) -> list[Json]:
    return list(_matching(parameters, name))


def _matching(parameters: object, name: str) -> Iterator[Json]:
    for each in parameters if isinstance(parameters, list) else ():
        if isinstance(each, dict) and each.get("name") == name:
            yield each


def _one(parameters: object, name: str) -> Json:
    found = _named(parameters, name)
    if len(found) != 1:
        raise ProofError(f"it has {len(found)} of {name} where there is one")
    return found[0]


def _bytes(parameter: Json) -> bytes:
    try:
        return b64decode(str(parameter.get("valueBase64Binary")), validate=True)
    except ValueError as error:  # Letters beyond ASCII are one, too, and no binascii.Error.
        raise ProofError(f"{parameter.get('name')} is not base64") from error


def _event_id(parts: object) -> str:
    events = [each.get("resource") for each in _named(parts, "auditEvent")]
    return str(events[0].get("id"))[:64] if events and isinstance(events[0], dict) else "without an event"
