"""Wire the web room into a Flask application: once, from the composition root."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from flask import Blueprint, Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from flask_wtf.csrf import CSRFProtect
from jinja2 import ChainableUndefined, ChoiceLoader, PackageLoader
from werkzeug.routing import RequestRedirect

from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import errors, language, security, session
from fhir_server.web.agreeing import ask_agreement
from fhir_server.web.extension import EXTENSION, Web
from fhir_server.web.session_note import session_note

_CSRF = "form"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def install(app: Flask, web: Web) -> None:
    """Give an application sessions, CSRF protection, security headers, error pages and the page library.

    Call it before the first template is rendered and before a front door is registered.
    """
    app.extensions[EXTENSION] = web
    app.session_interface = _FormSession()
    # No view here is a coroutine; Flask would look at every function of every request.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    app.secret_key = web.secret_key
    app.config.update(
        SESSION_COOKIE_NAME=f"__Host-{_CSRF}" if web.is_https else _CSRF,
        SESSION_COOKIE_SECURE=web.is_https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",
        PERMANENT_SESSION_LIFETIME=web.session_max,
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=web.session_max // timedelta(seconds=1),
    )
    app.jinja_options = {
        **app.jinja_options,
        "undefined": ChainableUndefined,
        "trim_blocks": True,
        "lstrip_blocks": True,
    }
    loaders = [loader for loader in (app.jinja_loader,) if loader]
    app.jinja_loader = ChoiceLoader([*loaders, PackageLoader("nhsuk_frontend_jinja")])
    app.register_blueprint(Blueprint("web", __name__, template_folder="templates"))
    app.context_processor(
        lambda: {
            "csp_nonce": security.csp_nonce,
            "brand_name": web.brand_name,
            "brand_logo": web.brand_logo,
            "session_note": session_note,
        }
    )
    app.before_request(_refuse_control)
    language.install(app, web.language)
    _protect(app)
    app.before_request(ask_agreement)
    app.after_request(_finish)
    app.register_error_handler(Exception, errors.render_error)


class _FormSession(SecureCookieSessionInterface):
    """The form cookie, which INVARIANT: programs' paths do not read."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return what the cookie holds, None (an empty session that keeps nothing) for programs."""
        return None if security.is_machine(request.path) else super().open_session(app, request)


def _refuse_control() -> None:
    """Refuse NUL, which no text has and PostgreSQL cannot store, and in a path every control character.

    Part of a path may go on in a header, such as `Location`. FHIR names what is wrong itself.

    Raises:
        FhirError: INVALID_VALUE (400) where the URL or a field of a form has it.
    """
    if security.is_fhir(request.path):
        return
    if _CONTROL.search(request.path) or b"%00" in request.query_string:
        raise FhirError(Kind.INVALID_VALUE, "The address has a control character, which nothing here can have")
    if request.method == "POST" and any("\0" in text for _, text in request.form.items(multi=True)):
        raise FhirError(Kind.INVALID_VALUE, "The form has a NUL character, which no text can have")


def _protect(app: Flask) -> None:
    csrf = CSRFProtect(app)

    @app.before_request
    def check_form() -> None:
        # INVARIANT: every request that a cookie could authorise is checked; machine paths must not read the cookie.
        foreign = request.path in security.FOREIGN_FORMS
        if request.endpoint is not None and not foreign and not security.is_machine(request.path):
            csrf.protect()


def _finish(response: Response) -> Response:
    if isinstance(request.routing_exception, RequestRedirect) and response.location:
        # INVARIANT: a path, which the browser completes: the router's URL has whatever host the request named.
        parts = urlsplit(response.location)
        response.location = urlunsplit(("", "", parts.path, parts.query, ""))
    if not security.is_machine(request.path):
        session.set_cookie(response)
    return security.set_headers(response)
