"""The agreement and the privacy policy: accepted with a new account, and again when a new version is in force.

`web` lets nobody past who has not accepted what is in force, whichever way they signed in; here is the page they get.
"""

from __future__ import annotations

from typing import Final

from flask import Response, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.identity import agreements
from fhir_server.signin.forms import field, page
from fhir_server.web.acting import actor

_ASKED: Final = (
    ("agreement", "Tick the box to accept the user agreement"),
    ("privacy", "Tick the box to accept the privacy policy"),
)


def missing() -> dict[str, str]:
    """Return what is wrong with the form, by field: each text must be accepted in the very version in force."""
    terms = web.current().terms
    return {name: text for name, text in _ASKED if field(name) != getattr(terms, name)}


@web.require()
def show() -> BaseResponse:
    """Ask whoever is signed in to accept what is in force; who has, goes on."""
    target = web.safe_next(request.args.get("next"))
    if agreements.is_current(actor().account, web.current().terms):
        return redirect(target, 303)
    return _page(target)


@web.require()
def accept() -> BaseResponse:
    """Keep what was accepted, and go on to where its person wanted to go."""
    me, target = actor(), web.safe_next(field("next"))
    if wrong := missing():
        return _page(target, wrong)
    terms = web.current().terms
    with me.act("accept-agreement", f"agreement {terms.agreement}, privacy policy {terms.privacy}") as session:
        agreements.accept(session, me.account, terms, me.now)
    return redirect(target, 303)


def _page(target: str, wrong: dict[str, str] | None = None) -> Response:
    return page("agreement", errors=wrong, next=target, is_first=not actor().account.agreement_version)
