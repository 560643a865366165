"""The Merkle tree of RFC 6962 §2.1 as pure functions: hashes, roots, inclusion and consistency proofs.

Knows no database: whoever has the leaves gives `subtree(start, end)`, the hash of the tree over leaves [start, end).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()

Subtree = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node; another prefix than a leaf's, so that neither can pass for the other."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The perfect subtrees of a growing tree, widest first: all that is needed to go on and to tell the root.

    Holds one hash per set bit of the size, whatever the size.
    """

    __slots__ = ("_hashes", "size")

    def __init__(self) -> None:
        """Start with no leaf."""
        self.size = 0
        self._hashes: list[tuple[int, bytes]] = []

    def append(self, leaf: bytes) -> list[tuple[int, bytes]]:
        """Add the hash of the next leaf; return (height, hash) of every perfect subtree it completes, itself first."""
        return self.append_subtree(0, leaf)

    def append_subtree(self, height: int, digest: bytes) -> list[tuple[int, bytes]]:
        """Add the hash of the next 2**height leaves at once; return what it completes, itself first.

        Raises:
            ValueError: The tree so far is not a whole number of such subtrees.
        """
        if self.size % (1 << height):
            raise ValueError("a subtree starts at a multiple of its width")
        self.size += 1 << height
        completed = [(height, digest)]
        while self._hashes and self._hashes[-1][0] == height:
            digest = node_hash(self._hashes.pop()[1], digest)
            height += 1
            completed.append((height, digest))
        self._hashes.append((height, digest))
        return completed

    def root(self) -> bytes:
        """Return the root of the tree so far."""
        if not self._hashes:
            return EMPTY_ROOT
        root = self._hashes[-1][1]
        for _, digest in reversed(self._hashes[:-1]):
            root = node_hash(digest, root)
        return root


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return the audit path of a leaf in the tree of the first `size` leaves, lowest first (RFC 6962 §2.1.1).

    Raises:
        ValueError: There is no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    path: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return the proof that the tree of `new` leaves extends the tree of `old` leaves (RFC 6962 §2.1.2).

    Raises:
        ValueError: `old` is 0 or larger than `new`.
    """
    if not 0 < old <= new:
        raise ValueError("the old tree has 1 to `new` leaves")
    path: list[bytes] = []
    start, end, whole = 0, new, True
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(subtree(middle, end))
            end = middle
        else:
            path.append(subtree(start, middle))
            start, whole = middle, False
    if not whole:
        path.append(subtree(start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the proof leads from a leaf's hash to the root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, digest = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            digest = node_hash(step, digest)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            digest = node_hash(digest, step)
        position >>= 1
        last >>= 1
    return last == 0 and digest == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether the proof shows that one tree extends the other (RFC 9162 §2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if not 0 < old < new or not proof:
        return False
    steps = list(proof)
    if not old & (old - 1):
        steps.insert(0, old_root)
    position, last = old - 1, new - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old_digest = new_digest = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_digest = node_hash(step, old_digest)
            new_digest = node_hash(step, new_digest)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new_digest = node_hash(new_digest, step)
        position >>= 1
        last >>= 1
    return last == 0 and old_digest == old_root and new_digest == new_root
