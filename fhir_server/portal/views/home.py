"""The first page: for a patient what is new, what is next and who looked; for staff the way to their work."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from flask import redirect, render_template
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.portal.models.appointment import diary
from fhir_server.portal.models.audit import LogVisit
from fhir_server.portal.models.letter import letter
from fhir_server.portal.models.result import newest_first
from fhir_server.portal.views.access_log import log_of
from fhir_server.portal.views.paused_sharing import pauses_of
from fhir_server.portal.views.whose import Record, open_record

_START: Final = {
    "professional": "/patients",
    "coordinator": "/organisation",
    "privacy-officer": "/privacy",
    "service-desk": "/service-desk",
    "developer": "/developer",
}
_NEW_DAYS: Final = 30
_FEW: Final = 4
_EVENTS: Final = 50
_TOLD_DAYS: Final = 60


def home() -> str | Response:
    """Show the first page of whoever is here."""
    signed_in = web.signed_in()
    if signed_in is None:
        return render_template("portal/welcome.html")
    role = signed_in.account.role
    if role in _START:
        return redirect(_START[role])
    if role == "admin":
        return render_template("portal/administration.html")
    return _overview(open_record())


def _overview(record: Record) -> str:
    way = record.road
    since = (way.now - timedelta(days=_NEW_DAYS)).date().isoformat()
    today = way.now.date().isoformat()
    about = ("patient", record.reference)
    appointments = way.search("Appointment", about, ("date", f"ge{today}"), ("_sort", "date"), ("_count", "20")).matches
    upcoming = [visit for visit in diary(appointments, way.now).upcoming if not visit.called_off]
    letters = way.search(
        "DocumentReference", about, ("date", f"ge{since}"), ("_sort", "-date"), ("_count", str(_FEW))
    ).matches
    results = way.search(
        "Observation", about, ("date", f"ge{since}"), ("category", "laboratory"), ("_sort", "-date"), ("_count", "40")
    ).matches
    return render_template(
        "portal/home.html",
        record=record,
        next_visit=upcoming[0] if upcoming else None,
        letters=[letter(entry) for entry in letters],
        results=newest_first(results)[:_FEW],
        result_count=len(results),
        log=log_of(record, count=_EVENTS)[0] if record.own else None,
        emergencies=_emergencies(record) if record.own else (),
        is_paused=record.own and bool(pauses_of(record)),
        new_days=_NEW_DAYS,
    )


def _emergencies(record: Record) -> tuple[LogVisit, ...]:
    """Return the emergency accesses that the patient should not have to look for."""
    since = (record.road.now - timedelta(days=_TOLD_DAYS)).date().isoformat()
    return log_of(record, query=(("purpose", "BTG"), ("date", f"ge{since}")), count=_EVENTS)[0].emergencies
