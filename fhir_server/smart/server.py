"""The authorization server of one request: Authlib's flow over our store, inside one transaction.

A refusal is an answer, not a roll-back: what it did (a used code, a revoked family, a remembered `jti`) is committed.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from authlib.oauth2 import AuthorizationServer, OAuth2Error
from authlib.oauth2.rfc6749 import (
    InvalidClientError,
    InvalidRequestError,
    OAuth2Payload,
    OAuth2Request,
    UnsupportedResponseTypeError,
)
from authlib.oauth2.rfc9207.parameter import IssuerParameter
from flask import Request, Response, jsonify, make_response
from joserfc.jwk import KeySet

from fhir_server.access.dpop import Proof
from fhir_server.smart import discovery, rfc9449, waiting
from fhir_server.smart.client import RegisteredClient
from fhir_server.smart.keys import SigningKeys
from fhir_server.smart.narrowing import Enforceable
from fhir_server.store import oauth_clients, oauth_codes
from fhir_server.store.database import Session
from fhir_server.web.bearer import spend

_FOUND = 302
_WRONG_CREDENTIALS = "Unknown client, wrong credentials or wrong way to present them"


@dataclass(frozen=True, slots=True)
class Here:
    """What an endpoint knows about the server.

    Attributes:
        base_url: Public root; the issuer.
        fhir_base: FHIR service base URL; the audience of tokens.
        enforceable: Whether the gate can hold a caller to a scope (`narrowing`).
        signing: Keys of ID tokens.
        now: The instant of this request, aware UTC.
        session_max: So long somebody may stay signed in.
    """

    base_url: str
    fhir_base: str
    enforceable: Enforceable
    signing: SigningKeys
    now: datetime
    session_max: timedelta

    @property
    def token_endpoint(self) -> str:
        """Return the URL of the token endpoint."""
        return discovery.token_endpoint(self.base_url)


class Payload(OAuth2Payload):  # type: ignore[misc]  # Authlib ships no types
    """Parameters of a request, from one place only: never the query and the body mixed."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        """Take the values of each parameter in order."""
        self._values = values

    @property
    def data(self) -> dict[str, str]:
        """Return the first value of each parameter; an empty one counts as absent (RFC 6749 §3.1)."""
        return {name: values[0] for name, values in self._values.items() if values[0]}

    @property
    def datalist(self) -> defaultdict[str, list[str]]:
        """Return every value of each parameter."""
        return defaultdict(list, self._values)


class IncomingRequest(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    """A request as Authlib reads it."""

    def __init__(self, incoming: Request, values: Mapping[str, list[str]]) -> None:
        """Take the headers of a Flask request, and these parameters."""
        # Authlib refuses plain http by the URL it sees, which behind a TLS proxy is not the public one; whether the
        # public one must be https is the settings' word. It uses this URL for nothing else.
        super().__init__(incoming.method, "https://server.invalid" + incoming.path, headers=incoming.headers)
        self.payload = Payload(values)

    @property
    def form(self) -> dict[str, str]:
        """Return the parameters."""
        return self.payload.data

    def refuse_repeated(self) -> None:
        """Refuse a parameter sent twice (RFC 6749 §3.1, §3.2)."""
        for name, values in self.payload.datalist.items():
            if len(values) > 1:
                raise InvalidRequestError(f"{_printable(name)} is sent more than once")


class Issuer(IssuerParameter):  # type: ignore[misc]  # Authlib ships no types
    """`iss` in every authorization response, also in errors (RFC 9207 §2)."""

    def __init__(self, issuer: str) -> None:
        """Take the issuer's URL."""
        self._issuer = issuer

    def get_issuer(self) -> str:
        """Return the issuer's URL."""
        return self._issuer

    def add_to(self, response: Response) -> Response:
        """Add it to a redirect; any other response stays as it is."""
        self.add_issuer_parameter(self, response)
        return response


