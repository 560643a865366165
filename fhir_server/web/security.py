"""What a browser may do with an answer: security headers, script nonce, where a form may lead, a link may return."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import cast
from urllib.parse import urlsplit

from flask import Response, g, request

from fhir_server.web.extension import current, request_id

MACHINE_PREFIXES = (
    "/fhir",
    "/api",
    "/oauth/token",
    "/oauth/introspect",
    "/oauth/revoke",
    "/oauth/register",
    "/oauth/userinfo",
    "/.well-known",
    "/health",
    "/metrics",
)
"""Paths that programs ask with credentials of their own: no cookie is read there, so no other site can abuse one."""

OAUTH_PAGES = frozenset({"/oauth/authorize", "/oauth/decision", "/oauth/launch"})
"""Paths below `/oauth` that a person looks at, so that their errors are pages too."""

FOREIGN_FORMS = frozenset({"/oauth/authorize"})
"""Paths that other sites may send a form to. INVARIANT: they read no cookie and only lead on to a page of ours."""

_MACHINE_POLICY = "default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; worker-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; frame-src 'self'; manifest-src 'self'; form-action 'self'{targets}; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = (
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=()"),
    ("X-Frame-Options", "DENY"),
    ("Cache-Control", "no-store"),
)
_SAFE_NEXT = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*:(//[A-Za-z0-9.\[\]:-]+)?")


def is_machine(path: str) -> bool:
    """Return whether a path is asked by programs, not by a browser with our cookie."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in MACHINE_PREFIXES)


def is_fhir(path: str) -> bool:
    """Return whether a path is one of the FHIR API."""
    return path == "/fhir" or path.startswith("/fhir/")


def csp_nonce() -> str:
    """Return the nonce that a page's own script tag must carry in this answer."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return cast("str", g.csp_nonce)


def allow_form_target(url: str) -> None:
    """Let the form of this page lead, by redirect, to the origin of this URL (an app's registered `redirect_uri`).

    Browsers hold `form-action` against redirects too (https://www.w3.org/TR/CSP3/#directive-form-action).
    """
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    if _ORIGIN.fullmatch(origin):
        g.form_targets = f"{g.get('form_targets', '')} {origin}"


def safe_next(target: str | None) -> str:
    """Return a path of this site to go on to, `/` where the wish is absent or leads elsewhere."""
    if target and _SAFE_NEXT.fullmatch(target) and not urlsplit(target).netloc:
        return target
    return "/"


def set_headers(response: Response) -> Response:
    """Add the security headers; a view that set one of them keeps its own."""
    found = _of_every_answer(request_id(), is_https=current().is_https)
    if is_machine(request.path):
        found.append(("Content-Security-Policy", _MACHINE_POLICY))
    else:
        policy = _PAGE_POLICY.format(nonce=csp_nonce(), targets=g.get("form_targets", ""))
        found += (("Content-Security-Policy", policy), *_PAGE_HEADERS)
    add_absent(response, found)
    return response


def machine_headers(request_id: str, *, is_https: bool) -> list[tuple[str, str]]:
    """Return the security headers of an answer to a program."""
    return [*_of_every_answer(request_id, is_https=is_https), ("Content-Security-Policy", _MACHINE_POLICY)]


def _of_every_answer(request_id: str, *, is_https: bool) -> list[tuple[str, str]]:
    found = [("X-Request-Id", request_id), ("X-Content-Type-Options", "nosniff")]
    if is_https:
        found.append(("Strict-Transport-Security", "max-age=31536000; includeSubDomains"))
    return found


def add_absent(response: Response, headers: Iterable[tuple[str, str]]) -> None:
    """Add headers that are not there yet: one look at those that are, where a mapping would look for each."""
    present = {name.lower() for name, _ in response.headers}
    response.headers.extend([(name, value) for name, value in headers if name.lower() not in present])
