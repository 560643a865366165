"""Where somebody is signed in, and the devices that are remembered: end one, or all."""

from __future__ import annotations

from flask import redirect, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_changes, remembered
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.views.account_acts import actor, form
from fhir_server.portal.views.account_proofs import protection_of

_EVERYWHERE = "You were signed out on every device, and no device is remembered any more."


def devices() -> Response:
    """Show sessions and remembered devices, and end them."""
    who = actor()
    if request.method == "GET":
        found = protection_of(who)
        return form(
            "devices",
            sessions=[
                (each, moment_of(each.started_at), moment_of(each.last_seen_at), each.id == who.person.session_id)
                for each in found.sessions
            ],
            devices=[(each, moment_of(each.last_used_at), moment_of(each.expires_at)) for each in found.devices],
            done="done" in request.args,
        )
    wanted = request.form.get("id", "")
    match request.form.get("action"):
        case "end" if wanted:
            with web.end_others(who.person, wanted) as session:
                who.record(session, "end-session")
        case "forget" if wanted:
            with who.act("forget-device") as session:
                remembered.forget(session, who.account.id, wanted)
        case "everywhere":
            with web.end_others(who.person) as session:
                remembered.forget(session, who.account.id)
                account_changes.tell(session, who.account, _EVERYWHERE, who.now)
                who.record(session, "sign-out-everywhere")
            web.end_session()
            return redirect("/signed-out", 303)
    return redirect("/account/devices?done=yes", 303)
