"""Watch every request of every door: one log line and two counts, with nothing from a record in them.

INVARIANT: what is logged is the method, the route with placeholders, the status, the time, the request id and the
client id. No query, no header, no name, no logical id.
"""

from __future__ import annotations

import logging
import time

from flask import Flask, Response, g, request

from fhir_server.admin.metrics import Metrics
from fhir_server.web import context, request_id
from fhir_server.web.bearer import known_client

_LOG = logging.getLogger("fhir_server.requests")
_WATCHING = frozenset({"health"})
_NO_DOOR = "none"
_FIXED = frozenset({"metadata", "_history", "_search"})


def observe(app: Flask, metrics: Metrics) -> None:
    """Watch an application; call it before anything else is installed, so that all of a request is seen."""

    @app.before_request
    def begin() -> None:
        g.started_s = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("started_s", time.perf_counter())
        door = (request.blueprint or _NO_DOOR).rpartition(".")[2]
        metrics.observe(door, response.status_code, seconds)
        level = logging.DEBUG if door in _WATCHING else logging.INFO
        if _LOG.isEnabledFor(level):
            _LOG.log(level, "request", extra=_facts(response, seconds))
        return response


def _facts(response: Response, seconds: float) -> dict[str, object]:
    facts: dict[str, object] = {
        "method": request.method,
        "route": _route(),
        "status": response.status_code,
        "ms": round(seconds * 1_000, 1),
        "request_id": request_id(),
    }
    if client := known_client():
        facts["client_id"] = client
    return facts


def _route() -> str:
    rule = request.url_rule
    if rule is None:
        return "-"
    if rule.rule == "/fhir/<path:path>":
        return _fhir_route((request.view_args or {}).get("path", ""))
    return rule.rule


def _fhir_route(path: str) -> str:
    """Return a FHIR path with every logical id, and everything that is not known, replaced."""
    here = context()
    known = here.definitions.resource_types
    parts = []
    for part in path.split("/")[:6]:
        if part in _FIXED or part in known or (part.startswith("$") and part[1:] in here.operations):
            parts.append(part)
        else:
            parts.append("{id}" if part else "")
    return "/fhir/" + "/".join(parts)
