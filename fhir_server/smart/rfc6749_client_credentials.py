"""Client credentials grant (RFC 6749 §4.4) as SMART Backend Services narrows it: assertions, `system/` scopes."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant

from fhir_server.smart import rfc9449, tokens
from fhir_server.smart.client import ASSERTION_METHOD


class SystemGrant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib ships no types
    """The backend service's own token: its organisation's rights within its registered scopes."""

    TOKEN_ENDPOINT_AUTH_METHODS = (ASSERTION_METHOD,)

    def validate_requested_scope(self) -> None:
        """Narrow the scopes to the registered ones and refuse if none is left."""
        wanted = self.request.payload.scope
        if not wanted:
            raise InvalidRequestError("scope is missing")
        self.request.scope = self.client.get_allowed_system_scope(wanted)
        if not self.request.scope:
            raise InvalidScopeError("None of the scopes is one that this client is registered for")

    def generate_token(self, **_: object) -> dict[str, Any]:
        """Issue the token of what is left."""
        session, here, key = self.server.session, self.server.here, rfc9449.key_of(self.server.proof)
        return tokens.for_system(session, here, self.client.stored, self.request.scope, key)
