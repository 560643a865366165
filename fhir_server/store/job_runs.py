"""When each background job last ran, and whether it failed: for an administrator to look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Row, delete, insert, select

from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.job_tables import job_run

AUDIT_VERIFY: Final = "audit-verify"
"""Not a job of the worker: `fhir-server audit verify`, whoever runs it."""
_LONGEST_DETAIL: Final = 500


@dataclass(frozen=True, slots=True)
class JobRun:
    """The last run of a job.

    Attributes:
        name: Of the job.
        finished_at: When it ended, aware UTC.
        succeeded_at: When one last ended well, None for never.
        failure_count: Failures in a row, 0 where it ended well.
        detail: What it found, or the kind of its failure; never what a record says.
    """

    name: str
    finished_at: datetime
    succeeded_at: datetime | None
    failure_count: int
    detail: str


def note(session: Session, name: str, now: datetime, *, failed: bool = False, detail: str = "") -> None:
    """Keep that a job ended now."""
    before = last(session, name)
    succeeded_at = now if not failed else before.succeeded_at if before else None
    values = {
        "name": name,
        "finished_at": to_us(now),
        "succeeded_at": to_us(succeeded_at) if succeeded_at else None,
        "failure_count": (before.failure_count if before else 0) + 1 if failed else 0,
        "detail": detail[:_LONGEST_DETAIL],
    }
    session.connection.execute(delete(job_run).where(job_run.c.name == name))
    session.connection.execute(insert(job_run), values)


def last(session: Session, name: str) -> JobRun | None:
    """Return the last run of a job, None where none is known."""
    row = session.connection.execute(select(job_run).where(job_run.c.name == name)).first()
    return None if row is None else _run(row)


def every(session: Session) -> tuple[JobRun, ...]:
    """Return the last run of every job, by name."""
    return tuple(map(_run, session.connection.execute(select(job_run).order_by(job_run.c.name)).all()))


def _run(row: Row[*tuple[object, ...]]) -> JobRun:
    succeeded_at = None if row.succeeded_at is None else from_us(row.succeeded_at)
    return JobRun(row.name, from_us(row.finished_at), succeeded_at, row.failure_count, row.detail)
