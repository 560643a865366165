"""batch and transaction (https://hl7.org/fhir/R4/http.html#transaction): every entry is decided and audited on its own.

A transaction is one database transaction: DELETE, POST, PUT and PATCH, GET, in this order; references to other
entries are rewritten to the ids they get; all or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fhir_server.access.principal import Principal
from fhir_server.interactions import conditional, finishing, references, road, writing
from fhir_server.interactions.bundle_entries import Entry, check_bundle, located, parse_entry
from fhir_server.interactions.job import Job
from fhir_server.interactions.locating import Query
from fhir_server.interactions.model import Code, Context, Interaction, Outcome, Trace
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Issue, Kind, error_outcome, operation_outcome
from fhir_server.spec.values import instant_text
from fhir_server.store import events
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us

Perform = Callable[[Interaction, Principal, Context], Outcome]

MAX_ENTRIES = 10_000
_ORDER = {Code.DELETE: 0, Code.CREATE: 1, Code.UPDATE: 2, Code.PATCH: 3}
_GET_ORDER = 4
_MILLISECOND_US = 1_000
_REASONS = {200: "200 OK", 201: "201 Created", 204: "204 No Content", 304: "304 Not Modified"}


def process(
    interaction: Interaction,
    principal: Principal,
    context: Context,
    perform: Perform,
    *,
    beside: Callable[[Session], None] | None = None,
) -> Outcome:
    """Run a batch or transaction Bundle and return the response Bundle.

    A transaction does what is to be written `beside` it at its end.

    Raises:
        FhirError: MALFORMED (400) for a body that is no such Bundle; for a transaction, the error of the entry that
            failed.
    """
    bundle = interaction.resource
    if bundle is None or bundle.get("resourceType") != "Bundle" or bundle.get("type") not in ("batch", "transaction"):
        raise FhirError(Kind.MALFORMED, "The body must be a Bundle of type batch or transaction", ("Bundle.type",))
    check_bundle(bundle, context.definitions)
    raw = bundle.get("entry", [])
    if not isinstance(raw, list):
        raise FhirError(Kind.MALFORMED, "Bundle.entry must be an array", ("Bundle.entry",))
    if len(raw) > MAX_ENTRIES:
        raise FhirError(Kind.TOO_LARGE, f"Bundle.entry has at most {MAX_ENTRIES} elements", ("Bundle.entry",))
    if bundle["type"] == "batch":
        answers = [
            _batch_entry(index, entry, interaction, principal, context, perform) for index, entry in enumerate(raw)
        ]
        return Outcome(200, _response("batch-response", answers), "Bundle")
    entries = [parse_entry(index, entry, interaction, context) for index, entry in enumerate(raw)]
    _check_full_urls(entries)
    refused: list[tuple[Interaction, Trace]] = []
    try:
        with context.store.write() as session:
            answers = _transact(_Transaction(session, principal, context, refused), entries)
            if beside is not None:
                beside(session)
    except FhirError as error:
        for entry, trace in refused or [(interaction, Trace())]:
            road.record_refusal(entry, principal, context, trace, error)
        raise
    return Outcome(200, _response("transaction-response", answers), "Bundle")


def _batch_entry(
    index: int, raw: Any, bundle: Interaction, principal: Principal, context: Context, perform: Perform
) -> bytes:
    try:
        entry = parse_entry(index, raw, bundle, context)
        # A batch may take long, and each entry is a request of its own: who has lost the token or a role is nobody now.
        asking = context.again() if index and context.again else principal
        outcome = perform(entry.interaction, asking, context)
    except FhirError as error:
        body = json.encode(error_outcome(error, context.request_id))
        return b'{"response":{"status":"%d","outcome":%b}}' % (error.status, body)
    return _answer(entry, outcome)


@dataclass(frozen=True, slots=True)
class _Transaction:
    session: Session
    principal: Principal
    context: Context
    refused: list[tuple[Interaction, Trace]]
    """The entry that failed, to be audited once the transaction is rolled back."""


def _transact(transaction: _Transaction, entries: Sequence[Entry]) -> list[bytes]:
    """Run the entries in the order of the specification and return the answers in the order of the Bundle."""
    shared: Job | None = None
    done: list[tuple[Job, Interaction, int]] = []
    answers: dict[int, bytes] = {}
    known = _Known({}, {}, set())
    prepared = [_identify(entry, transaction, known) for entry in _named_first(entries)]
    _check_changes(prepared)
    for entry in sorted(prepared, key=_rank):
        interaction = entry.interaction
        trace = Trace()
        try:
            job = road.open_job(transaction.session, interaction, transaction.principal, transaction.context, trace)
            job = job if shared is None else replace(job, pending=shared.pending)
            shared = shared or job
            interaction = _resolved(job, entry, known.references)
            outcome = _run(job, entry, interaction)
        except FhirError as error:
            transaction.refused.append((interaction, trace))
            raise located(error, entry.index) from error
        done.append((job, interaction, outcome.status))
        answers[entry.index] = _answer(entry, outcome)
    if shared is not None:
        finishing.finish(shared)
    # INVARIANT: after `finish`: an event names the patient by an id that may only just have been stored.
    events.append(transaction.session, [event for entry in done for event in road.events_of(*entry)])
    return [answers[index] for index in sorted(answers)]


def _run(job: Job, entry: Entry, interaction: Interaction) -> Outcome:
    if entry.new_id and interaction.resource is not None:
        return writing.insert(job, interaction.type, entry.new_id, writing.body_of(interaction))
    if interaction.code not in _ORDER:
        job.pending.flush(job.session)
    return road.run(job, interaction)


@dataclass(frozen=True, slots=True)
class _Known:
    """What references become, by their text; the ids of conditional creates, and the updates that create.

    Both are by type and criteria: what is not there yet, no search tells apart.
    """

    references: dict[str, str]
    created: dict[tuple[str, Query], str]
    updated: set[tuple[str, Query]]


def _identify(entry: Entry, transaction: _Transaction, known: _Known) -> Entry:
    """Give a create its id before anything runs, and note what references to this entry become."""
    interaction = entry.interaction
    resource = interaction.resource or {}
    logical_id = interaction.id
    if interaction.code is Code.CREATE:
        entry = replace(entry, new_id=transaction.context.new_id())
        logical_id = entry.new_id
    criteria = tuple((name, known.references.get(value, value)) for name, value in _criteria(interaction))
    if criteria:
        is_create = interaction.code is Code.CREATE
        interaction = replace(
            interaction, if_none_exist=criteria if is_create else (), conditional=() if is_create else criteria
        )
        entry = replace(entry, interaction=interaction)
        condition = (interaction.type, tuple(sorted(criteria)))
        job = road.open_job(transaction.session, interaction, transaction.principal, transaction.context, Trace())
        if interaction.code is Code.DELETE:
            found = conditional.find_several(job, interaction.type, criteria, writing.deleted_at_once(job))
            return replace(entry, changes=tuple(f"{each.type}/{each.id}" for each in found))
        match = conditional.find(job, interaction.type, criteria)
        if match is not None:
            entry, logical_id = replace(entry, new_id=""), match.id
        elif condition in known.updated or (condition in known.created and interaction.code is Code.UPDATE):
            text = "What another entry creates under the same condition would be changed by this one, too"
            raise located(FhirError(Kind.INVALID_VALUE, text), entry.index)
        elif interaction.code is Code.CREATE:
            # The second of two creates under one condition is to find what the first has made.
            logical_id = known.created.setdefault(condition, entry.new_id)
            entry = entry if logical_id == entry.new_id else replace(entry, new_id="")
        elif interaction.code is Code.UPDATE:
            known.updated.add(condition)
            logical_id = str(resource.get("id", ""))
            if not logical_id:
                logical_id = transaction.context.new_id()
                entry = replace(entry, new_id=logical_id)
    if entry.full_url and logical_id:
        for name in references.names_of(entry.full_url, interaction.type):
            known.references[name] = f"{interaction.type}/{logical_id}"
    if interaction.code in _ORDER and interaction.code is not Code.CREATE and logical_id:
        return replace(entry, changes=(f"{interaction.type}/{logical_id}",))
    return entry


def _criteria(interaction: Interaction) -> Query:
    return interaction.if_none_exist or interaction.conditional


def _named_first(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries with those last whose criteria name another entry, which is to be known by then."""
    names = {name for each in entries for name in references.names_of(each.full_url, each.interaction.type)}
    return sorted(entries, key=lambda each: not names.isdisjoint(value for _, value in _criteria(each.interaction)))


