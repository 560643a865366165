"""Who looked: the patient's AuditEvents over the road, in plain words, and filtered."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlencode

from flask import abort, render_template, request
from werkzeug.datastructures import MultiDict

from fhir_server import web
from fhir_server.identity import apps
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.models import disputes
from fhir_server.portal.models.accesses import Access, access, parties
from fhir_server.portal.models.audit import Log, LogVisit, log
from fhir_server.portal.models.audit_agents import Agents
from fhir_server.portal.road import Parameter, Road
from fhir_server.portal.views import directory
from fhir_server.portal.views.whose import Record, open_record

_PER_PAGE: Final = 200
_FOLDED: Final = 40
_MOST_EMERGENCIES: Final = 200
_MOST_PARTIES: Final = 500
_OWN: Final = "own"
_EMERGENCIES: Final = ("purpose", "BTG,HCOMPL")
"""Emergency accesses, and their reviews."""
_AGENT: Final = re.compile(r"(Organization|Practitioner|RelatedPerson|Device)/[A-Za-z0-9\-.]{1,64}")
_OWN_NAMES: Final = {
    "portal": "this website",
    "command-line": "the command line of the server",
    "seed": "loading of the demo data",
}


def access_log() -> str:
    """Show who looked at the record, emergencies first, the patient's own visits folded away."""
    record = own_log()
    query, errors = filters(request.args)
    show, page = request.args.get("show", ""), request.args.get("page", "")
    own: tuple[LogVisit, ...] = ()
    if show == _OWN:
        shown = Log((), (), ())
        own, next_page = own_of(record, query=query, page=page)
    else:
        shown, next_page = log_of(record, query=query, page=page)
        # Folded away; not where the list is of somebody else, or goes on.
        if not page and not {"agent", "purpose"} & {name for name, _ in query}:
            own, _ = own_of(record, query=query, count=_FOLDED)
    asked = questions(record)
    return render_template(
        "portal/access_log.html",
        record=record,
        log=shown,
        own=own,
        answers=request.args,
        filtered=bool(query) or show == _OWN,
        next_href=_next_href(next_page),
        errors=errors,
        questions=asked,
        asked={question.event_id: question for question in asked},
        parties=_parties(record),
        notice=_NOTICES.get(request.args.get("done", ""), ""),
    )


_NOTICES: Final = {
    "asked": "The privacy officer has your question and answers within 28 days. We send you an e-mail when they have",
    "known": "You have asked about this entry already. See below where it stands",
    "limit": "You have asked many questions today. Try again tomorrow",
}


def questions(record: Record) -> tuple[disputes.Question, ...]:
    """Return what the patient asked about entries of the log, newest first."""
    found = record.road.ask("access-disputes", "Patient", record.patient_id)
    ids = disputes.event_ids(found)
    return disputes.questions(found, accesses(record.road, ids, record.reference)) if ids else ()


def accesses(way: Road, ids: tuple[str, ...], patient: str = "") -> dict[str, Access]:
    """Return AuditEvents in words, by id."""
    events: list[dict[str, Any]] = []
    for start in range(0, len(ids), 100):
        wanted = ",".join(ids[start : start + 100])
        events += way.search_log(("_id", wanted), ("_count", "100")).matches
    names = names_of(way, events)
    return {str(event["id"]): access(event, patient, names) for event in events}


def log_of(
    record: Record, *, query: tuple[Parameter, ...] = (), page: str = "", count: int = _PER_PAGE
) -> tuple[Log, str]:
    """Return one page of what others did with a record, and the position of the next, "" at the end.

    Args:
        record: Whose log.
        query: Filters.
        page: Where to begin.
        count: Events a page.
    """
    # Emergencies stand first however long ago they were, so they are asked for on their own.
    events = [] if page else _emergencies(record, query)
    seen = {event["id"] for event in events}
    others = () if any(name == "agent" for name, _ in query) else (("agent:not", record.reference),)
    found = record.road.search_log(*_query(record, (*query, *others)), ("_count", str(count)), page=page)
    events += [event for event in found.matches if event["id"] not in seen]
    return log(events, record.reference, names_of(record.road, events)), found.next_page


def own_of(
    record: Record, *, query: tuple[Parameter, ...] = (), page: str = "", count: int = _PER_PAGE
) -> tuple[tuple[LogVisit, ...], str]:
    """Return one page of the patient's own visits, and the position of the next, "" at the end."""
    asked = _query(record, (*query, ("agent", record.reference)))
    found = record.road.search_log(*asked, ("_count", str(count)), page=page)
    events = list(found.matches)
    return log(events, record.reference, names_of(record.road, events)).own, found.next_page


def _emergencies(record: Record, query: tuple[Parameter, ...]) -> list[dict[str, Any]]:
    parameters = tuple(dict.fromkeys((*query, _EMERGENCIES)))
    found = record.road.search_log(*_query(record, parameters), ("_count", str(_MOST_EMERGENCIES)))
    return list(found.matches)


def names_of(way: Road, events: list[dict[str, Any]]) -> dict[str, str]:
    """Return the names of the people, organisations and apps that events name by reference or id."""
    named = parties(events)
    clients = [name for name in named if "/" not in name and name not in _OWN_NAMES]
    ours = {name: web.say(text) for name, text in _OWN_NAMES.items()}
    return ours | directory.names(way, named) | apps.names(web.context().store, clients)


def own_log() -> Record:
    """Return the record of whoever looks, whose log nobody else reads here; aborts with 403 otherwise."""
    record = open_record()
    if not record.own:
        abort(403)
    return record


def filters(answers: MultiDict[str, str]) -> tuple[tuple[Parameter, ...], tuple[Problem, ...]]:
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
    for name in ("organisation", "person"):
        wanted = answers.get(name, "")
        if wanted and not _AGENT.fullmatch(wanted):
            problems.append(Problem("Choose one of the list", f"#{name}"))
        elif wanted:
            parameters.append(("agent", wanted))
    return tuple(parameters), tuple(problems)


def _parties(record: Record) -> dict[str, list[tuple[str, str]]]:
    """Return whom the filter offers, organisations and people that are on the newest part of the log, by name."""
    others = ("agent:not", record.reference)
    query = (*_query(record, (others,)), ("_count", str(_MOST_PARTIES)))
    named: dict[str, str] = {}
    for entry in record.road.search_as(Agents, "AuditEvent", *query).entry:
        for agent in entry.resource.agent:
            target = agent.who.reference
            if _AGENT.fullmatch(target):
                named[target] = agent.name or agent.who.display or named.get(target, "")
    known = {target: name or target for target, name in (named | directory.names(record.road, named)).items()}
    kinds = {"organisation": True, "person": False}
    return {
        kind: sorted(
            ((target, name) for target, name in known.items() if target.startswith("Organization/") is wanted),
            key=lambda pair: pair[1].casefold(),
        )
        for kind, wanted in kinds.items()
    }


def _next_href(next_page: str) -> str:
    kept = [(name, value) for name, value in request.args.items(multi=True) if name not in {"page", "done"} and value]
    return f"/access-log?{urlencode([*kept, ('page', next_page)])}" if next_page else ""


def _query(record: Record, query: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    return (("patient", record.reference), *query, ("_sort", "-date"))
