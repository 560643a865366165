"""Who can see one letter or result: hide it from somebody, show it to somebody, change its kind of information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.portal.forms import Problem
from fhir_server.portal.models import exceptions, viewers
from fhir_server.portal.models import sharing as model
from fhir_server.portal.models.any_entry import TYPES, any_entry
from fhir_server.portal.models.labels import BY_CODE, LABELS, SYSTEM
from fhir_server.portal.models.result import result
from fhir_server.portal.models.sharing import Grantee, Share
from fhir_server.portal.views import visits
from fhir_server.portal.views.directory import find_grantees, grantee_of
from fhir_server.portal.views.sharing import own_record, tell_family
from fhir_server.portal.views.whose import Record
from fhir_server.spec.outcome import FhirError, Kind

_MOST_SHARES: Final = 30
_ACTS: Final = ("hide", "show", "usual")
_CHANGED_MEANWHILE: Final = frozenset({Kind.VERSION_REQUIRED, Kind.CONFLICT, Kind.DUPLICATE})
_NOTICES: Final = {
    "hide": "They no longer see this entry",
    "show": "They can see this entry now",
    "usual": "The exception is gone: what they see goes by the kind of information again",
    "label": "The kind of information is changed",
    "changed": "Your sharing choices have changed meanwhile. Check them and try again",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """Whether somebody sees the entry.

    Attributes:
        share: What is shared with them.
        sees: Whether they see it now.
        own: Whether they wrote it, and so always see it.
        exempt: `shown` or `hidden` where an exception says so, "" otherwise.
    """

    share: Share
    sees: bool
    own: bool
    exempt: str


def one_entry(entry_type: str, entry_id: str) -> str:
    """Show who sees one entry, of everybody whom the patient shares with, and find somebody else to show it to."""
    record = own_record()
    resource = _resource(record, entry_type, entry_id)
    text = request.args.get("q", "").strip()
    seen = [_seen(record, share, entry_type, entry_id) for share in _shares(record)[:_MOST_SHARES]]
    known = {each.share.grantee for each in seen}
    found = [grantee for grantee in find_grantees(record.road, text) if grantee.reference not in known] if text else []
    return render_template(
        "portal/sharing/entry.html",
        record=record,
        entry=any_entry(resource),
        seen=seen,
        back_to=_page_of(record, resource),
        q=text,
        found=found,
        notice=_NOTICES.get(request.args.get("done", ""), ""),
    )


def change_entry(entry_type: str, entry_id: str) -> str | Response:
    """Show what an exception changes for somebody, then make it."""
    act, target = request.values.get("act", ""), request.values.get("with", "")
    if act not in _ACTS:
        return redirect(_here(entry_type, entry_id))
    if target.startswith("RelatedPerson/") and act != "hide" and (again := web.ask_again()) is not None:
        return again
    record = own_record()
    resource = _resource(record, entry_type, entry_id)
    grantee = grantee_of(record.road, *target.partition("/")[::2])
    if grantee is None:
        abort(404)
    share = next((each for each in _shares(record) if each.grantee == grantee.reference), None)
    if share is None and act != "show":
        return redirect(_here(entry_type, entry_id))
    consent = _next(record, share, grantee, act, f"{entry_type}/{entry_id}")
    if request.method == "GET":
        return render_template(
            "portal/sharing/entry_check.html",
            record=record,
            entry=any_entry(resource),
            grantee=grantee,
            act=act,
            is_new=share is None,
            preview=_preview(record, consent, grantee),
            here=_here(entry_type, entry_id),
        )
    try:
        if share is None:
            record.road.create(consent)
        else:
            record.road.update(consent, share.version)
    except FhirError as error:
        if error.kind not in _CHANGED_MEANWHILE:
            raise
        return redirect(f"{_here(entry_type, entry_id)}?done=changed", 303)
    tell_family(record, grantee.reference)
    return redirect(f"{_here(entry_type, entry_id)}?done={act}", 303)


def relabel(entry_type: str, entry_id: str) -> str | Response:
    """Change the kind of information of an entry; who sees it follows."""
    record = own_record()
    resource = _resource(record, entry_type, entry_id)
    errors: tuple[Problem, ...] = ()
    if request.method == "POST":
        code = request.form.get("label", "")
        if code in BY_CODE:
            tag = {"name": "meta", "valueMeta": {"security": [{"system": SYSTEM, "code": code}]}}
            record.road.operate("meta-add", entry_type, entry_id, [tag])
            visits.stay(record)
            return redirect(f"{_here(entry_type, entry_id)}?done=label", 303)
        errors = (Problem("Choose a kind of information", "#label"),)
    page = render_template(
        "portal/sharing/label.html",
        record=record,
        entry=any_entry(resource),
        labels=LABELS,
        here=_here(entry_type, entry_id),
        errors=errors,
    )
    return make_response(page, 400 if errors else 200)


def _resource(record: Record, entry_type: str, entry_id: str) -> dict[str, Any]:
    found = record.road.find(entry_type, entry_id) if entry_type in TYPES else None
    if found is None:
        abort(404)
    return found


def _shares(record: Record) -> tuple[Share, ...]:
    consents = record.road.search_all("Consent", ("patient", record.reference))
    return model.overview(consents, record.road.now).now


def _seen(record: Record, share: Share, entry_type: str, entry_id: str) -> Seen:
    query = (("actor", share.grantee), ("purpose", "TREAT"))
    answer = record.road.ask("explain-access", entry_type, entry_id, query)
    told = {each["name"]: each.get("valueCode", "") for each in answer.get("parameter", ())}
    exempt = next((each for each in share.exempt if each.reference == f"{entry_type}/{entry_id}"), None)
    kind = "" if exempt is None else "shown" if exempt.permit else "hidden"
    alone = f"{entry_type}/{entry_id}" in share.only
    return Seen(share, told.get("decision") == "permit", told.get("reason") == "own-data", "shown" if alone else kind)


def _next(record: Record, share: Share | None, grantee: Grantee, act: str, target: str) -> dict[str, Any]:
    if share is None:
        every = [label.code for label in LABELS]
        now, patient = record.road.now, record.patient_reference
        whole = model.permit(patient=patient, grantee=grantee, labels=every, until=None, now=now)
        return exceptions.alone(whole, record.reference, target)
    consent = record.road.read("Consent", share.id)
    change = {"hide": exceptions.hidden, "show": exceptions.shown, "usual": exceptions.usual}[act]
    return change(consent, target)


def _preview(record: Record, consent: dict[str, Any], grantee: Grantee) -> viewers.Preview | None:
    """Return what the grantee sees now and would see; None where the choice could not be saved as things stand."""
    actor = {"name": "actor", "valueReference": {"reference": grantee.reference}}
    given = [{"name": "consent", "resource": consent}, actor]
    try:
        return viewers.previewed(record.road.operate("preview-consent", "Patient", record.patient_id, given))
    except FhirError as error:
        if error.kind not in _CHANGED_MEANWHILE:
            raise
        return None


def _here(entry_type: str, entry_id: str) -> str:
    return f"/sharing/entry/{entry_type}/{entry_id}"


def _page_of(record: Record, resource: dict[str, Any]) -> str:
    """Return the page that shows the entry itself, or the one of its kind."""
    kind = str(resource["resourceType"])
    if kind == "DocumentReference":
        return f"{record.root}/letters/{resource['id']}"
    return f"{record.root}{result(resource).page}" if kind == "Observation" else record.root