def _resolved(job: Job, entry: Entry, known: Mapping[str, str]) -> Interaction:
    """Return the interaction with every reference to another entry, and every conditional reference, made literal."""
    interaction = entry.interaction
    if interaction.code not in _ORDER:
        own = known.get(f"{interaction.type}/{interaction.id}", "").partition("/")[2]
        query = tuple((name, known.get(value, value)) for name, value in interaction.query)
        return replace(interaction, id=own or interaction.id, query=query)
    if interaction.resource is None:
        return interaction

    def find(resource_type: str, criteria: tuple[tuple[str, str], ...]) -> str:
        match = conditional.find(job, resource_type, criteria)
        if match is None:
            raise FhirError(Kind.MULTIPLE_MATCHES, f"No {resource_type} matches a conditional reference")
        return match.id

    return replace(interaction, resource=references.rewrite(interaction.resource, known, find, job.definitions))


def _rank(entry: Entry) -> tuple[int, bool, int]:
    """Return the place in the specification's order; creates that refer by condition come after those that do not."""
    resource = entry.interaction.resource
    late = resource is not None and references.has_conditional(resource)
    return _ORDER.get(entry.interaction.code, _GET_ORDER), late, entry.index


def _check_full_urls(entries: Sequence[Entry]) -> None:
    urls: set[str] = set()
    for entry in entries:
        if entry.full_url:
            if entry.full_url in urls and entry.interaction.code in _ORDER:
                raise located(FhirError(Kind.INVALID_VALUE, "fullUrl is not unique in the Bundle"), entry.index)
            urls.add(entry.full_url)


