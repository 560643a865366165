"""Refresh tokens (RFC 6749 §6): rotated at each use; a second use of one ends the whole family (RFC 9700 §4.14.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant

from fhir_server.smart import revoking, rfc9449, tokens
from fhir_server.smart.client import RegisteredClient
from fhir_server.store import oauth, oauth_codes
from fhir_server.store.oauth import Authorization
from fhir_server.store.oauth_codes import RefreshToken

_REPLAYED = "Access ended, since a refresh token was used a second time"
_UNUSABLE = "The refresh token is unknown, expired, used or revoked"


@dataclass(frozen=True, slots=True)
class _Presented:
    """A refresh token that could be used, as Authlib asks about it."""

    value: str
    stored: RefreshToken

    def check_client(self, client: RegisteredClient) -> bool:
        return self.stored.client_id == client.get_client_id()

    def get_scope(self) -> str:
        return self.stored.scope


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]  # Authlib ships no types
    """The refresh of one request. The token is used up only once the request is known to be right."""

    TOKEN_ENDPOINT_AUTH_METHODS = tokens.METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> _Presented:
        """Return a usable token; one that was used before takes its family with it."""
        session, here = self.server.session, self.server.here
        found = oauth_codes.live_refresh_token(session, refresh_token, here.now)
        if found is None:
            self._claimed(refresh_token)
            raise InvalidGrantError(_UNUSABLE)
        if rfc9449.is_bound_elsewhere(found.key_thumbprint, self.server.proof):
            raise InvalidGrantError("The refresh token is bound to a key: a DPoP proof of it is needed")
        return _Presented(refresh_token, found)

    def authenticate_user(self, refresh_token: _Presented) -> Authorization:
        """Use the token up and return its permission, if it stands and its person may still sign in."""
        session, here = self.server.session, self.server.here
        claimed = self._claimed(refresh_token.value)
        permission = oauth.authorization(session, claimed.grant_id) if claimed is not None else None
        if permission is None or not tokens.is_active(session, permission.account_id):
            raise InvalidGrantError(_UNUSABLE)
        if not tokens.lifetime_s(session, here, permission):  # signed out: `online_access` is over
            raise InvalidGrantError(_UNUSABLE)
        return permission

    def generate_token(self, user: Authorization, scope: str, **_: object) -> dict[str, Any]:
        """Issue an access token with this scope and the next refresh token of the family."""
        session, here = self.server.session, self.server.here
        answer = tokens.for_person(session, here, user, scope, rfc9449.key_of(self.server.proof))
        tokens.add_refresh_token(session, here, user, answer, tokens.refresh_key(self.client, self.server.proof))
        return answer

    def revoke_old_credential(self, refresh_token: _Presented) -> None:
        """Do nothing: the token was used up before a new one was made."""

    def _claimed(self, value: str) -> RefreshToken | None:
        session, now = self.server.session, self.server.here.now
        replayed = partial(revoking.note_replay, session, _REPLAYED)
        return oauth_codes.claim_refresh_token(session, value, self.client.get_client_id(), now, replayed)
