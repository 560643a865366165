"""Bulk exports as rows: begun, leased by a worker, carried on page by page, forgotten.

A lease has a name of its own, and only under that name is a page added: of two workers that think a job theirs, one
adds nothing. A worker that dies leaves its job to the next one where it stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, insert, select, update

from fhir_server.store.account_tables import account
from fhir_server.store.database import Session
from fhir_server.store.export_tables import export_job, export_page
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.oauth_tables import access_token, oauth_client, refresh_token

RUNNING, COMPLETE, FAILED = "running", "complete", "failed"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who alone knows of a job: one client, for one subject and (an app of a person) one patient."""

    client_id: str
    subject: str
    patient: str


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One export.

    Attributes:
        id: 256 random bits.
        owner: Who alone knows of it.
        grant_id: The permission it runs under, and ends with.
        principal: Who it runs as, as text.
        wanted: What was asked for, as text.
        request_url: The URL that was asked.
        started_at: The instant that it is about, aware UTC.
        state: `RUNNING`, `COMPLETE` or `FAILED`.
        step: Number of the type that is being listed.
        cursor: Sealed position within it, "" at its start.
        resource_count: Rows found so far.
        lease: Name of the lease, "" where no worker has it.
        attempt_count: Tries of the present page.
        problem: Why it failed, for the caller.
        expires_at: When it is forgotten, aware UTC.
    """

    id: str
    owner: Owner
    grant_id: str
    principal: str
    wanted: str
    request_url: str
    started_at: datetime
    expires_at: datetime
    state: str = RUNNING
    step: int = 0
    cursor: str = ""
    resource_count: int = 0
    lease: str = ""
    attempt_count: int = 0
    problem: str = ""


def add(session: Session, new: ExportJob, *, due_at: datetime) -> None:
    """Store a job that workers may take from an instant on."""
    names = ("id", "grant_id", "principal", "wanted", "request_url", "state", "step", "cursor", "resource_count",
             "lease", "attempt_count", "problem")  # fmt: skip
    values = {name: getattr(new, name) for name in names}
    owner = {"client_id": new.owner.client_id, "subject": new.owner.subject, "patient": new.owner.patient}
    instants = {"started_at": to_us(new.started_at), "expires_at": to_us(new.expires_at)}
    session.connection.execute(insert(export_job), values | owner | instants | {"leased_until": to_us(due_at)})


def of_owner(session: Session, owner: Owner, job_id: str, now: datetime) -> ExportJob | None:
    """Return a job that is neither somebody else's nor over."""
    row = export_job.c
    mine = (row.client_id == owner.client_id, row.subject == owner.subject, row.patient == owner.patient)
    statement = select(export_job).where(row.id == job_id, *mine, row.expires_at > to_us(now))
    found = session.connection.execute(statement).one_or_none()
    return _job(found) if found else None


def counts_of(session: Session, owner: Owner, now: datetime) -> tuple[int, int]:
    """Return how many jobs somebody has running, and how many in all."""
    row = export_job.c
    mine = (row.client_id == owner.client_id, row.subject == owner.subject, row.patient == owner.patient)
    statement = select(row.state, func.count()).where(*mine, row.expires_at > to_us(now)).group_by(row.state)
    found = dict(tuple(each) for each in session.connection.execute(statement))
    return found.get(RUNNING, 0), sum(found.values())


def any_due(session: Session, now: datetime) -> bool:
    """Return whether a job waits that no worker has: asked often, without taking the write lock."""
    return session.connection.execute(select(export_job.c.id).where(_due(now)).limit(1)).first() is not None


def lease(session: Session, now: datetime, *, until: datetime, name: str) -> ExportJob | None:
    """Take the job that has waited longest, so that no other worker has it until the lease ends."""
    row = export_job.c
    due = select(row.id).where(_due(now)).order_by(row.leased_until).limit(5)
    for job_id in session.connection.execute(due).scalars().all():
        take = update(export_job).where(row.id == job_id, _due(now)).returning(export_job)
        values = {"lease": name, "leased_until": to_us(until), "attempt_count": row.attempt_count + 1}
        if found := session.connection.execute(take.values(values)).one_or_none():
            return _job(found)
    return None


def advance(session: Session, job: ExportJob, changed: ExportJob, *, until: datetime) -> bool:
    """Carry a job on under its lease; False, and nothing changed, where the lease is another's by now."""
    names = ("state", "step", "cursor", "resource_count", "problem")
    values = {name: getattr(changed, name) for name in names} | {"attempt_count": 0}
    values |= {"leased_until": to_us(until), "expires_at": to_us(changed.expires_at)}
    row = export_job.c
    mine = update(export_job).where(row.id == job.id, row.lease == job.lease, row.state == RUNNING)
    return session.connection.execute(mine.values(values)).rowcount == 1


def release(session: Session, job: ExportJob, *, due_at: datetime) -> None:
    """Let a job go again; of one that is another's by now, nothing changes."""
    row = export_job.c
    mine = update(export_job).where(row.id == job.id, row.lease == job.lease)
    session.connection.execute(mine.values(lease="", leased_until=to_us(due_at)))


def remove(session: Session, job_id: str) -> None:
    """Forget a job and the rows that it found."""
    session.connection.execute(delete(export_page).where(export_page.c.job == job_id))
    session.connection.execute(delete(export_job).where(export_job.c.id == job_id))


def present(session: Session) -> tuple[ExportJob, ...]:
    """Return every job that is kept."""
    return tuple(_job(found) for found in session.connection.execute(select(export_job).order_by(export_job.c.id)))


def is_permitted(session: Session, grant_id: str, role: str, now: datetime) -> bool:
    """Return whether the permission that a job runs under still holds.

    A client's own permission outlasts its short tokens. A person's is over when none of its tokens can be used or
    renewed. Both end when the newest token is revoked, the client is suspended, or the account is closed or changes
    its role.
    """
    token, row = access_token.c, refresh_token.c
    statement = (
        select(token.client_id, token.account_id, token.expires_at, token.revoked_at, account.c.active, account.c.role)
        .add_columns(oauth_client.c.active.label("client_active"))
        .select_from(
            access_token.outerjoin(oauth_client, oauth_client.c.client_id == token.client_id).outerjoin(
                account, account.c.id == token.account_id
            )
        )
        .where(token.grant_id == grant_id)
        .order_by(token.issued_at.desc(), token.expires_at.desc())
        .limit(1)
    )
    newest = session.connection.execute(statement).one_or_none()
    # A client that nobody registered is the command line's.
    if newest is None or newest.revoked_at is not None or newest.client_active is False:
        return False
    if newest.account_id is None:
        return True
    if not newest.active or newest.role != role:
        return False
    live = select(row.grant_id).where(
        row.grant_id == grant_id, row.revoked_at.is_(None), row.used_at.is_(None), row.expires_at > to_us(now)
    )
    return bool(newest.expires_at > to_us(now)) or session.connection.execute(live.limit(1)).first() is not None


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(export_job.c.state == RUNNING, export_job.c.leased_until <= to_us(now))


def _job(row: Row[Any]) -> ExportJob:
    return ExportJob(
        id=row.id,
        owner=Owner(row.client_id, row.subject, row.patient),
        grant_id=row.grant_id,
        principal=row.principal,
        wanted=row.wanted,
        request_url=row.request_url,
        started_at=from_us(row.started_at),
        expires_at=from_us(row.expires_at),
        state=row.state,
        step=row.step,
        cursor=row.cursor,
        resource_count=row.resource_count,
        lease=row.lease,
        attempt_count=row.attempt_count,
        problem=row.problem,
    )
