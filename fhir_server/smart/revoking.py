"""Permissions that end at the token endpoint or by revocation, on the log in the transaction that ends them."""

from __future__ import annotations

from fhir_server import web
from fhir_server.interactions.perform import record_sign_in
from fhir_server.store import accounts, oauth
from fhir_server.store.database import Session


def note_end(session: Session, *, account_id: str, client_id: str, description: str) -> None:
    """Write the AuditEvent of tokens that end: a sign-out of the person's through this client, or of the client's own.

    Args:
        session: The transaction that ends them.
        account_id: Whose permission it was, "" for a backend service's own.
        client_id: Of the client.
        description: How it came, a fixed sentence of ours.
    """
    account = accounts.by_id(session, account_id) if account_id else None
    record_sign_in(web.context(), session, account, client_id=client_id, description=description, started=False)


def note_replay(session: Session, description: str, grant_id: str) -> None:
    """Write the AuditEvent of a permission that ends since something was used twice; nothing where it had ended."""
    ended = oauth.authorization(session, grant_id)
    if ended is not None:
        note_end(session, account_id=ended.account_id, client_id=ended.client_id, description=description)
