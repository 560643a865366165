"""`/api/v1/parent-invitations`: a coordinator's program invites parents of children, as the page does."""

from __future__ import annotations

from typing import Any

from fhir_server import web
from fhir_server.admin import invitation_schemas as schemas
from fhir_server.admin.door import door
from fhir_server.admin.paging import parted
from fhir_server.admin.rights import audit_unchanged, person_of
from fhir_server.admin.schemas import Refusal
from fhir_server.identity import parents
from fhir_server.identity.carers import Carer, Invitation
from fhir_server.identity.invitation_person import Person
from fhir_server.identity.parents import Typed
from fhir_server.operations import inviting_parents
from fhir_server.operations.inviting_parents import Rights
from fhir_server.web import context

_COORDINATOR = ("coordinator",)

blueprint = door("parents", __name__, "Parents of children", lambda: person_of(*_COORDINATOR))


@blueprint.route("/parent-invitations", methods=["GET"])
@blueprint.arguments(schemas.PageQuery, location="query")
@blueprint.response(200, schemas.ParentInvitations)
@blueprint.alt_response(422, schema=Refusal)
def list_parent_invitations(query: dict[str, Any]) -> dict[str, Any]:
    """List the invitations of parents by the organisation, newest first."""
    here, (principal, account) = context(), person_of(*_COORDINATOR)
    with here.store.read() as session:
        found = parents.listed(session, account.organization, after=query["after"], limit=query["count"] + 1)
    listed, more = parted(found, query["count"])
    audit_unchanged(principal, f"{len(listed)} invitations")
    return {"invitations": [_shown(one) for one in listed]} | more


@blueprint.route("/parent-invitations", methods=["POST"])
@blueprint.arguments(schemas.NewParentInvitation)
@blueprint.response(201, schemas.ParentInvitation)
@blueprint.alt_response(409, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def invite_parent(new: dict[str, Any]) -> dict[str, Any]:
    """Invite a parent of a child: the record is found by NHS number, or made where there is none."""
    child = {name: new[name] for name in ("given", "family", "birth_date", "nhs_number")}
    parent = Carer(new["name"], new["email"], new["mobile"])
    typed = Typed(Person(**child, email="", mobile="", patient=""), parent, new["evidence"], new["may_act"])
    return _shown(inviting_parents.invite(context(), _rights(), typed))


@blueprint.route("/parent-invitations/<invitation_id>/resend", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def resend_parent_invitation(invitation_id: str) -> None:
    """Send a new link and a new code; the old ones no longer work."""
    inviting_parents.resend(context(), _rights(), invitation_id)


@blueprint.route("/parent-invitations/<invitation_id>/end", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def end_parent_access(invitation_id: str) -> None:
    """End what the parent sees, or would see."""
    inviting_parents.end(context(), _rights(), invitation_id)


def _rights() -> Rights:
    principal, account = person_of(*_COORDINATOR)
    return Rights(principal, account, web.current().child_until_years)


def _shown(invitation: Invitation) -> dict[str, Any]:
    names = set(schemas.ParentInvitation().fields) - {"state"}
    state = parents.state_of(invitation, context().now())
    return {name: getattr(invitation, name) for name in names} | {"state": str(state)}
