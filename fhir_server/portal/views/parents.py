"""Coordinators: the parents of children who were invited, inviting one, and ending what one sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import parents as identity
from fhir_server.identity.ages import last_day_of_childhood
from fhir_server.identity.carers import Carer, Invitation
from fhir_server.identity.invitation_person import Person
from fhir_server.identity.parents import State, Typed
from fhir_server.operations import inviting_parents
from fhir_server.operations.inviting_parents import Rights
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.models.words import LONDON, Moment, moment_of, spoken_day
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web.acting import Actor, actor

_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.DUPLICATE, Kind.BUSINESS_RULE, Kind.CONFLICT, Kind.THROTTLED})
_PAGE_COUNT: Final = 50
_FIELD: Final = {"birth_date": "born-day", "nhs_number": "nhs-number"}
_ORDER: Final = (
    "given", "family", "born-day", "born-month", "born-year", "nhs-number", "name", "email", "mobile", "evidence", "",
)  # fmt: skip
_EVIDENCE: Final = (
    ("birth-certificate", "Birth certificate with their name"),
    ("adoption", "Adoption certificate"),
    ("court-order", "Court order"),
    ("agreement", "Registered parental responsibility agreement"),
)
_NOTICE: Final = {
    "invited": "The invitation is on its way",
    "resent": "A new link and a new code are on their way. The old ones no longer work",
    "ended": "It has ended. They see nothing of the record from now on",
}
_STATE: Final = {
    State.WAITING: ("Waiting", "blue"),
    State.LOCKED: ("Locked after wrong codes", "red"),
    State.EXPIRED: ("Expired", "orange"),
    State.COMPLETED: ("Taken up", "green"),
    State.ENDED: ("Ended", "grey"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list; whose record it is, is not said there: the coordinator sees no record.

    Attributes:
        until: The last day on which they see the record, "" where it is not known.
    """

    id: str
    name: str
    email: str
    sent: Moment
    until: str
    state: str
    tone: str
    may_resend: bool
    may_end: bool


def parents() -> str:
    """List the parents whom coordinators of the organisation invited."""
    me = actor()
    with me.context.store.read() as session:
        after = request.args.get("after", "")
        found = identity.listed(session, me.account.organization, after=after, limit=_PAGE_COUNT + 1)
    return render_template(
        "portal/organisation/parents.html",
        rows=[_row(each, me) for each in found[:_PAGE_COUNT]],
        first="/organisation/parents" if after else "",
        more=f"/organisation/parents?after={found[_PAGE_COUNT - 1].id}" if len(found) > _PAGE_COUNT else "",
        notice=_NOTICE.get(request.args.get("done", ""), ""),
    )


@web.require_fresh()
def invite_parent() -> str | Response:
    """Ask for child, parent and what was seen of their responsibility; send link and code."""
    if request.method == "GET":
        return _question(())
    me = actor()
    wrong = _typed_wrong()
    try:
        typed = _typed()
        if wrong:
            # What is wrong in the form passes as absent, so that the other fields are looked at, too.
            identity.checked(typed, web.current().child_until_years, me.now.date())
        else:
            inviting_parents.invite(me.context, _rights(me), typed)
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        return make_response(_question(_problems(error, wrong)), web.page_status(error))
    if wrong:
        return make_response(_question(wrong), 400)
    return redirect("/organisation/parents?done=invited", 303)


def invite_again(parent_invitation_id: str) -> Response:
    """Send a parent a new link and a new code."""
    me = actor()
    inviting_parents.resend(me.context, _rights(me), parent_invitation_id)
    return redirect("/organisation/parents?done=resent", 303)


def end_access(parent_invitation_id: str) -> str | Response:
    """Ask once more, then end what a parent sees."""
    me = actor()
    with me.context.store.read() as session:
        found = identity.found(session, me.account.organization, parent_invitation_id)
    problems: tuple[Problem, ...] = ()
    if request.method == "POST":
        try:
            inviting_parents.end(me.context, _rights(me), found.id)
        except FhirError as error:
            if error.kind not in _REFUSED:
                raise
            problems = (Problem(error.diagnostics),)
        else:
            return redirect("/organisation/parents?done=ended", 303)
    page = render_template("portal/organisation/end_parent.html", row=_row(found, me), errors=problems)
    return make_response(page, 400 if problems else 200)


def _rights(me: Actor) -> Rights:
    return Rights(me.person.principal, me.account, web.current().child_until_years)


def _typed() -> Typed:
    form = request.form
    born, number = day_answer(form, "born", "the date of birth"), form.get("nhs-number", "")
    child = Person(
        given=form.get("given", ""),
        family=form.get("family", ""),
        birth_date=born.isoformat() if isinstance(born, date) else "",
        nhs_number=number,
        email="",
        mobile="",
        patient="",
    )
    parent = Carer(*(form.get(name, "") for name in ("name", "email", "mobile")))
    return Typed(child, parent, form.get("evidence", ""), form.get("right") == "act")


def _typed_wrong() -> tuple[Problem, ...]:
    born = day_answer(request.form, "born", "the date of birth")
    right = request.form.get("right") not in {"view", "act"}
    problems = [born] if isinstance(born, Problem) else []
    return (*problems, *((Problem("Choose what they can do", "#right"),) if right else ()))


def _problems(error: FhirError, wrong: tuple[Problem, ...]) -> tuple[Problem, ...]:
    named = [(issue.diagnostics, issue.expression[0] if issue.expression else "") for issue in error.issues]
    shown = [Problem(text, f"#{_FIELD.get(name, name)}" if name else "") for text, name in named]
    if any(problem.href.startswith("#born") for problem in wrong):
        shown = [problem for problem in shown if problem.href != "#born-day"]
    known = (*_ORDER[:-1], "right", "")
    return tuple(sorted([*shown, *wrong], key=lambda problem: known.index(problem.href.removeprefix("#"))))


def _question(errors: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/organisation/invite_parent.html",
        errors=errors,
        answers=request.form,
        evidence=_EVIDENCE,
        until_years=web.current().child_until_years,
    )


def _row(invitation: Invitation, me: Actor) -> Row:
    state = identity.state_of(invitation, me.now)
    words, tone = _STATE[state]
    today = me.now.astimezone(LONDON).date()
    last = last_day_of_childhood(invitation.birth_date, web.current().child_until_years, today)
    if last is None and state is not State.ENDED:
        words, tone = "Ended by age", "grey"
    return Row(
        id=invitation.id,
        name=invitation.name,
        email=invitation.email,
        sent=moment_of(invitation.created_at),
        until=spoken_day(last) if last else "",
        state=words,
        tone=tone,
        may_resend=last is not None and state in {State.WAITING, State.LOCKED, State.EXPIRED},
        may_end=last is not None and state is not State.ENDED,
    )
