"""Register clients: what the command line and the seed do; no HTTP here."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime

from fhir_server.identity import client_keys, guarded_fetch
from fhir_server.identity.app_addresses import is_redirect_address
from fhir_server.smart.client import INTROSPECT
from fhir_server.smart.keys import ALGORITHMS, DEFAULT_ALGORITHM
from fhir_server.smart.narrowing import clinical
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import oauth_clients
from fhir_server.store.database import Session
from fhir_server.store.oauth_clients import Client

KINDS = ("public", "secret", "jwks")
APP_SCOPE = "openid fhirUser profile launch launch/patient online_access offline_access patient/*.rs user/*.rs"
SYSTEM_SCOPE = "system/*.cruds"

_ORGANIZATION = re.compile(r"Organization/[A-Za-z0-9.-]{1,64}")
_CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def register_client(  # noqa: PLR0913 - a registration has this many fields
    session: Session,
    *,
    name: str,
    kind: str,
    now: datetime,
    jwks: str = "",
    jwks_uri: str = "",
    redirect_uris: Sequence[str] = (),
    launch_uri: str = "",
    scope: str = "",
    organization: str = "",
    trusted: bool = False,
    client_id: str | None = None,
    id_token_alg: str = DEFAULT_ALGORITHM,
    dpop_bound: bool = False,
) -> tuple[str, str | None]:
    """Register a client and return its id and, for kind `secret`, its secret, which is shown this once.

    Args:
        session: A write transaction.
        name: Shown to people who are asked to connect it.
        kind: `public`, `secret` or `jwks`.
        now: Aware UTC.
        jwks: JSON text of a JWK Set of public keys; or `jwks_uri`, an https address of one.
        jwks_uri: Only with kind `jwks`, and instead of `jwks`.
        redirect_uris: Of an app, compared to the letter; a backend service has none.
        launch_uri: Where an EHR launch opens the app.
        scope: What may be granted at most; without it an app may read and a backend service everything of its own.
        organization: `Organization/…` a backend service acts for.
        trusted: The operator's own backend service, which consent does not filter; never an app.
        client_id: Instead of a random one.
        id_token_alg: What its ID tokens are signed with, one of `keys.ALGORITHMS`.
        dpop_bound: It gets tokens that are bound to a key only (RFC 9449 §5.2).

    Raises:
        FhirError: INVALID_VALUE naming the field and what is allowed.
    """
    new = Client(
        client_id=client_id or str(uuid.uuid4()),
        name=name.strip(),
        kind=kind,
        redirect_uris=tuple(redirect_uris),
        scope=" ".join((scope or (APP_SCOPE if redirect_uris else SYSTEM_SCOPE)).split()),
        created_at=now,
        jwks=jwks,
        jwks_uri=jwks_uri,
        launch_uri=launch_uri,
        organization=organization,
        trusted=trusted,
        id_token_alg=id_token_alg,
        dpop_bound=dpop_bound,
    )
    _check(new)
    secret = f"fhsec_{secrets.token_urlsafe(32)}" if kind == "secret" else None
    oauth_clients.add_client(session, new, secret=secret)
    return new.client_id, secret


def _check(new: Client) -> None:
    _require(bool(new.name), "name", "is missing")
    _require(new.kind in KINDS, "kind", f"must be one of {', '.join(KINDS)}")
    _require(bool(_CLIENT_ID.fullmatch(new.client_id)), "client_id", "must be 1 to 128 letters, digits or . _ ~ -")
    _check_keys(new)
    for uri in new.redirect_uris:
        _require(
            is_redirect_address(uri), "redirect_uri", "must be https, http on this machine, or an app's own scheme"
        )
    if new.launch_uri:
        _require(guarded_fetch.is_safe(new.launch_uri), "launch_uri", "must be https, or http on this machine")
    levels = {found.level for found in map(clinical, new.scope.split()) if found is not None}
    if "system" in levels:
        _require(new.kind == "jwks", "kind", "must be jwks for system scopes (SMART Backend Services)")
        _require(bool(new.organization) or new.trusted, "organization", "is missing: whom does the service act for?")
    elif INTROSPECT in new.scope.split():
        _require(
            new.scope == INTROSPECT and not new.redirect_uris, "scope", f"{INTROSPECT} is for resource servers only"
        )
        _require(new.kind != "public", "kind", "must be secret or jwks for a resource server: it proves who it is")
    else:
        _require(bool(new.redirect_uris), "redirect_uri", "is missing: an app needs at least one")
    allowed = ", ".join(ALGORITHMS)
    _require(new.id_token_alg in ALGORITHMS, "id_token_signed_response_alg", f"must be one of {allowed}")
    if new.organization:
        _require(bool(_ORGANIZATION.fullmatch(new.organization)), "organization", "must be like Organization/x")
    if new.trusted:
        _require(not new.redirect_uris, "trusted", "is for the operator's own backend services, never for an app")
        _require(levels == {"system"}, "scope", "of a trusted client must be system scopes")


def _check_keys(new: Client) -> None:
    if new.kind != "jwks":
        _require(not new.jwks and not new.jwks_uri, "jwks", "goes with kind jwks only")
        return
    _require(bool(new.jwks) != bool(new.jwks_uri), "jwks", "or jwks_uri is needed, and only one of them")
    if new.jwks_uri:
        _require(guarded_fetch.is_safe(new.jwks_uri), "jwks_uri", "must be https, or http on this machine")
        return
    try:
        client_keys.parse(new.jwks)
    except client_keys.KeysUnavailable as error:
        raise FhirError(Kind.INVALID_VALUE, f"jwks: {error}") from error


def _require(condition: bool, field: str, text: str) -> None:  # noqa: FBT001 - the condition is the subject
    if not condition:
        raise FhirError(Kind.INVALID_VALUE, f"{field} {text}")
