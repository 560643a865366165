"""The Merkle tree over audit events: sealing, roots, proofs.

An event gets its place in the tree, its *position*, when it is sealed, not when it is written: `audit_leaf` maps
positions to `seq`. PostgreSQL draws `seq` before the transaction commits, so a lower `seq` may appear after a higher
one was sealed, and rolled-back transactions leave gaps. With places given at sealing, a late event simply takes the
next position, nothing sealed ever moves, and a gap means nothing.

What sealing needs is only not to overlook a late event, without searching the whole log each time. It looks above
`settled_seq`, the number up to which no further event can appear:

* On SQLite writers queue, so numbers commit in order and everything sealed is settled.
* On PostgreSQL a checkpoint notes its highest number and, after reading, the database's clock. Whoever holds a number
  up to that one began its transaction before that moment. Once every transaction running in this database began
  later, all of them have ended, and the events that will ever exist up to that number are visible to the statement
  that follows. Where sessions of another role or prepared transactions hide their start, nothing settles until they
  end: slower, never wrong.

Every 256 leaves, 65,536 leaves and so on the hash of the subtree is kept (`audit_tile`), so a root or a proof reads
at most 255 hashes per level and sealing continues without the past.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, Select, func, insert, select, text

from fhir_server.store.database import Session
from fhir_server.store.event_tables import audit_checkpoint, audit_event, audit_leaf, audit_tile
from fhir_server.store.keys import hash64
from fhir_server.store.merkle import Frontier, consistency_proof, inclusion_proof, leaf_hash

TILE_HEIGHT = 8

_SEALING = hash64("audit sealing")
_CLOCK_MARGIN_US = 5_000_000
_CHUNK = 512

_OLDEST_TRANSACTION = text(
    "SELECT (extract(epoch FROM coalesce(min(xact_start), statement_timestamp())) * 1000000)::bigint AS oldest, "
    "count(*) FILTER (WHERE backend_type = 'client backend' AND (state IS NULL OR state = 'disabled')) "
    "+ (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS hidden "
    "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_CLOCK = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")

# INVARIANT: every column of the event but `content`, in this order; a proof handed out long ago depends on it.
_HEAD = (
    "seq",
    "id",
    "recorded_at",
    "patient",
    "agent",
    "organization",
    "entity",
    "kind",
    "action",
    "outcome",
    "purpose",
)
LEAF_COLUMNS = (*(audit_event.c[name] for name in _HEAD), audit_event.c.content)


def leaf_data(row: Sequence[Any]) -> bytes:
    """Return what is hashed of an event, given as `LEAF_COLUMNS`.

    It is a JSON array of its columns, a line feed, its content. The columns are part of it, so that neither an event's
    place nor whom it is listed for can be changed unseen.
    """
    content: bytes = row[-1]
    return orjson.dumps(tuple(row[:-1])) + b"\n" + content


@dataclass(frozen=True, slots=True)
class Sealed:
    """The tree after sealing.

    Attributes:
        size: Number of leaves.
        root: Root hash.
        newest_seq: Highest number sealed.
        settled_seq: Number up to which no further event can appear.
        reached_seq: Number up to which this sealing looked.
        sealed_at: The database's clock after the events were read, microseconds.
        more: Events are left to seal.
        grown: This sealing added leaves.
    """

    size: int
    root: bytes
    newest_seq: int
    settled_seq: int
    reached_seq: int
    sealed_at: int
    more: bool
    grown: bool


def seal(session: Session, *, limit: int, after: int = 0) -> Sealed:
    """Give up to `limit` events their place in the tree; one sealer at a time.

    Args:
        session: A write transaction of its own.
        limit: At most so many.
        after: Look above this number only, to go on where the sealing just before stopped; late events below it wait
            for the next sealing that does not say so, and nothing more settles.
    """
    session.lock(_SEALING)
    newest = session.connection.execute(
        select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(1)
    ).first()
    size, newest_seq, settled = (newest.size, newest.newest_seq, newest.settled_seq) if newest else (0, 0, 0)
    # INVARIANT: before the events are read; what has ended by now is visible to that statement.
    settling = _settling(session) if session.is_postgresql else 0
    rows = session.connection.execute(_unsealed(max(settled, after)).limit(limit + 1)).all()
    more, rows = len(rows) > limit, rows[:limit]
    sealed_at = session.connection.execute(_CLOCK).scalar_one() if session.is_postgresql else 0
    tree = frontier(session, size)
    _grow(session, tree, rows)
    newest_seq = max([newest_seq, *(row.seq for row in rows)])
    reached = rows[-1].seq if more else newest_seq
    if not session.is_postgresql:
        settled = reached
    elif not after:
        settled = max(settled, min(settling, reached))
    return Sealed(tree.size, tree.root(), newest_seq, settled, reached, sealed_at, more, bool(rows))


def _settling(session: Session) -> int:
    oldest, hidden = session.connection.execute(_OLDEST_TRANSACTION).one()
    if hidden:
        return 0
    query = select(func.max(audit_checkpoint.c.newest_seq)).where(
        audit_checkpoint.c.sealed_at < oldest - _CLOCK_MARGIN_US
    )
    return session.connection.execute(query).scalar() or 0


def _unsealed(settled: int) -> Select[Any]:
    joined = audit_event.outerjoin(audit_leaf, audit_leaf.c.seq == audit_event.c.seq)
    unsealed = select(*LEAF_COLUMNS).select_from(joined).where(audit_leaf.c.seq.is_(None))
    return unsealed.where(audit_event.c.seq > settled).order_by(audit_event.c.seq)


def waiting_count(session: Session) -> int:
    """Return how many events are newer than the newest checkpoint; a late one below it is not counted."""
    newest = select(func.coalesce(func.max(audit_checkpoint.c.newest_seq), 0)).scalar_subquery()
    query = select(func.count()).select_from(audit_event).where(audit_event.c.seq > newest)
    return int(session.connection.execute(query).scalar_one())


def _grow(session: Session, tree: Frontier, rows: Sequence[Row[Any]]) -> None:
    leaves, tiles = [], []
    for row in rows:
        digest = leaf_hash(leaf_data(row))
        leaves.append({"position": tree.size, "seq": row.seq, "hash": digest})
        tiles += [
            {"level": level, "position": position, "hash": digest}
            for level, position, digest in completed_tiles(tree, digest)
        ]
    if leaves:
        session.connection.execute(insert(audit_leaf), leaves)
    if tiles:
        session.connection.execute(insert(audit_tile), tiles)


def completed_tiles(tree: Frontier, leaf: bytes) -> list[tuple[int, int, bytes]]:
    """Add a leaf to the tree and return (level, position, hash) of the tiles it completes."""
    return [
        (height // TILE_HEIGHT, (tree.size >> height) - 1, digest)
        for height, digest in tree.append(leaf)
        if height and height % TILE_HEIGHT == 0
    ]


def frontier(session: Session, end: int, start: int = 0) -> Frontier:
    """Return the tree over the leaves [start, end), read from the widest tiles that fit.

    `start` is a multiple of a power of two that is no less than the width, as RFC 6962 splits trees.
    """
    return _frontier(lambda *wanted: _hashes(session, *wanted), end, start)


def _frontier(read: Callable[[int, int, int], list[bytes]], end: int, start: int) -> Frontier:
    tree = Frontier()
    level = max(end - start, 1).bit_length() // TILE_HEIGHT
    while start < end:
        width = 1 << (level * TILE_HEIGHT)
        count = (end - start) // width
        if count and start % width == 0:
            for digest in read(level, start // width, count):
                tree.append_subtree(level * TILE_HEIGHT, digest)
            start += count * width
        level -= 1
    return tree


def _hashes(session: Session, level: int, first: int, count: int) -> list[bytes]:
    found = _stored(session, level, first, count)
    if len(found) != count:
        raise ValueError(f"the audit tree lacks hashes of level {level} from {first}")
    return found


def _stored(session: Session, level: int, first: int, count: int) -> list[bytes]:
    table = audit_tile if level else audit_leaf
    query = select(table.c.hash).where(table.c.position >= first, table.c.position < first + count)
    if level:
        query = query.where(audit_tile.c.level == level)
    return list(session.connection.execute(query.order_by(table.c.position)).scalars())


class Prover:
    """Makes proofs from the stored hashes; reads each block of 256 once, however many proofs meet in it."""

    def __init__(self, session: Session) -> None:
        """Prove from what this transaction sees."""
        self._session = session
        self._blocks: dict[tuple[int, int], list[bytes]] = {}

    def inclusion(self, position: int, size: int) -> list[bytes]:
        """Return the audit path of a leaf in the tree of `size` leaves."""
        return inclusion_proof(position, size, self._subtree)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of `new` leaves extends that of `old`.

        Raises:
            ValueError: `old` is 0 or larger than `new`.
        """
        return consistency_proof(old, new, self._subtree)

    def _subtree(self, start: int, end: int) -> bytes:
        return _frontier(self._read, end, start).root()

    def _read(self, level: int, first: int, count: int) -> list[bytes]:
        found: list[bytes] = []
        for block in range(first >> TILE_HEIGHT, ((first + count - 1) >> TILE_HEIGHT) + 1):
            start = block << TILE_HEIGHT
            if (level, block) not in self._blocks:
                self._blocks[level, block] = _stored(self._session, level, start, 1 << TILE_HEIGHT)
            found += self._blocks[level, block][max(first - start, 0) : max(first + count - start, 0)]
        if len(found) != count:
            raise ValueError(f"the audit tree lacks hashes of level {level} from {first}")
        return found


@dataclass(frozen=True, slots=True)
class Proof:
    """That an event is in the tree.

    Attributes:
        leaf: What was hashed of it, see `leaf_data`.
        position: Its place in the tree.
        path: Hashes of its inclusion proof, lowest first.
    """

    leaf: bytes
    position: int
    path: list[bytes]


def proofs(session: Session, prover: Prover, numbers: Sequence[int], size: int) -> dict[int, Proof]:
    """Return the proofs of events, by `seq`, in the tree of `size` leaves; those not sealed there yet are left out."""
    joined = audit_event.join(audit_leaf, audit_leaf.c.seq == audit_event.c.seq)
    query = select(audit_leaf.c.position, *LEAF_COLUMNS).select_from(joined)
    found: dict[int, Proof] = {}
    for start in range(0, len(numbers), _CHUNK):
        wanted = audit_event.c.seq.in_(numbers[start : start + _CHUNK])
        for row in session.connection.execute(query.where(wanted, audit_leaf.c.position < size)):
            found[row.seq] = Proof(leaf_data(tuple(row)[1:]), row.position, prover.inclusion(row.position, size))
    return found
