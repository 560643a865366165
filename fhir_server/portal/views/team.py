"""Coordinators: the professionals of the organisation, letting one in, and making one leave: access ends at once."""

from __future__ import annotations

from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import leaving
from fhir_server.operations import cancelling_staff, inviting_staff, leaving_staff
from fhir_server.operations.inviting_staff import Colleague
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.words import concepts
from fhir_server.portal.road import Road, road
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web.acting import actor

_MOST_ROLES: Final = "100"
_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.DUPLICATE, Kind.THROTTLED})
_NOTICE: Final = {
    "left": "They have left. Their access has ended",
    "invited": "The invitation is on its way",
    "resent": "A new link is on its way. The old one no longer works",
    "cancelled": "The invitation is cancelled. Its link no longer works",
}


def team() -> str:
    """List the professionals of the organisation."""
    me = actor()
    with me.context.store.read() as session:
        members = leaving.shown(session, me.account.organization, me.now)
        waiting = inviting_staff.waiting(session, me.account.organization)
    return render_template(
        "portal/organisation/team.html",
        members=members,
        waiting=[(each, each.token_expires_at is not None and each.token_expires_at <= me.now) for each in waiting],
        notice=_NOTICE.get(request.args.get("done", ""), ""),
    )


@web.require_fresh()
def invite_colleague() -> str | Response:
    """Ask who a colleague is, put them into the directory and send a link to set up an account."""
    me = actor()
    if request.method == "GET":
        return render_template("portal/organisation/invite_colleague.html", errors=(), answers={})
    typed = {name: request.form.get(name, "") for name in Colleague.__dataclass_fields__}
    try:
        inviting_staff.invite(me.context, me.person.principal, me.account, Colleague(**typed))
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        named = ((issue.diagnostics, issue.expression[0] if issue.expression else "") for issue in error.issues)
        problems = [Problem(text, f"#{name}" if name else "") for text, name in named]
        page = render_template("portal/organisation/invite_colleague.html", errors=problems, answers=typed)
        return make_response(page, web.page_status(error))
    return redirect("/organisation/team?done=invited", 303)


def invite_colleague_again(request_id: str) -> Response:
    """Send a colleague a new link."""
    me = actor()
    inviting_staff.resend(me.context, me.person.principal, me.account, request_id)
    return redirect("/organisation/team?done=resent", 303)


def cancel_invitation(request_id: str) -> str | Response:
    """Ask once more, then take the invitation of a colleague back."""
    me = actor()
    with me.context.store.read() as session:
        found = cancelling_staff.invited(session, me.account.organization, request_id)
    problems: tuple[Problem, ...] = ()
    if request.method == "POST":
        try:
            cancelling_staff.cancel(me.context, me.person.principal, me.account, found.id)
        except FhirError as error:
            if error.kind is not Kind.DUPLICATE:
                raise
            problems = (Problem(error.diagnostics),)
        else:
            return redirect("/organisation/team?done=cancelled", 303)
    page = render_template("portal/organisation/cancel_colleague.html", invited=found, errors=problems)
    return make_response(page, 409 if problems else 200)


def leave(account_id: str) -> str | Response:
    """Ask once more, then end a professional's role here, and every session, app and request of theirs."""
    if (again := web.ask_again()) is not None:
        return again
    me, way = actor(), road()
    with me.context.store.read() as session:
        leaver = leaving.member(session, me.account.organization, account_id, me.now)
        named_only = leaving.is_named_only(session, leaver, me.account.organization)
    here = _roles(way, leaver, me.account.organization)
    if request.method == "GET" or request.form.get("understood") != "yes":
        problems = () if request.method == "GET" else (Problem("Tick the box to confirm", "#understood"),)
        titles = [concepts(role.get("code")) for role in here]
        shown = {"leaver": leaver, "titles": titles, "named_only": named_only}
        page = render_template("portal/organisation/leave.html", **shown, errors=problems)
        return make_response(page, 400 if problems else 200)
    leaving_staff.leave(me.context, me.person.principal, me.account, account_id)
    return redirect("/organisation/team?done=left", 303)


def _roles(way: Road, leaver: leaving.Account, organization: str) -> list[dict[str, Any]]:
    """Return the roles that somebody has in an organisation."""
    whose = (("practitioner", leaver.reference), ("organization", organization))
    found = way.search("PractitionerRole", *whose, ("_count", _MOST_ROLES)).matches
    return [role for role in found if role.get("active") is not False]
