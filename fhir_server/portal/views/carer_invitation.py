"""The invited carer's side: a link from an e-mail, a code from a text message, and an account, new or their own."""

from __future__ import annotations

from datetime import date
from typing import Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import carers as identity
from fhir_server.identity import passwords
from fhir_server.identity.carers import Arrival, Joined, Result
from fhir_server.portal.forms import Problem, day_answer
from fhir_server.portal.views.whose import act_as
from fhir_server.web import acting

_CARING: Final = frozenset({"patient", "carer"})
_LONGEST: Final = 1_000
_ACTION: Final = "take-up-carer-invitation"
_REASON: Final = {
    Result.UNUSABLE: "The link is used, withdrawn or over",
    Result.NOT_THIS_ACCOUNT: "Not an account for this invitation",
    Result.WRONG: "Wrong code or date of birth",
    Result.LOCKED: "Too many wrong tries",
    Result.TAKEN: "The e-mail address has an account",
}
_SAID: Final = {
    Result.WRONG: (Problem("The code is not right. Check it and try again", "#code"), 403),
    Result.LOCKED: (Problem("Too many wrong tries. Wait 15 minutes, then try again with the same link"), 429),
    Result.TAKEN: (Problem("This e-mail address has an account already. Sign in first"), 409),
    Result.NOT_THIS_ACCOUNT: (Problem("This account cannot be used for this invitation"), 409),
}


def carer_invitation(token: str) -> str | Response:
    """Show what to do with a link, and do it."""
    here, person = web.context(), web.signed_in()
    with here.store.read() as session:
        invitation = identity.usable(session, token, here.now())
        is_known = invitation is not None and identity.has_account(session, invitation)
    if invitation is None:
        return make_response(render_template("portal/carer/dead.html"), 410)
    if person is not None and person.account.role not in _CARING:
        return render_template("portal/carer/other_account.html")
    if person is None and is_known:
        return render_template("portal/carer/sign_in.html", back=f"/carer/{token}")
    born = _birth_date(invitation)
    problems = _problems(invitation, born, new=person is None) if request.method == "POST" else ()
    if request.method == "GET" or problems:
        return make_response(_form(invitation, problems, new=person is None), 400 if problems else 200)
    day = born.isoformat() if isinstance(born, date) else ""
    arrival = Arrival(token, request.form["code"], day, here.address, here.now())
    if person is None:
        password, noted = request.form["password"], _noted(invitation)
        found = identity.register(here.store, arrival, password, web.acceptance(), noted)
    else:
        found = identity.join(here.store, person.account, arrival, _noted(invitation))
    return _answered(found, invitation, new=person is None)


def _noted(invitation: identity.Invitation) -> identity.Noted:
    """Return what writes the AuditEvent of a try with an invitation, right or wrong."""
    about = f"carer-invitation {invitation.id}"
    return lambda session, joined: acting.note(
        session,
        _ACTION,
        f"{about} account {joined.account.id}" if joined.account else about,
        reason="" if joined.account else _REASON[joined.result],
    )


def _answered(found: Joined, invitation: identity.Invitation, *, new: bool) -> Response:
    if found.result is Result.UNUSABLE:
        return make_response(render_template("portal/carer/dead.html"), 410)
    if found.account is None:
        problem, status = _SAID[found.result]
        if found.result is Result.WRONG and invitation.birth_date:
            problem = Problem("The code or the date of birth is not right. Check them and try again", "#code")
        return make_response(_form(invitation, (problem,), new=new), status)
    if new:
        # Not signed in here: sign-in knows which second proof is asked for.
        return make_response(render_template("portal/carer/opened.html"))
    answer = redirect("/record", 303)
    return act_as(answer, invitation.reference, invitation.patient.removeprefix("Patient/"))


def _birth_date(invitation: identity.Invitation) -> date | Problem | None:
    """Return the child's date of birth as the parent typed it, where the invitation asks for it."""
    if not invitation.birth_date:
        return None
    found = day_answer(request.form, "born", "the date of birth")
    if isinstance(found, Problem):
        # One sentence for every slip: it has a translation, and says how.
        return Problem("Enter a real date of birth, for example 27 3 1985", found.href)
    return found


def _problems(invitation: identity.Invitation, born: date | Problem | None, *, new: bool) -> tuple[Problem, ...]:
    code, password = (request.form.get(name, "")[:_LONGEST] for name in ("code", "password"))
    problems = [] if code.strip() else [Problem("Enter the code from the text message", "#code")]
    if isinstance(born, Problem):
        problems.append(born)
    if not new:
        return tuple(problems)
    if wrong := passwords.problem(password, (invitation.name, invitation.email)):
        problems.append(Problem(wrong, "#password"))
    if request.form.get("agreement") != "yes":
        problems.append(Problem("Accept the user agreement and the privacy policy to go on", "#agreement"))
    return tuple(problems)


def _form(invitation: identity.Invitation, problems: tuple[Problem, ...], *, new: bool) -> str:
    asks = bool(invitation.birth_date)
    return render_template("portal/carer/accept.html", errors=problems, new=new, asks_day=asks, answers=request.form)
