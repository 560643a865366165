"""The privacy officer's pages: emergency accesses to review, and the audit log."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem
from fhir_server.portal.models.accesses import Access, access
from fhir_server.portal.models.audit import log
from fhir_server.portal.models.review import VERDICTS, Review, event_id, review
from fhir_server.portal.models.words import reference
from fhir_server.portal.road import Parameter, Road, road
from fhir_server.portal.views import directory
from fhir_server.portal.views.access_log import names_of
from fhir_server.spec.outcome import FhirError, Kind

NOTE_LIMIT: Final = 2000
_TOGETHER: Final = 100
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REFUSED: Final = frozenset({Kind.FORBIDDEN, Kind.BUSINESS_RULE, Kind.CONFLICT, Kind.NOT_FOUND})
_OLDEST: Final = ("_sort", "authored-on")
_NEWEST: Final = ("_sort", "-authored-on")
_EMERGENCIES: Final = ("code", "review-emergency-access")
_WAITING: Final = ("status:not", "completed")
_CLOSED: Final = ("status", "completed")


def reviews() -> str:
    """List emergency accesses: open ones (the default, overdue first), overdue ones, or closed ones page by page."""
    way = road()
    waiting = _reviews(way, way.search_all("Task", _EMERGENCIES, _WAITING, _OLDEST))
    waiting.sort(key=lambda entry: not entry.overdue)
    overdue = [entry for entry in waiting if entry.overdue]
    show = request.args.get("show", "open")
    shown, next_page = (overdue if show == "overdue" else waiting), ""
    if show == "closed":
        found = way.search("Task", _EMERGENCIES, _CLOSED, _NEWEST, ("_count", "25"), page=request.args.get("page", ""))
        shown, next_page = _reviews(way, found.matches), found.next_page
    return render_template(
        "portal/privacy/reviews.html",
        reviews=shown,
        show=show if show in {"overdue", "closed"} else "open",
        counts={"open": len(waiting), "overdue": len(overdue)},
        next_page=next_page,
    )


def one_review(review_id: str) -> str | Response:
    """Show one emergency access with all that happened during it, and take the verdict."""
    way = road()
    task = way.find("Task", review_id) if _ID.fullmatch(review_id) else None
    if task is None:
        return redirect("/privacy")
    if request.method == "GET":
        return _one(way, task, (), {})
    problems = _problems(request.form) or told(way, "close-emergency-review", review_id, _answers(request.form))
    if not problems:
        return redirect(f"/privacy?closed={request.form['outcome']}", 303)
    return make_response(_one(way, task, problems, request.form), 400)


def told(way: Road, operation: str, task_id: str, given: Sequence[dict[str, Any]]) -> tuple[Problem, ...]:
    """Tell an operation the verdict on a Task; return why it was refused, nothing where it was kept."""
    try:
        way.operate(operation, "Task", task_id, given)
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        return (Problem(error.diagnostics),)
    return ()


def audit_search() -> str | Response:
    """Search the audit log, of everybody or of one record."""
    way = road()
    patient = request.args.get("patient", "").strip().removeprefix("Patient/")
    if patient and not _ID.fullmatch(patient):
        problem = Problem("Enter a record number: letters, digits, hyphens and full stops", "#patient")
        return make_response(_page([], "", (problem,)), 400)
    query = [("patient", f"Patient/{patient}")] if patient else []
    found = way.search("AuditEvent", *query, ("_sort", "-date"), ("_count", "50"), page=request.args.get("page", ""))
    names = names_of(way, list(found.matches))
    return _page([access(event, "", names) for event in found.matches], found.next_page, ())


def _reviews(way: Road, tasks: Sequence[dict[str, Any]]) -> list[Review]:
    """Return Tasks as pages show them, each with the name and organisation that its AuditEvent has."""
    ids = sorted({event_id(task) for task in tasks} - {""})
    events: list[dict[str, Any]] = []
    for start in range(0, len(ids), _TOGETHER):
        wanted = ",".join(entry for entry in ids[start : start + _TOGETHER] if _ID.fullmatch(entry))
        events += way.search("AuditEvent", ("_id", wanted), ("_count", str(_TOGETHER))).matches
    names = names_of(way, events) | directory.names(way, {reference(task.get("requester")) for task in tasks})
    known: dict[str, Access] = {str(event["id"]): access(event, "", names) for event in events}
    return [review(task, known.get(event_id(task)), names, way.now) for task in tasks]


def _one(way: Road, task: dict[str, Any], errors: tuple[Problem, ...], answers: Mapping[str, str]) -> str:
    (shown,) = _reviews(way, [task])
    seen = _during(way, task, shown)
    return render_template(
        "portal/privacy/review.html",
        review=shown,
        visits=log(seen, "", names_of(way, seen)).emergencies,
        verdicts=[(code, text) for code, (text, _) in VERDICTS.items()],
        note_limit=NOTE_LIMIT,
        errors=errors,
        answers=answers,
    )


def _during(way: Road, task: dict[str, Any], shown: Review) -> list[dict[str, Any]]:
    """Return what the professional did with the record from the start of this emergency access to its end."""
    if shown.refused or shown.started is None:
        return []
    about: tuple[Parameter, ...] = (("patient", reference(task.get("for"))), ("agent", shown.practitioner))
    since = ("date", f"ge{shown.started.iso}")
    found = way.search("AuditEvent", *about, ("purpose", "BTG"), since, ("_sort", "date"), ("_count", "200")).matches
    codes = [{str(tag.get("code")) for tag in event.get("subtype", ())} for event in found]
    ended = next((number for number, each in enumerate(codes) if "110138" in each), len(found))
    return list(reversed(found[: ended + 1]))


def _problems(form: Mapping[str, str]) -> tuple[Problem, ...]:
    problems = []
    if form.get("outcome") not in VERDICTS:
        problems.append(Problem("Choose what you found", "#outcome"))
    note = form.get("note", "").strip()
    if not note:
        problems.append(Problem("Write down why", "#note"))
    elif len(note) > NOTE_LIMIT:
        problems.append(Problem(f"Write {NOTE_LIMIT:,} characters or less", "#note"))
    return tuple(problems)


def _answers(form: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"name": "outcome", "valueCode": form["outcome"]},
        {"name": "note", "valueString": form["note"].strip()},
    ]


def _page(events: list[Access], next_page: str, errors: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/privacy/audit.html", events=events, next_page=next_page, errors=errors, answers=request.args
    )
