"""The privacy officer's pages: emergency accesses to review, and the audit log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from flask import make_response, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem
from fhir_server.portal.models.audit import Access, access, verdict
from fhir_server.portal.models.words import Json, Moment, display, first, moment, reference
from fhir_server.portal.road import road
from fhir_server.portal.views.access_log import names_of

_TOGETHER: Final = 100
_OPEN: Final = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold", "draft"})
_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Review:
    """One emergency access to be judged.

    Attributes:
        id: Id of the Task.
        who: Who used it.
        organization: For whom.
        patient_id: Logical id of the patient.
        started: When.
        due: By when it is to be judged.
        reason: What was given as reason.
        state: Where the review stands.
        open: Whether it still waits.
    """

    id: str
    who: str
    organization: str
    patient_id: str
    started: Moment | None
    due: Moment | None
    reason: str
    state: str
    open: bool


def reviews() -> str:
    """List emergency accesses, those that wait first, with the reason from the AuditEvent of each."""
    way = road()
    tasks = way.search_all("Task", ("_sort", "-authored-on"))
    ids = [reference(task.get("focus")).partition("/")[2] for task in tasks]
    events: dict[str, Access] = {}
    for start in range(0, len(ids), _TOGETHER):
        wanted = ",".join(entry for entry in ids[start : start + _TOGETHER] if _ID.fullmatch(entry))
        found = way.search("AuditEvent", ("_id", wanted), ("_count", str(_TOGETHER))).matches if wanted else ()
        names = names_of(way, list(found))
        events |= {str(event["id"]): access(event, "", names) for event in found}
    shown = [review(task, events.get(event_id)) for task, event_id in zip(tasks, ids, strict=True)]
    return render_template("portal/privacy/reviews.html", reviews=sorted(shown, key=lambda entry: not entry.open))


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


def review(task: Json, event: Access | None) -> Review:
    """Return the Task of an emergency access, and the event it is about, as the page shows them."""
    restriction = task.get("restriction")
    period = restriction.get("period") if isinstance(restriction, dict) else None
    return Review(
        id=str(task.get("id", "")),
        who=first((event.who if event else "", display(task.get("requester")), "Not recorded")),
        organization=event.organization if event else "",
        patient_id=reference(task.get("for")).partition("/")[2],
        started=moment(task.get("authoredOn")),
        due=moment(period.get("end")) if isinstance(period, dict) else None,
        reason=event.reason if event else "",
        state=verdict(task),
        open=task.get("status") in _OPEN,
    )


def _page(events: list[Access], next_page: str, errors: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/privacy/audit.html", events=events, next_page=next_page, errors=errors, answers=request.args
    )
