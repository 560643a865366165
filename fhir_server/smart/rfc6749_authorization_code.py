"""Authorization code grant (RFC 6749 §4.1) as SMART App Launch 2.2 narrows it: `aud`, `state`, exact `redirect_uri`."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc6749.requests import OAuth2Request

from fhir_server.smart import openid, revoking, rfc9449, tokens
from fhir_server.smart.client import RegisteredClient
from fhir_server.store import oauth, oauth_codes
from fhir_server.store.oauth import Authorization
from fhir_server.store.oauth_codes import Code

CODE_S = 60
_MAX_STATE_CHARS = 2_048
_REPLAYED = "Access ended, since a code was used a second time"


class RequestNotSupportedError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A request object, which is not supported (OpenID Connect Core 1.0 §3.1.2.6)."""

    error = "request_not_supported"
    description = "request and request_uri are not supported"


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]  # Authlib ships no types
    """A token for another resource server than ours is wanted (RFC 8707 §2)."""

    error = "invalid_target"


@dataclass(frozen=True, slots=True)
class Yes:
    """What a person decided to grant, and who they are.

    Attributes:
        account_id: The account signed in with.
        subject: Its `Patient/…`, `RelatedPerson/…` or `Practitioner/…`.
        patient: The record chosen, `Patient/…`, or "".
        scope: What was left ticked.
        auth_time: When the person had signed in, aware UTC.
        session_id: The portal session that they decided in.
        encounter: `Encounter/…` that the app was launched in, or "".
        context: What else it was launched with.
    """

    account_id: str
    subject: str
    patient: str
    scope: str
    purpose: str
    organization: str
    may_break_glass: bool
    auth_time: datetime
    session_id: str
    encounter: str = ""
    context: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Claimed:
    """A code used up just now, as Authlib asks about it."""

    stored: Code
    authorization: Authorization
    code_challenge_method: str = "S256"

    @property
    def code_challenge(self) -> str:
        return self.stored.code_challenge

    def get_redirect_uri(self) -> str:
        return self.stored.redirect_uri

    def get_scope(self) -> str:
        return self.authorization.scope


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    """The code flow of one request."""

    TOKEN_ENDPOINT_AUTH_METHODS = tokens.METHODS

    @staticmethod
    def validate_authorization_redirect_uri(request: OAuth2Request, client: RegisteredClient) -> str:
        """Require a registered address, to the letter; else nobody is redirected anywhere."""
        wanted = request.payload.redirect_uri
        if not wanted:
            raise InvalidRequestError("redirect_uri is missing")
        if not client.check_redirect_uri(wanted):
            raise InvalidRequestError("redirect_uri is not one that this app is registered with")
        return str(wanted)

    def validate_authorization_request(self) -> str:
        """Check what SMART asks for beyond RFC 6749 once it is known where an error may be sent."""
        redirect_uri: str = super().validate_authorization_request()
        try:
            self._check_smart_parameters()
        except OAuth2Error as error:
            error.redirect_uri = redirect_uri
            raise
        return redirect_uri

    def _check_smart_parameters(self) -> None:
        parameters = self.request.payload.data
        if "request" in parameters or "request_uri" in parameters:
            raise RequestNotSupportedError
        if parameters.get("response_mode", "query") != "query":
            raise InvalidRequestError("response_mode must be query")
        if not parameters.get("state"):
            raise InvalidRequestError("state is missing: it protects your users against forged answers")
        if len(parameters["state"]) > _MAX_STATE_CHARS:
            raise InvalidRequestError(f"state is longer than {_MAX_STATE_CHARS} characters")
        rfc9449.check_thumbprint(parameters.get("dpop_jkt"))
        fhir_base = self.server.here.fhir_base
        # Some clients write the base with the slash that they resolve addresses against; it is the same server.
        if parameters.get("aud") not in {fhir_base, f"{fhir_base}/"}:
            raise InvalidRequestError(f"aud must be {fhir_base}")
        resources = self.request.payload.datalist["resource"]
        if any(resource not in {fhir_base, f"{fhir_base}/"} for resource in resources):
            raise InvalidTargetError(description=f"resource must be {fhir_base}")

    def generate_authorization_code(self) -> str:
        """Return 256 random bits."""
        return secrets.token_urlsafe(32)

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Store the permission and a code for it, bound to client, address and challenge."""
        now, yes = self.server.here.now, request.user
        permission = Authorization(
            id=str(uuid.uuid4()),
            client_id=request.client.get_client_id(),
            account_id=yes.account_id,
            subject=yes.subject,
            patient=yes.patient,
            scope=yes.scope,
            purpose=yes.purpose,
            organization=yes.organization,
            may_break_glass=yes.may_break_glass,
            auth_time=yes.auth_time,
            granted_at=now,
            encounter=yes.encounter,
            context=yes.context,
            session_id=yes.session_id,
        )
        oauth.add_authorization(self.server.session, permission)
        parameters = request.payload.data
        bound = Code(
            grant_id=permission.id,
            client_id=permission.client_id,
            redirect_uri=parameters["redirect_uri"],
            code_challenge=parameters["code_challenge"],
            nonce=parameters.get("nonce", ""),
            key_thumbprint=parameters.get("dpop_jkt", ""),
        )
        oauth_codes.add_code(self.server.session, code, bound, now=now, expires_in_s=CODE_S)

    def query_authorization_code(self, code: str, client: RegisteredClient) -> _Claimed | None:
        """Use the code up: whatever is wrong with the rest of the request, it will not work again."""
        session, now = self.server.session, self.server.here.now
        replayed = partial(revoking.note_replay, session, _REPLAYED)
        claimed = oauth_codes.claim_code(session, code, client.get_client_id(), now, replayed)
        if claimed is None:
            return None
        if rfc9449.is_bound_elsewhere(claimed.key_thumbprint, self.server.proof):
            raise InvalidGrantError("The code is bound to another key than the one of the DPoP proof")
        permission = oauth.authorization(session, claimed.grant_id)
        return _Claimed(claimed, permission) if permission is not None else None

    def delete_authorization_code(self, authorization_code: _Claimed) -> None:
        """Do nothing: a used code is kept, so that a second use is recognised."""

    def authenticate_user(self, authorization_code: _Claimed) -> Authorization:
        """Return the permission, if its person may still sign in."""
        if not tokens.is_active(self.server.session, authorization_code.authorization.account_id):
            raise InvalidGrantError("The account of this permission is closed")
        return authorization_code.authorization

    def generate_token(self, user: Authorization, scope: str, **_: object) -> dict[str, Any]:
        """Issue the tokens that the granted scopes promise."""
        session, here = self.server.session, self.server.here
        answer = tokens.for_person(session, here, user, scope, rfc9449.key_of(self.server.proof))
        tokens.add_refresh_token(session, here, user, answer, tokens.refresh_key(self.client, self.server.proof))
        if "openid" in scope.split():
            nonce = self.request.authorization_code.stored.nonce
            algorithm = self.client.stored.id_token_alg
            answer["id_token"] = openid.id_token(here, user, scope=scope, nonce=nonce, algorithm=algorithm)
        return answer
