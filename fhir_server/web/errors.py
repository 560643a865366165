"""One refusal, four faces: OperationOutcome under `/fhir`, RFC 6749 under `/oauth`, JSON under `/api`, else a page.

INVARIANT: no face shows a stack trace, SQL, or a diagnostic whose kind says that it may not be shown.
"""

from __future__ import annotations

import logging

from flask import Response, g, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from jinja2 import TemplateError
from werkzeug.exceptions import HTTPException

from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind, error_outcome
from fhir_server.web.admission import RETRY_AFTER_S
from fhir_server.web.extension import current, request_id
from fhir_server.web.language import say
from fhir_server.web.proof import challenges
from fhir_server.web.security import OAUTH_PAGES, is_machine

_LOG = logging.getLogger(__name__)

_KINDS = {
    400: Kind.MALFORMED,
    401: Kind.UNAUTHENTICATED,
    403: Kind.FORBIDDEN,
    404: Kind.NOT_FOUND,
    405: Kind.METHOD_NOT_ALLOWED,
    406: Kind.NOT_ACCEPTABLE,
    409: Kind.CONFLICT,
    410: Kind.GONE,
    412: Kind.VERSION_REQUIRED,
    413: Kind.TOO_LARGE,
    415: Kind.UNSUPPORTED_MEDIA_TYPE,
    416: Kind.RANGE,
    422: Kind.INVALID_CONTENT,
    429: Kind.THROTTLED,
    503: Kind.UNAVAILABLE,
}
_OAUTH = {
    Kind.UNAUTHENTICATED: "invalid_client",
    Kind.FORBIDDEN: "access_denied",
    Kind.THROTTLED: "temporarily_unavailable",
    Kind.UNAVAILABLE: "temporarily_unavailable",
    Kind.TIMEOUT: "temporarily_unavailable",
    Kind.BUG: "server_error",
}
_TITLES = {
    400: "There is a problem with that request",
    401: "Sign in to see this page",
    403: "You cannot use this page",
    404: "Page not found",
    405: "There is a problem with that request",
    409: "Something changed at the same time",
    410: "This is no longer here",
    413: "That file is too big",
    429: "Too many tries",
    503: "Sorry, the service is not available",
}
_HTTP_TEXTS = {
    403: "Your account cannot use this page",
    405: "This address does not take this kind of request",
    413: "What was sent is too large",
}
"""What people read in place of the framework's words, which speak of resources and servers."""
_EXPIRED_FORM = "This form is too old or did not come from this website. Go back, reload the page and try again."


def of_exception(error: Exception) -> FhirError:
    """Return any exception as a refusal; what is unknown is a bug: logged with the request id, told as 500."""
    if isinstance(error, FhirError):
        if not error.kind.shown:
            _LOG.error("request %s failed", request_id(), exc_info=error)
        return error
    if isinstance(error, CSRFError):
        return FhirError(Kind.MALFORMED, _EXPIRED_FORM)
    if isinstance(error, HTTPException) and error.code in _KINDS:
        return FhirError(_KINDS[error.code], _http_text(error))
    _LOG.error("request %s failed", request_id(), exc_info=error)
    return FhirError(Kind.BUG, "The server could not answer this request")


def page_status(refusal: FhirError) -> int:
    """Return the status of a page that tells a refusal: 400 for all that is wrong with what was sent.

    A page knows no 422, which tells programs a rule that was broken from a value that is wrong: people read the words.
    What stands otherwise keeps its own, such as 403, 409 or 429.
    """
    return Kind.INVALID_VALUE.status if refusal.status == Kind.INVALID_CONTENT.status else refusal.status


def render_error(error: Exception) -> Response:
    """Return the answer for any exception, in the form of the door it happened at."""
    if isinstance(error, HTTPException) and error.code is not None and error.code < 400:  # noqa: PLR2004 - a redirect
        return make_response(error.get_response())
    refusal = of_exception(error)
    response = _face(refusal)
    response.headers["Cache-Control"] = "no-store"  # a 404 may be kept by default, and outlive the consent that ends it
    if refusal.kind is Kind.THROTTLED:
        response.headers.setdefault("Retry-After", str(g.get("retry_after_s", 60)))
    if refusal.kind is Kind.UNAVAILABLE:
        response.headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    if isinstance(error, HTTPException) and refusal.kind is Kind.METHOD_NOT_ALLOWED:
        response.headers.update({key: value for key, value in error.get_headers() if key == "Allow"})
    return response


def _face(refusal: FhirError) -> Response:
    path = request.path
    shown = refusal.diagnostics if refusal.kind.shown else "The server could not answer this request"
    if path == "/fhir" or path.startswith("/fhir/"):
        response = make_response(json.encode(error_outcome(refusal, request_id())), refusal.status)
        response.content_type = "application/fhir+json; charset=utf-8"
        if refusal.kind is Kind.UNAUTHENTICATED:
            for challenge in challenges("fhir"):
                response.headers.add("WWW-Authenticate", challenge)
        return response
    if path.startswith("/oauth/") and path not in OAUTH_PAGES:
        code = _OAUTH.get(refusal.kind, "invalid_request")
        response = make_response({"error": code, "error_description": shown}, refusal.status)
        if refusal.kind is Kind.UNAUTHENTICATED:
            response.headers["WWW-Authenticate"] = 'Basic realm="oauth"'
        return response
    # INVARIANT: no page for programs' paths: they have no form cookie, so a page's forms could have no token.
    if is_machine(path):
        told = {"code": refusal.status, "status": refusal.kind.name.lower(), "message": shown}
        return make_response(told, refusal.status)
    return _page(refusal, shown)


def _page(refusal: FhirError, shown: str) -> Response:
    status = page_status(refusal)
    title = _TITLES.get(status, "Sorry, there is a problem with the service")
    try:
        page = render_template("web/error.html", title=title, message=shown, status=status, reference=request_id())
    except TemplateError:
        _LOG.exception("error page of request %s failed", request_id())
        page = f"<!DOCTYPE html><title>{title}</title><h1>{title}</h1>"
    return make_response(page, status)


def _http_text(error: HTTPException) -> str:
    if error.code == 404:  # noqa: PLR2004 - HTTP's own
        return say("There is nothing at this address of %(brand)s") % {"brand": current().brand_name}
    return _HTTP_TEXTS.get(error.code or 0) or error.description or error.name
