"""Token responses: an access token, and with it what the scopes promise (RFC 6749 §5.1, SMART App Launch 2.2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fhir_server.access import tokens
from fhir_server.access.dpop import Proof
from fhir_server.access.tokens import TokenGrant
from fhir_server.smart.client import RegisteredClient
from fhir_server.smart.server import Here
from fhir_server.store import accounts, oauth, oauth_codes
from fhir_server.store.database import Session
from fhir_server.store.oauth import Authorization
from fhir_server.store.oauth_clients import Client

USER_TOKEN_S = 900
SYSTEM_TOKEN_S = 300
REFRESH_TOKEN_S = 90 * 86_400
LASTING = frozenset({"online_access", "offline_access"})
"""Scopes that give a refresh token."""
METHODS = ("private_key_jwt", "client_secret_basic", "client_secret_post", "none")
"""Ways of client authentication in the order they are tried."""


def for_person(session: Session, here: Here, authorization: Authorization, scope: str, key: str) -> dict[str, Any]:
    """Issue an access token for what a person granted, and say whose record it opens; `key` binds it, "" does not."""
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
            may_break_glass=authorization.may_break_glass and not LASTING & set(authorization.scope.split()),
            grant_id=authorization.id,
            key_thumbprint=key,
        ),
        here.now,
    )
    answer: dict[str, Any] = _answer(token, USER_TOKEN_S, scope, key)
    if authorization.patient:
        answer["patient"] = authorization.patient.removeprefix("Patient/")
        # INVARIANT: whoever was launched from the patient's page is no child of it: the portal opens apps on their own.
        answer["need_patient_banner"] = True
    return answer | launch_context(authorization)


def launch_context(authorization: Authorization) -> dict[str, Any]:
    """Return in which encounter and with what else an app was launched (SMART App Launch 2.2, "fhirContext")."""
    found: dict[str, Any] = {}
    if authorization.encounter:
        found["encounter"] = authorization.encounter.removeprefix("Encounter/")
    if authorization.context:
        found["fhirContext"] = [{"reference": reference} for reference in authorization.context]
    return found


def for_system(session: Session, here: Here, client: Client, scope: str, key: str) -> dict[str, Any]:
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
            key_thumbprint=key,
        ),
        here.now,
    )
    return _answer(token, SYSTEM_TOKEN_S, scope, key)


def lifetime_s(session: Session, here: Here, authorization: Authorization) -> int:
    """Return how long a refresh token of this permission may last, in seconds; 0 where it may have none.

    With `online_access` no longer than the sign-in that it was granted in, and not once its person signed out.
    """
    asked = LASTING & set(authorization.scope.split())
    if "offline_access" in asked:
        return REFRESH_TOKEN_S
    since = oauth.online_since(session, authorization.session_id) if asked else None
    left = (since + here.session_max - here.now) // timedelta(seconds=1) if since is not None else 0
    return max(0, left)


def refresh_key(client: RegisteredClient, proof: Proof | None) -> str:
    """Return the key that a refresh token is bound to: a client with credentials proves itself (RFC 9449 §5)."""
    return proof.key_thumbprint if proof is not None and client.stored.kind == "public" else ""


def add_refresh_token(
    session: Session, here: Here, authorization: Authorization, answer: dict[str, Any], key: str
) -> None:
    """Add a refresh token with the whole scope of the permission (RFC 6749 §6), where it may have one."""
    expires_in_s = lifetime_s(session, here, authorization)
    if not expires_in_s:
        return
    answer["refresh_token"] = oauth_codes.add_refresh_token(
        session,
        grant_id=authorization.id,
        client_id=authorization.client_id,
        scope=authorization.scope,
        now=here.now,
        expires_in_s=expires_in_s,
        key_thumbprint=key,
    )


def is_active(session: Session, account_id: str) -> bool:
    """Return whether the person may still sign in."""
    account = accounts.by_id(session, account_id)
    return account is not None and account.active


def _answer(token: str, expires_in_s: int, scope: str, key: str) -> dict[str, Any]:
    return {"access_token": token, "token_type": token_type(key), "expires_in": expires_in_s, "scope": scope}


def token_type(key: str) -> str:
    """Return how a token is presented that is bound to this key, "" for none (RFC 6750 §4, RFC 9449 §5)."""
    return "DPoP" if key else "Bearer"
