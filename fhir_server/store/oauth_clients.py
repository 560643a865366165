"""OAuth clients as rows. A client's secret is random, never chosen by a person, so SHA-256 keeps it well enough."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Row, insert, select, update

from fhir_server.store.database import Session
from fhir_server.store.instants import from_us, to_us
from fhir_server.store.oauth_tables import oauth_client


@dataclass(frozen=True, slots=True)
class Client:
    """A registered OAuth client.

    Attributes:
        kind: `public`, `secret` (client_secret_basic or _post) or `jwks` (private_key_jwt).
        secret_hash: SHA-256 of the secret; b"" unless `kind` is `secret`.
        jwks: JSON text of the client's public keys, or "".
        jwks_uri: Where they are fetched instead, or "".
        redirect_uris: Compared by exact match.
        launch_uri: Where an EHR launch opens the app, or "".
        scope: What may be granted at most.
        organization: `Organization/…` that a backend client acts for, or "".
        trusted: The operator's own system: consent does not filter it.
        active: An inactive client gets nothing, and its tokens are dead.
        created_at: Aware UTC.
    """

    client_id: str
    name: str
    kind: str
    redirect_uris: tuple[str, ...]
    scope: str
    created_at: datetime
    secret_hash: bytes = field(default=b"", repr=False)
    jwks: str = ""
    jwks_uri: str = ""
    launch_uri: str = ""
    organization: str = ""
    trusted: bool = False
    active: bool = True


def secret_hash(secret: str) -> bytes:
    """Return the stored form of a random secret, code or token."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def secret_matches(client: Client, secret: str) -> bool:
    """Return whether this is the client's secret, in constant time."""
    return bool(client.secret_hash) and hmac.compare_digest(client.secret_hash, secret_hash(secret))


def add_client(session: Session, new: Client, *, secret: str | None = None) -> None:
    """Store a client; of its secret the hash only.

    Raises:
        FhirError: CONFLICT (409, from the enclosing transaction) when the client id is taken.
    """
    session.connection.execute(
        insert(oauth_client),
        {
            "client_id": new.client_id,
            "name": new.name,
            "kind": new.kind,
            "secret_hash": secret_hash(secret) if secret else None,
            "jwks": new.jwks or None,
            "jwks_uri": new.jwks_uri or None,
            "redirect_uris": orjson.dumps(new.redirect_uris).decode(),
            "launch_uri": new.launch_uri or None,
            "scope": new.scope,
            "organization": new.organization or None,
            "trusted": new.trusted,
            "active": new.active,
            "created_at": to_us(new.created_at),
        },
    )


def client(session: Session, client_id: str) -> Client | None:
    """Return a registered client, active or not."""
    row = session.connection.execute(select(oauth_client).where(oauth_client.c.client_id == client_id)).one_or_none()
    return _client(row) if row else None


def clients(session: Session) -> tuple[Client, ...]:
    """Return every registered client, by name."""
    return tuple(_client(row) for row in session.connection.execute(select(oauth_client).order_by(oauth_client.c.name)))


def set_client_active(session: Session, client_id: str, *, active: bool) -> None:
    """Suspend a client, whose tokens are dead at once, or let it in again."""
    session.connection.execute(update(oauth_client).where(oauth_client.c.client_id == client_id).values(active=active))


def _client(row: Row[Any]) -> Client:
    return Client(
        client_id=row.client_id,
        name=row.name,
        kind=row.kind,
        secret_hash=row.secret_hash or b"",
        jwks=row.jwks or "",
        jwks_uri=row.jwks_uri or "",
        redirect_uris=tuple(orjson.loads(row.redirect_uris)),
        launch_uri=row.launch_uri or "",
        scope=row.scope,
        organization=row.organization or "",
        trusted=row.trusted,
        active=row.active,
        created_at=from_us(row.created_at),
    )
