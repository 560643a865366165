"""How often a client may ask per minute, in all worker processes together, without a database write per request.

Each process takes its requests from the shared counter in lots of a fiftieth of the limit, so that a client costs at
most some fifty small writes a minute, and none once its minute is used up. The sum never exceeds the limit; what a
process does not use up of a lot is lost with the minute. A client without a limit costs a dictionary look-up.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fhir_server.store import oauth_clients, rate_limits
from fhir_server.store.database import Session, Store

WINDOW: Final = timedelta(minutes=1)
_LOTS: Final = 50
_KNOWN_FOR: Final = timedelta(seconds=10)
_MOST_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Lot:
    """What this process may still let through of one client.

    Attributes:
        limit: Requests per minute; 0 for no limit.
        asked_again_at: When the limit is looked up again.
        left: Requests that are taken and not used.
        ends_at: When what is left is lost, and what was used up comes back.
        used_up: The shared counter had none left.
    """

    limit: int
    asked_again_at: datetime
    left: int = 0
    ends_at: datetime | None = None
    used_up: bool = False


class ClientLimits:
    """The limits of one process."""

    def __init__(self, default: int = 0) -> None:
        """Start with nothing counted; `default` is the limit of a client that has none of its own, 0 for no limit."""
        self._default = default
        self._lots: dict[str, _Lot] = {}
        self._lock = threading.Lock()

    def spend(self, client_id: str, now: datetime, counted_in: Store | Session) -> int:
        """Count one request of a client.

        Args:
            client_id: Who asks, proved.
            now: Aware UTC.
            counted_in: The store, or the write transaction that is open already: another would wait for it.

        Returns:
            0 where it may go on, else how many seconds to wait, at least 1.
        """
        lot = self._lots.get(client_id)
        if lot is None or lot.asked_again_at <= now:
            lot = self._looked_up(client_id, now, counted_in)
        if not lot.limit:
            return 0
        with self._lock:
            if lot.ends_at is not None and lot.ends_at <= now:
                lot.left, lot.ends_at, lot.used_up = 0, None, False
            if lot.left:
                lot.left -= 1
                return 0
            if lot.used_up:
                return _wait_s(lot, now)
        return self._take(client_id, lot, now, counted_in)

    def _take(self, client_id: str, lot: _Lot, now: datetime, counted_in: Store | Session) -> int:
        wanted = -(-lot.limit // _LOTS)
        with _session(counted_in, writes=True) as session:
            taken, ends_at = rate_limits.take(session, f"client:{client_id}", wanted, lot.limit, WINDOW, now)
        with self._lock:
            if lot.ends_at is None or lot.ends_at < ends_at:
                lot.left, lot.ends_at = 0, ends_at
            lot.used_up = not taken
            if not taken:
                return _wait_s(lot, now)
            lot.left += taken - 1
        return 0

    def _looked_up(self, client_id: str, now: datetime, counted_in: Store | Session) -> _Lot:
        with _session(counted_in, writes=False) as session:
            said = oauth_clients.requests_per_minute(session, client_id)
        limit = self._default if said is None else said
        with self._lock:
            if len(self._lots) >= _MOST_KNOWN:
                self._lots.clear()
            lot = self._lots.get(client_id)
            if lot is None or lot.limit != limit:
                lot = self._lots[client_id] = _Lot(limit, now + _KNOWN_FOR)
            lot.asked_again_at = now + _KNOWN_FOR
        return lot


def _wait_s(lot: _Lot, now: datetime) -> int:
    return max(1, -int((now - lot.ends_at).total_seconds() // 1)) if lot.ends_at else 1


def _session(counted_in: Store | Session, *, writes: bool) -> AbstractContextManager[Session]:
    if isinstance(counted_in, Session):
        return nullcontext(counted_in)
    return counted_in.write() if writes else counted_in.glance()
