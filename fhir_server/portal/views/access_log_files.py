"""The access log as a file: as FHIR, with proof that nothing was altered, and the page that checks such a file."""

from __future__ import annotations

import json
from base64 import b64encode
from decimal import Decimal
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import abort, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.interactions.audit_proof_check import ProofError, check
from fhir_server.interactions.audit_standing import standing, still_holds
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.words import moment_of
from fhir_server.portal.road import Parameter
from fhir_server.portal.views.access_log import filters, own_log
from fhir_server.portal.views.whose import Record
from fhir_server.spec.outcome import FhirError, Kind

_PROVED_PER_PAGE: Final = 500
_MOST_PAGES: Final = 100
_TRIES: Final = 3
_MOST_BYTES: Final = 16 * 1024 * 1024
_CURSOR: Final = "_cursor"
_HEADER: Final = frozenset({"origin", "publicKey", "checkpoint"})


def access_log_file() -> Response:
    """Send the whole access log, or what the filter of its page leaves of it, as one FHIR Bundle."""
    record = own_log()
    query, problems = filters(request.args)
    if problems:
        return redirect(f"/access-log?{urlencode(list(request.args.items(multi=True)))}", 303)
    events = record.road.search_whole("AuditEvent", ("patient", record.reference), *query, ("_sort", "-date"))
    base = f"{record.road.context.fhir_base}/AuditEvent"
    entries = [{"fullUrl": f"{base}/{event['id']}", "resource": event} for event in events]
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": record.road.now.isoformat(),
        "entry": entries,
    }
    return _download(bundle, "access-log.json")


def proved_log() -> Response:
    """Send the whole access log with a proof for each entry: every page of it under one and the same checkpoint."""
    record = own_log()
    tries = (_whole(record) for _ in range(_TRIES))
    found = next((document for document in tries if document is not None), None)
    if found is None:
        abort(503)
    return _download(found, "access-log-with-proof.json")


def check_log() -> Response:
    """Check a file that was downloaded here: each entry, the signature, and that the log of today still has it all."""
    stands = standing(web.context())
    told = {"standing": stands, "key": b64encode(stands.public_key).decode() if stands else ""}
    if request.method == "GET":
        return make_response(render_template("portal/access_log/check.html", **told))
    sent = request.files.get("file")
    content = b""
    if sent is not None and sent.filename:
        with sent.stream as stream:
            content = stream.read(_MOST_BYTES + 1)
    wrong = "Choose the file that you downloaded" if not content else ""
    if len(content) > _MOST_BYTES:
        wrong = web.say("The file must be smaller than %(size)s MB") % {"size": _MOST_BYTES // 1024 // 1024}
    if wrong:
        page = render_template("portal/access_log/check.html", errors=(Problem(wrong, "#file"),), **told)
        return make_response(page, 400)
    try:
        found = check(content)
    except (ProofError, RecursionError) as error:
        reason = str(error) if isinstance(error, ProofError) else "it is not the file that was downloaded here"
        return make_response(render_template("portal/access_log/check.html", reason=reason, **told))
    ours = stands is not None and found.public_key == stands.public_key
    holds = ours and still_holds(web.context(), found)
    page = render_template(
        "portal/access_log/check.html", found=found, at=moment_of(found.signed_at), ours=ours, holds=holds, **told
    )
    return make_response(page)


def _whole(record: Record) -> dict[str, Any] | None:
    """Return all pages as one document, None where a newer checkpoint was signed on the way."""
    document: dict[str, Any] = {}
    signed: list[dict[str, Any]] = []
    query: tuple[Parameter, ...] = (("_count", str(_PROVED_PER_PAGE)),)
    for _ in range(_MOST_PAGES):
        page = record.road.ask("access-log-proof", "Patient", record.patient_id, query)
        parameters = page.get("parameter", [])
        header = [each for each in parameters if each["name"] in _HEADER]
        if not document:
            signed = header
            document = {"resourceType": "Parameters", "parameter": list(header)}
        elif header != signed:
            return None
        document["parameter"] += [each for each in parameters if each["name"] == "entry"]
        following = next((str(each["valueUri"]) for each in parameters if each["name"] == "next"), "")
        if not following:
            return document
        cursor = dict(parse_qsl(urlsplit(following).query)).get(_CURSOR, "")
        query = (("_count", str(_PROVED_PER_PAGE)), (_CURSOR, cursor))
    # Who reads the file takes it for all.
    raise FhirError(Kind.TOO_LARGE, "The access log is too long for one file. Ask us for a copy")


def _download(document: dict[str, Any], name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    body = json.dumps(document, indent=1, default=_plain, ensure_ascii=False)
    return Response(body, content_type="application/fhir+json", headers=headers)


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)
