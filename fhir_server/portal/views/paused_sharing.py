"""After two records of a person were joined, sharing is paused until they have looked; this page ends the pause."""

from __future__ import annotations

from typing import Any, Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.interactions.suspension import SYSTEM as SUSPENSION
from fhir_server.interactions.suspension import Suspended
from fhir_server.portal.forms import Problem
from fhir_server.portal.models import sharing as model
from fhir_server.portal.views.sharing import own_record
from fhir_server.portal.views.whose import Record
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web.acting import actor

_CHANGED_MEANWHILE: Final = frozenset({Kind.VERSION_REQUIRED, Kind.CONFLICT})


def paused() -> str | Response:
    """Show what would be shared of the joined record, and go on sharing, or go and change it first."""
    record = own_record()
    pauses = pauses_of(record)
    if not pauses:
        return redirect("/sharing", 303)
    if request.method == "GET":
        return _page(record, ())
    if request.form.get("looked") != "yes":
        return make_response(_page(record, (Problem("Tick the box to say that you have looked", "#looked"),)), 400)
    try:
        for consent in pauses:
            record.road.update(model.stopped(consent), str(consent["meta"]["versionId"]))
    except FhirError as error:
        if error.kind not in _CHANGED_MEANWHILE:
            raise
        return redirect("/sharing?done=changed", 303)
    with actor().act("confirm-sharing", f"of {record.reference}"):
        return redirect("/sharing?done=on", 303)


def pauses_of(record: Record) -> list[dict[str, Any]]:
    """Return the Consents of this service that pause the sharing of a record."""
    about = (("patient", record.reference), ("identifier", f"{SUSPENSION}|{Suspended.MERGE}"), ("status", "active"))
    return list(record.road.search("Consent", *about).matches)


def _page(record: Record, errors: tuple[Problem, ...]) -> str:
    consents = record.road.search_all("Consent", ("patient", record.reference))
    sharing = model.overview(consents, record.road.now)
    return render_template("portal/sharing/paused.html", record=record, sharing=sharing, errors=errors)
