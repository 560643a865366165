"""Add a measurement of one's own: blood pressure or weight, marked "entered by you"."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.models.measurement import BY_CODE, Kind, amount, observation
from fhir_server.portal.models.words import LONDON
from fhir_server.portal.views.whose import Record, open_record


def add_measurement(kind_code: str) -> str | Response:
    """Ask for the numbers and the day; save them as an Observation performed by the patient."""
    kind = BY_CODE.get(kind_code)
    if kind is None:
        abort(404)
    # Family adds where their Consent says so: the road refuses them otherwise.
    record = open_record()
    if request.method == "GET":
        return _form(record, kind, ())
    problems: list[Problem] = []
    values: dict[str, Decimal] = {}
    for field in kind.fields:
        answer = amount(field, request.form.get(field.name, ""))
        if isinstance(answer, Decimal):
            values[field.name] = answer
        else:
            problems.append(Problem(answer, f"#{field.name}"))
    if not problems and kind.code == "blood-pressure" and values["systolic"] <= values["diastolic"]:
        problems.append(Problem("The top number must be higher than the bottom number", "#systolic"))
    taken = _taken(record, problems)
    if problems or taken is None:
        return make_response(_form(record, kind, tuple(problems)), 400)
    who = record.road.principal
    by = None if record.own else {"reference": who.subject, "display": who.name}
    record.road.create(observation(kind, values, patient=record.patient_reference, taken=taken, by=by))
    return redirect(f"/record/measurements?added={kind.code}", 303)


def _taken(record: Record, problems: list[Problem]) -> datetime | date | None:
    """Return when it was measured: now, or the day that was entered."""
    now = record.road.now
    if request.form.get("when") != "earlier":
        return now
    day = day_answer(request.form, "taken", "the day you measured it")
    if isinstance(day, Problem):
        problems.append(day)
        return None
    if day > now.astimezone(LONDON).date():
        problems.append(Problem("The day you measured it must be today or in the past", "#taken-day"))
        return None
    return day


def _form(record: Record, kind: Kind, problems: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/record/add_measurement.html", record=record, kind=kind, errors=problems, answers=request.form
    )
