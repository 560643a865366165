"""Make a read's audit events durable before its answer leaves.

One `Recorder` per process. On SQLite, threads that wait at the same moment share one commit: whoever gets the lock
commits what all have queued, the others find theirs done (a leader per batch, so a lone reader pays no hand-over to
another thread). On PostgreSQL each caller commits on its own connection and the server groups the flushes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.database import Session, Store
from fhir_server.store.events import ONE_STATEMENT_LIMIT, Event, append, commit

_NEWS_S = 60.0
_NEWS_LIMIT = 1_000


class _Ticket:
    """One caller's events and what became of them."""

    __slots__ = ("committed", "done", "error", "events")

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.done = False
        self.committed = False
        self.error: BaseException | None = None


class Recorder:
    """Records events durably for many threads."""

    def __init__(self, store: Store) -> None:
        """Record into this database."""
        self._store = store
        self._queue: list[_Ticket] = []
        self._queue_lock = threading.Lock()
        self._leader = threading.Lock()
        self._news: dict[str, datetime] = {}

    def is_news(self, key: str, now: datetime) -> bool:
        """Return whether the last minute saw nothing under this key: of a flood, one event says it all.

        At most 1,000 keys a minute are news; what comes from more places at once is for the ordinary log.
        """
        with self._queue_lock:
            if len(self._news) >= _NEWS_LIMIT:
                self._news = {each: at for each, at in self._news.items() if (now - at).total_seconds() < _NEWS_S}
            known = self._news.get(key)
            if known is None and len(self._news) >= _NEWS_LIMIT:
                return False
            if known is not None and (now - known).total_seconds() < _NEWS_S:
                return False
            self._news[key] = now
            return True

    def record(self, events: Sequence[Event], after: Session | None = None) -> None:
        """Return when the events are committed.

        INVARIANT: nothing is acknowledged before its commit returned; the caller discloses nothing when this raises.

        Args:
            events: What happened.
            after: What was read for it, which ends here; None where nothing is open.

        Raises:
            FhirError: UNAVAILABLE (503) when they cannot be written.
        """
        if not events:
            return
        if self._store.is_postgresql:
            try:
                with nullcontext(after) if after else self._store.glance() as session:
                    self._record_alone(events, session)
            except Exception as error:
                raise _unwritten() from error
            return
        if after is not None:
            after.end()
        ticket = _Ticket(events)
        with self._queue_lock:
            self._queue.append(ticket)
        with self._leader:
            if not ticket.done:
                self._commit_queued()
        if not ticket.committed:
            raise _unwritten() from ticket.error

    def _record_alone(self, events: Sequence[Event], after: Session) -> None:
        if len(events) <= ONE_STATEMENT_LIMIT:
            commit(after, events)
            return
        after.end()
        with self._store.write() as session:
            append(session, events)

    def _commit_queued(self) -> None:
        with self._queue_lock:
            batch, self._queue = self._queue, []
        try:
            self._commit(batch)
            if any(ticket.error is not None for ticket in batch) and len(batch) > 1:
                # One caller's bad event must not refuse the others' answers.
                for ticket in batch:
                    self._commit([ticket])
        finally:
            for ticket in batch:
                ticket.done = True

    def _commit(self, batch: Sequence[_Ticket]) -> None:
        try:
            with self._store.write() as session:
                append(session, [event for ticket in batch for event in ticket.events])
        except Exception as error:  # noqa: BLE001 - every caller of the batch raises it
            for ticket in batch:
                ticket.error = error
            return
        for ticket in batch:
            ticket.committed = True


def _unwritten() -> FhirError:
    return FhirError(Kind.UNAVAILABLE, "The audit event could not be written, so nothing is disclosed")
