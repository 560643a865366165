"""A verifier of downloaded access logs that shares no code with the server: hashlib, cryptography and RFC 9162."""

import json
from base64 import b64decode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Json = dict[str, Any]


def value(parameters: list[Json], name: str) -> Any:
    (one,) = (each for each in parameters if each["name"] == name)
    (key,) = (key for key in one if key.startswith("value") or key == "resource")
    return b64decode(one[key]) if key == "valueBase64Binary" else one[key]


def hashes(parameters: list[Json]) -> list[bytes]:
    return [b64decode(each["valueBase64Binary"]) for each in parameters if each["name"] == "hash"]


def signed_state(document: Json) -> tuple[int, bytes]:
    """Return (size, root) of the checkpoint; raises where the signature is wrong."""
    parameters = document["parameter"]
    body, _, signature = value(parameters, "checkpoint").rpartition("\n\n")
    origin, size, root, _signed_at = body.split("\n")
    assert origin == value(parameters, "origin")
    key = value(parameters, "publicKey")
    mark, name, encoded = signature.strip().split(" ")
    assert (mark, name) == ("\u2014", origin)
    raw = b64decode(encoded)
    assert raw[:4] == sha256(origin.encode() + b"\n\x01" + key).digest()[:4]
    Ed25519PublicKey.from_public_bytes(key).verify(raw[4:], body.encode() + b"\n")
    return int(size), b64decode(root)


def included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162 §2.1.3.2."""
    digest, fn, sn = sha256(b"\x00" + leaf).digest(), index, size - 1
    for step in path:
        if sn == 0:
            return False
        if fn % 2 or fn == sn:
            digest = sha256(b"\x01" + step + digest).digest()
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            digest = sha256(b"\x01" + digest + step).digest()
        fn, sn = fn // 2, sn // 2
    return sn == 0 and digest == root


def extends(old: tuple[int, bytes], new: tuple[int, bytes], path: list[bytes]) -> bool:
    """RFC 9162 §2.1.4.2, for an old log that is smaller."""
    (first, first_root), (second, second_root) = old, new
    steps = [first_root, *path] if first & (first - 1) == 0 else list(path)
    fn, sn = first - 1, second - 1
    while fn % 2:
        fn, sn = fn // 2, sn // 2
    one = two = steps[0]
    for step in steps[1:]:
        if sn == 0:
            return False
        if fn % 2 or fn == sn:
            one, two = sha256(b"\x01" + step + one).digest(), sha256(b"\x01" + step + two).digest()
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            two = sha256(b"\x01" + two + step).digest()
        fn, sn = fn // 2, sn // 2
    return sn == 0 and (one, two) == (first_root, second_root)


def proved_events(document: Json) -> list[Json]:
    """Return the events of a download that are proved; raises where a proof is wrong."""
    size, root = signed_state(document)
    found = []
    for entry in (each["part"] for each in document["parameter"] if each["name"] == "entry"):
        if not any(part["name"] == "index" for part in entry):
            continue
        leaf = value(entry, "leaf")
        assert included(leaf, value(entry, "index"), size, hashes(entry), root)
        columns, _, content = leaf.partition(b"\n")
        event = value(entry, "auditEvent")
        assert json.loads(content) == event
        assert json.loads(columns)[1] == event["id"]
        found.append(event)
    return found
