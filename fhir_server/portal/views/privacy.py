"""The privacy officer's pages: emergency accesses to review, and the audit log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from flask import make_response, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem
from fhir_server.portal.models.audit import access, verdict
from fhir_server.portal.models.words import Json, Moment, concept, display, first, items, moment, reference
from fhir_server.portal.road import road
from fhir_server.portal.views.access_log import names_of

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True)
class Review:
    """One emergency access to be judged.

    Attributes:
        id: Id of the Task.
        who: Who used it.
        patient: Whose record.
        patient_id: Logical id of the patient.
        started: When.
        due: By when it is to be judged.
        reason: What was given as reason.
        state: Where the review stands.
        open: Whether it still waits.
    """

    id: str
    who: str
    patient: str
    patient_id: str
    started: Moment | None
    due: Moment | None
    reason: str
    state: str
    open: bool


def reviews() -> str:
    """List emergency accesses, those that wait first."""
    found = road().search_all("Task", ("_sort", "-authored-on"))
    shown = sorted((review(task) for task in found), key=lambda entry: not entry.open)
    return render_template("portal/privacy/reviews.html", reviews=shown)


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


def review(task: Json) -> Review:
    """Return the Task of an emergency access as the page shows it."""
    target = reference(task.get("for"))
    restriction = task.get("restriction")
    period = restriction.get("period") if isinstance(restriction, dict) else None
    notes = [str(note.get("text", "")) for note in items(task, "note")]
    said = [str(entry.get("valueString", "")) for entry in items(task, "input")]
    return Review(
        id=str(task.get("id", "")),
        who=first((*_inputs(task, "Practitioner"), display(task.get("requester")), "Not recorded")),
        patient=first((display(task.get("for")), target)),
        patient_id=target.partition("/")[2],
        started=moment(task.get("authoredOn")),
        due=moment(period.get("end")) if isinstance(period, dict) else None,
        reason=first((*said, str(task.get("description") or ""), *notes, concept(task.get("reasonCode")))),
        state=verdict(task),
        open=task.get("status") in {"requested", "received", "accepted", "ready", "in-progress", "on-hold", "draft"},
    )


def _inputs(task: Json, kind: str) -> list[str]:
    targets: list[Any] = [entry.get("valueReference") for entry in items(task, "input")]
    return [display(target) for target in targets if reference(target).startswith(f"{kind}/")]


def _page(events: list[Any], next_page: str, errors: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/privacy/audit.html", events=events, next_page=next_page, errors=errors, answers=request.args
    )
