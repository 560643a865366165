"""`/api/v1` for apps: administrators look and decide, developers register and change their own.

The same functions as the pages, with the same rights.
"""

from __future__ import annotations

from typing import Any

from flask import request

from fhir_server.admin import app_schemas as schemas
from fhir_server.admin.door import door
from fhir_server.admin.rights import administrator, audit, audit_unchanged, person_of
from fhir_server.admin.schemas import Refusal
from fhir_server.identity import app_decisions, app_metadata, app_registry, limits
from fhir_server.identity.app_decisions import Decision
from fhir_server.identity.app_registry import Registration
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import context

_DEVELOPER = "developer"


def _let_in() -> None:
    if request.path.startswith("/api/v1/my-apps"):
        person_of(_DEVELOPER)
    else:
        administrator()


blueprint = door("apps", __name__, "Apps: registration and approval", _let_in)


@blueprint.route("/apps", methods=["GET"])
@blueprint.arguments(schemas.AppQuery, location="query")
@blueprint.response(200, schemas.Apps)
@blueprint.alt_response(422, schema=Refusal)
def list_apps(query: dict[str, Any]) -> dict[str, Any]:
    """List the apps that wait for a decision, oldest first."""
    with context().store.read() as session:
        found = app_registry.waiting(session, after=query["after"], limit=query["count"] + 1)
        listed = found[: query["count"]]
        shown = [_shown(one, app_registry.lookalikes(session, one.client)) for one in listed]
    audit_unchanged(administrator(), f"{len(listed)} apps")
    return {"apps": shown} | ({"next": listed[-1].client.client_id} if len(found) > len(listed) else {})


@blueprint.route("/apps/<client_id>", methods=["GET"])
@blueprint.response(200, schemas.App)
@blueprint.alt_response(404, schema=Refusal)
def read_app(client_id: str) -> dict[str, Any]:
    """Read one app with everything that is known of it."""
    with context().store.read() as session:
        found = app_registry.found(session, client_id)
        alike = app_registry.lookalikes(session, found.client)
    audit_unchanged(administrator(), f"client {found.client.client_id}")
    return _shown(found, alike)


@blueprint.route("/apps/<client_id>/decisions", methods=["POST"])
@blueprint.arguments(schemas.NewDecision)
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(409, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def decide_app(new: dict[str, Any], client_id: str) -> None:
    """Approve, refuse, suspend, resume or limit an app; its maker is told by e-mail.

    Suspending ends every token, code and permission of it at once.
    """
    here, principal = context(), administrator()
    decision = Decision(**new, by=principal.subject.removeprefix("account:"), is_operator=principal.trusted)
    with here.store.write() as session:
        app_decisions.decide(session, client_id, decision, here.now())
        audit(session, principal, f"client {client_id[:128]}: {decision.step}", status=204)


@blueprint.route("/my-apps", methods=["GET"])
@blueprint.response(200, schemas.OwnApps)
def list_own_apps() -> dict[str, Any]:
    """List a developer's own apps."""
    principal, account = person_of(_DEVELOPER)
    with context().store.read() as session:
        found = app_registry.of_owner(session, account)
    audit_unchanged(principal, f"{len(found)} apps")
    return {"apps": [_shown(one) for one in found]}


@blueprint.route("/my-apps", methods=["POST"])
@blueprint.arguments(schemas.NewApp)
@blueprint.response(201, schemas.RegisteredApp)
@blueprint.alt_response(422, schema=Refusal)
def register_app(new: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Register an app, which waits for an administrator; a secret is in this answer and nowhere afterwards."""
    here, (principal, account) = context(), person_of(_DEVELOPER)
    metadata = app_metadata.read(new, here.definitions.resource_types)
    with here.store.write() as session:
        if not limits.allow(session, here.now(), (limits.APP_OWNER, account.id)):
            raise FhirError(Kind.THROTTLED, "Too many registrations. Wait an hour and try again")
        registration, once = app_registry.register(session, metadata, owner=account, now=here.now())
        audit(session, principal, f"client {registration.client.client_id}", status=201)
    answer = _shown(registration) | ({"client_secret": once.secret} if once.secret else {})
    return answer, 201, {"Location": f"/api/v1/my-apps/{registration.client.client_id}"}


@blueprint.route("/my-apps/<client_id>", methods=["GET"])
@blueprint.response(200, schemas.OwnApp)
@blueprint.alt_response(404, schema=Refusal)
def read_own_app(client_id: str) -> dict[str, Any]:
    """Read one of the developer's own apps."""
    principal, account = person_of(_DEVELOPER)
    with context().store.read() as session:
        found = app_registry.own(session, account, client_id)
    audit_unchanged(principal, f"client {client_id}")
    return _shown(found)


@blueprint.route("/my-apps/<client_id>", methods=["PUT"])
@blueprint.arguments(schemas.NewApp)
@blueprint.response(200, schemas.RegisteredApp)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def change_app(new: dict[str, Any], client_id: str) -> dict[str, Any]:
    """Replace what is registered; unless it only narrows, the app waits for an administrator again."""
    here, (principal, account) = context(), person_of(_DEVELOPER)
    metadata = app_metadata.read(new, here.definitions.resource_types)
    with here.store.write() as session:
        app_registry.own(session, account, client_id)
        registration, once = app_registry.change(session, client_id, metadata)
        audit(session, principal, f"client {client_id}")
    return _shown(registration) | ({"client_secret": once.secret} if once.secret else {})


@blueprint.route("/my-apps/<client_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def remove_app(client_id: str) -> None:
    """Remove an app for good, with everything that people allowed it."""
    here, (principal, account) = context(), person_of(_DEVELOPER)
    with here.store.write() as session:
        app_registry.own(session, account, client_id)
        app_registry.remove(session, client_id, here.now())
        audit(session, principal, f"client {client_id}", status=204)


def _shown(registration: Registration, alike: tuple[str, ...] = ()) -> dict[str, Any]:
    client, app = registration.client, registration.app
    names = ("client_id", "name", "kind", "redirect_uris", "launch_uri", "scope", "jwks_uri", "organization")
    about = {name: value for name, value in (app.about if app else {}).items() if name != app_registry.CHANGED}
    return {name: getattr(client, name) for name in names} | {
        "state": str(registration.state),
        "requests_per_minute": client.requests_per_minute,
        "about": about,
        "changed": list(registration.changed),
        "looks_like": list(alike),
        "owner": app.owner if app else "",
        "registered_at": app.registered_at if app else client.created_at,
        "decided_at": app.decided_at if app else None,
        "decided_by": app.decided_by if app else "",
        "reason": app.reason if app else "",
    }
