"""Emergency access: a professional gives a reason and a declaration, sees one record for a while, and ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.identifiers import nhs_number_answer
from fhir_server.portal.models.words import NHS_NUMBER
from fhir_server.portal.road import road
from fhir_server.spec.outcome import FhirError, Kind

REASON_LENGTH: Final = 20
_REASON_LIMIT: Final = 1000
_FRESH: Final = timedelta(minutes=5)
_SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_REFUSED: Final = frozenset(
    {
        Kind.NOT_FOUND,
        Kind.FORBIDDEN,
        Kind.BUSINESS_RULE,
        Kind.INVALID_CONTENT,
        Kind.INVALID_VALUE,
        Kind.THROTTLED,
    }
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A code of v3-ActReason and what it means here."""

    code: str
    text: str
    hint: str = ""


REASONS: Final = (
    Reason("ETREAT", "Emergency treatment", "The person needs treatment now and cannot be asked"),
    Reason("PATSFTY", "To prevent serious harm", "To the person or to somebody else"),
    Reason("COC", "Urgent care that cannot wait", "The person is here and cannot use their account"),
)


def emergency_access() -> str | Response:
    """Ask who, why and for a declaration; then open the record for a limited time."""
    way = road()
    if not way.principal.may_break_glass:
        return make_response(render_template("portal/professional/emergency_not_allowed.html"), 403)
    if way.now - way.principal.auth_time > _FRESH:
        return redirect("/sign-in/again?next=/emergency-access")
    if request.method == "GET":
        return _form((), {})
    if request.form.get("step") != "open":
        # From the look-up card: who it is about is filled in, nothing is judged yet.
        return _form((), request.form)
    problems, parameters = _answers(request.form)
    if problems:
        return make_response(_form(problems, request.form), 400)
    try:
        answer = way.operate("break-glass", "Patient", parameters=parameters)
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        problems = (Problem(_refusal(error), "#nhs-number" if error.kind is Kind.NOT_FOUND else ""),)
        return make_response(_form(problems, request.form), web.page_status(error))
    return _opened(answer, request.form)


def end_emergency(patient_id: str) -> Response:
    """End the emergency access to one patient."""
    way = road()
    try:
        way.operate("end-break-glass", "Patient", patient_id)
    except FhirError as error:
        # It may just have ended by itself.
        if error.kind not in {Kind.NOT_FOUND, Kind.FORBIDDEN, Kind.BUSINESS_RULE}:
            raise
    return redirect("/patients?ended=yes", 303)


def _answers(form: Mapping[str, str]) -> tuple[tuple[Problem, ...], list[dict[str, Any]]]:
    number = nhs_number_answer(form, "nhs-number")
    born = day_answer(form, "born", "the date of birth")
    problems = [answer for answer in (number, born) if isinstance(answer, Problem)]
    reason = form.get("reason", "").strip()
    if form.get("reason-code") not in {entry.code for entry in REASONS}:
        problems.append(Problem("Choose why you need emergency access", "#reason-code"))
    if len(reason) < REASON_LENGTH:
        problems.append(Problem(f"Describe the reason in at least {REASON_LENGTH} characters", "#reason"))
    elif len(reason) > _REASON_LIMIT:
        problems.append(Problem(f"Describe the reason in {_REASON_LIMIT:,} characters or less", "#reason"))
    if form.get("declaration") != "yes":
        problems.append(Problem("Tick the box to make the declaration", "#declaration"))
    if problems or isinstance(number, Problem) or isinstance(born, Problem):
        return tuple(problems), []
    return (), [
        {"name": "identifier", "valueIdentifier": {"system": NHS_NUMBER, "value": number}},
        {"name": "birthDate", "valueDate": born.isoformat()},
        {"name": "reasonCode", "valueCoding": {"system": _SYSTEM, "code": form["reason-code"]}},
        {"name": "reason", "valueString": reason},
        {"name": "declaration", "valueBoolean": True},
    ]


def _refusal(error: FhirError) -> str:
    if error.kind is Kind.NOT_FOUND:
        return (
            "No record can be opened for this NHS number and date of birth. Check both with the person or their papers"
        )
    return error.diagnostics


def _opened(answer: Mapping[str, Any], form: Mapping[str, str]) -> Response:
    if answer.get("resourceType") == "OperationOutcome":
        # A refusal that is kept for the privacy officer; the form says no more than for disabled sharing.
        return make_response(_form((Problem(answer["issue"][0]["diagnostics"]),), form), 403)
    values = {entry["name"]: entry for entry in answer["parameter"]}
    patient_id = values["patient"]["valueReference"]["reference"].partition("/")[2]
    return redirect(f"/patients/{patient_id}", 303)


def _form(problems: tuple[Problem, ...], answers: Mapping[str, str]) -> str:
    return render_template(
        "portal/professional/emergency.html",
        errors=problems,
        answers=answers,
        reasons=REASONS,
        reason_length=REASON_LENGTH,
        reason_limit=_REASON_LIMIT,
    )
