"""EHR launch (SMART App Launch 2.2): somebody opens an app from a patient's page, and the app learns whose it was.

INVARIANT: everything a launch names has just been read on the road by whoever launches; the app learns no more of it
than its id, and only after consent.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import orjson
from flask import Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.smart import launch
from fhir_server.smart.launch import Record
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import oauth_clients, oauth_launches
from fhir_server.store.oauth_clients import Client
from fhir_server.store.oauth_launches import Launch
from fhir_server.web import SignedIn

LAUNCH_S = 300
_MOST_CONTEXT = 10
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64}")


def choose() -> Response | BaseResponse:
    """Answer GET: the apps that can be opened with this record."""
    person = web.signed_in()
    if person is None:
        return _to_sign_in()
    record = _record(person, request.args.get("patient", ""))
    with web.context().store.read() as session:
        apps = [client for client in oauth_clients.clients(session) if client.active and client.launch_uri]
    for app in apps:
        web.allow_form_target(app.launch_uri)
    page = render_template(
        "smart/launch.html",
        apps=apps,
        record=record,
        own_record=person.account.reference == record.reference,
        patient=record.reference.removeprefix("Patient/"),
        encounter=request.args.get("encounter", ""),
        context=request.args.getlist("context")[:_MOST_CONTEXT],
    )
    return make_response(page)


def start() -> BaseResponse:
    """Answer POST: open the app at its registered address, with `iss` and a `launch` that works once.

    Form fields: `app` (client id), `patient` (id), `encounter` (id, optional), `context` (`Type/id`, at most ten).

    Raises:
        FhirError: INVALID_VALUE (400) naming the field; NOT_FOUND (404) for what the person may not see.
    """
    person = web.signed_in()
    if person is None:
        return redirect("/sign-in", 303)
    app = _app(request.form.get("app", ""))
    new = Launch(
        client_id=app.client_id,
        account_id=person.account.id,
        patient=_record(person, request.form.get("patient", "")).reference,
        encounter=_encounter(person, request.form.get("encounter", ""), request.form.get("patient", "")),
        context=_context(person, request.form.getlist("context")),
    )
    here = web.context()
    with here.store.write() as session:
        value = oauth_launches.add(session, new, now=here.now(), expires_in_s=LAUNCH_S)
    parts = urlsplit(app.launch_uri)
    query = urlencode({"iss": here.fhir_base, "launch": value})
    answer = redirect(urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query)), 303)
    answer.headers["Referrer-Policy"] = "no-referrer"
    return answer


def _app(client_id: str) -> Client:
    with web.context().store.read() as session:
        found = oauth_clients.client(session, client_id)
    if found is None or not found.active or not found.launch_uri:
        raise FhirError(Kind.INVALID_VALUE, "app must be one that can be opened from here")
    return found


def _record(person: SignedIn, patient_id: str) -> Record:
    found = launch.record(person, web.context(), f"Patient/{patient_id}") if _ID.fullmatch(patient_id) else None
    if found is None:
        raise FhirError(Kind.NOT_FOUND, "There is no such record that you can open")
    return found


def _encounter(person: SignedIn, encounter_id: str, patient_id: str) -> str:
    if not encounter_id:
        return ""
    found = _read(person, f"Encounter/{encounter_id}") if _ID.fullmatch(encounter_id) else None
    if found is None or found.get("subject", {}).get("reference") != f"Patient/{patient_id}":
        raise FhirError(Kind.INVALID_VALUE, "encounter must be one of this patient that you can see")
    return f"Encounter/{encounter_id}"


def _context(person: SignedIn, references: list[str]) -> tuple[str, ...]:
    if len(references) > _MOST_CONTEXT:
        raise FhirError(Kind.INVALID_VALUE, f"context may name {_MOST_CONTEXT} resources at most")
    for reference in references:
        # Patient and encounter have launch parameters of their own and must not be repeated there.
        kind = reference.partition("/")[0]
        known = kind in web.context().definitions.resource_types and kind not in {"Patient", "Encounter"}
        if not (_REFERENCE.fullmatch(reference) and known and _read(person, reference) is not None):
            raise FhirError(Kind.INVALID_VALUE, "context must name resources that you can see, as Type/id")
    return tuple(dict.fromkeys(references))


def _read(person: SignedIn, reference: str) -> dict[str, Any] | None:
    content = launch.read(person, web.context(), reference)
    return orjson.loads(content) if content is not None else None


def _to_sign_in() -> BaseResponse:
    return redirect("/sign-in?" + urlencode({"next": request.full_path.rstrip("?")}), 303)
