"""Token revocation (RFC 7009): an access token ends alone, a refresh token with its whole permission."""

from __future__ import annotations

from dataclasses import dataclass

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Request
from authlib.oauth2.rfc7009 import RevocationEndpoint

from fhir_server.access import tokens as access_tokens
from fhir_server.smart import revoking, tokens
from fhir_server.smart.client import RegisteredClient
from fhir_server.store import oauth, oauth_codes


@dataclass(frozen=True, slots=True)
class _Found:
    """A token to be revoked, as Authlib asks about it; `grant_id` is "" for an access token."""

    value: str
    client_id: str
    account_id: str
    grant_id: str = ""

    def check_client(self, client: RegisteredClient) -> bool:
        return self.client_id == client.get_client_id()


class Revocation(RevocationEndpoint):  # type: ignore[misc]  # Authlib ships no types
    """The revocation endpoint of one request."""

    CLIENT_AUTH_METHODS = tokens.METHODS

    def check_params(self, request: OAuth2Request, client: RegisteredClient) -> None:
        """Require a token; the hint is only a hint, every kind is searched (§2.1)."""
        del client
        if "token" not in request.form:
            raise InvalidRequestError("token is missing")

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Found | None:
        """Return the token, of whichever kind; None where there is nothing to revoke, which is a success (§2.2)."""
        del token_type_hint
        session, now = self.server.session, self.server.here.now
        access = oauth.live_access_token(session, token_string, now)
        if access is not None:
            return _Found(token_string, access.client_id, access.account_id)
        refresh = oauth_codes.live_refresh_token(session, token_string, now)
        permission = oauth.authorization(session, refresh.grant_id) if refresh is not None else None
        if permission is None:
            return None
        return _Found(token_string, permission.client_id, permission.account_id, permission.id)

    def revoke_token(self, token: _Found, request: OAuth2Request) -> None:
        """End it at once."""
        del request
        session, now = self.server.session, self.server.here.now
        if token.grant_id:
            oauth.revoke_authorization(session, token.grant_id, now)
        else:
            access_tokens.revoke(session, token.value, now)
        said = "The app gave its refresh token back" if token.grant_id else "The app gave an access token back"
        revoking.note_end(session, account_id=token.account_id, client_id=token.client_id, description=said)
