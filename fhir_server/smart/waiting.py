"""What a client is told that is registered, but gets nothing: what is missing."""

from __future__ import annotations

from typing import Final

from fhir_server.store import app_registry
from fhir_server.store.app_registry import AppState
from fhir_server.store.database import Session
from fhir_server.store.oauth_clients import Client

_REASONS: Final = {
    AppState.PENDING: "This client waits for the approval of an administrator",
    AppState.REFUSED: "An administrator refused this client; its maker was told why",
    AppState.REMOVED: "This client was removed by its maker",
}
_SUSPENDED: Final = "This client is suspended; ask the administrator"


def reason(session: Session, client: Client) -> str:
    """Return why an inactive client gets nothing; a client id is no secret, so anybody who has it may be told."""
    app = app_registry.found(session, client.client_id)
    return _REASONS.get(app.state, _SUSPENDED) if app is not None else _SUSPENDED
