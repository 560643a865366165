"""Background work: deliver messages, and whatever jobs the composition root hands in (expiry, checkpoints, exports).

Each job runs on its own: one that fails is logged and tried again, others go on. Stopping waits for the job at hand.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from fhir_server.identity import limits
from fhir_server.notify.outbox import deliver_due
from fhir_server.notify.rendering import Letterhead
from fhir_server.notify.transports import Transport
from fhir_server.store import job_runs
from fhir_server.store.database import Store

_LOG = logging.getLogger(__name__)
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do now and again.

    Attributes:
        name: For the log.
        run: Does what is due; returns how much it did (0: nothing was due).
        every_s: Pause between two runs, in seconds.
    """

    name: str
    run: Callable[[], int]
    every_s: float = _PAUSE_S


@dataclass(slots=True)
class _Turn:
    job: Job
    due_at_s: float = 0.0
    failures: int = 0


def messages_job(
    store: Store, transports: Mapping[str, Transport], letterhead: Letterhead, now: Callable[[], datetime]
) -> Job:
    """Return the job that delivers queued messages within a second; `transports` by channel (`email`, `text`)."""
    return Job("messages", lambda: deliver_due(store, transports, letterhead, now))


def limits_job(store: Store, now: Callable[[], datetime]) -> Job:
    """Return the job that forgets the counters of rate limits long over."""

    def prune() -> int:
        with store.write() as session:
            return limits.prune(session, now())

    return Job("limits", prune, every_s=3_600.0)


def noted(job: Job, store: Store, now: Callable[[], datetime]) -> Job:
    """Return a job that keeps when it last ran: at each failure and the success after it, else once a minute."""
    state: dict[str, datetime | bool] = {}

    def run_and_note() -> int:
        try:
            done = job.run()
        except Exception as error:
            state["failed"] = True
            _note(job.name, store, now(), type(error).__name__)
            raise
        at, noted_at = now(), state.get("at")
        if state.pop("failed", False) or not isinstance(noted_at, datetime) or at - noted_at >= _NOTED_EVERY:
            state["at"] = at
            _note(job.name, store, at)
        return done

    return replace(job, run=run_and_note)


def _note(name: str, store: Store, at: datetime, failure: str = "") -> None:
    try:
        with store.write() as session:
            job_runs.note(session, name, at, failed=bool(failure), detail=failure)
    except Exception:  # noqa: BLE001 - what is kept for people to look at must not fail what it is about
        _LOG.warning("that job %s ran could not be kept", name)


def run(jobs: Sequence[Job], stop: threading.Event, *, clock: Callable[[], float]) -> None:
    """Run the jobs until `stop` is set; it returns at the end of the job at hand, nothing half done.

    Args:
        jobs: What to do; each has its own pause and its own failures.
        stop: Set by SIGTERM, or by the web process that runs this in a thread.
        clock: Monotonic seconds, such as `time.monotonic`.
    """
    turns = [_Turn(job) for job in jobs]
    while not stop.is_set():
        for turn in turns:
            if stop.is_set():
                return
            if turn.due_at_s <= clock():
                _run_one(turn, clock)
        wait_s = min((turn.due_at_s for turn in turns), default=clock() + _PAUSE_S) - clock()
        stop.wait(max(wait_s, 0.0))


def _run_one(turn: _Turn, clock: Callable[[], float]) -> None:
    try:
        turn.job.run()
        turn.failures = 0
    except Exception:  # noqa: BLE001 - one job must not hold up the others, whatever is wrong with it
        turn.failures += 1
        _LOG.exception("job %s failed %d times in a row", turn.job.name, turn.failures)
    pause_s = turn.job.every_s * 2 ** min(turn.failures, 10)
    turn.due_at_s = clock() + min(pause_s, max(_LONGEST_PAUSE_S, turn.job.every_s))
