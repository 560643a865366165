"""The stand-in over HTTP: discovery, keys, the page where a demo person is chosen, token and userinfo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, render_template_string, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as BaseResponse

from fhir_server.cli.nhs_login_stand_in_tokens import (
    ALGORITHM,
    SCOPES,
    Asked,
    Issuer,
    is_enough,
    vectors,
)
from fhir_server.cli.stand_in_client import RefusedError, refused

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
HEAD = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{{ title }} – NHS login stand-in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{font:19px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}li{list-style:none;margin:.5em 0}
button{font:inherit;padding:.4em 1em}p.warn{border-left:6px solid #005eb8;padding:.5em 1em;background:#f0f4f5}</style>
</head><body><p class="warn">This is a stand-in for demo and tests. The people are invented.</p><h1>{{ title }}</h1>
"""
HIDDEN = """<form method="post" action="/authorize">
{% for name, value in asked.items() %}<input type="hidden" name="{{ name }}" value="{{ value }}">{% endfor %}
"""
_CHOOSE = (
    HEAD
    + HIDDEN
    + """<fieldset><legend>Who are you?</legend><ul>
{% for person in people %}<li><label><input type="radio" name="person" value="{{ person.key }}">
{{ person.name }} ({{ person.level }})</label><br><small>{{ person.note }}</small></li>{% endfor %}
</ul></fieldset>
<p><button name="act" value="continue">Continue</button> <button name="act" value="cancel">Cancel</button></p>
</form></body></html>"""
)
_STEP_UP = (
    HEAD
    + """<p>The service needs to know better who you are. You would now show an identity document.</p>"""
    + HIDDEN
    + """<input type="hidden" name="person" value="{{ person.key }}">
<p><button name="act" value="prove">Prove my identity</button> <button name="act" value="cancel">Not now</button></p>
</form></body></html>"""
)
_ERROR = HEAD + "<p>{{ text }}</p></body></html>"


def application(issuer: Issuer) -> Flask:
    """Return the stand-in as a WSGI application."""
    app = Flask("nhs-login-stand-in", static_folder=None)
    app.add_url_rule("/.well-known/openid-configuration", "discovery", lambda: jsonify(metadata(issuer)))
    app.add_url_rule("/.well-known/jwks.json", "keys", lambda: jsonify({"keys": [issuer.key.as_dict(private=False)]}))
    app.add_url_rule("/authorize", "authorize", lambda: _authorize(issuer), methods=["GET", "POST"])
    app.add_url_rule("/token", "token", lambda: token(issuer), methods=["POST"])
    app.add_url_rule("/userinfo", "userinfo", lambda: userinfo(issuer), methods=["GET", "POST"])
    app.add_url_rule("/trustmark/localhost", "trustmark", lambda: jsonify(_trustmark(issuer)))
    return app


def metadata(issuer: Issuer) -> dict[str, object]:
    """Return the discovery document (OpenID Connect Discovery 1.0 §3)."""
    url = issuer.url
    return {
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "userinfo_endpoint": f"{url}/userinfo",
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
        "code_challenge_methods_supported": ["S256"],
    }


def _trustmark(issuer: Issuer) -> dict[str, object]:
    marks = {"P": ["P0", "P5", "P9"], "C": ["Cp", "Cd", "Ck", "Cm"]}
    return {"idp": issuer.url, "trustmark_provider": issuer.url, **marks}


def _authorize(issuer: Issuer) -> BaseResponse | str | tuple[str, int]:
    values = request.form if request.method == "POST" else request.args
    sent = values.to_dict()
    target = sent.get("redirect_uri", "")
    if (stranger := stranger_page(issuer, sent)) is not None:
        return stranger
    try:
        check_once(values)
        asked = read_asked(sent, SCOPES)
        if request.method == "POST":
            return _decided(issuer, asked, sent)
    except RefusedError as error:
        return back(target, {"error": error.code, "error_description": error.description}, sent)
    return render_template_string(_CHOOSE, title="Sign in", asked=sent, people=issuer.people)


def stranger_page(issuer: Issuer, sent: Mapping[str, str]) -> tuple[str, int] | None:
    """Return the page for a client or address that is not registered, None for those that are.

    INVARIANT: never a redirect to somebody who is not registered (RFC 6749 §4.1.2.1).
    """
    if sent.get("client_id") == issuer.client.client_id and sent.get("redirect_uri") in issuer.client.redirect_uris:
        return None
    text = "client_id or redirect_uri is not registered here."
    return render_template_string(_ERROR, title="This request cannot be used", text=text), 400


def read_asked(sent: dict[str, str], supported: tuple[str, ...]) -> Asked:
    """Return a valid authorization request.

    Raises:
        RefusedError: With the error code for the redirect (RFC 6749 §4.1.2.1).
    """
    scopes = tuple(sent.get("scope", "").split())
    if sent.get("response_type") != "code":
        raise RefusedError("unsupported_response_type", "response_type must be code")
    if "openid" not in scopes or not set(scopes) <= set(supported):
        raise RefusedError("invalid_scope", "scope must have openid, and supported ones only")
    for name in ("state", "nonce"):
        if not sent.get(name):
            raise RefusedError("invalid_request", f"{name} is missing")
    if sent.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(sent.get("code_challenge", "")):
        raise RefusedError("invalid_request", "code_challenge with S256 is missing")
    if sent.get("prompt") == "none":
        raise RefusedError("login_required", "Nobody is signed in")
    vtr = vectors(sent.get("vtr", ""))
    return Asked(sent["redirect_uri"], sent["state"], sent["nonce"], scopes, vtr, sent["code_challenge"])


def _decided(issuer: Issuer, asked: Asked, sent: dict[str, str]) -> BaseResponse | str:
    if sent.get("act") == "cancel":
        raise RefusedError("access_denied", "The person did not go on")
    person = issuer.person(sent.get("person", ""))
    level = person.level
    if not is_enough(asked.vtr, level):
        if sent.get("act") != "prove":
            again = {name: value for name, value in sent.items() if name not in {"act", "person"}}
            return render_template_string(_STEP_UP, title="Prove who you are", asked=again, person=person)
        level = "P9"
    return back(asked.redirect_uri, {"code": issuer.code(asked, person, level)}, sent)


def back(target: str, answer: dict[str, str], sent: dict[str, str]) -> BaseResponse:
    """Send the browser back to the client with its state."""
    state = {"state": sent["state"]} if sent.get("state") else {}
    return redirect(f"{target}?{urlencode(answer | state)}", 302)


def token(issuer: Issuer) -> Response:
    """Answer the token endpoint."""
    try:
        check_once(request.form)
        response = jsonify(issuer.exchange(request.form.to_dict()))
    except RefusedError as error:
        response = refused(error)
    response.headers["Cache-Control"] = "no-store"
    return response


def userinfo(issuer: Issuer) -> Response:
    """Answer userinfo (OpenID Connect Core §5.3)."""
    scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
    try:
        return jsonify(issuer.userinfo(access_token if scheme.lower() == "bearer" else ""))
    except RefusedError as error:
        response = refused(error)
        response.headers["WWW-Authenticate"] = f'Bearer error="{error.code}"'
        return response


def check_once(values: MultiDict[str, str]) -> None:
    """Refuse a parameter that is there twice (RFC 6749 §3.1).

    Raises:
        RefusedError: `invalid_request`.
    """
    if any(len(values.getlist(name)) > 1 for name in values):
        raise RefusedError("invalid_request", "A parameter is there twice")
