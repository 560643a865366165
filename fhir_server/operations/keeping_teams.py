"""What a coordinator does to the teams of the organisation: over the road, as the service, each act on the log.

The pages and the administration API both come through here. Who is in a team decides what they see of what patients
share with it from the next request on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from fhir_server.access import tokens
from fhir_server.access.principal import Principal
from fhir_server.identity import care_teams, leaving
from fhir_server.identity.care_teams import Member, Team
from fhir_server.interactions.model import Code, Context, Interaction, Outcome
from fhir_server.interactions.perform import perform, record_administration
from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.values import instant_text
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session

_MOST_BYTES: Final = 10_000_000
_CHANGED: Final = "The team has changed meanwhile. Look at it and try again"


def make(context: Context, principal: Principal, coordinator: Account, name: str) -> str:
    """Make a team and return its id.

    Raises:
        FhirError: INVALID_VALUE (400) for the name; FORBIDDEN (403) without an organisation.
    """
    if not coordinator.organization:
        raise FhirError(Kind.FORBIDDEN, "Your account has no organisation")
    with context.store.read() as session:
        plain = care_teams.plain_name(session, coordinator.organization, name)
    service = _service(principal, context)
    kind, _, logical_id = coordinator.organization.partition("/")
    known = perform(Interaction(Code.READ, type=kind, id=logical_id), service, context)
    owner = json.decode(known.content, _MOST_BYTES)
    team = {
        "resourceType": "CareTeam",
        "identifier": [{"system": care_teams.SYSTEM, "value": coordinator.organization}],
        "status": "active",
        "name": plain,
        "period": {"start": instant_text(context.now())},
        "managingOrganization": [{"reference": coordinator.organization, "display": str(owner.get("name", ""))}],
    }

    def noted(session: Session, made: Outcome) -> None:
        about = f"CareTeam/{made.id}"
        record_administration(context, session, principal, action="make-team", description=about, status=201)

    return perform(Interaction(Code.CREATE, type="CareTeam", resource=team), service, context, noted=noted).id


def rename(context: Context, principal: Principal, team: Team, name: str) -> None:
    """Give a team another name.

    Raises:
        FhirError: INVALID_VALUE (400) for the name; CONFLICT (409) where the team has changed meanwhile.
    """
    with context.store.read() as session:
        plain = care_teams.plain_name(session, team.organization, name, but=team.id)
    _store(context, principal, team, {**team.resource, "name": plain}, "rename-team")


def add(context: Context, principal: Principal, team: Team, account: Account) -> None:
    """Add a professional of the organisation, by the role that they have there.

    Raises:
        FhirError: BUSINESS_RULE (422) for who has no role there now, or where there are too many; CONFLICT (409).
    """
    if len(team.members) >= care_teams.MOST_MEMBERS:
        text = f"A team has {care_teams.MOST_MEMBERS} members at most"
        raise FhirError(Kind.BUSINESS_RULE, text, ("member",))
    role = _role(context, principal, team.organization, account.reference)
    if not role:
        raise FhirError(Kind.BUSINESS_RULE, "They have no role in your organisation now", ("member",))
    if any(member.role == role for member in team.members):
        return
    new = {
        "member": {"reference": role, "display": account.name},
        "period": {"start": instant_text(context.now())},
    }
    participants = [*team.resource.get("participant", ()), new]
    _store(context, principal, team, {**team.resource, "participant": participants}, "change-team-members", role)


def remove(context: Context, principal: Principal, team: Team, role: str) -> None:
    """Take a member out.

    Raises:
        FhirError: NOT_FOUND (404) for who is no member; CONFLICT (409) where the team has changed meanwhile.
    """
    if all(member.role != role for member in team.members):
        raise FhirError(Kind.NOT_FOUND, "There is no such member of the team")
    stay = [each for each in team.resource["participant"] if each.get("member", {}).get("reference") != role]
    resource = {name: value for name, value in team.resource.items() if name != "participant"}
    changed = resource | ({"participant": stay} if stay else {})
    _store(context, principal, team, changed, "change-team-members", role)


def end(context: Context, principal: Principal, team: Team) -> None:
    """End a team: nobody sees anything as its member any more.

    Raises:
        FhirError: CONFLICT (409) where the team has changed meanwhile.
    """
    period = {**team.resource.get("period", {}), "end": instant_text(context.now())}
    _store(context, principal, team, {**team.resource, "status": "inactive", "period": period}, "end-team")


def candidates(context: Context, team: Team) -> tuple[Account, ...]:
    """Return the professionals of the organisation, by name: whom a team may have as members."""
    with context.store.read() as session:
        return leaving.team(session, team.organization, context.now())


def current_members(context: Context, principal: Principal, team: Team) -> tuple[tuple[Member, bool], ...]:
    """Return the members of a team, each with whether the role holds now."""
    active = {f"PractitionerRole/{role['id']}" for role in _roles(context, principal, team.members)}
    return tuple((member, member.role in active) for member in team.members)


def _roles(context: Context, principal: Principal, members: Iterable[Member]) -> list[dict[str, Any]]:
    ids = ",".join(member.role.partition("/")[2] for member in members)
    return _search(context, principal, (("_id", ids), ("active", "true"), ("_count", "500"))) if ids else []


def _role(context: Context, principal: Principal, organization: str, practitioner: str) -> str:
    query = (("practitioner", practitioner), ("organization", organization), ("active", "true"))
    found = _search(context, principal, query)
    return f"PractitionerRole/{found[0]['id']}" if found else ""


def _search(context: Context, principal: Principal, query: tuple[tuple[str, str], ...]) -> list[dict[str, Any]]:
    interaction = Interaction(Code.SEARCH, type="PractitionerRole", query=query)
    outcome = perform(interaction, _service(principal, context), context)
    bundle = json.decode(outcome.content, len(outcome.content) + 1)
    return [entry["resource"] for entry in bundle.get("entry", ())]


def _store(
    context: Context, principal: Principal, team: Team, resource: Mapping[str, Any], action: str, about: str = ""
) -> None:
    interaction = Interaction(Code.UPDATE, type="CareTeam", id=team.id, resource=resource, if_match=(team.version,))

    def noted(session: Session, _: Outcome) -> None:
        description = f"CareTeam/{team.id} {about}".rstrip()
        record_administration(context, session, principal, action=action, description=description)

    try:
        perform(interaction, _service(principal, context), context, noted=noted)
    except FhirError as error:
        if error.kind not in {Kind.VERSION_REQUIRED, Kind.CONFLICT}:
            raise
        raise FhirError(Kind.CONFLICT, _CHANGED) from error


def _service(principal: Principal, context: Context) -> Principal:
    """Return the service itself, on the log with for whom it acts: no person writes who belongs to what."""
    name = f"{principal.name} (through this service)"
    return replace(tokens.operator(context.now(), name), client_id=tokens.PORTAL, purpose="PATADMIN")
