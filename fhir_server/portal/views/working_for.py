"""Professionals with roles in several organisations choose for which one they work: what they add is that one's."""

from __future__ import annotations

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import workplaces
from fhir_server.portal.forms import Problem
from fhir_server.web.acting import actor


def working_for() -> Response:
    """Ask for which organisation somebody works from now on in this session."""
    who = actor()
    with who.context.store.read() as session:
        choices = workplaces.of(session, who.account.reference, who.now)
    chosen, is_sent = request.form.get("organization", ""), request.method == "POST"
    if is_sent and any(each.reference == chosen for each in choices):
        web.work_for(who.person, chosen)
        return redirect("/account?done=working-for", 303)
    page = render_template(
        "portal/professional/working_for.html",
        options=[(each.reference, each.name, "") for each in choices],
        chosen=who.person.principal.organization,
        errors=[Problem("Choose an organisation that you have a role in", "#organization")] if is_sent else (),
    )
    return make_response(page, 400 if is_sent else 200)
