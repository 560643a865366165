"""The patient asks the privacy officer about an entry of the access log."""

from __future__ import annotations

import re
from typing import Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.accesses import access
from fhir_server.portal.models.disputes import LONGEST_TEXT
from fhir_server.portal.views.access_log import names_of, own_log
from fhir_server.portal.views.whose import Record
from fhir_server.spec.outcome import FhirError, Kind

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_DONE: Final = {Kind.BUSINESS_RULE: "known", Kind.THROTTLED: "limit"}


def ask_about(event_id: str) -> str | Response:
    """Show one entry, take what the patient has to say about it, and pass it on."""
    record = own_log()
    event = record.road.find("AuditEvent", event_id) if _ID.fullmatch(event_id) else None
    if event is None:
        abort(404)
    if request.method == "GET":
        return _page(record, event, ())
    text = request.form.get("text", "").strip()
    if len(text) > LONGEST_TEXT:
        problem = Problem(web.say("Write %(longest)s characters or less") % {"longest": f"{LONGEST_TEXT:,}"}, "#text")
        return make_response(_page(record, event, (problem,)), 400)
    given = [{"name": "event", "valueReference": {"reference": f"AuditEvent/{event_id}"}}]
    if text:
        given.append({"name": "text", "valueString": text})
    try:
        record.road.operate("dispute-access", "Patient", record.patient_id, given)
    except FhirError as error:
        if error.kind not in _DONE:
            raise
        return redirect(f"/access-log?done={_DONE[error.kind]}", 303)
    return redirect("/access-log?done=asked", 303)


def _page(record: Record, event: dict[str, object], errors: tuple[Problem, ...]) -> str:
    return render_template(
        "portal/access_log/ask.html",
        record=record,
        entry=access(event, record.reference, names_of(record.road, [event])),
        errors=errors,
        answers=request.form,
        longest=LONGEST_TEXT,
    )
