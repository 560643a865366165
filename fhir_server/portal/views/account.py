"""The person's account and the apps they connected."""

from __future__ import annotations

from flask import abort, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.access.principal import Caller
from fhir_server.identity import apps as connected_apps
from fhir_server.identity import notices
from fhir_server.portal.models.app import app
from fhir_server.portal.models.person import person
from fhir_server.portal.models.words import LONDON, moment_of
from fhir_server.portal.road import road
from fhir_server.portal.views.account_acts import actor
from fhir_server.portal.views.account_proofs import protection_of
from fhir_server.portal.views.caring import record_names

_ROLES = {
    "patient": "Patient",
    "carer": "Family or carer",
    "professional": "Health or care professional",
    "coordinator": "Coordinator",
    "service-desk": "Service desk",
    "privacy-officer": "Privacy officer",
    "admin": "Administrator",
    "developer": "Developer of apps",
}
_DONE = {
    "password": "Your password is changed, and every other device is signed out",
    "memorable": "Your memorable question is changed",
    "email-asked": "We sent a link to your new e-mail address. Until you follow it, your old address stays in use",
    "mobile": "Your mobile phone number is changed",
    "app-removed": "The authenticator app is removed",
    "text-codes": "Your choice is saved",
    "working-for": "Your choice is saved",
}


def account() -> str:
    """Show what is known of the person, how they sign in, and where to change it."""
    who = actor()
    way = road()
    shown = None
    if way.principal.caller is Caller.PATIENT:
        patient = way.read("Patient", way.principal.subject.partition("/")[2])
        shown = person(patient, way.now.astimezone(LONDON).date())
    protection = protection_of(who)
    return render_template(
        "portal/account.html",
        account=who.account,
        role=_ROLES.get(who.account.role, who.account.role),
        person=shown,
        news=notices.chosen(way.context.store, who.account.id).news,
        since=moment_of(who.account.created_at),
        signed_in_at=moment_of(way.principal.auth_time),
        protection=protection,
        app_since=moment_of(protection.app_since) if protection.app_since else None,
        done=_DONE.get(request.args.get("done", ""), ""),
    )


def apps() -> str:
    """Show connected apps."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    grants = connected_apps.connected(web.context().store, signed_in.account.id, road().now)
    names = record_names() if grants else {}
    shown = [app(grant, names) for grant in grants]
    return render_template("portal/apps.html", apps=shown, removed="removed" in request.args)


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
        return render_template("portal/remove_app.html", app=app(grant, record_names()))
    with actor().act("disconnect-app", f"client {grant.client_id} grant {grant.id}") as session:
        connected_apps.disconnect(session, signed_in.account.id, grant_id, now)
    return redirect("/apps?removed=yes", 303)
