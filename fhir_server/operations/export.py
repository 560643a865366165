"""`$export`: begin a bulk export of the system, of patients' records or of a Group's (Bulk Data Access 2.0).

https://hl7.org/fhir/uv/bulkdata/STU2/export.html. Nothing is copied: a job lists keys (`export_listing`), and what is
downloaded is read at that moment (`export_files`), as the caller sees it then.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

import msgspec

from fhir_server.access.principal import Principal
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Operation, Outcome
from fhir_server.operations.export_request import Wanted, understand
from fhir_server.search import everything, run
from fhir_server.search.everything import Asked
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import exports, resources
from fhir_server.store.exports import ExportJob, Owner

RUNNING_LIMIT: Final = 3
KEPT_LIMIT: Final = 50
SETTLING: Final = timedelta(seconds=1)
"""Writes under way at the instant of an export are committed by then, and listed."""
LONGEST: Final = timedelta(hours=24)
_FOLDER: Final = "export"


def begin(job: Job, interaction: Interaction) -> Outcome:
    """Accept an export and return where its progress is told.

    Raises:
        FhirError: INVALID_VALUE or NOT_SUPPORTED (400) naming what is not understood; FORBIDDEN (403) without a scope,
            or during an emergency access; NOT_FOUND (404) for a Group or Patient that does not exist for the caller;
            THROTTLED (429) while as many exports run as may.
    """
    if interaction.type == "Group" and not interaction.id:
        raise FhirError(Kind.UNKNOWN_TYPE, "$export is an operation of one Group, or of all Patients")
    if not interaction.prefers_async:
        raise FhirError(Kind.INVALID_VALUE, "$export needs the header 'Prefer: respond-async'")
    check_calm(job)
    if not job.principal.session_id:
        raise FhirError(Kind.FORBIDDEN, "$export needs an access token, which it ends with")
    wanted = understand(job, interaction)
    for patient_id in wanted.patients:
        job.trace.aim(patient_id)
    if interaction.id:
        _check_known(job, interaction)
    new = _job_of(job, interaction, wanted)
    # In a transaction of its own, for a GET is not one; nobody knows of the job before its AuditEvent is durable.
    with job.context.store.write() as session:
        running, kept = exports.counts_of(session, new.owner, job.context.now())
        if running >= RUNNING_LIMIT:
            raise FhirError(Kind.THROTTLED, f"{RUNNING_LIMIT} exports of yours are running: wait, or delete one")
        if kept >= KEPT_LIMIT:
            raise FhirError(Kind.THROTTLED, f"{KEPT_LIMIT} exports of yours are kept: delete those you have fetched")
        exports.add(session, new, due_at=new.started_at + SETTLING)
    return Outcome(202, location=url_of(job.context.fhir_base, new.id))


def check_calm(job: Job) -> None:
    """Refuse whatever would let a record out in bulk while the caller has an emergency access.

    Raises:
        FhirError: FORBIDDEN (403).
    """
    # INVARIANT: what an emergency opens is for reading there and then (access.md §6).
    if job.decision.emergencies:
        raise FhirError(Kind.FORBIDDEN, "Nothing is exported during an emergency access: end it first")


def owner_of(principal: Principal) -> Owner:
    """Return whose jobs this caller's are."""
    return Owner(principal.client_id, principal.subject, principal.patient)


def url_of(fhir_base: str, job_id: str, file: str = "") -> str:
    """Return where a job, or a file of it, is."""
    return "/".join(filter(None, (fhir_base, _FOLDER, job_id, file)))


def principal_of(text: str) -> Principal:
    """Return who a job runs as, with the roles that were left out."""
    return msgspec.json.decode(text, type=Principal)


def wanted_of(text: str) -> Wanted:
    """Return what a job is to list."""
    return msgspec.json.decode(text, type=Wanted)


def _job_of(job: Job, interaction: Interaction, wanted: Wanted) -> ExportJob:
    # INVARIANT: an export runs without emergency rights, also where its caller has them.
    principal = replace(job.principal, actors=(), organizations=(), may_break_glass=False, in_emergency=False)
    path = "/".join(
        filter(None, (job.context.fhir_base, interaction.type, interaction.id, f"${interaction.operation}"))
    )
    now = job.context.now()
    return ExportJob(
        id=secrets.token_urlsafe(32),
        owner=owner_of(job.principal),
        grant_id=job.principal.session_id,
        principal=msgspec.json.encode(principal).decode(),
        wanted=msgspec.json.encode(wanted).decode(),
        request_url=f"{path}?{urlencode(interaction.query)}" if interaction.query else path,
        started_at=now,
        expires_at=now + LONGEST + timedelta(hours=job.context.export_hours),
    )


def _check_known(job: Job, interaction: Interaction) -> None:
    """Refuse what does not exist for the caller, hidden and absent alike."""
    stored = resources.get(job.session, job.decision.readable, interaction.type, interaction.id)
    if stored is not None and not stored.deleted:
        return
    if interaction.type == "Patient" and stored is None:
        # A consent may open single resources without the Patient.
        whole = everything.request_of(Asked(interaction.id), job.definitions)
        if run.count(job.session, job.decision.readable, whole):
            return
    raise FhirError(Kind.NOT_FOUND, f"{interaction.type}/{interaction.id} is not known")


OPERATION = Operation("export", ("Patient", "Group"), ("system", "type", "instance"), writes=False, run=begin)
