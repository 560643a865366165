"""Coordinators: invite a patient, see what became of invitations, send again, cancel."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import invitations as identity
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.identifiers import nhs_number_answer
from fhir_server.portal.models.invitation import patient, row
from fhir_server.portal.models.words import NHS_NUMBER
from fhir_server.portal.road import road
from fhir_server.spec.outcome import FhirError, Kind

_FIELD: Final = {"birth_date": "born-day", "nhs_number": "nhs-number"}
_ORDER: Final = ("#given", "#family", "#born-day", "#born-month", "#born-year", "#nhs-number", "#email", "#mobile", "")
_NOT_YET: Final = "Patient/unknown"
_REFUSED: Final = frozenset(
    {Kind.INVALID_VALUE, Kind.DUPLICATE, Kind.CONFLICT, Kind.BUSINESS_RULE, Kind.MULTIPLE_MATCHES}
)
_NOTICE: Final = {
    "invited": "The invitation is on its way",
    "resent": "A new link and a new code are on their way. The old ones no longer work",
    "cancelled": "The invitation is cancelled. Its link and code no longer work",
}


def invitations() -> str:
    """List the invitations of the organisation."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    here = web.context()
    with here.store.read() as session:
        found = identity.listed(session, signed_in.account)
    rows = [row(entry, here.now()) for entry in found]
    notice = _NOTICE.get(request.args.get("done", ""), "")
    return render_template("portal/organisation/invitations.html", invitations=rows, notice=notice)


def invite() -> str | Response:
    """Ask for the person's details and send link and code."""
    if request.method == "GET":
        return render_template("portal/organisation/invite.html", errors=(), answers={})
    problems = _invite()
    if problems:
        page = render_template("portal/organisation/invite.html", errors=problems, answers=request.form)
        return make_response(page, 400)
    return redirect("/organisation?done=invited", 303)


def change_invitation(invitation_id: str, action: str) -> Response:
    """Send an invitation again, or cancel it."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    here = web.context()
    with here.store.write() as session:
        found = identity.found(session, signed_in.account, invitation_id)
        if action == "resend":
            identity.resend(session, found, here.now())
        else:
            identity.cancel(session, found, here.now())
    return redirect(f"/organisation?done={'resent' if action == 'resend' else 'cancelled'}", 303)


def _invite() -> tuple[Problem, ...]:
    """Invite whom the form names; return what is wrong with it."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    here = web.context()
    details = _person(here.now().date())
    if not isinstance(details, identity.Person):
        return details
    try:
        # Over the road: it finds the one Patient of this NHS number or makes it, and says nothing else of it.
        resource = patient(details.given, details.family, birth_date=details.birth_date, nhs_number=details.nhs_number)
        patient_id = road().create(resource, if_none_exist=(("identifier", f"{NHS_NUMBER}|{details.nhs_number}"),))
        known = replace(details, patient=f"Patient/{patient_id}")
        with here.store.write() as session:
            identity.invite(session, signed_in.account, known, here.now())
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        return _problems(error)
    return ()


def _person(today: date) -> identity.Person | tuple[Problem, ...]:
    """Return whom the form names, checked; or everything that is wrong at once."""
    born = day_answer(request.form, "born", "the date of birth")
    number = nhs_number_answer(request.form, "nhs-number")
    text = {name: request.form.get(name, "") for name in ("given", "family", "email", "mobile")}
    # What is wrong already passes as today and as absent, so that the other fields are still looked at.
    typed = identity.Person(
        birth_date=(today if isinstance(born, Problem) else born).isoformat(),
        nhs_number="" if isinstance(number, Problem) else number,
        patient=_NOT_YET,
        **text,
    )
    wrong = [answer for answer in (born, number) if isinstance(answer, Problem)]
    try:
        details = identity.checked(typed, today)
    except FhirError as error:
        return tuple(sorted([*_problems(error), *wrong], key=lambda problem: _ORDER.index(problem.href)))
    return tuple(wrong) if wrong else details


def _problems(error: FhirError) -> tuple[Problem, ...]:
    return tuple(Problem(issue.diagnostics, _href(issue.expression)) for issue in error.issues)


def _href(expression: tuple[str, ...]) -> str:
    name = expression[0] if expression else ""
    return f"#{_FIELD.get(name, name)}" if name in {"given", "family", "email", "mobile", *_FIELD} else ""
