"""What the owner of an export asks for later: its progress, its manifest, the lines of a file, its end.

https://hl7.org/fhir/uv/bulkdata/STU2/export.html#bulk-data-status-request. To anybody else a job is not there.
INVARIANT: a line is read from `readable` when it is sent, by the rights its caller has then: of what was hidden or
deleted since it was listed nothing is sent, and a file of which nothing is left is not named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from fhir_server.access.decide import gate
from fhir_server.access.principal import Principal
from fhir_server.identity.limits import Limit, allow
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Context, Interaction, Operation, Outcome
from fhir_server.interactions.perform import perform
from fhir_server.operations.export import check_calm, owner_of, principal_of, url_of, wanted_of
from fhir_server.operations.export_listing import steps_of
from fhir_server.search.projection import elements_projection
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Issue, Kind, operation_outcome
from fhir_server.spec.values import instant_text
from fhir_server.store import belonging, export_pages, exports
from fhir_server.store.database import Session
from fhir_server.store.export_pages import Found, Page
from fhir_server.store.exports import ExportJob

ERRORS: Final = "errors"
"""Name of the file that says what a lenient caller asked for and did not get."""
LONGEST_PAUSE_S: Final = 30


@dataclass(frozen=True, slots=True)
class Progress:
    """How an export stands.

    Attributes:
        outcome: 202 while it runs, 200 with the manifest.
        told: In a few words, at most 100 characters.
        retry_after_s: When to ask again.
        expires_at: When it is forgotten, None while it runs.
    """

    outcome: Outcome
    told: str = ""
    retry_after_s: int = 0
    expires_at: datetime | None = None


def progress(context: Context, principal: Principal, job_id: str) -> Progress:
    """Return how an export stands; its manifest once it is complete.

    Raises:
        FhirError: NOT_FOUND (404) for what is not the caller's, hidden and absent alike; THROTTLED (429) for asking
            again too soon; TIMEOUT (503) where it failed.
    """
    with context.store.read() as session:
        known = exports.of_owner(session, owner_of(principal), job_id, context.now())
    outcome = _perform(context, principal, _manifest, "export-status", job=job_id)
    if known is None or known.state == exports.COMPLETE:
        return Progress(outcome, expires_at=known.expires_at if known else None)
    steps = len(steps_of(wanted_of(known.wanted)))
    told = f"{known.resource_count} resources found, {known.step} of {steps} types listed"
    return Progress(outcome, told, _pause_s(context, known))


def lines(context: Context, principal: Principal, job_id: str, file: int) -> Iterator[bytes]:
    """Yield a file part by part, each on the audit log before it is yielded; each part is decided on anew.

    Raises:
        FhirError: NOT_FOUND (404), at the first part, for a file that is not there for the caller; FORBIDDEN (403) for
            a type without a scope; UNAUTHENTICATED (401) where the token has ended meanwhile.
    """
    first = _perform(context, principal, _lines, "export-file", job=job_id, file=file, page=0)
    yield first.content
    for number in range(first.version + 1, first.version + int(first.id)):
        again = context.again() if context.again else principal
        yield _perform(context, again, _lines, "export-file", job=job_id, file=file, page=number).content


def errors(context: Context, principal: Principal, job_id: str) -> bytes:
    """Return the file of what was not done; see `progress` for refusals."""
    return _perform(context, principal, _errors, "export-file", job=job_id, file=ERRORS).content


def cancel(context: Context, principal: Principal, job_id: str) -> None:
    """Stop an export, or forget a complete one; see `progress` for refusals."""
    _perform(context, principal, _cancel, "export-cancel", writes=True, job=job_id)


def _perform(
    context: Context,
    principal: Principal,
    run: Callable[[Job, Interaction], Outcome],
    name: str,
    *,
    writes: bool = False,
    **asked: str | int,
) -> Outcome:
    """Send one request about a job down the road; to callers there is no such operation."""
    interaction = Interaction(
        Code.OPERATION, query=tuple((key, str(value)) for key, value in asked.items()), operation=name
    )
    operation = Operation(name, (), ("system",), writes=writes, run=run)
    return perform(interaction, principal, replace(context, operations={name: operation}))


def _owned(job: Job, interaction: Interaction, session: Session | None = None) -> ExportJob:
    """Return the job asked for, of this caller and under a permission that holds."""
    check_calm(job)
    session, now = session or job.session, job.context.now()
    job_id = dict(interaction.query)["job"]
    found = exports.of_owner(session, owner_of(job.principal), job_id, now)
    if found is None or not exports.is_permitted(session, found.grant_id, principal_of(found.principal).role, now):
        raise _unknown()
    return found


def _unknown() -> FhirError:
    return FhirError(Kind.NOT_FOUND, "There is no such export, or it is over")


def _pause_s(context: Context, found: ExportJob) -> int:
    """Return how long to wait before asking again: the longer, the longer it takes."""
    age_s = (context.now() - found.started_at).total_seconds()
    return min(max(int(age_s / 10), 1), LONGEST_PAUSE_S)


def _manifest(job: Job, interaction: Interaction) -> Outcome:
    found = _owned(job, interaction)
    if found.state == exports.RUNNING:
        pause = timedelta(seconds=_pause_s(job.context, found) / 2)
        with job.context.store.write() as session:
            if not allow(session, job.context.now(), (Limit("export-status", 1, pause), found.id)):
                raise FhirError(Kind.THROTTLED, "Ask again after the seconds of Retry-After")
        return Outcome(202)
    if found.state == exports.FAILED:
        raise FhirError(Kind.TIMEOUT, f"The export failed. {found.problem}")
    return Outcome(200, json.encode(_described(job, found)))


def _described(job: Job, found: ExportJob) -> dict[str, Any]:
    base = job.context.fhir_base
    named: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    pages: dict[int, list[Page]] = {}
    for page in export_pages.of_job(job.session, found.id):
        pages.setdefault(page.file, []).append(page)
    for number, its in pages.items():
        # A number of lines would tell of those that are hidden by now.
        if any(_is_seen(job, page) for page in its):
            kind = "Bundle" if its[0].deleted else its[0].type
            url = url_of(base, found.id, f"{number}.ndjson")
            named[its[0].deleted].append({"type": kind, "url": url})
    ignored = wanted_of(found.wanted).ignored
    problems = [{"type": "OperationOutcome", "url": url_of(base, found.id, f"{ERRORS}.ndjson")}] if ignored else []
    return {
        "transactionTime": instant_text(found.started_at),
        "request": found.request_url,
        "requiresAccessToken": True,
        "output": named[False],
        "deleted": named[True],
        "error": problems,
    }


def _errors(job: Job, interaction: Interaction) -> Outcome:
    found = _owned(job, interaction)
    ignored = wanted_of(found.wanted).ignored
    if found.state != exports.COMPLETE or not ignored:
        raise _unknown()
    issues = (operation_outcome((Issue("warning", Kind.NOT_SUPPORTED.issue_code, each),)) for each in ignored)
    return Outcome(200, b"".join(json.encode(issue) + b"\n" for issue in issues))


def _cancel(job: Job, interaction: Interaction) -> Outcome:
    exports.remove(job.session, _owned(job, interaction).id)
    return Outcome(202)


def _lines(job: Job, interaction: Interaction) -> Outcome:
    """Return one page of a file as NDJSON; page 0 is the first, whose answer says how many there are and its number."""
    asked = dict(interaction.query)
    found = _owned(job, interaction)
    if found.state != exports.COMPLETE:
        raise _unknown()
    pages = export_pages.of_job(job.session, found.id, file=int(asked["file"]), number=int(asked["page"]))
    if not pages:
        raise _unknown()
    page = pages[0]
    for right in "rs":
        gate(job.principal, right, page.type)
    seen = _seen(job, page)
    if asked["page"] == "0" and not seen and not any(_is_seen(job, each) for each in pages[1:]):
        raise _unknown()
    further = belonging.further_patients(job.session, [each.key for each in seen])
    for each in seen:
        job.trace.touch((each.patient, *further.get(each.key, ())), page.type, each.id, each.version)
    content = b"".join(line + b"\n" for line in _written(job, found, page, seen))
    return Outcome(200, content, id=str(len(pages)), version=page.number)


def _seen(job: Job, page: Page) -> list[Found]:
    """Return the rows of a page that are there for the caller now, in its order."""
    there = export_pages.read(job.session, job.decision.readable, page.keys, deleted=page.deleted)
    rows = (there[key] for key in page.keys if key in there)
    return [row for row in rows if row.deleted == page.deleted]


def _is_seen(job: Job, page: Page) -> bool:
    return export_pages.is_any(job.session, job.decision.readable, page.keys, deleted=page.deleted)


def _written(job: Job, found: ExportJob, page: Page, seen: list[Found]) -> Iterator[bytes]:
    elements = wanted_of(found.wanted).elements_of(page.type)
    projection = elements_projection(job.definitions, elements) if elements else None
    for row in seen:
        if page.deleted:
            request = {"method": "DELETE", "url": f"{page.type}/{row.id}"}
            yield json.encode({"resourceType": "Bundle", "type": "transaction", "entry": [{"request": request}]})
        elif row.content is not None:
            yield projection.apply(page.type, row.content, included=False) if projection else row.content
