"""Watch every request of every door: one log line and two counts, with nothing from a record in them.

INVARIANT: what is logged is the method, the route with placeholders, the status, the time, the request id and the
client id. No query, no header, no name, no logical id.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping

from flask import Flask, Response, g, request

from fhir_server.admin.metrics import Metrics
from fhir_server.web import request_id
from fhir_server.web.bearer import known_client
from fhir_server.web.extension import current

_LOG = logging.getLogger("fhir_server.requests")
_WATCHING = frozenset({"health"})
_NO_DOOR = "none"
_FIXED = frozenset({"metadata", "_history", "_search"})


class Watch:
    """Notes requests that were answered: what `observe` sees, and what never came to Flask."""

    def __init__(self, metrics: Metrics) -> None:
        """Count in these metrics."""
        self._metrics = metrics

    def note(self, door: str, status: int, seconds: float, facts: Callable[[], Mapping[str, object]]) -> None:
        """Count a request and write its line.

        Args:
            door: Name of the front door.
            status: HTTP status.
            seconds: From the first line of ours to the last.
            facts: Returns what the line says beside status and time; asked only where there is a line.
        """
        self._metrics.observe(door, status, seconds)
        level = logging.DEBUG if door in _WATCHING else logging.INFO
        if _LOG.isEnabledFor(level):
            _LOG.log(level, "request", extra={**facts(), "status": status, "ms": round(seconds * 1_000, 1)})


def observe(app: Flask, watch: Watch) -> None:
    """Watch an application; call it before anything else is installed, so that all of a request is seen."""

    @app.before_request
    def begin() -> None:
        g.started_s = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("started_s", time.perf_counter())
        door = (request.blueprint or _NO_DOOR).rpartition(".")[2]
        watch.note(door, response.status_code, seconds, _facts)
        return response


def _facts() -> dict[str, object]:
    facts: dict[str, object] = {"method": request.method, "route": _route(), "request_id": request_id()}
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
    # Not the context of this request: where the database is gone there is none, and the line is wanted all the more.
    here = current().base
    known = here.definitions.resource_types
    parts = []
    for part in path.strip("/").split("/")[:6]:
        if part in _FIXED or part in known or (part.startswith("$") and part[1:] in here.operations):
            parts.append(part)
        else:
            parts.append("{id}" if part else "")
    return "/fhir/" + "/".join(parts)
