"""Token introspection (RFC 7662) with SMART's launch context: a client that proves itself may ask about its tokens.

A resource server, registered with the scope `introspect` alone, may ask about any.
"""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from fhir_server.access import tokens as access_tokens
from fhir_server.smart import openid, tokens
from fhir_server.smart.client import RegisteredClient
from fhir_server.spec.outcome import FhirError
from fhir_server.store import oauth, oauth_codes
from fhir_server.store.oauth import AccessToken
from fhir_server.store.oauth_codes import RefreshToken


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]  # Authlib ships no types
    """The introspection endpoint of one request. A token of another client is simply not active (§2.2)."""

    # INVARIANT: without `none`: whoever asks has to prove who they are (§2.1).
    CLIENT_AUTH_METHODS = tuple(method for method in tokens.METHODS if method != "none")

    def check_params(self, request: OAuth2Request, client: RegisteredClient) -> None:
        """Require a token; the hint is only a hint, every kind is searched (§2.1)."""
        del client
        if "token" not in request.form:
            raise InvalidRequestError("token is missing")

    def query_token(self, token_string: str, token_type_hint: str | None) -> AccessToken | RefreshToken | None:
        """Return a token that works now."""
        del token_type_hint
        session, now = self.server.session, self.server.here.now
        access = oauth.live_access_token(session, token_string, now)
        if access is None:
            return oauth_codes.live_refresh_token(session, token_string, now)
        try:
            access_tokens.resolve(session, token_string, now, proven_key=access.key_thumbprint)
        except FhirError:  # its person may not sign in any more
            return None
        return access

    def check_permission(self, token: AccessToken | RefreshToken, client: RegisteredClient, request: object) -> bool:
        """Show a client its own tokens, an authorised resource server any (§2.1, §4)."""
        del request
        return token.client_id == client.get_client_id() or client.may_introspect

    def create_introspection_payload(self, token: AccessToken | RefreshToken | None) -> dict[str, Any]:
        """Return what the token stands for, or only that it does not work."""
        if token is None:
            return {"active": False}
        here = self.server.here
        answer: dict[str, Any] = {
            "active": True,
            "client_id": token.client_id,
            "scope": token.scope,
            "iss": here.base_url,
            "iat": int(token.issued_at.timestamp()),
            "exp": int(token.expires_at.timestamp()),
        }
        if token.key_thumbprint:
            answer["cnf"] = {"jkt": token.key_thumbprint}  # RFC 9449 §6.2
        if isinstance(token, RefreshToken):
            return answer
        answer |= {
            "token_type": tokens.token_type(token.key_thumbprint),
            "aud": here.fhir_base,
            "sub": token.account_id or token.client_id,
        }
        if token.patient:
            answer["patient"] = token.patient.removeprefix("Patient/")
        permission = oauth.authorization(self.server.session, token.grant_id)
        if permission is not None:
            answer |= tokens.launch_context(permission)
        if {"openid", "fhirUser"} <= set(token.scope.split()):
            answer["fhirUser"] = openid.fhir_user(here, token.subject)
        return answer
