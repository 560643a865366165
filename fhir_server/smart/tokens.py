"""Token responses: an access token, and with it what the scopes promise (RFC 6749 §5.1, SMART App Launch 2.2)."""

from __future__ import annotations

from typing import Any

from fhir_server.access import tokens
from fhir_server.access.tokens import TokenGrant
from fhir_server.smart.server import Here
from fhir_server.store import accounts, oauth_codes
from fhir_server.store.database import Session
from fhir_server.store.oauth import Authorization
from fhir_server.store.oauth_clients import Client

USER_TOKEN_S = 900
SYSTEM_TOKEN_S = 300
REFRESH_TOKEN_S = 90 * 86_400
METHODS = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
"""Ways of client authentication in the order they are tried."""


def for_person(session: Session, here: Here, authorization: Authorization, scope: str) -> dict[str, Any]:
    """Issue an access token for what a person granted, and say whose record it opens."""
    token = tokens.issue(
        session,
        TokenGrant(
            subject=authorization.subject,
            client_id=authorization.client_id,
            scope=scope,
            auth_time=authorization.auth_time,
            expires_in_s=USER_TOKEN_S,
            purpose=authorization.purpose,
            organization=authorization.organization,
            patient=authorization.patient,
            account_id=authorization.account_id,
            # INVARIANT: what a refresh token keeps alive while nobody is there opens and carries no emergency.
            may_break_glass=authorization.may_break_glass and "offline_access" not in authorization.scope.split(),
            grant_id=authorization.id,
        ),
        here.now,
    )
    answer: dict[str, Any] = _bearer(token, USER_TOKEN_S, scope)
    if authorization.patient:
        answer["patient"] = authorization.patient.removeprefix("Patient/")
        answer["need_patient_banner"] = True
    return answer


def for_system(session: Session, here: Here, client: Client, scope: str) -> dict[str, Any]:
    """Issue an access token for a backend service: its organisation, or the record's operator where it is trusted."""
    token = tokens.issue(
        session,
        TokenGrant(
            subject="system" if client.trusted else client.organization,
            client_id=client.client_id,
            scope=scope,
            auth_time=here.now,
            expires_in_s=SYSTEM_TOKEN_S,
            organization=client.organization,
            trusted=client.trusted,
            grant_id=f"client:{client.client_id}",
        ),
        here.now,
    )
    return _bearer(token, SYSTEM_TOKEN_S, scope)


def add_refresh_token(session: Session, here: Here, authorization: Authorization, answer: dict[str, Any]) -> None:
    """Add a refresh token with the whole scope of the permission (RFC 6749 §6)."""
    answer["refresh_token"] = oauth_codes.add_refresh_token(
        session,
        grant_id=authorization.id,
        client_id=authorization.client_id,
        scope=authorization.scope,
        now=here.now,
        expires_in_s=REFRESH_TOKEN_S,
    )


def is_active(session: Session, account_id: str) -> bool:
    """Return whether the person may still sign in."""
    account = accounts.by_id(session, account_id)
    return account is not None and account.active


def _bearer(token: str, expires_in_s: int, scope: str) -> dict[str, Any]:
    return {"access_token": token, "token_type": "Bearer", "expires_in": expires_in_s, "scope": scope}
