"""Where the audit log stands: what was signed last, and whether a log that somebody kept is still part of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fhir_server.interactions.audit_proof_check import Checked
from fhir_server.interactions.model import Context
from fhir_server.store import audit_tree, checkpoints
from fhir_server.store.merkle import verify_consistency


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest signed checkpoint.

    Attributes:
        origin: Name of the log.
        size: Number of entries that it signs.
        signed_at: When, aware UTC.
        public_key: The 32 bytes of the key that signed.
        waiting_count: Entries that are newer and will be signed next.
    """

    origin: str
    size: int
    signed_at: datetime
    public_key: bytes
    waiting_count: int


def standing(context: Context) -> Standing | None:
    """Return where the log stands, None where nothing was signed yet."""
    with context.store.read() as session:
        newest = checkpoints.newest(session)
        if newest is None:
            return None
        waiting = audit_tree.waiting_count(session)
    return Standing(newest.origin, newest.size, newest.signed_at, newest.public_key, waiting)


def still_holds(context: Context, kept: Checked) -> bool:
    """Return whether the log of today begins with exactly the entries that a file of then was signed with."""
    with context.store.read() as session:
        newest = checkpoints.newest(session)
        if newest is None or kept.public_key != newest.public_key or not 0 < kept.size <= newest.size:
            return False
        path = audit_tree.Prover(session).consistency(kept.size, newest.size)
    return verify_consistency(kept.size, kept.root, newest.size, newest.root, path)
