"""Recompute the audit log and compare it with what was sealed and signed (`fhir-server audit verify`).

Reads the log once, in the order of the tree, in batches: memory stays flat. Finds an event changed, removed, inserted
among older ones or put in another's place; a tree rewritten to fit; a checkpoint forged. What was appended since the
newest checkpoint is not covered yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, func, select

from fhir_server.store import checkpoints
from fhir_server.store.audit_tree import LEAF_COLUMNS, completed_tiles, leaf_data
from fhir_server.store.checkpoints import Checkpoint
from fhir_server.store.database import Session
from fhir_server.store.event_tables import audit_checkpoint, audit_event, audit_leaf, audit_tile
from fhir_server.store.merkle import Frontier, leaf_hash

_BATCH = 2_000
_NUMBERS_BATCH = 50_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found.

    Attributes:
        ok: The sealed log is what was signed.
        verified: Number of sealed entries that were found right.
        first_bad_seq: Number of the first entry that is not, None where the fault is not of an entry.
        reason: What is wrong, in a sentence; "" where nothing is.
    """

    ok: bool
    verified: int
    first_bad_seq: int | None = None
    reason: str = ""


class _FaultError(Exception):
    """The first thing found wrong."""

    def __init__(self, reason: str, seq: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.seq = seq


def verify(
    session: Session, *, public_key: bytes, checkpoint: Checkpoint | None = None, progress: Progress | None = None
) -> Verification:
    """Recompute the log and compare it with every stored checkpoint, and with one kept elsewhere if given.

    Args:
        session: A read transaction, so that all of it is one state.
        public_key: The 32 bytes of the server's Ed25519 key.
        checkpoint: A checkpoint kept elsewhere.
        progress: Called with (entries done, entries in all) after each batch.
    """
    tree = Frontier()
    try:
        _verify_tree(session, tree, _Signed(session, public_key, checkpoint), progress)
        _verify_nothing_inserted(session)
    except _FaultError as fault:
        return Verification(ok=False, verified=tree.size, first_bad_seq=fault.seq, reason=fault.reason)
    return Verification(ok=True, verified=tree.size)


class _Signed:
    """The checkpoints to compare with."""

    def __init__(self, session: Session, public_key: bytes, kept: Checkpoint | None) -> None:
        self._session = session
        self._public_key = public_key
        self._kept = kept
        self.newest_size = session.connection.execute(select(func.max(audit_checkpoint.c.size))).scalar() or 0

    def between(self, start: int, end: int) -> dict[int, list[Checkpoint]]:
        """Return the checkpoints of sizes in (start, end], their signatures checked."""
        size = audit_checkpoint.c.size
        rows = self._session.connection.execute(select(audit_checkpoint).where(size > start, size <= end))
        found: dict[int, list[Checkpoint]] = {}
        for row in rows:
            stored = checkpoints.of_row(row)
            if not stored.is_signed_by(self._public_key):
                raise _FaultError(f"the checkpoint over {stored.size} entries is not signed by this server's key")
            found[stored.size] = [stored]
        if self._kept is not None and start < self._kept.size <= end:
            found.setdefault(self._kept.size, []).append(self._kept)
        return found

    def end(self, size: int) -> None:
        """Check that the log is as long as what was signed."""
        if self._kept is not None and not self._kept.is_signed_by(self._public_key):
            raise _FaultError("the given checkpoint is not signed by this server's key")
        longest = max(self.newest_size, self._kept.size if self._kept else 0)
        if size < longest:
            raise _FaultError(f"the log has {size} sealed entries, yet {longest} were signed")
        if size > self.newest_size:
            raise _FaultError(f"the tree has {size} entries, yet the newest checkpoint covers {self.newest_size}")


def _verify_tree(session: Session, tree: Frontier, signed: _Signed, progress: Progress | None) -> None:
    unsigned_seq: int | None = None
    for batch in _batches(session):
        start = tree.size
        due = signed.between(start, start + len(batch))
        tiles: list[tuple[int, int, bytes]] = []
        for row in batch:
            if unsigned_seq is None:
                unsigned_seq = row.seq
            tiles += completed_tiles(tree, _checked_leaf(tree.size, row))
            for checkpoint in due.get(tree.size, ()):
                if checkpoint.root != tree.root():
                    text = f"the first {tree.size} entries are not those signed at {checkpoint.signed_at.isoformat()}"
                    raise _FaultError(f"{text}; the first change is at or after the entry named", unsigned_seq)
                unsigned_seq = None
        _verify_tiles(session, tiles)
        if progress is not None:
            progress(tree.size, max(signed.newest_size, tree.size))
    signed.end(tree.size)


def _batches(session: Session) -> Iterator[list[Row[Any]]]:
    joined = audit_leaf.outerjoin(audit_event, audit_event.c.seq == audit_leaf.c.seq)
    query = select(audit_leaf.c.position, audit_leaf.c.seq, audit_leaf.c.hash, *LEAF_COLUMNS[1:]).select_from(joined)
    query = query.order_by(audit_leaf.c.position).limit(_BATCH)
    after = -1
    while batch := list(session.connection.execute(query.where(audit_leaf.c.position > after))):
        yield batch
        after = batch[-1].position


def _checked_leaf(expected: int, row: Row[Any]) -> bytes:
    """Return the leaf's hash, computed from the event."""
    position, seq, stored_hash = row.position, row.seq, row.hash
    if position != expected:
        raise _FaultError(f"entry {expected} of the tree is missing", seq)
    if row.content is None:
        raise _FaultError("the event was removed", seq)
    computed = leaf_hash(leaf_data((seq, *tuple(row)[3:])))
    if computed != stored_hash:
        raise _FaultError("the event was changed or put in another's place", seq)
    return computed


def _verify_tiles(session: Session, computed: list[tuple[int, int, bytes]]) -> None:
    for level, position, digest in computed:
        here = and_(audit_tile.c.level == level, audit_tile.c.position == position)
        if session.connection.execute(select(audit_tile.c.hash).where(here)).scalar() != digest:
            raise _FaultError(f"the kept hash {position} of level {level} is not that of its entries")


def _verify_nothing_inserted(session: Session) -> None:
    """Look for events without a place in the tree among numbers where no further event can appear."""
    settled = session.connection.execute(select(func.max(audit_checkpoint.c.settled_seq))).scalar() or 0
    seq = audit_event.c.seq
    joined = audit_event.outerjoin(audit_leaf, audit_leaf.c.seq == seq)
    stranger = select(func.min(seq)).select_from(joined).where(audit_leaf.c.seq.is_(None), seq <= settled)
    below = session.connection.execute(stranger.where(seq <= 0)).scalar()
    start = 0
    while below is None and start < settled:
        # In steps, so that no statement runs long.
        below = session.connection.execute(stranger.where(seq > start, seq <= start + _NUMBERS_BATCH)).scalar()
        start += _NUMBERS_BATCH
    if below is not None:
        raise _FaultError("the event was inserted among older ones", below)
