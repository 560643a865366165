"""A professional adds to a record that is shared with them: choose what, fill in, check, save; the patient is told.

INVARIANT: the patient's Consent decides on the road, when the entry is saved; the message outside says nothing of it.
"""

from __future__ import annotations

import base64
import re
import uuid
from typing import Any, Final

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server.portal.forms import Problem
from fhir_server.portal.models import entry as model
from fhir_server.portal.models.entry import KINDS, Entry, Kind
from fhir_server.portal.models.labels import BY_CODE, LABELS, SYSTEM
from fhir_server.portal.models.words import party_name
from fhir_server.portal.road import Parameter
from fhir_server.portal.views.whose import Record, open_record
from fhir_server.spec.outcome import FhirError
from fhir_server.spec.outcome import Kind as Refused

_URI: Final = "urn:ietf:rfc:3986"
_ENTRY_ID: Final = re.compile(r"[0-9a-f]{32}")
_OWN_FIELDS: Final = frozenset({"csrf_token", "step", "entry", "added-for"})
_ELSEWHERE: Final = "You work for another organisation now, perhaps by another window. Check for whom you add this"
_REFUSED: Final = (
    "You cannot add this. What the person shares with you or your organisation does not include adding this kind of "
    "information"
)


def choose_entry(patient_id: str) -> str:
    """Ask what to add."""
    added = KINDS.get(request.args.get("added", ""))
    return render_template(
        "portal/professional/add.html", record=_shared(patient_id), kinds=KINDS.values(), added=added
    )


def add_entry(patient_id: str, entry_kind: str) -> str | Response:
    """Ask for an entry, show it to be checked, then save it as the professional's own and tell the patient."""
    kind = KINDS.get(entry_kind)
    if kind is None:
        abort(404)
    record = _shared(patient_id)
    if request.method == "GET" or request.form.get("step") == "change":
        return _form(record, kind, [])
    parsed = kind.parsed(request.form, record.road.now)
    problems = parsed if isinstance(parsed, list) else []
    if request.form.get("label") not in BY_CODE:
        problems.append(Problem("Choose what kind of information it is", "#label"))
    if problems or isinstance(parsed, list):
        return make_response(_form(record, kind, problems), 400)
    if request.form.get("step") != "save":
        return _check(record, kind, parsed, [])
    return _save(record, kind, parsed)


def _shared(patient_id: str) -> Record:
    record = open_record(patient_id)
    if record.emergency_ends_at:
        abort(404)
    return record


def _save(record: Record, kind: Kind, entry: Entry) -> str | Response:
    wanted = request.form.get("entry", "")
    if not _ENTRY_ID.fullmatch(wanted):
        abort(400)
    file = request.files.get("file")
    content = file.read(model.LARGEST_FILE_BYTES + 1) if file and entry.wants_file else b""
    if entry.wants_file and (wrong := model.pdf_problem(content)):
        return make_response(_check(record, kind, entry, [Problem(wrong, "#file")]), 400)
    at = record.road.principal.organization
    if request.form.get("added-for", at) != at:
        return make_response(_check(record, kind, entry, [Problem(_ELSEWHERE)]), 409)
    identifier = {"system": _URI, "value": f"urn:uuid:{uuid.UUID(wanted)}"}
    try:
        if _is_new(record, entry, identifier["value"]):
            _store(record, _completed(record, entry, identifier), content, _same(record, identifier["value"]))
    except FhirError as error:
        if error.kind is not Refused.FORBIDDEN:
            raise
        return make_response(_check(record, kind, entry, [Problem(_REFUSED)]), 403)
    return redirect(f"{record.root}/add?added={kind.code}", 303)


def _is_new(record: Record, entry: Entry, identifier: str) -> bool:
    """Return whether the form was not sent before: a second click adds nothing."""
    query = (*_same(record, identifier), ("_count", "1"))
    return not record.road.search(entry.resource["resourceType"], *query).matches


def _same(record: Record, identifier: str) -> tuple[Parameter, ...]:
    """Return the search that finds what this form made: of two clicks at once the second waits, and finds the first."""
    return (("patient", record.reference), ("identifier", f"{_URI}|{identifier}"))


def _completed(record: Record, entry: Entry, identifier: dict[str, str]) -> dict[str, Any]:
    """Return the resource with whose it is, who wrote it for which organisation, and its label."""
    who = record.road.principal
    me = {"reference": who.subject, "display": who.name}
    ours = [_organization(record, who.organization)] if who.organization else []
    resource = dict(entry.resource)
    resource["meta"] = {"security": [{"system": SYSTEM, "code": request.form["label"]}]}
    resource["identifier"] = [identifier]
    if resource["resourceType"] == "Appointment":
        people = [{"actor": actor, "status": "accepted"} for actor in (record.patient_reference, me)]
        return resource | {"participant": [*people, *resource["participant"]]}
    resource["subject"] = record.patient_reference
    if resource["resourceType"] == "Observation":
        return resource | {"performer": [me, *ours]}
    return resource | {"author": [me]} | ({"custodian": ours[0]} if ours else {})


def _organization(record: Record, reference: str) -> dict[str, str]:
    kind, _, logical_id = reference.partition("/")
    found = record.road.find(kind, logical_id)
    return {"reference": reference, **({"display": party_name(found)} if found else {})}


def _store(record: Record, resource: dict[str, Any], content: bytes, same: tuple[Parameter, ...]) -> None:
    if not content:
        record.road.create(resource, if_none_exist=same)
        return
    document, file = f"urn:uuid:{uuid.uuid4()}", f"urn:uuid:{uuid.uuid4()}"
    attachment = {"contentType": "application/pdf", "url": file, "size": len(content), "title": resource["description"]}
    binary = {
        "resourceType": "Binary",
        "contentType": "application/pdf",
        "securityContext": {"reference": document},
        "data": base64.b64encode(content).decode(),
    }
    # Both or neither: a file is of the letter that points at it, and whoever may read the letter may read it.
    letter = resource | {"content": [{"attachment": attachment}]}
    record.road.create_together({document: letter, file: binary}, if_none_exist={document: same})


def _form(record: Record, kind: Kind, problems: list[Problem]) -> str:
    return render_template(
        "portal/professional/add_entry.html",
        record=record,
        kind=kind,
        tests=model.TESTS,
        labels=LABELS,
        longest=model.LONGEST_TEXT,
        errors=problems,
        answers=request.form,
    )


def _check(record: Record, kind: Kind, entry: Entry, problems: list[Problem]) -> str:
    answers = {name: value for name, value in request.form.items() if name not in _OWN_FIELDS}
    return render_template(
        "portal/professional/check_entry.html",
        record=record,
        kind=kind,
        entry=entry,
        entry_id=request.form.get("entry") or uuid.uuid4().hex,
        label=BY_CODE[request.form["label"]],
        largest_mb=model.LARGEST_FILE_BYTES // 1_000_000,
        errors=problems,
        answers=answers,
    )
