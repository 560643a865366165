"""Addresses of the authorization server: `authorize` is a page with a cookie, all others are for programs."""

from __future__ import annotations

from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidRequestError, UnsupportedGrantTypeError
from flask import Blueprint, Response, abort, jsonify, request
from werkzeug.wrappers import Response as BaseResponse

from fhir_server import web
from fhir_server.access.dpop import Proof
from fhir_server.smart import authority, authorize, brands, discovery, ehr_launch, openid, rfc7523, rfc7591, rfc9449
from fhir_server.smart.server import Here, IncomingRequest, Server, refuse

blueprint = Blueprint("smart", __name__, template_folder="templates")

_PAGES = frozenset({"/oauth/authorize", "/oauth/decision", "/oauth/launch"})
_DISCOVERY_S = 300
_PREFLIGHT_S = 600


@blueprint.get("/fhir/.well-known/smart-configuration")
def smart_configuration() -> Response:
    """Answer the SMART configuration."""
    branding = authority.current().brands.configuration()
    return _published(discovery.configuration(web.current().base_url) | _registration() | branding)


@blueprint.get("/.well-known/openid-configuration")
def openid_configuration() -> Response:
    """Answer the OpenID Provider configuration."""
    return _published(discovery.openid_configuration(web.current().base_url) | _registration())


@blueprint.get("/.well-known/oauth-authorization-server")
def authorization_server() -> Response:
    """Answer the authorization server metadata (RFC 8414)."""
    return _published(discovery.authorization_server(web.current().base_url) | _registration())


@blueprint.get("/.well-known/jwks.json")
def jwks() -> Response:
    """Answer the public keys that ID tokens are verified with."""
    return _published(authority.current().signing.current().jwks(web.context().now()))


@blueprint.get(brands.PATH)
def user_access_brands() -> Response:
    """Answer the brands of this server, which apps keep for as long as their ETag holds."""
    known = authority.current().brands
    if not known.base_url:
        abort(404)
    found = known.published(web.context())
    response = Response(found.content, content_type="application/fhir+json; charset=utf-8")
    response.headers["Cache-Control"] = f"public, max-age={_DISCOVERY_S}"
    response.set_etag(found.etag)
    response.make_conditional(request)
    return response


@blueprint.get("/oauth/authorize")
def ask() -> Response | BaseResponse:
    """Ask the person."""
    return authorize.ask()


@blueprint.post("/oauth/authorize")
def ask_by_form() -> BaseResponse:
    """Take an app's request as a form."""
    return authorize.ask_by_form()


@blueprint.get("/oauth/launch")
def choose_app() -> Response | BaseResponse:
    """Show the apps that can be opened with a record."""
    return ehr_launch.choose()


@blueprint.post("/oauth/launch")
def start_app() -> BaseResponse:
    """Open an app with a record."""
    return ehr_launch.start()


@blueprint.post("/oauth/decision")
def decide() -> Response | BaseResponse:
    """Send the person's decision to the app."""
    return authorize.decide()


@blueprint.post("/oauth/token")
def token() -> Response:
    """Issue tokens (RFC 6749 §3.2)."""
    return _endpoint("token")


@blueprint.post("/oauth/revoke")
def revoke() -> Response:
    """Revoke a token (RFC 7009)."""
    return _endpoint("revocation")


@blueprint.post("/oauth/introspect")
def introspect() -> Response:
    """Tell a client what its token stands for (RFC 7662)."""
    return _endpoint("introspection")


@blueprint.post(rfc7591.PATH)
def register() -> Response:
    """Register a client that waits for an administrator (RFC 7591)."""
    return rfc7591.register()


@blueprint.route(f"{rfc7591.PATH}/<client_id>", methods=["GET", "PUT", "DELETE"])
def manage_registration(client_id: str) -> Response:
    """Read, replace or remove a registration (RFC 7592)."""
    return rfc7591.manage(client_id)


@blueprint.route("/oauth/userinfo", methods=["GET", "POST"])
def userinfo() -> Response:
    """Tell an app who signed in (OpenID Connect Core 1.0 §5.3)."""
    return openid.userinfo(authority.here(), web.context())


@blueprint.after_request
def allow_any_origin(response: Response) -> Response:
    """Let browser apps ask, never with cookies (CORS); the page that asks the person stays closed to scripts."""
    if request.path not in _PAGES:
        response.headers["Access-Control-Allow-Origin"] = "*"
        response.headers["Access-Control-Expose-Headers"] = "ETag, Retry-After, WWW-Authenticate"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
            response.headers["Access-Control-Allow-Headers"] = (
                "Authorization, DPoP, Content-Type, Accept, If-None-Match"
            )
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_S)
    return response


def _endpoint(name: str) -> Response:
    at, store = authority.here(), web.context().store
    try:
        incoming = _form()
        client_keys = rfc7523.keys_of_assertion(store, authority.current().client_keys, incoming)
        proof = _proof(at) if name == "token" else None
        with store.write() as session:
            return _run(authority.server(session, at, client_keys, proof), name, incoming)
    except OAuth2Error as error:
        return refuse(error, at.base_url)


def _proof(at: Here) -> Proof | None:
    return rfc9449.proof_of(request.headers.get("DPoP"), token_endpoint=at.token_endpoint, now=at.now)


def _run(server: Server, name: str, incoming: IncomingRequest) -> Response:
    # INVARIANT: Authlib turns its errors into answers inside the transaction, so that what a refusal did is committed.
    if name != "token":
        return server.create_endpoint_response(name, incoming)  # type: ignore[no-any-return]
    grant_type = incoming.payload.grant_type
    if grant_type is None:
        raise InvalidRequestError("grant_type is missing")
    if grant_type not in discovery.GRANT_TYPES:
        raise UnsupportedGrantTypeError("other")
    return server.create_token_response(incoming)  # type: ignore[no-any-return]


def _form() -> IncomingRequest:
    if request.mimetype != "application/x-www-form-urlencoded":
        raise InvalidRequestError("The body must be application/x-www-form-urlencoded")
    if request.args:
        raise InvalidRequestError("Parameters belong in the body, not in the address")
    incoming = IncomingRequest(request, request.form.to_dict(flat=False))
    incoming.refuse_repeated()
    return incoming


def _registration() -> dict[str, Any]:
    """Return where clients are registered, where that is open to everybody."""
    if not authority.current().registration:
        return {}
    return {"registration_endpoint": f"{web.current().base_url}{rfc7591.PATH}"}


def _published(document: dict[str, Any]) -> Response:
    response = jsonify(document)
    response.headers["Cache-Control"] = f"public, max-age={_DISCOVERY_S}"
    return response
