"""Carry exports on in the background: lease a job, list some pages, let it go; forget those that are over.

INVARIANT: a job runs only while the permission it was begun under holds, looked up before each page.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import replace
from datetime import timedelta
from typing import Final

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.interactions.model import Context
from fhir_server.interactions.perform import perform
from fhir_server.operations.export import LONGEST, principal_of, wanted_of
from fhir_server.operations.export_listing import Listed, listed_of, next_page, steps_of, with_listing
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import export_pages, exports
from fhir_server.store.database import Session
from fhir_server.store.export_pages import Page
from fhir_server.store.exports import ExportJob

_LOG = logging.getLogger(__name__)
_LEASE: Final = timedelta(minutes=2)
_TURN_S: Final = 2.0
"""A worker has messages to deliver in between."""
_LATER: Final = timedelta(seconds=10)
_ATTEMPTS: Final = 5
_PAGES_OF_FILE: Final = 10
_RESOURCES_LIMIT: Final = 5_000_000
_TRANSIENT: Final = frozenset({Kind.UNAVAILABLE, Kind.TIMEOUT, Kind.CONFLICT})


def work(context: Context) -> int:
    """List the next pages of the export that waits longest; return how many pages were listed."""
    with context.store.read() as session:
        if not exports.any_due(session, context.now()):
            return 0
    with context.store.write() as session:
        now = context.now()
        job = exports.lease(session, now, until=now + _LEASE, name=secrets.token_hex(8))
    if job is None:
        return 0
    here = replace(context, definitions=context.live()) if context.live else context
    done, ends_at_s = 0, time.monotonic() + _TURN_S
    try:
        carried: ExportJob | None = job
        while carried is not None and time.monotonic() < ends_at_s:
            carried = carry_on(here, carried)
            done += 1
    except FhirError as error:
        _stumbled(here, job, error)
        return done
    with context.store.write() as session:
        exports.release(session, job, due_at=context.now())
    return done


def upkeep(context: Context) -> int:
    """Forget exports that are over, and those whose permission ended; return how many."""
    with context.store.read() as session:
        over = [job.id for job in exports.present(session) if _is_over(session, job, context)]
    if over:
        with context.store.write() as session:
            for job_id in over:
                exports.remove(session, job_id)
    return len(over)


def _is_over(session: Session, job: ExportJob, context: Context) -> bool:
    now = context.now()
    role = principal_of(job.principal).role
    return job.expires_at <= now or not exports.is_permitted(session, job.grant_id, role, now)


def carry_on(context: Context, job: ExportJob) -> ExportJob | None:
    """List one page of a job; return the job as it stands then, None where there is nothing more to do for it."""
    principal = _caller(context, job)
    if principal is None:
        with context.store.write() as session:
            exports.remove(session, job.id)
        return None
    if job.attempt_count > _ATTEMPTS:
        raise FhirError(Kind.BUG, "A page was tried too often")
    if context.now() >= job.started_at + LONGEST or job.resource_count > _RESOURCES_LIMIT:
        raise FhirError(Kind.BUSINESS_RULE, "The export is too large: ask for fewer types, or with _since in parts")
    listed = listed_of(perform(next_page(job), principal, with_listing(context, job)))
    changed = replace(_after(context, job, listed), attempt_count=0)
    with context.store.write() as session:
        if not exports.advance(session, job, changed, until=context.now() + _LEASE):
            return None
        _keep(session, job, listed)
    return changed if changed.state == exports.RUNNING else None


def _caller(context: Context, job: ExportJob) -> Principal | None:
    """Return who the job runs as, with the roles of now; None where its permission has ended."""
    known = principal_of(job.principal)
    with context.store.read() as session:
        if not exports.is_permitted(session, job.grant_id, known.role, context.now()):
            return None
        return tokens.renewed(session, known, context.now())


def _after(context: Context, job: ExportJob, listed: Listed) -> ExportJob:
    count = job.resource_count + sum(len(keys) for *_, keys in listed.found)
    changed = replace(job, step=listed.step, cursor=listed.cursor, resource_count=count)
    if listed.step < len(steps_of(wanted_of(job.wanted))):
        return changed
    return replace(changed, state=exports.COMPLETE, expires_at=context.now() + timedelta(hours=context.export_hours))


def _keep(session: Session, job: ExportJob, listed: Listed) -> None:
    """Store the keys of a page: in the last file, while that is of the same type and not full."""
    for name, deleted, keys in listed.found:
        last, length = export_pages.last(session, job.id, of_file=_PAGES_OF_FILE)
        number, file = (last.number, last.file) if last else (0, 0)
        same = last is not None and (last.type, last.deleted) == (name, deleted) and length < _PAGES_OF_FILE
        export_pages.add(session, job.id, Page(number + 1, file if same else file + 1, name, deleted, keys))


def _stumbled(context: Context, job: ExportJob, error: FhirError) -> None:
    """Put a job off after a page that failed, or give it up."""
    if error.kind in _TRANSIENT and job.attempt_count < _ATTEMPTS:
        _LOG.warning("export %s is put off: %s", job.id[:8], error.kind.name)
        with context.store.write() as session:
            exports.release(session, job, due_at=context.now() + _LATER)
        return
    said = error.diagnostics if error.kind.shown else "The server could not list what was asked for"
    expires_at = context.now() + timedelta(hours=context.export_hours)
    failed = replace(job, state=exports.FAILED, problem=said, expires_at=expires_at)
    with context.store.write() as session:
        exports.advance(session, job, failed, until=context.now())