def _check_changes(entries: Sequence[Entry]) -> None:
    """Refuse two changes of one resource: whichever came last would win."""
    seen: set[str] = set()
    for entry in entries:
        if not seen.isdisjoint(entry.changes):
            text = "A resource is changed by more than one entry"
            raise located(FhirError(Kind.INVALID_VALUE, text), entry.index)
        seen.update(entry.changes)


def _answer(entry: Entry, outcome: Outcome) -> bytes:
    if entry.interaction.code in {Code.READ, Code.VREAD} and outcome.version and _is_known(entry, outcome):
        # The caller has this version (https://hl7.org/fhir/R4/http.html#cread).
        return b'{"response":%b}' % json.encode({"status": _REASONS[304], "etag": f'W/"{outcome.version}"'})
    response: dict[str, Any] = {"status": _REASONS.get(outcome.status, str(outcome.status))}
    if outcome.location and entry.interaction.code in {Code.CREATE, Code.UPDATE, Code.PATCH}:
        response["location"] = outcome.location
    if outcome.version:
        response["etag"] = f'W/"{outcome.version}"'
    if outcome.updated_at is not None:
        response["lastModified"] = instant_text(outcome.updated_at)
    body = b""
    returns = entry.interaction.returns
    if entry.interaction.code in _ORDER and returns == "OperationOutcome":
        text = "Deleted" if entry.interaction.code is Code.DELETE else "Stored"
        response["outcome"] = operation_outcome((Issue("information", "informational", text),))
    is_wanted = not entry.is_head and (entry.interaction.code not in _ORDER or returns == "representation")
    if outcome.content and is_wanted:
        body = b'"resource":' + outcome.content + b","
    return b"{" + body + b'"response":' + json.encode(response) + b"}"


def _is_known(entry: Entry, outcome: Outcome) -> bool:
    if not {"*", str(outcome.version)}.isdisjoint(entry.interaction.if_none_match):
        return True
    since = entry.modified_since
    if since is None or outcome.updated_at is None:
        return False
    # An instant, as `lastUpdated` and the answer's `lastModified` write it, ends at the millisecond.
    return to_us(outcome.updated_at) // _MILLISECOND_US * _MILLISECOND_US <= since


def _response(kind: str, answers: Sequence[bytes]) -> bytes:
    head = b'{"resourceType":"Bundle","type":"%b"' % kind.encode()
    return head + (b',"entry":[' + b",".join(answers) + b"]}" if answers else b"}")
