"""`/api/v1` for coordinators: the care teams of their organisation and its professionals, as on the pages."""

from __future__ import annotations

from typing import Any

from fhir_server.access.principal import Principal
from fhir_server.admin import team_schemas as schemas
from fhir_server.admin.door import door
from fhir_server.admin.rights import audit_unchanged, person_of
from fhir_server.admin.schemas import Refusal
from fhir_server.identity import care_teams, leaving
from fhir_server.identity.care_teams import Team
from fhir_server.operations import cancelling_staff, inviting_staff, keeping_teams, leaving_staff
from fhir_server.operations.inviting_staff import Colleague
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.web import context

_COORDINATOR = ("coordinator",)

blueprint = door("teams", __name__, "Care teams and professionals", lambda: person_of(*_COORDINATOR))


@blueprint.route("/teams", methods=["GET"])
@blueprint.response(200, schemas.Teams)
def list_teams() -> dict[str, Any]:
    """List the care teams of the organisation, by name."""
    principal, account = person_of(*_COORDINATOR)
    with context().store.read() as session:
        found = care_teams.listed(session, account.organization)
    audit_unchanged(principal, f"{len(found)} teams")
    return {"teams": found}


@blueprint.route("/teams", methods=["POST"])
@blueprint.arguments(schemas.TeamName)
@blueprint.response(201, schemas.Team)
@blueprint.alt_response(422, schema=Refusal)
def make_team(new: dict[str, Any]) -> tuple[Team, int, dict[str, str]]:
    """Make a care team."""
    principal, account = person_of(*_COORDINATOR)
    made = keeping_teams.make(context(), principal, account, new["name"])
    return _found(made)[1], 201, {"Location": f"/api/v1/teams/{made}"}


@blueprint.route("/teams/<team_id>", methods=["GET"])
@blueprint.response(200, schemas.Team)
@blueprint.alt_response(404, schema=Refusal)
def read_team(team_id: str) -> Team:
    """Read one care team."""
    principal, team = _found(team_id)
    audit_unchanged(principal, f"CareTeam/{team.id}")
    return team


@blueprint.route("/teams/<team_id>/rename", methods=["POST"])
@blueprint.arguments(schemas.TeamName)
@blueprint.response(200, schemas.Team)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(409, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def rename_team(new: dict[str, Any], team_id: str) -> Team:
    """Give a care team another name."""
    principal, team = _found(team_id)
    keeping_teams.rename(context(), principal, team, new["name"])
    return _found(team_id)[1]


@blueprint.route("/teams/<team_id>/members", methods=["POST"])
@blueprint.arguments(schemas.NewMember)
@blueprint.response(200, schemas.Team)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(409, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def add_team_member(new: dict[str, Any], team_id: str) -> Team:
    """Add a professional of the organisation; it counts from their next request on."""
    principal, team = _found(team_id)
    chosen = {each.id: each for each in keeping_teams.candidates(context(), team)}
    if new["account_id"] not in chosen:
        raise FhirError(Kind.NOT_FOUND, "account_id: there is no such professional in your organisation")
    keeping_teams.add(context(), principal, team, chosen[new["account_id"]])
    return _found(team_id)[1]


@blueprint.route("/teams/<team_id>/members/PractitionerRole/<role_id>", methods=["DELETE"])
@blueprint.response(200, schemas.Team)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(409, schema=Refusal)
def remove_team_member(team_id: str, role_id: str) -> Team:
    """Take a member out; it counts from their next request on."""
    principal, team = _found(team_id)
    keeping_teams.remove(context(), principal, team, f"PractitionerRole/{role_id}")
    return _found(team_id)[1]


@blueprint.route("/teams/<team_id>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(409, schema=Refusal)
def end_team(team_id: str) -> None:
    """End a care team: what was shared with it is closed to its members."""
    principal, team = _found(team_id)
    keeping_teams.end(context(), principal, team)


@blueprint.route("/professionals", methods=["GET"])
@blueprint.response(200, schemas.Professionals)
def list_professionals() -> dict[str, Any]:
    """List the professionals of the organisation who can sign in, by name."""
    principal, account = person_of(*_COORDINATOR)
    with context().store.read() as session:
        found = leaving.shown(session, account.organization, context().now())
    audit_unchanged(principal, f"{len(found)} professionals")
    return {"professionals": found}


@blueprint.route("/professionals", methods=["POST"])
@blueprint.arguments(schemas.NewProfessional)
@blueprint.response(201, schemas.Invited)
@blueprint.alt_response(409, schema=Refusal)
@blueprint.alt_response(422, schema=Refusal)
def invite_professional(new: dict[str, Any]) -> tuple[dict[str, str], int]:
    """Invite a professional: entry and role in the directory, and a link to set up an account."""
    principal, account = person_of(*_COORDINATOR)
    return {"id": inviting_staff.invite(context(), principal, account, Colleague(**new))}, 201


@blueprint.route("/professionals/invitations", methods=["GET"])
@blueprint.response(200, schemas.InvitedProfessionals)
def list_invited_professionals() -> dict[str, Any]:
    """List the invited professionals who have not used their link yet, oldest first; never a link."""
    principal, account = person_of(*_COORDINATOR)
    with context().store.read() as session:
        found = inviting_staff.waiting(session, account.organization)
    audit_unchanged(principal, f"{len(found)} invitations")
    return {"invitations": found}


@blueprint.route("/professionals/<account_id>/leave", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def professional_leaves(account_id: str) -> None:
    """Let a professional leave: roles, sessions, apps and requests end at once."""
    principal, account = person_of(*_COORDINATOR)
    leaving_staff.leave(context(), principal, account, account_id)


@blueprint.route("/professionals/invitations/<request_id>/resend", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
def resend_set_up(request_id: str) -> None:
    """Send an invited professional a new link; the old one no longer works."""
    principal, account = person_of(*_COORDINATOR)
    inviting_staff.resend(context(), principal, account, request_id)


@blueprint.route("/professionals/invitations/<request_id>/cancel", methods=["POST"])
@blueprint.response(204)
@blueprint.alt_response(404, schema=Refusal)
@blueprint.alt_response(409, schema=Refusal)
def cancel_set_up(request_id: str) -> None:
    """Take the invitation of a professional back: the link no longer works, and the role that it made ends."""
    principal, account = person_of(*_COORDINATOR)
    cancelling_staff.cancel(context(), principal, account, request_id)


def _found(team_id: str) -> tuple[Principal, Team]:
    principal, account = person_of(*_COORDINATOR)
    with context().store.read() as session:
        return principal, care_teams.found(session, account.organization, team_id)
