"""List what an export holds, page by page down the road, as its caller would see it at that moment.

A step is one type, in the order of the last update; deletions come last. A page takes as many steps as it has room for:
most types are empty. INVARIANT: what a page leaves behind is keys, and nothing leaves the server here: `export_files`
asks anew for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Context, Interaction, Operation, Outcome
from fhir_server.interactions.searching import binding
from fhir_server.operations.export import wanted_of
from fhir_server.operations.export_request import Wanted
from fhir_server.search import exported, run
from fhir_server.search.model import Row
from fhir_server.search.rows import type_names
from fhir_server.search.terminology import Terminology
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import date_interval, parse_reference
from fhir_server.store import belonging, export_pages, resources
from fhir_server.store.exports import ExportJob
from fhir_server.store.instants import to_us
from fhir_server.store.keys import reference_key

LISTING: Final = "export-page"
_TURN_S: Final = 1.0
DELETIONS: Final = ""
"""Type of the step that lists deletions."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One page.

    Attributes:
        found: Resource type, whether they are deletions, and keys, in order.
        step: Where the next page begins; beyond the last step there is none.
        cursor: Where in that step, "" at its start.
    """

    found: tuple[tuple[str, bool, tuple[int, ...]], ...]
    step: int
    cursor: str


def steps_of(wanted: Wanted) -> tuple[str, ...]:
    """Return the types to list, one after the other, and at the end `DELETIONS` where those are told."""
    return (*wanted.types, DELETIONS) if wanted.since_us is not None else wanted.types


def next_page(found: ExportJob) -> Interaction:
    """Return the interaction that lists the next page of a job."""
    return Interaction(Code.OPERATION, query=(("job", found.id),), operation=LISTING)


def listed_of(outcome: Outcome) -> Listed:
    """Return the page that an interaction listed."""
    return msgspec.json.decode(outcome.content, type=Listed)


def with_listing(context: Context, found: ExportJob) -> Context:
    """Return a context in which `next_page` of this job is an operation; to callers it is none."""

    def listing(job: Job, interaction: Interaction) -> Outcome:  # noqa: ARG001 - the protocol's
        return Outcome(200, msgspec.json.encode(_page(job, found)))

    operation = Operation(LISTING, (), ("system",), writes=False, run=listing)
    return replace(context, operations={LISTING: operation})


def _page(job: Job, found: ExportJob) -> Listed:
    wanted = wanted_of(found.wanted)
    steps = steps_of(wanted)
    members = _members(job, wanted.group) if wanted.group else {}
    listed: list[tuple[str, bool, tuple[int, ...]]] = []
    stored = {DELETIONS, *export_pages.stored_types(job.session, wanted.types)}
    step, cursor, ends_at_s = found.step, found.cursor, time.monotonic() + _TURN_S
    while step < len(steps) and sum(len(keys) for *_, keys in listed) < exported.PAGE_COUNT:
        here = replace(found, step=step, cursor=cursor)
        if steps[step] not in stored:
            step += 1
            continue
        if steps[step] == DELETIONS:
            more, cursor = _deletions(job, here, wanted, members)
        else:
            more, cursor = _of_type(job, here, wanted, members)
        listed += more
        step += not cursor
        if cursor or time.monotonic() > ends_at_s:
            break
    return Listed(tuple(listed), step, cursor)


_Part = tuple[list[tuple[str, bool, tuple[int, ...]]], str]
"""What was found, and where to go on in the same step, "" where nothing is left."""


def _of_type(job: Job, found: ExportJob, wanted: Wanted, members: Mapping[int, bool]) -> _Part:
    name = wanted.types[found.step]
    terms = Terminology(job.definitions, job.context.fhir_base, job.session, job.decision.readable)
    asked = exported.request_of(
        wanted.listing(name),
        job.definitions,
        fhir_base=job.context.fhir_base,
        terms=terms,
        now_us=to_us(found.started_at),
    )
    page = run.run(
        job.session,
        job.decision.readable,
        replace(asked, cursor=found.cursor),
        page_key=job.context.page_key,
        binding=f"{binding(job.principal)}|export|{found.id}|{name}",
        definitions=job.definitions,
    )
    rows = _told(job, found, name, _of_records(job, wanted, members, page.matches))
    return ([(name, False, tuple(row.key for row in rows))] if rows else []), page.next_cursor or ""


def _told(job: Job, found: ExportJob, name: str, rows: list[Row]) -> list[Row]:
    """Return the rows that are news: what changed since the job began comes by again at the end of its type."""
    began_us = to_us(found.started_at)
    if all(row.updated_at <= began_us for row in rows):
        return rows
    pages = export_pages.of_job(job.session, found.id)
    known = {key for page in pages if page.type == name and not page.deleted for key in page.keys}
    # What was made since is left to the next export, which asks for what changed since this one.
    return [row for row in rows if row.updated_at <= began_us or (row.version > 1 and row.key not in known)]


def _of_records(job: Job, wanted: Wanted, members: Mapping[int, bool], rows: Iterable[Row]) -> list[Row]:
    """Return the rows that are of a record that is exported."""
    if not wanted.records:
        return list(rows)
    own = [row for row in rows if row.patient]
    left = [row for row in own if not members.get(row.patient, True)]
    if not left:
        return own
    further = belonging.further_patients(job.session, [row.key for row in left])
    dropped = {row.key for row in left if not any(members.get(each) for each in further.get(row.key, ()))}
    return [row for row in own if row.key not in dropped]


def _members(job: Job, group_id: str) -> dict[int, bool]:
    """Return whether each Patient that a Group names is a member of it now.

    Raises:
        FhirError: NOT_FOUND (404) where the Group does not exist for the caller any more.
    """
    stored = resources.get(job.session, job.decision.readable, "Group", group_id)
    if stored is None or stored.content is None:
        raise FhirError(Kind.NOT_FOUND, f"Group/{group_id} is not known")
    now_us, found = to_us(job.context.now()), dict[int, bool]()
    for member in msgspec.json.decode(stored.content).get("member", ()):
        reference = parse_reference(str(member.get("entity", {}).get("reference", "")), job.context.fhir_base)
        if reference.type == "Patient" and reference.id:
            key = reference_key("Patient", reference.id)
            found[key] = found.get(key, False) or _is_member(member, now_us)
    return found


def _is_member(member: Mapping[str, Any], now_us: int) -> bool:
    ends = member.get("period", {}).get("end", "")
    return not member.get("inactive", False) and (not ends or date_interval(str(ends))[1] > now_us)


def _deletions(job: Job, found: ExportJob, wanted: Wanted, members: Mapping[int, bool]) -> _Part:
    assert wanted.since_us is not None  # noqa: S101 - `steps_of`
    after = int(found.cursor) if found.cursor else None
    limit = exported.PAGE_COUNT
    rows = export_pages.deletions(
        job.session, job.decision.readable, wanted.types, since_us=wanted.since_us, after=after, limit=limit
    )
    of = {reference_key("Patient", each) for each in wanted.patients}
    of |= {key for key, is_member in members.items() if is_member}
    is_limited = bool(of or wanted.group)
    names, keys = type_names(job.definitions), dict[str, list[int]]()
    for key, kind, patient in rows:
        if not wanted.records or (patient in of if is_limited else patient):
            keys.setdefault(names[kind], []).append(key)
    cursor = str(rows[-1][0]) if len(rows) == limit else ""
    return [(name, True, tuple(keys[name])) for name in sorted(keys)], cursor
