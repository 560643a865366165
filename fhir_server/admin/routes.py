"""`/api/v1`: OAuth clients, accounts, the state of the server. Authorise first, then parse, then do, audited."""

from __future__ import annotations

from typing import Any

import orjson

from fhir_server.admin import schemas
from fhir_server.admin.door import door
from fhir_server.admin.extension import current
from fhir_server.admin.paging import parted
from fhir_server.admin.rights import administrator, audit, audit_unchanged
from fhir_server.identity import app_registry
from fhir_server.spec.key_sets import check_key_set
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, oauth_clients
from fhir_server.store.condition import condition
from fhir_server.web import context

blueprint = door("admin", __name__, "Clients, accounts, state of the server", administrator)


@blueprint.route("/clients", methods=["GET"])
@blueprint.response(200, schemas.Clients)
def list_clients() -> dict[str, Any]:
    """List the OAuth clients.

    Apps and backend services, active or not, by name; never a secret.
    """
    with context().store.read() as session:
        found = oauth_clients.clients(session)
    audit_unchanged(administrator(), f"{len(found)} clients")
    return {"clients": [_described(client) for client in found]}


@blueprint.route("/clients", methods=["POST"])
@blueprint.arguments(schemas.NewClient)
@blueprint.response(201, schemas.RegisteredClient)
@blueprint.alt_response(422, schema=schemas.Refusal)
def register_client(new: dict[str, Any]) -> tuple[dict[str, str], int, dict[str, str]]:
    """Register an OAuth client.

    A secret is in this answer and nowhere afterwards.
    """
    principal = administrator()
    if new["trusted"] and not principal.trusted:
        # INVARIANT: a trusted client reads every record, so only who already may can make one.
        raise FhirError(Kind.FORBIDDEN, "trusted: only the record's operator may register a trusted client")
    keys = new.pop("jwks", None)
    if keys is not None:
        check_key_set(keys)
    here = context()
    with here.store.write() as session:
        client_id, secret = current().register_client(
            session, **new, jwks=orjson.dumps(keys).decode() if keys is not None else "", now=here.now()
        )
        audit(session, principal, f"client {client_id}", status=201)
    answer = {"client_id": client_id} | ({"client_secret": secret} if secret else {})
    return answer, 201, {"Location": f"/api/v1/clients/{client_id}"}


@blueprint.route("/clients/<client_id>", methods=["GET"])
@blueprint.response(200, schemas.Client)
@blueprint.alt_response(404, schema=schemas.Refusal)
def read_client(client_id: str) -> dict[str, Any]:
    """Read one client."""
    with context().store.read() as session:
        found = oauth_clients.client(session, client_id)
    if found is None:
        raise _unknown()
    audit_unchanged(administrator(), f"client {client_id}")
    return _described(found)


@blueprint.route("/clients/<client_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=schemas.Refusal)
def deactivate_client(client_id: str) -> None:
    """Deactivate a client.

    Its tokens are dead at once. The registration stays, for the audit log names it.
    """
    with context().store.write() as session:
        found = oauth_clients.client(session, client_id)
        if found is None:
            raise _unknown()
        app_registry.end(session, found, context().now())
        audit(session, administrator(), f"client {client_id}", status=204)


@blueprint.route("/accounts", methods=["GET"])
@blueprint.arguments(schemas.AccountQuery, location="query")
@blueprint.response(200, schemas.Accounts)
@blueprint.alt_response(422, schema=schemas.Refusal)
def list_accounts(query: dict[str, Any]) -> dict[str, Any]:
    """List accounts, a page at a time."""
    with context().store.read() as session:
        found = accounts.page(session, after=query["after"], role=query.get("role", ""), limit=query["count"] + 1)
    listed, more = parted(found, query["count"])
    audit_unchanged(administrator(), f"{len(listed)} accounts")
    return {"accounts": listed} | more


@blueprint.route("/status", methods=["GET"])
@blueprint.response(200, schemas.Status)
def read_status() -> dict[str, Any]:
    """Tell how the server is."""
    with context().store.read() as session:
        found = condition(session)
    audit_unchanged(administrator())
    return {
        "version": current().version,
        "schema_revision": found.revision,
        "schema_revision_wanted": found.revision_wanted,
        "messages_waiting_count": found.messages_waiting_count,
        "checkpoint": {"size": found.checkpoint_size, "signed_at": found.checkpoint_at}
        if found.checkpoint_at
        else None,
    }


def _described(client: oauth_clients.Client) -> dict[str, Any]:
    shown = {name: getattr(client, name, None) for name in schemas.Client().fields}
    return shown | {"jwks": orjson.loads(client.jwks) if client.jwks else None}


def _unknown() -> FhirError:
    return FhirError(Kind.NOT_FOUND, "There is no client with this client_id")
