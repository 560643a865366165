"""Dynamic client registration (RFC 7591) and its management (RFC 7592), open where the operator says so.

Whoever registers gets a client that waits: no token before an administrator approved it. A registration access token
lets its holder read, change and remove it; a change that widens it waits again (`identity.app_registry`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson
from flask import Response, abort, jsonify, request

from fhir_server import web
from fhir_server.access import tokens
from fhir_server.access.principal import Caller, Principal
from fhir_server.access.scopes import Scopes
from fhir_server.identity import app_metadata, app_registry, limits
from fhir_server.identity.app_metadata import Metadata, MetadataError
from fhir_server.identity.app_registry import AppState, Credentials, Registration
from fhir_server.interactions.model import Context
from fhir_server.interactions.perform import record_administration, record_without_change
from fhir_server.smart import authority
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import app_registry as rows
from fhir_server.store import oauth_clients
from fhir_server.store.database import Session

PATH: Final = "/oauth/register"
_LIMIT_BYTES: Final = 64 * 1024
_OURS: Final = frozenset(
    {"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"}
)
"""What RFC 7592 §2.2 forbids in an update."""


def register() -> Response:
    """Register a client that waits for an administrator (RFC 7591 §3); 201, or 400 with the code of §3.2.2."""
    here = _open()
    with here.store.write() as session:
        allowed = limits.allow(session, here.now(), (limits.APP_ADDRESS, here.address))
    if not allowed:
        raise FhirError(Kind.THROTTLED, "Too many registrations from this network. Wait an hour and try again")
    try:
        metadata, _ = _sent(here)
    except MetadataError as error:
        record_without_change(here, _applicant(here, ""), action="register-app", status=400)
        return _refused(error)
    with here.store.write() as session:
        registration, shown = app_registry.register(session, metadata, owner=None, now=here.now())
        _audit(here, session, "register-app", registration.client.client_id, 201)
    return _answer(registration, shown, 201)


def manage(client_id: str) -> Response:
    """Read, replace or remove a registration for whoever holds its token (RFC 7592 §2); 401 for everybody else."""
    here = _open()
    token = _token()
    if request.method == "GET":
        with here.store.read() as session:
            return _answer(_registered(session, client_id, token), Credentials(token=token), 200)
    if request.method == "DELETE":
        with here.store.write() as session:
            _registered(session, client_id, token)
            app_registry.remove(session, client_id, here.now())
            _audit(here, session, "remove-app", client_id, 204)
        return _closed(Response(status=204))
    with here.store.read() as session:
        _registered(session, client_id, token)
    try:
        metadata, sent = _sent(here)
        with here.store.write() as session:
            _check_same(_registered(session, client_id, token), sent)
            registration, shown = app_registry.change(session, client_id, metadata)
            _audit(here, session, "change-app", client_id, 200)
    except MetadataError as error:
        about = f"client {client_id}"
        record_without_change(here, _applicant(here, client_id), action="change-app", description=about, status=400)
        return _refused(error)
    return _answer(registration, replace(shown, token=token), 200)


def _open() -> Context:
    if not authority.current().registration:
        abort(404)
    return web.context()


def _sent(here: Context) -> tuple[Metadata, dict[str, Any]]:
    if request.mimetype != "application/json":
        raise MetadataError("body", "must be application/json")
    try:
        sent = json.decode(request.get_data(cache=False), _LIMIT_BYTES)
    except FhirError as error:
        raise MetadataError("body", f"is not a JSON object that can be read: {error.diagnostics}") from error
    return app_metadata.read(sent, here.definitions.resource_types), sent


def _token() -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _registered(session: Session, client_id: str, token: str) -> Registration:
    # INVARIANT: unknown, removed and somebody else's are one answer (RFC 7592 §2.1).
    if not token or not rows.token_matches(session, client_id, token):
        raise FhirError(Kind.UNAUTHENTICATED, "The registration access token is not one of this client")
    return app_registry.found(session, client_id)


def _check_same(registration: Registration, sent: dict[str, Any]) -> None:
    """Check that an update is about this client and sets nothing that is ours (RFC 7592 §2.2)."""
    if sent.get("client_id") != registration.client.client_id:
        raise MetadataError("client_id", "must be that of this client")
    if ours := sorted(_OURS & sent.keys()):
        raise MetadataError(ours[0], "is set by the server and must not be sent")
    if "client_secret" in sent:
        secret = sent["client_secret"]
        if not isinstance(secret, str) or not oauth_clients.secret_matches(registration.client, secret):
            raise MetadataError("client_secret", "must be the current one, or left out")


def _answer(registration: Registration, shown: Credentials, status: int) -> Response:
    client, app = registration.client, registration.app
    about = {name: value for name, value in (app.about if app else {}).items() if name != app_registry.CHANGED}
    grants = about.get("grant_types", ())
    answer: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": int(client.created_at.timestamp()),
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "response_types": ["code"] if "authorization_code" in grants else [],
        "scope": client.scope,
        "id_token_signed_response_alg": client.id_token_alg,
        "dpop_bound_access_tokens": client.dpop_bound,
        "registration_client_uri": f"{web.current().base_url}{PATH}/{client.client_id}",
        "registration_access_token": shown.token,
        "registration_status": str(registration.state),
        **about,
    }
    if client.launch_uri:
        answer["initiate_login_uri"] = client.launch_uri
    if client.jwks:
        answer["jwks"] = orjson.loads(client.jwks)
    if client.jwks_uri:
        answer["jwks_uri"] = client.jwks_uri
    if shown.secret:
        answer |= {"client_secret": shown.secret, "client_secret_expires_at": 0}
    if registration.state is AppState.PENDING:
        answer["registration_status_description"] = "It gets no token before an administrator has approved it"
    response = jsonify(answer)
    response.status_code = status
    return _closed(response)


def _refused(error: MetadataError) -> Response:
    response = jsonify({"error": error.code, "error_description": error.diagnostics.replace('"', "'")})
    response.status_code = 400
    return _closed(response)


def _closed(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def _audit(here: Context, session: Session, action: str, client_id: str, status: int) -> None:
    about = f"client {client_id}"
    record_administration(here, session, _applicant(here, client_id), action=action, description=about, status=status)


def _applicant(here: Context, client_id: str) -> Principal:
    """Return who asks: nobody we know, acting for a client."""
    nobody = tokens.operator(here.now(), "")
    return replace(
        nobody,
        caller=Caller.STAFF,
        subject="",
        scopes=Scopes((), frozenset()),
        purpose="",
        client_id=client_id,
        trusted=False,
    )
