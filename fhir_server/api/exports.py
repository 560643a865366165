"""Bulk exports under `/fhir/export`: ask how one stands, fetch its files, delete it.

They begin at `$export`, which is an operation like others.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from flask import Blueprint, Response, g, request, stream_with_context

from fhir_server.access.principal import Principal
from fhir_server.api.routes import allow_browsers, refuse
from fhir_server.interactions.model import Context
from fhir_server.operations import export_files
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import context
from fhir_server.web.bearer import caller, caller_again, spend

NDJSON = "application/fhir+ndjson"
_TAKEN = (NDJSON, "application/ndjson", "application/x-ndjson", "application/octet-stream")
_GZIP_WINDOW = 31
_FASTEST = 1

blueprint = Blueprint("exports", __name__)
blueprint.register_error_handler(Exception, refuse)
blueprint.after_request(allow_browsers)


@blueprint.get("/fhir/export/<job_id>")
def status(job_id: str) -> Response:
    """Tell how an export stands, and once it is complete where its files are."""
    principal = _asking()
    g.retry_after_s = export_files.LONGEST_PAUSE_S  # what whoever asks too often is told
    found = export_files.progress(_here(), principal, job_id)
    response = Response(found.outcome.content or None, status=found.outcome.status)
    response.headers["Cache-Control"] = "no-store"
    if found.expires_at is None:
        response.headers["X-Progress"] = found.told
        response.headers["Retry-After"] = str(found.retry_after_s)
        response.headers.pop("Content-Type", None)
        return response
    response.content_type = "application/json"
    response.expires = found.expires_at
    return response


@blueprint.delete("/fhir/export/<job_id>")
def cancel(job_id: str) -> Response:
    """Stop an export and forget what it found."""
    export_files.cancel(_here(), _asking(), job_id)
    response = Response(status=202)
    response.headers.pop("Content-Type", None)
    return response


@blueprint.get("/fhir/export/<job_id>/<int(max=1000000):number>.ndjson")
def file(job_id: str, number: int) -> Response:
    """Send a file, part by part."""
    _check_accepted()
    parts = export_files.lines(_here(), _asking(), job_id, number)
    # The first part is decided on before the status line is sent.
    return _ndjson(chain([next(parts)], parts))


@blueprint.get(f"/fhir/export/<job_id>/{export_files.ERRORS}.ndjson")
def errors(job_id: str) -> Response:
    """Send what a lenient caller asked for and did not get."""
    _check_accepted()
    return _ndjson(iter([export_files.errors(_here(), _asking(), job_id)]))


def _asking() -> Principal:
    principal = caller()
    spend(principal.client_id)
    return principal


def _here() -> Context:
    return replace(context(), again=caller_again)


def _check_accepted() -> None:
    wanted = request.accept_mimetypes
    if wanted and not any(wanted[name] for name in _TAKEN):
        raise FhirError(Kind.NOT_ACCEPTABLE, f"The file is available as {NDJSON}")


def _ndjson(parts: Iterator[bytes]) -> Response:
    packed = request.accept_encodings["gzip"] > 0
    response = Response(stream_with_context(_zipped(parts) if packed else parts), content_type=NDJSON)
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Accept-Encoding")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    return response


def _zipped(parts: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_FASTEST, wbits=_GZIP_WINDOW)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH)
    yield packer.flush()
