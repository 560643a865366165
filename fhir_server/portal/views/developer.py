"""A developer's apps: register, change, test keys, make a new secret, remove; an administrator decides about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from fhir_server import web
from fhir_server.identity import account_changes, app_metadata, app_registry, client_keys, limits
from fhir_server.identity.app_metadata import MetadataError
from fhir_server.identity.app_registry import Credentials, Registration
from fhir_server.portal.forms import Problem
from fhir_server.portal.models.registration import answers, problems, shown
from fhir_server.portal.views.account_acts import Actor, actor
from fhir_server.spec.outcome import FhirError, Kind

_TEXTS: Final = ("client_name", "description", "scope", "initiate_login_uri", "jwks_uri")
_PAGES: Final = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
_STAYS: Final = ("online_access", "offline_access")
_TOO_MANY: Final = "Too many tries. Wait an hour and try again"


def apps() -> str:
    """List the developer's apps with where each is."""
    who = actor()
    with who.context.store.read() as session:
        found = app_registry.of_owner(session, who.account)
    return render_template("portal/developer/apps.html", apps=[shown(one) for one in found], done=bool(request.args))


def register() -> Response:
    """Register an app, which waits for an administrator."""
    if request.method == "GET":
        return _form({"use": "app", "method": "none"})
    who = actor()
    try:
        metadata = _sent(who)
        _count(who)
        with who.context.store.write() as session:
            registration, once = app_registry.register(session, metadata, owner=who.account, now=who.now)
            who.record(session, "register-app", f"client {registration.client.client_id}", status=201)
    except MetadataError as error:
        return _form(request.form, problems(error))
    return _credentials(registration, once)


def one_app(client_id: str) -> str:
    """Show one app."""
    return _page(_own(actor(), client_id))


@web.require_fresh()
def change(client_id: str) -> Response:
    """Change what is registered; what widens it waits for an administrator again."""
    who = actor()
    registration = _own(who, client_id)
    if request.method == "GET":
        return _form(answers(registration), client_id=client_id)
    try:
        metadata = _sent(who)
        with who.act("change-app", f"client {client_id}") as session:
            registration, once = app_registry.change(session, client_id, metadata)
    except MetadataError as error:
        return _form(request.form, problems(error), client_id=client_id)
    return _credentials(registration, once) if once.secret else redirect(f"/developer/apps/{client_id}?done=yes", 303)


@web.require_fresh()
def new_secret(client_id: str) -> Response:
    """Make a new secret and show it this once."""
    who = actor()
    registration = _own(who, client_id)
    with who.act("new-app-secret", f"client {client_id}") as session:
        secret = app_registry.new_secret(session, client_id)
        account_changes.tell(session, who.account, "A new secret was made for an app of yours.", who.now)
    return _credentials(registration, Credentials(secret))


def test_keys(client_id: str) -> Response:
    """Read the app's public keys as the token endpoint does, and say what is usable or wrong."""
    who = actor()
    registration = _own(who, client_id)
    _count(who)
    client = registration.client
    try:
        keys = client_keys.summary(client_keys.parse(client.jwks or client_keys.fetch(client.jwks_uri)))
    except client_keys.KeysUnavailable as error:
        return make_response(_page(registration, wrong=str(error)), 400)
    return make_response(_page(registration, keys=keys))


@web.require_fresh()
def remove(client_id: str) -> Response:
    """Remove an app for good, with every permission that people gave it."""
    who = actor()
    registration = _own(who, client_id)
    if request.method == "GET":
        return make_response(render_template("portal/developer/remove.html", app=shown(registration)))
    with who.act("remove-app", f"client {client_id}") as session:
        app_registry.remove(session, client_id, who.now)
    return redirect("/developer?done=yes", 303)


def _own(who: Actor, client_id: str) -> Registration:
    with who.context.store.read() as session:
        return app_registry.own(session, who.account, client_id)


def _count(who: Actor) -> None:
    with who.context.store.write() as session:
        allowed = limits.allow(session, who.now, (limits.APP_OWNER, who.account.id))
    if not allowed:
        raise FhirError(Kind.THROTTLED, _TOO_MANY)


def _sent(who: Actor) -> app_metadata.Metadata:
    """Return the form as the metadata of RFC 7591 that it stands for."""
    form = {name: value.strip() for name, value in request.form.items()}
    is_service = form.get("use") == "service"
    sent: dict[str, Any] = {name: form[name] for name in (*_TEXTS, *_PAGES) if form.get(name)}
    sent["token_endpoint_auth_method"] = "private_key_jwt" if is_service else form.get("method", "")
    sent["redirect_uris"] = form.get("redirect_uris", "").split()
    sent["grant_types"] = ["client_credentials"] if is_service else ["authorization_code"]
    if not is_service and set(_STAYS) & set(sent.get("scope", "").split()):
        sent["grant_types"].append("refresh_token")
    if form.get("jwks"):
        try:
            sent["jwks"] = orjson.loads(form["jwks"])
        except orjson.JSONDecodeError as error:
            raise MetadataError("jwks", "must be a JWK Set in JSON") from error
    return app_metadata.read(sent, who.context.definitions.resource_types)


def _form(filled: Mapping[str, str], errors: list[Problem] | None = None, *, client_id: str = "") -> Response:
    page = render_template(
        "portal/developer/form.html", answers=filled, errors=errors or (), client_id=client_id, pages=_PAGES
    )
    return make_response(page, 400 if errors else 200)


def _credentials(registration: Registration, once: Credentials) -> Response:
    page = render_template("portal/developer/credentials.html", app=shown(registration), secret=once.secret)
    return make_response(page)


def _page(registration: Registration, **values: Any) -> str:
    return render_template("portal/developer/app.html", app=shown(registration), done="done" in request.args, **values)
