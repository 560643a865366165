"""Who looked: the patient's AuditEvents over the road, in plain words, filtered, and as a download."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode

from flask import abort, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import apps
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.models.audit import Log, log, parties
from fhir_server.portal.road import Parameter, Road
from fhir_server.portal.views import directory
from fhir_server.portal.views.whose import Record, open_record

_PER_PAGE: Final = 200
_MOST_PAGES: Final = 5
_DOWNLOAD_PAGES: Final = 100
_EMERGENCIES: Final = ("purpose", "BTG,HCOMPL")
"""Emergency accesses, and their reviews."""
_OWN_NAMES: Final = {
    "portal": "this website",
    "command-line": "the command line of the server",
    "seed": "loading of the demo data",
}


def access_log() -> str:
    """Show who looked at the record, emergencies first, the patient's own visits folded away."""
    record = _own_record()
    filters, errors = _filters(request.args)
    shown, next_page = log_of(record, query=filters, page=request.args.get("page", ""), enough=30)
    return render_template(
        "portal/access_log.html",
        record=record,
        log=shown,
        answers=request.args,
        filtered=bool(filters),
        next_href=_next_href(next_page),
        errors=errors,
    )


def access_log_file() -> Response:
    """Send the whole access log as one FHIR Bundle."""
    record = _own_record()
    filters, _ = _filters(request.args)
    events: list[dict[str, Any]] = []
    page = ""
    for _turn in range(_DOWNLOAD_PAGES):
        found = record.road.search("AuditEvent", *_query(record, filters), ("_count", str(_PER_PAGE)), page=page)
        events += found.matches
        page = found.next_page
        if not page:
            break
    entries = [
        {"fullUrl": f"{record.road.context.fhir_base}/AuditEvent/{event['id']}", "resource": event} for event in events
    ]
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": record.road.now.isoformat(),
        "entry": entries,
    }
    headers = {"Content-Disposition": 'attachment; filename="access-log.json"', "Cache-Control": "no-store"}
    return Response(json.dumps(bundle, indent=1, default=_plain), content_type="application/fhir+json", headers=headers)


def log_of(
    record: Record, *, query: tuple[Parameter, ...] = (), page: str = "", count: int = _PER_PAGE, enough: int = 5
) -> tuple[Log, str]:
    """Return the log of a record, reading on until there is enough of what others did.

    Args:
        record: Whose log.
        query: Filters.
        page: Where to begin.
        count: Events asked for at a time.
        enough: Stop after so many events of others.
    """
    # Emergencies stand first however long ago they were, so they are asked for on their own.
    events = [] if page else _emergencies(record, query)
    seen = {event["id"] for event in events}
    for _ in range(_MOST_PAGES):
        found = record.road.search("AuditEvent", *_query(record, query), ("_count", str(count)), page=page)
        events += [event for event in found.matches if event["id"] not in seen]
        page = found.next_page
        if not page or sum(not _is_own(event, record.reference) for event in events) >= enough:
            break
    return log(events, record.reference, names_of(record.road, events)), page


def _emergencies(record: Record, query: tuple[Parameter, ...]) -> list[dict[str, Any]]:
    parameters = tuple(dict.fromkeys((*query, _EMERGENCIES)))
    found = record.road.search("AuditEvent", *_query(record, parameters), ("_count", str(_PER_PAGE)))
    return list(found.matches)


def names_of(way: Road, events: list[dict[str, Any]]) -> dict[str, str]:
    """Return the names of the people, organisations and apps that events name by reference or id."""
    named = parties(events)
    clients = [name for name in named if "/" not in name and name not in _OWN_NAMES]
    return _OWN_NAMES | directory.names(way, named) | apps.names(web.context().store, clients)


def _next_href(next_page: str) -> str:
    kept = [(name, value) for name, value in request.args.items(multi=True) if name != "page" and value]
    return f"/access-log?{urlencode([*kept, ('page', next_page)])}" if next_page else ""


def _own_record() -> Record:
    record = open_record()
    if not record.own:
        abort(403)
    return record


def _query(record: Record, filters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    return (("patient", record.reference), *filters, ("_sort", "-date"))


def _is_own(event: dict[str, Any], patient: str) -> bool:
    return any(
        agent.get("requestor") and agent.get("who", {}).get("reference") == patient for agent in event.get("agent", ())
    )


def _filters(answers: MultiDict[str, str]) -> tuple[tuple[Parameter, ...], tuple[Problem, ...]]:
    """Return the search parameters that the page's filter asks for, and what is wrong with it."""
    parameters: list[Parameter] = [_EMERGENCIES] if answers.get("show") == "emergencies" else []
    problems: list[Problem] = []
    for name, prefix, what in (("from", "ge", "the first day"), ("to", "le", "the last day")):
        if not any(answers.get(f"{name}-{part}", "").strip() for part in ("day", "month", "year")):
            continue
        answer = day_answer(answers, name, what)
        if isinstance(answer, Problem):
            problems.append(answer)
        else:
            parameters.append(("date", f"{prefix}{answer.isoformat()}"))
    return tuple(parameters), tuple(problems)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)
