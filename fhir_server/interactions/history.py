"""history of a resource, a type and the system, newest first (https://hl7.org/fhir/R4/http.html#history).

Each version shown is one that `vread` would answer; a hidden one is not counted and leaves no trace in pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions import searching
from fhir_server.interactions.job import Job
from fhir_server.interactions.model import Interaction, Outcome
from fhir_server.search import cursor, parse, projection, results, syntax
from fhir_server.search.bundle import link
from fhir_server.search.model import Projection
from fhir_server.search.parse import CURSOR
from fhir_server.search.rows import type_names
from fhir_server.spec.json import encode
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import date_interval, instant_text
from fhir_server.store import belonging, history_pages, resources
from fhir_server.store.history_pages import Asked
from fhir_server.store.instants import from_us
from fhir_server.store.keys import reference_key
from fhir_server.store.resources import Version

_SUPPORTED = ("_since", "_at", "_count", "_summary", "_elements")
_IGNORED = frozenset({"_format", "_pretty"})
_KEPT_APART = "AuditEvent"
_OUR_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""What `Context.new_id` makes. A first version under another id was stored by PUT."""


@dataclass(frozen=True, slots=True)
class _Request:
    """The parameters of a history request, `understood` as they go into links."""

    since: int | None
    at: tuple[int, int] | None
    count: int
    cursor: str
    understood: tuple[tuple[str, str], ...]
    projection: Projection | None = None


def instance(job: Job, interaction: Interaction) -> Outcome:
    """Return the versions of one resource.

    Raises:
        FhirError: NOT_FOUND for absent and hidden alike; 400 for a parameter that is not understood.
    """
    request = _understood(job, interaction, _SUPPORTED)
    kind, logical_id = interaction.type, interaction.id
    if resources.get(job.session, job.decision.readable, kind, logical_id) is None:
        raise FhirError(Kind.NOT_FOUND, f"{kind}/{logical_id} is not known")
    asked = Asked((kind,), reference_key(kind, logical_id), request.since, request.at)
    return _answer(job, request, asked, f"{kind}/{logical_id}/_history")


def of_type(job: Job, interaction: Interaction) -> Outcome:
    """Return the versions of every resource of a type.

    Raises:
        FhirError: 400 for a parameter that is not understood, and for AuditEvents, which have one version each.
    """
    if interaction.type == _KEPT_APART:
        raise FhirError(Kind.NOT_SUPPORTED, f"{_KEPT_APART}s never change: search them instead")
    request = _understood(job, interaction, _SUPPORTED)
    return _answer(
        job, request, Asked((interaction.type,), since=request.since, at=request.at), f"{interaction.type}/_history"
    )


def of_system(job: Job, interaction: Interaction) -> Outcome:
    """Return the versions of every resource; a type that the token may not search is not there, unless it is named.

    Raises:
        FhirError: FORBIDDEN (403) for a type named by `_type`, or where no type may be searched; 400 for a parameter
            that is not understood.
    """
    types = searching.types_asked(job, interaction)
    request = _understood(job, interaction, ("_type", *_SUPPORTED))
    types = parse.named_types(job.definitions, interaction.query) or types
    if request.since is not None and not types:
        # Named one by one: indexes on instants begin with the type.
        types = tuple(sorted(job.definitions.resource_types))
    return _answer(job, request, Asked(types, since=request.since, at=request.at), "_history")


def _answer(job: Job, request: _Request, asked: Asked, path: str) -> Outcome:
    """Return one page, with everything on it noted for the audit."""
    gate = job.decision.readable
    sealing: dict[str, Any] = {
        "page_key": job.context.page_key,
        "binding": f"{searching.binding(job.principal)}|{path}",
        "understood": request.understood,
    }
    after = _position(request.cursor, sealing)
    names = type_names(job.definitions)
    found = history_pages.page(job.session, gate, asked, names=names, limit=request.count + 1, after=after)
    shown, more = found[: request.count], len(found) > request.count
    total = history_pages.count(job.session, gate, asked) if more or after else len(shown)
    further = belonging.further_patients(job.session, list({version.key for version in shown if version.multi}))
    for version in shown:
        owners = (version.patient, *further.get(version.key, ()))
        job.trace.touch(owners, version.type, version.id, version.version, version.content)
    following = ""
    if more and shown:
        last = shown[-1]
        place = cursor.Place(cursor.Way.AFTER, (last.updated_at, last.key, last.version))
        following = cursor.seal(place, **sealing)
    return Outcome(200, _bundle(job.context.fhir_base, path, request, shown, (total, following)), "Bundle")


