"""Apps that wait for an administrator, and those in use: look, decide, suspend, let in again."""

from __future__ import annotations

from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import app_decisions, app_registry
from fhir_server.identity.app_decisions import Decision
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.registration import problems, shown
from fhir_server.portal.views.account_acts import Actor, actor
from fhir_server.spec.outcome import FhirError, Kind

_REFUSED: Final = frozenset({Kind.INVALID_VALUE, Kind.CONFLICT, Kind.FORBIDDEN})


def apps() -> str:
    """List what waits and what is in use."""
    with actor().context.store.read() as session:
        waiting, in_use = app_registry.waiting(session), app_registry.in_use(session)
    return render_template(
        "portal/administration/apps.html",
        waiting=[shown(one) for one in waiting],
        in_use=[shown(one) for one in in_use],
        done="done" in request.args,
    )


@web.require_fresh()
def one_app(client_id: str) -> Response:
    """Show one app with everything that is known of it; decide."""
    who = actor()
    if request.method == "GET":
        return _page(who, client_id)
    step = request.form.get("step", "")
    if step not in app_decisions.STEPS:
        abort(400)
    try:
        with who.act(f"{step}-app", f"client {client_id[:128]}") as session:
            app_decisions.decide(session, client_id, _decision(who, step), who.now)
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        return _page(who, client_id, problems(error))
    return redirect("/administration/apps?done=yes", 303)


def _decision(who: Actor, step: str) -> Decision:
    form = request.form
    organization, reason = form.get("organization", "").strip(), form.get("reason", "")
    return Decision(step, who.account.id, organization, _limit(), reason)


def _limit() -> int | None:
    typed = request.form.get("requests_per_minute", "").strip()
    if not typed:
        return None
    if not (typed.isascii() and typed.isdigit() and len(typed) <= len(str(app_decisions.MOST_REQUESTS_PER_MINUTE))):
        raise FhirError(Kind.INVALID_VALUE, "requests_per_minute must be a number", ("requests_per_minute",))
    return int(typed)


def _page(who: Actor, client_id: str, errors: list[Problem] | None = None) -> Response:
    with who.context.store.read() as session:
        registration = app_registry.found(session, client_id)
        owner = app_registry.owner_of(session, registration)
        alike = app_registry.lookalikes(session, registration.client)
    page = render_template(
        "portal/administration/app.html",
        app=shown(registration),
        owner=owner,
        operators=registration.app is None,
        alike=alike,
        keys=registration.client.jwks,
        errors=errors or (),
        answers=request.form,
    )
    return make_response(page, 400 if errors else 200)
