"""The door of `/api/v1`: each part authorises before it parses, refuses in JSON and on the log, and is not kept."""

from __future__ import annotations

from collections.abc import Callable

from flask import Response
from flask_smorest import Blueprint

from fhir_server.access.principal import Principal
from fhir_server.admin.parsing import StrictParser, refusal_of
from fhir_server.admin.rights import audit_unchanged
from fhir_server.spec.outcome import FhirError
from fhir_server.web import render_error
from fhir_server.web.bearer import caller


def door(name: str, module: str, description: str, let_in: Callable[[], object]) -> Blueprint:
    """Return the blueprint of a part of the administration API.

    Args:
        name: Of the part.
        module: `__name__` of the module whose routes it has.
        description: For the OpenAPI document.
        let_in: Raises for whoever may use nothing of it (`rights`); asked before the parser sees anything.
    """
    blueprint = Blueprint(name, module, url_prefix="/api/v1", description=description)
    blueprint.ARGUMENTS_PARSER = StrictParser()
    blueprint.errorhandler(Exception)(_refuse)
    blueprint.after_request(_keep_out_of_caches)

    def authorise() -> None:
        # What it returns would be taken for the answer.
        let_in()

    blueprint.before_request(authorise)
    return blueprint


def _refuse(error: Exception) -> Response:
    """Answer an error as JSON, after the AuditEvent of a caller who is known."""
    response = render_error(refusal_of(error))
    try:
        principal: Principal | None = caller()
    except FhirError:
        principal = None
        response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    try:
        if principal is not None:
            audit_unchanged(principal, status=response.status_code)
    except FhirError as unwritten:
        response = render_error(unwritten)
    return _keep_out_of_caches(response)


def _keep_out_of_caches(response: Response) -> Response:
    """Let no cache keep an answer."""
    response.headers["Cache-Control"] = "no-store"
    return response
