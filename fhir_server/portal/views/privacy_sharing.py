"""The privacy officer switches the sharing of one patient off or on again, and sees where the audit log stands."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import system_state
from fhir_server.interactions.audit_standing import standing
from fhir_server.portal.forms import Problem
from fhir_server.portal.models import sharing as model
from fhir_server.portal.models.words import moment_of, reference
from fhir_server.portal.road import Road, road
from fhir_server.spec.outcome import FhirError, Kind

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_SHORTEST, _LONGEST = 10, 1000
_LATE: Final = timedelta(minutes=10)
"""A checkpoint is due every minute while there is something to sign."""
_DONE: Final = {
    "disable": "Sharing is off. The patient is told",
    "enable": "Sharing is on again. The patient is told",
}
_REFUSED: Final = {Kind.BUSINESS_RULE: "", Kind.NOT_FOUND: "#patient", Kind.INVALID_VALUE: "#reason"}


def sharing_of() -> Response:
    """Ask for a record number, show whether sharing is on, and switch it with a reason that the patient reads."""
    way = road()
    patient = request.values.get("patient", "").strip().removeprefix("Patient/")
    if not patient:
        return _page(way, "", ())
    if not _ID.fullmatch(patient):
        problem = Problem("Enter a record number: letters, digits, hyphens and full stops", "#patient")
        return _page(way, "", (problem,))
    if request.method == "GET":
        return _page(way, patient, ())
    if (again := web.ask_again()) is not None:
        return make_response(again)
    reason = " ".join(request.form.get("reason", "").split())
    if not _SHORTEST <= len(reason) <= _LONGEST:
        return _page(way, patient, (Problem(f"Write why, in {_SHORTEST} to {_LONGEST:,} characters", "#reason"),))
    step = "enable" if request.form.get("step") == "enable" else "disable"
    try:
        way.operate(f"{step}-sharing", "Patient", patient, [{"name": "reason", "valueString": reason}])
    except FhirError as error:
        if error.kind not in _REFUSED:
            raise
        return _page(way, patient, (Problem(error.diagnostics, _REFUSED[error.kind]),))
    return make_response(redirect(f"/privacy/sharing?patient={patient}&done={step}", 303))


def audit_state() -> str:
    """Show the newest checkpoint of the audit log, and when it was last verified."""
    here = web.context()
    stands = standing(here)
    verified = system_state.last_verification(here.store)
    return render_template(
        "portal/privacy/audit_state.html",
        standing=stands,
        signed=moment_of(stands.signed_at) if stands else None,
        is_late=stands is not None and bool(stands.waiting_count) and here.now() - stands.signed_at > _LATE,
        key=stands.public_key.hex() if stands else "",
        verified=verified,
        verified_at=moment_of(verified.finished_at) if verified else None,
    )


def _page(way: Road, patient: str, errors: tuple[Problem, ...]) -> Response:
    found = way.search_all("Consent", ("patient", f"Patient/{patient}")) if patient else ()
    overview = model.overview(found, way.now)
    off = next((consent for consent in found if consent.get("id") == overview.disabled_id), None)
    performers = off.get("performer", ()) if off else ()
    page = render_template(
        "portal/privacy/sharing.html",
        patient=patient,
        overview=overview,
        is_off=off is not None,
        by_patient=off is not None
        and (not performers or any(reference(each) == f"Patient/{patient}" for each in performers)),
        errors=errors,
        answers=request.values,
        done=_DONE.get(request.args.get("done", ""), ""),
    )
    return make_response(page, 400 if errors else 200)