class Server(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Authorization and token endpoint of one request."""

    def __init__(
        self, session: Session, here: Here, client_keys: KeySet | None = None, proof: Proof | None = None
    ) -> None:
        """Serve inside this transaction; `client_keys` verify a client assertion, `proof` binds tokens."""
        super().__init__()
        self.session = session
        self.here = here
        self.client_keys = client_keys
        self.proof = proof
        self._issuer = Issuer(here.base_url)

    def query_client(self, client_id: str) -> RegisteredClient | None:
        """Return an active client."""
        found = oauth_clients.client(self.session, client_id)
        return RegisteredClient(found, self.here.enforceable) if found is not None and found.active else None

    def authenticate_client(self, request: OAuth2Request, methods: list[str], endpoint: str = "token") -> Any:
        """Return the client that proved itself, by exactly one method (RFC 6749 §2.3).

        Raises:
            InvalidClientError: 401 in every case, so that a client knows to look at its credentials.
        """
        form = request.form
        used = ("Authorization" in request.headers, "client_secret" in form, "client_assertion" in form)
        if sum(used) > 1:
            raise InvalidRequestError("More than one way of client authentication is used")
        if not any(used) and "client_id" not in form and (public := self._public_client_that_refreshes(form)):
            return self._with_proof(public, endpoint)
        try:
            client = super().authenticate_client(request, methods, endpoint)
        except InvalidClientError as error:
            # Authlib's text for "no method worked" lists its methods; say what the client can act upon.
            text = error.description if used[2] else _WRONG_CREDENTIALS
            raise InvalidClientError(self.why_not(_claimed(request)) or text, status_code=401) from error
        except ValueError as error:  # Authlib on an Authorization header that is not base64 of UTF-8
            raise InvalidClientError(_WRONG_CREDENTIALS, status_code=401) from error
        if "client_id" in form and form["client_id"] != client.get_client_id():
            raise InvalidClientError("client_id is not the client that authenticated", status_code=401)
        return self._with_proof(client, endpoint)

    def _with_proof(self, client: RegisteredClient, endpoint: str) -> RegisteredClient:
        """Use the request's proof up, once it is known whose it is and before anything else is."""
        if endpoint == "token":
            spend(client.get_client_id(), self.session)
            rfc9449.claim(self.session, self.proof, client, self.here.now)
        return client

    def why_not(self, client_id: str) -> str:
        """Return why a registered client gets nothing, "" for one that is unknown or in order."""
        found = oauth_clients.client(self.session, client_id) if client_id else None
        return waiting.reason(self.session, found) if found is not None and not found.active else ""

    def _public_client_that_refreshes(self, form: Mapping[str, str]) -> RegisteredClient | None:
        """Return the public client whose refresh token this is.

        RFC 6749 §6 asks such a client for its token only, and the SMART JavaScript client sends no more; its id is no
        secret, so it proves nothing either. INVARIANT: a client that has credentials must present them.
        """
        if form.get("grant_type") != "refresh_token" or "refresh_token" not in form:
            return None
        client_id = oauth_codes.client_of_refresh_token(self.session, form["refresh_token"])
        found = self.query_client(client_id) if client_id else None
        return found if found is not None and found.stored.kind == "public" else None

    def save_token(self, token: object, request: object) -> None:
        """Do nothing: issuing a token stores it."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Do nothing: nobody listens."""

    def create_oauth2_request(self, request: IncomingRequest) -> IncomingRequest:
        """Return the request: it was read at the edge."""
        return request

    def get_authorization_grant(self, request: IncomingRequest) -> Any:
        """Return the code flow; any other kind of response is refused."""
        response_type = request.payload.response_type
        if response_type == "code":
            return super().get_authorization_grant(request)
        client = self.query_client(request.payload.client_id or "")
        known = client is not None and client.check_redirect_uri(request.payload.redirect_uri or "")
        redirect_uri = request.payload.redirect_uri if known else None
        if response_type is None:
            raise InvalidRequestError("response_type is missing", redirect_uri=redirect_uri)
        raise UnsupportedResponseTypeError("code", "response_type must be code", redirect_uri=redirect_uri)

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """Return a Flask response; a redirect is a 303, so that no form is ever posted on (RFC 9700 §4.12)."""
        return self._issuer.add_to(_response(303 if status == _FOUND else status, body, headers))


def refuse(error: OAuth2Error, issuer: str) -> Response:
    """Return an error as JSON, or as a redirect to the client where its address is known to be right."""
    status, body, headers = error(None)
    return Issuer(issuer).add_to(_response(303 if status == _FOUND else status, body, headers))


def _claimed(request: OAuth2Request) -> str:
    """Return the client id that a request names, proved or not."""
    if "client_id" in request.form:
        return str(request.form["client_id"])
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    try:
        named = base64.b64decode(value, validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        return ""
    return unquote(named.partition(":")[0])


def _response(status: int, body: Any, headers: Iterable[tuple[str, str]]) -> Response:
    response = jsonify(body) if isinstance(body, dict) else make_response(body or "")
    response.status_code = status
    response.headers.update(headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def _printable(text: str) -> str:
    """Return text that may stand in an error description (RFC 6749 §5.2)."""
    return "".join(
        character for character in text if character.isascii() and (character.isalnum() or character in "_-.")
    )
