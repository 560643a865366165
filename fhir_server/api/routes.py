"""One route for everything below `/fhir`: authenticate, parse, perform, answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import cast

import msgspec
from flask import Blueprint, Flask, Response, current_app, g, request

from fhir_server.api.compression import deflate, discard
from fhir_server.api.formats import JSON, negotiate_refusal, render_xml
from fhir_server.api.positions import located, located_in_answer, located_in_entries
from fhir_server.api.requests import read_request
from fhir_server.api.responses import answer
from fhir_server.interactions.locating import locate
from fhir_server.interactions.model import Code, Outcome
from fhir_server.interactions.perform import perform
from fhir_server.interactions.reading import cut_down
from fhir_server.interactions.terminology_capabilities import terminology_statement
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import context
from fhir_server.web.bearer import caller, caller_again, spend
from fhir_server.web.errors import render_error
from fhir_server.web.security import add_absent

blueprint = Blueprint("fhir", __name__)
EXTENSION = "fhir_api"
_MODES = ("full", "normative", "terminology")
_DISCARDED_BYTES = 128 << 20
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REQUEST_HEADERS = (
    "Authorization", "DPoP", "Content-Type", "Accept", "Prefer", "If-Match", "If-None-Match",
    "If-Modified-Since", "If-None-Exist", "Content-Encoding", "X-Security-Context", "X-Request-Id",
)  # fmt: skip
CORS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", ", ".join(_METHODS)),
    ("Access-Control-Allow-Headers", ", ".join(_REQUEST_HEADERS)),
    (
        "Access-Control-Expose-Headers",
        "ETag, Location, Content-Location, Last-Modified, X-Request-Id, X-Progress, WWW-Authenticate, Retry-After",
    ),
    ("Access-Control-Max-Age", "600"),
)


@dataclass(frozen=True, slots=True)
class Api:
    """What the composition root gives this room: the CapabilityStatement and the longest body it reads.

    Attributes:
        capabilities: Returns the JSON of the CapabilityStatement, made when first asked for.
        body_limit_bytes: Longest body accepted.
        capabilities_xml: The same in XML by whether it is indented, made when first asked for.
        terminology: JSON of the TerminologyCapabilities, made when first asked for.
        terminology_xml: The same in XML.
    """

    capabilities: Callable[[], bytes]
    body_limit_bytes: int
    capabilities_xml: dict[bool, bytes] = field(default_factory=dict)
    terminology: list[bytes] = field(default_factory=list)
    terminology_xml: dict[bool, bytes] = field(default_factory=dict)


def extension(app: Flask) -> Api:
    """Return what the composition root gave this room."""
    return cast("Api", app.extensions[EXTENSION])


@blueprint.route("/fhir", methods=_METHODS, provide_automatic_options=False)
@blueprint.route("/fhir/", methods=_METHODS, provide_automatic_options=False)
@blueprint.route("/fhir/<path:path>", methods=_METHODS, provide_automatic_options=False)
def fhir(path: str = "") -> Response:
    """Answer one FHIR request."""
    here = context()
    if request.method == "OPTIONS":
        allowed = Response(status=204, headers={"Allow": _allowed(path)})
        allowed.headers.pop("Content-Type")
        return allowed
    api = extension(current_app)
    presentation: dict[str, str] = {}
    g.fhir_presentation = presentation
    interaction, wishes = read_request(
        request, here.definitions, path, limit_bytes=api.body_limit_bytes, presentation=presentation
    )
    if interaction.code is Code.CAPABILITIES:
        whole, kept = _statement(api, dict(interaction.query).get("mode") or "full")
        content = cut_down(here.definitions, interaction, whole, "CapabilityStatement")
        return answer(interaction, wishes, Outcome(200, content), here.definitions, kept if content is whole else None)
    principal = caller()
    spend(principal.client_id)
    asked = replace(here, again=caller_again, statement=lambda mode: _statement(api, mode)[0])
    outcome = perform(interaction, principal, asked)
    if interaction.operation == "validate":
        outcome = located_in_answer(outcome, interaction, request)
    elif interaction.code is Code.TRANSACTION:
        outcome = located_in_entries(outcome, request)
    response = answer(interaction, wishes, outcome, here.definitions)
    if interaction.upload is not None:
        if response.is_streamed:
            response.call_on_close(interaction.upload.close)
        else:
            interaction.upload.close()
    return response


def _statement(api: Api, mode: str) -> tuple[bytes, dict[bool, bytes]]:
    """Return what this server says of itself, and where its XML is kept (https://hl7.org/fhir/R4/http.html#capabilities).

    Everything in the CapabilityStatement is of the normative kind, so `normative` is the whole of it.
    """
    if mode not in _MODES:
        raise FhirError(Kind.INVALID_VALUE, f"mode is one of {', '.join(_MODES)}")
    if mode != "terminology":
        return api.capabilities(), api.capabilities_xml
    if not api.terminology:
        here = context()
        software = json.decode_own(api.capabilities())["software"]
        statement = terminology_statement(here.definitions, fhir_base=here.fhir_base, software=software, now=here.now())
        api.terminology.append(json.encode(statement))
    return api.terminology[0], api.terminology_xml


@blueprint.errorhandler(Exception)
def refuse(error: Exception) -> Response:
    """Answer an error as an OperationOutcome, in the format that the caller wants."""
    if "fhir_upload" in g:
        g.fhir_upload.close()
    response = render_error(located(error, request))
    presentation: Mapping[str, str] = g.get("fhir_presentation") or request.args
    wanted = negotiate_refusal(request, presentation)
    pretty = presentation.get("_pretty") == "true"
    if response.mimetype == JSON:
        if wanted.xml:
            response.set_data(render_xml(context().definitions, response.get_data(), pretty=pretty))
        elif pretty:
            response.set_data(msgspec.json.format(response.get_data(), indent=2))
        response.content_type = wanted.content_type
    if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        discard(request, _DISCARDED_BYTES)
    if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers.setdefault("Allow", _allowed((request.view_args or {}).get("path", "")))
    return response


@blueprint.after_request
def allow_browsers(response: Response) -> Response:
    """Let browser apps of other origins call the API: access is by bearer token, never by cookie."""
    if "Vary" in response.headers:
        response.vary.add("Accept")
    add_absent(response, (*CORS, ("Vary", "Accept")))
    deflate(request, response)
    return response


def _allowed(path: str) -> str:
    """Return the methods of the interactions at a path; a preflight tells nothing of what is stored."""
    found = []
    for method in _METHODS[:-1]:
        try:
            locate(context().definitions, method, path, ())
        except FhirError as error:
            if error.kind in {Kind.METHOD_NOT_ALLOWED, Kind.NOT_FOUND, Kind.UNKNOWN_TYPE}:
                continue
        found.append(method)
    return ", ".join((*found, "OPTIONS"))
