"""Coordinators: the teams of the organisation. Who is in one sees what patients share with it, and nobody else does."""

from __future__ import annotations

from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import care_teams as identity
from fhir_server.identity.care_teams import Team
from fhir_server.operations import keeping_teams
from fhir_server.portal.forms import Problem
from fhir_server.portal.views.account_acts import Actor, actor
from fhir_server.spec.outcome import FhirError, Kind

_NOTICE: Final = {
    "made": "The team is there. Add its members",
    "renamed": "The team has its new name",
    "added": "They are in the team now",
    "removed": "They are out of the team, and see nothing as its member any more",
    "ended": "The team has ended. What was shared with it is closed",
}
_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.BUSINESS_RULE, Kind.CONFLICT})


def teams() -> str | Response:
    """List the teams; make one."""
    if (again := _ask_again()) is not None:
        return again
    who = actor()
    problems: tuple[Problem, ...] = ()
    if request.method == "POST":
        try:
            made = keeping_teams.make(who.context, who.person.principal, who.account, request.form.get("name", ""))
        except FhirError as error:
            problems = _problems(error)
        else:
            return redirect(f"/organisation/teams/{made}?done=made", 303)
    with who.context.store.read() as session:
        found = identity.listed(session, who.account.organization)
    page = render_template(
        "portal/organisation/teams.html",
        teams=found,
        answers=request.form,
        errors=problems,
        notice=_NOTICE.get(request.args.get("done", ""), ""),
    )
    return make_response(page, 400 if problems else 200)


def one_team(team_id: str) -> str | Response:
    """Show a team with its members; add one, take one out, rename the team, end it."""
    if (again := _ask_again()) is not None:
        return again
    who = actor()
    with who.context.store.read() as session:
        team = identity.found(session, who.account.organization, team_id)
    if request.method == "GET":
        return _page(who, team, ())
    try:
        done = _change(who, team)
    except FhirError as error:
        return make_response(_page(who, team, _problems(error)), web.page_status(error))
    return redirect("/organisation/teams?done=ended" if done == "ended" else f"{request.path}?done={done}", 303)


def _ask_again() -> Response | None:
    """Return the way to a fresh proof for a change: who is in a team sees what patients share with it."""
    return web.ask_again() if request.method == "POST" else None


def _change(who: Actor, team: Team) -> str:
    """Do what the form says and return what was done."""
    step, context, principal = request.form.get("step", ""), who.context, who.person.principal
    if step == "rename":
        keeping_teams.rename(context, principal, team, request.form.get("name", ""))
        return "renamed"
    if step == "add":
        chosen = {each.id: each for each in keeping_teams.candidates(context, team)}
        account = chosen.get(request.form.get("member", ""))
        if account is None:
            raise FhirError(Kind.INVALID_VALUE, "Choose somebody of your organisation", ("member",))
        keeping_teams.add(context, principal, team, account)
        return "added"
    if step == "remove":
        keeping_teams.remove(context, principal, team, request.form.get("role", ""))
        return "removed"
    if step != "end":
        abort(400)
    if request.form.get("understood") != "yes":
        raise FhirError(Kind.INVALID_VALUE, "Tick the box to confirm", ("understood",))
    keeping_teams.end(context, principal, team)
    return "ended"


def _page(who: Actor, team: Team, errors: tuple[Problem, ...]) -> str:
    members = keeping_teams.current_members(who.context, who.person.principal, team)
    named = {member.name for member, is_current in members if is_current}
    return render_template(
        "portal/organisation/one_team.html",
        team=team,
        members=members,
        candidates=[each for each in keeping_teams.candidates(who.context, team) if each.name not in named],
        answers=request.form,
        errors=errors,
        notice=_NOTICE.get(request.args.get("done", ""), ""),
    )


def _problems(error: FhirError) -> tuple[Problem, ...]:
    if error.kind not in _REFUSED:
        raise error
    found = ((issue.diagnostics, issue.expression[0] if issue.expression else "") for issue in error.issues)
    return tuple(Problem(text, f"#{name}" if name else "") for text, name in found)
