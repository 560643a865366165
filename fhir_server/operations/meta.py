"""`$meta`, `$meta-add`, `$meta-delete`: the profiles, tags and security labels of resources.

https://hl7.org/fhir/R4/resource-operations.html. A label decides who sees a resource. So a change here is an update
like any other: it makes a version, and the rules of relabelling say which label that has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from fhir_server.access.decide import gate
from fhir_server.interactions import reading, road, searching, writing
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Code, Interaction, Operation, Outcome
from fhir_server.operations.subjects import parameters
from fhir_server.search import run
from fhir_server.search.model import SearchRequest
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.validate import validate
from fhir_server.store import belonging, resources
from fhir_server.store.resources import Version

Meta = dict[str, Any]

_PAGE = 1_000
_MOST_RESOURCES = 10_000
_KEPT_APART = "AuditEvent"
_IGNORED = frozenset({"_format", "_pretty"})


class _Head(msgspec.Struct):
    """The part of a resource that is looked at."""

    meta: Meta = {}


def meta(job: Job, interaction: Interaction) -> Outcome:
    """Return the profiles, tags and labels of a resource or version, or all in use among what the caller may search.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike, GONE (410) for deleted; 400 for a parameter; UNENFORCEABLE
            (422) where there are more resources than are looked through.
    """
    for name, _ in interaction.query:
        if name not in _IGNORED:
            raise FhirError(Kind.NOT_SUPPORTED, f"{name[:64]} is not supported here; $meta has no parameters")
    parameters(job, replace(interaction, query=()))
    if not interaction.id:
        return _answer(_in_use(job, interaction))
    gate(job.principal, "r", interaction.type)
    stored = _stored(job, interaction)
    job.trace.touch(belonging.owners(job.session, (stored.key,))[0], stored.type, stored.id, stored.version)
    return _answer(_meta_of(stored.content or b"{}"))


def add(job: Job, interaction: Interaction) -> Outcome:
    """Add profiles, tags and labels to a resource and return all it then has.

    Raises:
        FhirError: 400 without a `meta`, 404 for absent and hidden alike, 403 and 422 as for an update.
    """
    return _changed(job, interaction, _with)


def remove(job: Job, interaction: Interaction) -> Outcome:
    """Take profiles, tags and labels from a resource and return all it then has; one that it lacks is no error.

    Raises:
        FhirError: 400 without a `meta`, 404 for absent and hidden alike, 403 and 422 as for an update.
    """
    return _changed(job, interaction, _without)


_Name = Callable[[Any], Any]
_Change = Callable[[Sequence[Any], Sequence[Any], _Name], list[Any]]


def _changed(job: Job, interaction: Interaction, change: _Change) -> Outcome:
    sent = _sent(job, interaction)
    # The answer tells what was there before, so the right to update alone is not enough.
    gate(job.principal, "r", interaction.type)
    update = Interaction(Code.UPDATE, interaction.type, interaction.id)
    own = road.entry_job(job, update)
    stored = _stored(job, interaction)
    body = json.decode(stored.content or b"{}", len(stored.content or b"") + 1)
    body["meta"] = {**body.get("meta", {}), **_each(body.get("meta", {}), sent, change)}
    body["meta"] = {name: value for name, value in body["meta"].items() if value}
    try:
        outcome = writing.update(
            own, replace(update, resource=body, if_match=interaction.if_match or (str(stored.version),))
        )
    finally:
        job.trace.patients.update(own.trace.patients)
        job.trace.entities.extend(own.trace.entities)
    return _answer(_meta_of(outcome.content))


def _with(known: Sequence[Any], sent: Sequence[Any], name: _Name) -> list[Any]:
    there = set(map(name, known))
    return [*known, *(each for each in sent if name(each) not in there)]


def _without(known: Sequence[Any], sent: Sequence[Any], name: _Name) -> list[Any]:
    gone = set(map(name, sent))
    return [each for each in known if name(each) not in gone]


def _each(known: Mapping[str, Any], sent: Mapping[str, Any], change: _Change) -> Meta:
    changed: Meta = {"profile": change(known.get("profile", ()), sent.get("profile", ()), str)}
    for name in ("security", "tag"):
        changed[name] = change(known.get(name, ()), sent.get(name, ()), _coding_name)
    return changed


def _stored(job: Job, interaction: Interaction) -> Version:
    gated = job.decision.readable
    name = f"{interaction.type}/{interaction.id}"
    if not interaction.version_id:
        found = resources.get(job.session, gated, interaction.type, interaction.id)
    elif number := reading.version_number(interaction.version_id):
        found = resources.version(job.session, gated, interaction.type, interaction.id, number)
    else:
        found = None
    if found is None:
        raise FhirError(Kind.NOT_FOUND, f"{name} is not known")
    if found.content is None:
        raise FhirError(Kind.GONE, f"{name} was deleted")
    return found


def _in_use(job: Job, interaction: Interaction) -> Meta:
    """Return what the resources have together that the caller may search."""
    if interaction.type == _KEPT_APART:
        raise FhirError(Kind.NOT_SUPPORTED, f"{_KEPT_APART}s have no profiles, tags or labels")
    if interaction.type:
        gate(job.principal, "s", interaction.type)
        types: tuple[str, ...] = (interaction.type,)
    else:
        types = searching.types_asked(job, interaction)
    found: dict[str, dict[Any, Any]] = {"profile": {}, "security": {}, "tag": {}}
    cursor, seen = "", 0
    while True:
        page = run.run(
            job.session,
            job.decision.readable,
            SearchRequest(interaction.type, types, (), count=_PAGE, cursor=cursor),
            page_key=job.context.page_key,
            binding=f"{searching.binding(job.principal)}|$meta",
            definitions=job.definitions,
        )
        seen += len(page.matches)
        for row in page.matches:
            job.trace.touch((row.patient,))
            _gather(found, msgspec.json.decode(row.content, type=_Head).meta)
        if not page.next_cursor:
            return {name: list(each.values()) for name, each in found.items() if each}
        if seen >= _MOST_RESOURCES:
            text = f"There are more than {_MOST_RESOURCES} resources; ask for the $meta of one type, or of one resource"
            raise FhirError(Kind.UNENFORCEABLE, text)
        cursor = page.next_cursor


def _gather(found: Mapping[str, dict[Any, Any]], one: Meta) -> None:
    for url in one.get("profile", ()):
        found["profile"].setdefault(url, url)
    for name in ("security", "tag"):
        for coding in one.get(name, ()):
            plain = {part: coding[part] for part in ("system", "code", "display") if part in coding}
            found[name].setdefault(_coding_name(coding), plain)


def _sent(job: Job, interaction: Interaction) -> Meta:
    body = interaction.resource
    if body is None or body.get("resourceType") != "Parameters":
        raise FhirError(Kind.MALFORMED, "The body must be Parameters with a parameter 'meta'", ("Parameters",))
    validate(job.definitions, dict(body))
    given = [each.get("valueMeta") for each in body.get("parameter", ()) if each.get("name") == "meta"]
    if len(given) != 1 or given[0] is None or len(body["parameter"]) != 1:
        text = "The body must have one parameter, 'meta', with a valueMeta"
        raise FhirError(Kind.INVALID_VALUE, text, ("Parameters.parameter",))
    return dict(given[0])


def _meta_of(content: bytes) -> Meta:
    return dict(json.decode(content, len(content) + 1).get("meta", {}))


def _answer(found: Meta) -> Outcome:
    parameters = [{"name": "return", "valueMeta": found}] if found else []
    body = {"resourceType": "Parameters", **({"parameter": parameters} if parameters else {})}
    return Outcome(200, json.encode(body), "Parameters")


def _coding_name(coding: Mapping[str, Any]) -> tuple[str, str]:
    return str(coding.get("system", "")), str(coding.get("code", ""))


_ANY = ("Resource",)
OPERATIONS: Iterable[Operation] = (
    Operation("meta", _ANY, ("system", "type", "instance"), writes=False, run=meta),
    Operation("meta-add", _ANY, ("instance",), writes=True, run=add),
    Operation("meta-delete", _ANY, ("instance",), writes=True, run=remove),
)