def _position(sealed: str, sealing: dict[str, Any]) -> history_pages.Position | None:
    if not sealed:
        return None
    at, key, version = cursor.unseal(sealed, **sealing).position
    return int(at or 0), int(key or 0), int(version or 0)


def _understood(job: Job, interaction: Interaction, supported: tuple[str, ...]) -> _Request:
    """Return what the parameters mean; one that is not known is left out of the links where the caller is lenient.

    A history Bundle has no place for a warning: each of its entries needs a request (constraint bdl-3).
    """
    found: dict[str, str] = {}
    for name, value in interaction.query:
        if name in _IGNORED or not value:
            continue
        if name not in (*supported, CURSOR):
            if interaction.handling == "lenient":
                continue
            raise syntax.unsupported(name, f"is not supported here. Supported: {', '.join(supported)}.")
        if name in found:
            raise syntax.invalid(name, "may be given once.")
        found[name] = value
    summary = results.choice("_summary", found.get("_summary", "false"), results.SUMMARIES)
    count = results.count(found["_count"]) if "_count" in found else results.DEFAULT_COUNT
    return _Request(
        _interval("_since", found["_since"])[0] if "_since" in found else None,
        _interval("_at", found["_at"]) if "_at" in found else None,
        0 if summary == "count" else count,
        found.get(CURSOR, ""),
        tuple((name, value) for name, value in found.items() if name != CURSOR),
        projection.projection_of(job.definitions, found.get("_elements", ""), summary),
    )


def _interval(name: str, value: str) -> tuple[int, int]:
    try:
        # In a query string a bare + is a space: take it for the sign of the zone that it was meant to be.
        return date_interval(value.replace(" ", "+"))
    except ValueError as error:
        raise syntax.invalid(name, "is an instant such as 2026-01-31T10:00:00Z, or a date.") from error


def _bundle(fhir_base: str, path: str, request: _Request, versions: list[Version], pages: tuple[int, str]) -> bytes:
    total, following = pages
    url = f"{fhir_base}/{path}"
    own = (*request.understood, *(((CURSOR, request.cursor),) if request.cursor else ()))
    links = [("self", own)]
    if request.cursor or following:
        links.append(("first", request.understood))
    if following:
        links.append(("next", (*request.understood, (CURSOR, following))))
    head = encode(
        {
            "resourceType": "Bundle",
            "type": "history",
            "total": total,
            "link": [{"relation": relation, "url": link(url, query)} for relation, query in links],
        }
    )
    entries = b",".join(_entry(fhir_base, version, request.projection) for version in versions)
    return head[:-1] + (b',"entry":[' + entries + b"]}" if entries else b"}")


def _entry(fhir_base: str, version: Version, shown: Projection | None) -> bytes:
    name = f"{version.type}/{version.id}"
    if version.content is None:
        method, url, status = "DELETE", name, "204"
    elif version.version == 1:
        method, url, status = ("POST", version.type, "201") if _OUR_ID.fullmatch(version.id) else ("PUT", name, "201")
    else:
        method, url, status = "PUT", name, "200"
    response = {
        "status": status,
        "etag": f'W/"{version.version}"',
        "lastModified": instant_text(from_us(version.updated_at)),
    }
    content = version.content
    if content is not None and shown is not None:
        content = shown.apply(version.type, content, included=False)
    resource = b',"resource":' + content if content is not None else b""
    return b'{"fullUrl":%s%s,"request":%s,"response":%s}' % (
        encode(f"{fhir_base}/{name}"),
        resource,
        encode({"method": method, "url": url}),
        encode(response),
    )
