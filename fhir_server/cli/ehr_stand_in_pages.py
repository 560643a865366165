"""The stand-in for a hospital's record system over HTTP: a page with patients and staff, SMART, FHIR reads."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, render_template_string, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server.cli.ehr_stand_in_system import ASSERTION_ALGORITHM, Hospital
from fhir_server.cli.stand_in_client import RefusedError, refused

_PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Hospital record system stand-in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{font:19px/1.5 sans-serif;max-width:40em;margin:2em auto;padding:0 1em}button,select{font:inherit}
p.warn{border-left:6px solid #005eb8;padding:.5em 1em;background:#f0f4f5}</style></head><body>
<p class="warn">This is a stand-in for demo and tests. The people are invented.</p>
<h1>Hospital record system</h1>
<form method="post" action="/open">
<p><label for="user">Signed in as</label><br><select id="user" name="user">
{% for key, name in staff %}<option value="{{ key }}">{{ name }}</option>{% endfor %}</select></p>
<p><label for="patient">Open patient</label><br><select id="patient" name="patient"><option value="">Nobody</option>
{% for key, name in patients %}<option value="{{ key }}">{{ name }}</option>{% endfor %}</select></p>
<p><button>Open the shared record</button></p></form></body></html>"""


def application(hospital: Hospital, portal: str) -> Flask:
    """Return the stand-in as a WSGI application that launches the portal at a URL."""
    app = Flask("ehr-stand-in", static_folder=None)
    app.add_url_rule("/", "home", lambda: _home(hospital))
    app.add_url_rule("/open", "open", lambda: _open(hospital, portal), methods=["POST"])
    app.add_url_rule("/fhir/.well-known/smart-configuration", "smart", lambda: jsonify(_configuration(hospital)))
    app.add_url_rule("/jwks", "jwks", lambda: jsonify({"keys": [hospital.key.as_dict(private=False)]}))
    app.add_url_rule("/authorize", "authorize", lambda: _authorize(hospital))
    app.add_url_rule("/token", "token", lambda: _token(hospital), methods=["POST"])
    app.add_url_rule("/fhir/<resource_type>/<logical_id>", "read", lambda **at: _read(hospital, **at))
    return app


def _configuration(hospital: Hospital) -> dict[str, object]:
    url = hospital.url
    return {
        "issuer": url,
        "jwks_uri": f"{url}/jwks",
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": [ASSERTION_ALGORITHM],
        "grant_types_supported": ["authorization_code"],
        "code_challenge_methods_supported": ["S256"],
        "capabilities": [
            "launch-ehr",
            "client-confidential-asymmetric",
            "sso-openid-connect",
            "context-ehr-patient",
            "permission-patient",
        ],
    }


def _home(hospital: Hospital) -> str:
    roles = sorted(key for key in hospital.staff if key.startswith("PractitionerRole/"))
    staff = [(key, f"{hospital.staff[key]['practitioner']['display']} ({key.partition('/')[2]})") for key in roles]
    patients = sorted((key, each["name"][0]["text"]) for key, each in hospital.patients.items())
    return render_template_string(_PAGE, staff=staff, patients=patients)


def _open(hospital: Hospital, portal: str) -> BaseResponse:
    token = hospital.launch(request.form.get("user", ""), request.form.get("patient", ""))
    return redirect(f"{portal}/launch?{urlencode({'iss': hospital.fhir_base, 'launch': token})}", 303)


def _authorize(hospital: Hospital) -> BaseResponse | tuple[str, int]:
    sent = request.args.to_dict()
    target = sent.get("redirect_uri", "")
    # Never a redirect to somebody who is not registered (RFC 6749 §4.1.2.1).
    if sent.get("client_id") != hospital.client.client_id or target not in hospital.client.redirect_uris:
        return "client_id or redirect_uri is not registered here.", 400
    try:
        answer = {"code": hospital.authorize(sent)}
    except RefusedError as error:
        answer = {"error": error.code, "error_description": error.description}
    return redirect(f"{target}?{urlencode(answer | {'state': sent.get('state', '')})}", 302)


def _token(hospital: Hospital) -> Response:
    try:
        response = jsonify(hospital.exchange(request.form.to_dict()))
    except RefusedError as error:
        return refused(error)
    response.headers["Cache-Control"] = "no-store"
    return response


def _read(hospital: Hospital, resource_type: str, logical_id: str) -> Response:
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    try:
        response = jsonify(hospital.read(token, resource_type, logical_id))
    except RefusedError as error:
        return refused(error)
    response.mimetype = "application/fhir+json"
    return response
