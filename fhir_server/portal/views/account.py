"""The person's account and the apps they connected."""

from __future__ import annotations

from flask import abort, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.access.principal import Caller
from fhir_server.identity import apps as connected_apps
from fhir_server.portal.models.app import app
from fhir_server.portal.models.person import person
from fhir_server.portal.models.words import LONDON, moment_of
from fhir_server.portal.road import road

_ROLES = {
    "patient": "Patient",
    "carer": "Family or carer",
    "professional": "Health or care professional",
    "coordinator": "Coordinator",
    "service-desk": "Service desk",
    "privacy-officer": "Privacy officer",
    "admin": "Administrator",
}


def account() -> str:
    """Show what is known of the person and how they sign in."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    way = road()
    shown = None
    if way.principal.caller is Caller.PATIENT:
        patient = way.read("Patient", way.principal.subject.partition("/")[2])
        shown = person(patient, way.now.astimezone(LONDON).date())
    return render_template(
        "portal/account.html",
        account=signed_in.account,
        role=_ROLES.get(signed_in.account.role, signed_in.account.role),
        person=shown,
        since=moment_of(signed_in.account.created_at),
        signed_in_at=moment_of(signed_in.principal.auth_time),
    )


def apps() -> str:
    """Show connected apps."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    grants = connected_apps.connected(web.context().store, signed_in.account.id, road().now)
    return render_template("portal/apps.html", apps=[app(grant) for grant in grants], removed="removed" in request.args)


def remove_app(grant_id: str) -> str | Response:
    """Ask once more, then end an app's access at once."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    store, now = web.context().store, road().now
    grants = connected_apps.connected(store, signed_in.account.id, now)
    grant = next((grant for grant in grants if grant.id == grant_id), None)
    if grant is None:
        return redirect("/apps")
    if request.method == "GET":
        return render_template("portal/remove_app.html", app=app(grant))
    connected_apps.disconnect(store, signed_in.account.id, grant_id, now)
    return redirect("/apps?removed=yes", 303)
