"""The apps that somebody connected to a record: list them, name them, remove them.

Knows no HTTP. In comes an account, out go frozen values; only an account's own permissions can be seen or ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from fhir_server.store import oauth, oauth_clients
from fhir_server.store.database import Session, Store
from fhir_server.store.oauth import Grant

__all__ = ["Grant", "connected", "disconnect", "names"]


def connected(store: Store, account_id: str, now: datetime) -> tuple[Grant, ...]:
    """Return the apps an account connected that can still reach a record, the newest first."""
    with store.read() as session:
        return oauth.grants_of(session, account_id, now)


def disconnect(session: Session, account_id: str, grant_id: str, now: datetime) -> bool:
    """End an app's access at once; False where the account has no such app.

    Access and refresh tokens are dead when the transaction is committed.
    """
    # INVARIANT: the id comes from a form, so it counts only among the account's own permissions.
    own = {grant.id for grant in oauth.grants_of(session, account_id, now)}
    return grant_id in own and oauth.revoke_grant(session, grant_id, now)


def names(store: Store, client_ids: Iterable[str]) -> dict[str, str]:
    """Return the names under which apps and systems are registered; an id nobody registered is left out."""
    with store.read() as session:
        found = [oauth_clients.client(session, client_id) for client_id in client_ids]
    return {client.client_id: client.name for client in found if client is not None}
