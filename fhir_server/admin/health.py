"""`/health/live`, `/health/ready`, `/metrics`: for supervisors, load balancers and collectors.

INVARIANT: strangers learn one word. Which check failed, and any number, needs the token of the operator or of an
administrator. The caller's address decides nothing: behind a proxy on the same machine everybody comes from loopback.
Neither is audited: they touch no record, and a collector asks every few seconds.
"""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response, jsonify, make_response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from fhir_server.admin.extension import current
from fhir_server.admin.rights import is_watcher
from fhir_server.store.condition import readiness
from fhir_server.web import context

blueprint = Blueprint("health", __name__)


@blueprint.route("/health/live")
def live() -> Response:
    """Say that the process runs."""
    return _uncached(jsonify(status="live"))


@blueprint.route("/health/ready")
def ready() -> Response:
    """Say whether requests can be answered: 200, or 503 to send them elsewhere."""
    here = context()
    found = readiness(here.store)
    complete = found.complete and bool(here.definitions.resource_types)
    body = {"status": "ready" if complete else "unavailable"}
    if is_watcher():
        checks = asdict(found) | {"definitions": bool(here.definitions.resource_types)}
        response = jsonify(body | {"checks": checks})
    else:
        response = jsonify(body)
    response.status_code = 200 if complete else 503
    return _uncached(response)


@blueprint.route("/metrics")
def metrics() -> Response:
    """Answer a collector."""
    if is_watcher():
        return _uncached(Response(current().metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4))
    refused = make_response("The token of the operator or of an administrator is required\n", 401)
    refused.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
    refused.content_type = "text/plain; charset=utf-8"
    return _uncached(refused)


def _uncached(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
