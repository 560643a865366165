"""Coordinators: invite a patient, see what became of invitations, send again, cancel."""

from __future__ import annotations

from datetime import date
from typing import Final
from urllib.parse import urlencode

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.identity import invitations as identity
from fhir_server.operations.inviting import invite as invite_person
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.identifiers import nhs_number_answer
from fhir_server.portal.models.invitation import row
from fhir_server.portal.views.account_acts import actor
from fhir_server.spec.outcome import FhirError, Kind

_FIELD: Final = {"birth_date": "born-day", "nhs_number": "nhs-number"}
_ORDER: Final = ("#given", "#family", "#born-day", "#born-month", "#born-year", "#nhs-number", "#email", "#mobile", "")
_NOT_YET: Final = "Patient/unknown"
_REFUSED: Final = frozenset(
    {
        Kind.INVALID_VALUE,
        Kind.DUPLICATE,
        Kind.CONFLICT,
        Kind.BUSINESS_RULE,
        Kind.MULTIPLE_MATCHES,
        Kind.THROTTLED,
    }
)
_STATES: Final = (
    ("", "All"),
    ("waiting", "Waiting"),
    ("locked", "Locked after wrong codes"),
    ("expired", "Expired"),
    ("completed", "Account opened"),
    ("cancelled", "Cancelled"),
)
_NOTICE: Final = {
    "invited": "The invitation is on its way",
    "resent": "A new link and a new code are on their way. The old ones no longer work",
    "cancelled": "The invitation is cancelled. Its link and code no longer work",
}


_PAGE_COUNT: Final = 50
_LONGEST_SEARCH: Final = 100


def invitations() -> str:
    """List the invitations of the organisation, narrowed by state and by a part of name or address."""
    who = actor()
    wanted, text = request.args.get("state", ""), request.args.get("q", "").strip()[:_LONGEST_SEARCH]
    state = identity.State(wanted) if wanted in set(identity.State) else None
    after = request.args.get("after", "")
    with who.context.store.read() as session:
        found = identity.listed(
            session,
            who.account.organization,
            who.now,
            state=state,
            text=text,
            after=after,
            limit=_PAGE_COUNT + 1,
        )
    filters = {name: value for name, value in (("state", str(state or "")), ("q", text)) if value}
    more = {**filters, "after": found[_PAGE_COUNT - 1].id} if len(found) > _PAGE_COUNT else {}
    return render_template(
        "portal/organisation/invitations.html",
        invitations=[row(entry, who.now) for entry in found[:_PAGE_COUNT]],
        states=_STATES,
        state=str(state or ""),
        text=text,
        is_narrowed=bool(filters),
        first=f"/organisation?{urlencode(filters)}" if after else "",
        more=f"/organisation?{urlencode(more)}" if more else "",
        notice=_NOTICE.get(request.args.get("done", ""), ""),
    )


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
    who = actor()
    with who.act(f"{action}-invitation", f"invitation {invitation_id[:36]}") as session:
        found = identity.found(session, who.account.organization, invitation_id)
        if action == "resend":
            identity.resend(session, found, who.now)
        else:
            identity.cancel(session, found, who.now)
    return redirect(f"/organisation?done={'resent' if action == 'resend' else 'cancelled'}", 303)


def letter(invitation_id: str) -> Response:
    """Make the letter of an invitation, once, and send the code by text message."""
    who = actor()
    with who.act("print-invitation", f"invitation {invitation_id[:36]}") as session:
        found = identity.found(session, who.account.organization, invitation_id)
        code = identity.letter(session, found, who.now)
        printed = identity.found(session, who.account.organization, invitation_id)
    from fhir_server.portal.invitation_letter import pdf  # noqa: PLC0415 - fpdf is 26 MB, seldom needed

    answer = make_response(pdf(printed, code, who.account.name))
    answer.content_type = "application/pdf"
    answer.headers["Content-Disposition"] = 'attachment; filename="invitation.pdf"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _invite() -> tuple[Problem, ...]:
    """Invite whom the form names; return what is wrong with it."""
    who = actor()
    details = _person(who.now.date())
    if not isinstance(details, identity.Person):
        return details
    try:
        invite_person(who.context, who.person.principal, who.account, details)
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
