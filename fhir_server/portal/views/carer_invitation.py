"""The invited carer's side: a link from an e-mail, a code from a text message, and an account, new or their own."""

from __future__ import annotations

from typing import Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import carers as identity
from fhir_server.identity import passwords
from fhir_server.identity.carers import Joined, Result
from fhir_server.portal.forms import Problem
from fhir_server.portal.views.whose import act_as

_CARING: Final = frozenset({"patient", "carer"})
_LONGEST: Final = 1_000
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
    problems = _problems(invitation, new=person is None) if request.method == "POST" else ()
    if request.method == "GET" or problems:
        return make_response(_form(problems, new=person is None), 400 if problems else 200)
    if person is None:
        found = identity.register(
            here.store,
            token,
            request.form["code"],
            request.form["password"],
            web.acceptance(),
            address=here.address,
            now=here.now(),
        )
    else:
        found = identity.join(
            here.store, person.account, token, request.form["code"], address=here.address, now=here.now()
        )
    return _answered(found, invitation, new=person is None)


def _answered(found: Joined, invitation: identity.Invitation, *, new: bool) -> Response:
    if found.result is Result.UNUSABLE:
        return make_response(render_template("portal/carer/dead.html"), 410)
    if found.account is None:
        problem, status = _SAID[found.result]
        return make_response(_form((problem,), new=new), status)
    if new:
        # Not signed in here: sign-in knows which second proof is asked for.
        return make_response(render_template("portal/carer/opened.html"))
    answer = redirect("/record", 303)
    return act_as(answer, invitation.reference, invitation.patient.removeprefix("Patient/"))


def _problems(invitation: identity.Invitation, *, new: bool) -> tuple[Problem, ...]:
    code, password = (request.form.get(name, "")[:_LONGEST] for name in ("code", "password"))
    problems = [] if code.strip() else [Problem("Enter the code from the text message", "#code")]
    if not new:
        return tuple(problems)
    if wrong := passwords.problem(password, (invitation.name, invitation.email)):
        problems.append(Problem(wrong, "#password"))
    if request.form.get("agreement") != "yes":
        problems.append(Problem("Accept the user agreement and the privacy policy to go on", "#agreement"))
    return tuple(problems)


def _form(problems: tuple[Problem, ...], *, new: bool) -> str:
    return render_template("portal/carer/accept.html", errors=problems, new=new, answers=request.form)
