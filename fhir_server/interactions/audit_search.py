"""Read and search AuditEvents over FHIR (https://hl7.org/fhir/R4/auditevent.html#search).

A patient reads the events about their own record; the privacy officer and the operator's own system read all. For
everybody else there are none: an empty searchset, 404 for a read. The restriction is part of every statement
(`events.Readable`).
"""

from __future__ import annotations

import orjson

from fhir_server.access.principal import Caller, Principal
from fhir_server.interactions import audit_query
from fhir_server.interactions.audit_pages import PageSeal
from fhir_server.interactions.audit_query import Query
from fhir_server.interactions.model import Context, Interaction, Outcome, Trace
from fhir_server.search.bundle import link
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import events
from fhir_server.store.database import Session
from fhir_server.store.events import Criteria, Readable, StoredEvent
from fhir_server.store.instants import from_us
from fhir_server.store.keys import NONE, key_of_reference

_TYPE = "AuditEvent"


def readable_for(principal: Principal) -> Readable:
    """Return whose events exist for this caller."""
    # A granular scope narrows to a query that is not evaluated on events, so it opens nothing.
    scopes = principal.scopes
    if not scopes.unrestricted and all(s.query for right in "rs" for s in scopes.allowing(right, _TYPE)):
        return Readable(everything=False, patient=NONE)
    if principal.caller is Caller.OPERATOR and principal.trusted:
        return Readable(everything=True, patient=NONE)
    if principal.caller is Caller.STAFF and principal.role == "privacy-officer":
        return Readable(everything=True, patient=NONE)
    if principal.caller is Caller.PATIENT:
        return Readable(everything=False, patient=key_of_reference(principal.subject))
    return Readable(everything=False, patient=NONE)


def read_interaction(
    session: Session, interaction: Interaction, principal: Principal, context: Context, trace: Trace
) -> Outcome:
    """Return one AuditEvent; to look at it is an access to the record that it is about.

    Raises:
        FhirError: NOT_FOUND (404), the same for hidden and absent.
    """
    found = events.search(session, readable_for(principal), Criteria(id=((interaction.id,),)), limit=1)
    if not found or interaction.version_id not in {"", "1"}:
        raise FhirError(Kind.NOT_FOUND, f"{_TYPE}/{interaction.id} is not known")
    event = found[0]
    trace.touch((event.patient,), _TYPE, event.id, 1)
    location = f"{context.fhir_base}/{_TYPE}/{event.id}/_history/1"
    return Outcome(200, event.content, _TYPE, event.id, 1, from_us(event.recorded_at), location)


def search_interaction(
    session: Session, interaction: Interaction, principal: Principal, context: Context, trace: Trace
) -> Outcome:
    """Return a searchset of the events that exist for the caller, newest first unless told otherwise.

    To look at them is an access to the records that they are about; which events they were follows from the query.

    Raises:
        FhirError: NOT_SUPPORTED or INVALID_VALUE (400) naming the parameter and what is supported.
    """
    query = audit_query.parse(interaction, context)
    readable = readable_for(principal)
    trace.touch(patient for group in query.criteria.patient for patient in group)
    seal = PageSeal.of(principal, query.kept, context)
    before = seal.open(query.cursor) if query.cursor else None
    page = events.search(
        session, readable, query.criteria, limit=query.count + 1, before=before, oldest_first=query.oldest_first
    )
    more, page = len(page) > query.count, page[: query.count]
    trace.touch(event.patient for event in page)
    total = None
    if query.total:
        total = events.count(session, readable, query.criteria)
    elif not more and before is None:
        total = len(page)
    last = page[-1] if more and page else None
    cursor = seal.close(last.recorded_at, last.seq) if last else ""
    return Outcome(200, _searchset(page, query, context.fhir_base, total, cursor), "Bundle")


def _searchset(page: list[StoredEvent], query: Query, fhir_base: str, total: int | None, cursor: str) -> bytes:
    url = f"{fhir_base}/{_TYPE}"
    links = [("self", link(url, query.kept))]
    if cursor:
        links.append(("next", link(url, (*query.kept, (audit_query.CURSOR, cursor)))))
    head = {
        "resourceType": "Bundle",
        "type": "searchset",
        **({} if total is None else {"total": total}),
        "link": [{"relation": relation, "url": each} for relation, each in links],
    }
    entries = b",".join(
        b'{"fullUrl":"%b/%b","resource":%b,"search":{"mode":"match"}}'
        % (url.encode(), event.id.encode(), event.content)
        for event in page
    )
    return orjson.dumps(head)[:-1] + (b',"entry":[%b]}' % entries if entries else b"}")
