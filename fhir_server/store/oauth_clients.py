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
        id_token_alg: What its ID tokens are signed with (`id_token_signed_response_alg`).
        dpop_bound: It is given tokens bound to a key only (`dpop_bound_access_tokens`, RFC 9449 §5.2).
        requests_per_minute: How often it may ask; None for what the settings say, 0 for no limit.
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
    id_token_alg: str = "RS256"  # noqa: S105 - the name of an algorithm
    dpop_bound: bool = False
    requests_per_minute: int | None = None


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
            "secret_hash": secret_hash(secret) if secret else None,
            "trusted": new.trusted,
            "created_at": to_us(new.created_at),
            **_changeable(new),
        },
    )


def change_client(session: Session, changed: Client, *, secret: str | None = None) -> None:
    """Store what may change of a registration; its secret stays unless there is a new one, or it needs none."""
    values = _changeable(changed)
    if secret or changed.kind != "secret":
        values["secret_hash"] = secret_hash(secret) if secret else None
    session.connection.execute(update(oauth_client).where(oauth_client.c.client_id == changed.client_id).values(values))


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


def requests_per_minute(session: Session, client_id: str) -> int | None:
    """Return how often a client may ask, None where nothing was said for it."""
    statement = select(oauth_client.c.requests_per_minute).where(oauth_client.c.client_id == client_id)
    return session.connection.execute(statement).scalar_one_or_none()


def _changeable(client: Client) -> dict[str, Any]:
    return {
        "name": client.name,
        "kind": client.kind,
        "jwks": client.jwks or None,
        "jwks_uri": client.jwks_uri or None,
        "redirect_uris": orjson.dumps(client.redirect_uris).decode(),
        "launch_uri": client.launch_uri or None,
        "scope": client.scope,
        "organization": client.organization or None,
        "active": client.active,
        "id_token_alg": client.id_token_alg,
        "dpop_bound": client.dpop_bound,
        "requests_per_minute": client.requests_per_minute,
    }


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
        id_token_alg=row.id_token_alg,
        dpop_bound=row.dpop_bound,
        requests_per_minute=row.requests_per_minute,
    )
