"""Which messages a patient or carer gets."""

from __future__ import annotations

from flask import redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import carers, notices
from fhir_server.web.acting import actor


def messages() -> str | Response:
    """Let a patient or carer say whether to be told of what is new, and a carer whether of emergency access."""
    me = actor()
    if request.method == "POST":
        wish = notices.Choice("news" in request.form, "emergencies" in request.form)
        with me.act("choose-messages") as session:
            notices.choose(session, me.account.id, wish, me.now)
        return redirect("/account/messages?saved=yes", 303)
    store = web.context().store
    with store.read() as session:
        parts = {part.role for part in carers.identities(session, me.account.id)}
    return render_template(
        "portal/messages.html",
        choice=notices.chosen(store, me.account.id),
        email=me.account.email,
        own="patient" in parts,
        caring="carer" in parts,
        saved="saved" in request.args,
    )
