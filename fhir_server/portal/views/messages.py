"""Which messages a carer asked for."""

from __future__ import annotations

from flask import abort, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import notices
from fhir_server.web.acting import actor


def messages() -> str | Response:
    """Let a carer say whether to be told when a record shared with them is opened in an emergency."""
    signed_in = web.signed_in()
    if signed_in is None:
        abort(401)
    here, account_id = web.context(), signed_in.account.id
    if request.method == "POST":
        with actor().act("choose-messages") as session:
            wanted = request.form.get("emergencies") == "yes"
            notices.choose_emergencies(session, account_id, wanted=wanted, now=here.now())
        return redirect("/account/messages?saved=yes", 303)
    return render_template(
        "portal/messages.html",
        emergencies=notices.wants_emergencies(here.store, account_id),
        saved="saved" in request.args,
    )
