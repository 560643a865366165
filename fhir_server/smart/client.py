"""A registered client as Authlib asks about it (RFC 6749 §2)."""

from __future__ import annotations

from dataclasses import dataclass

from authlib.oauth2.rfc6749 import ClientMixin

from fhir_server.smart.narrowing import SYSTEM_LEVELS, USER_LEVELS, Enforceable, clinical, narrow
from fhir_server.store import oauth_clients
from fhir_server.store.oauth_clients import Client

ASSERTION_METHOD = "private_key_jwt"
INTROSPECT = "introspect"
"""What a resource server is registered for, and nothing else: it gets no token itself."""
_METHODS = {
    "public": frozenset({"none"}),
    "secret": frozenset({"client_secret_basic", "client_secret_post"}),
    "jwks": frozenset({ASSERTION_METHOD}),
}


@dataclass(frozen=True, slots=True)
class RegisteredClient(ClientMixin):  # type: ignore[misc]  # Authlib ships no types
    """What a client may do at the endpoints, from its registration.

    Attributes:
        stored: The registration.
        enforceable: What of types and search parameters the server knows, to narrow scopes to.
    """

    stored: Client
    enforceable: Enforceable

    def get_client_id(self) -> str:
        """Return the client id."""
        return self.stored.client_id

    def get_default_redirect_uri(self) -> None:
        """Return none: the request must name one (SMART App Launch 2.2)."""

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return what a person may be asked to grant, None where nothing is left."""
        return narrow(scope or "", self.stored.scope, levels=USER_LEVELS, enforceable=self.enforceable) or None

    def get_allowed_system_scope(self, scope: str | None) -> str:
        """Return what a backend service is granted, "" where nothing is left."""
        return narrow(scope or "", self.stored.scope, levels=SYSTEM_LEVELS, enforceable=self.enforceable)

    @property
    def may_introspect(self) -> bool:
        """Return whether this is a resource server, which may ask about every client's tokens (RFC 7662 §2.1)."""
        return self.stored.scope == INTROSPECT

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Compare as strings (RFC 9700 §2.1)."""
        return redirect_uri in self.stored.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare the secret in constant time."""
        return oauth_clients.secret_matches(self.stored, client_secret)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Return whether the client is registered to prove itself this way, at whichever endpoint."""
        del endpoint
        return method in _METHODS[self.stored.kind]

    def check_response_type(self, response_type: str) -> bool:
        """Allow the code flow only."""
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        """Allow the code flow to apps, client credentials to backend services with keys."""
        if grant_type == "client_credentials":
            levels = {scope.level for scope in map(clinical, self.stored.scope.split()) if scope is not None}
            return self.stored.kind == "jwks" and "system" in levels
        return grant_type in {"authorization_code", "refresh_token"} and bool(self.stored.redirect_uris)
