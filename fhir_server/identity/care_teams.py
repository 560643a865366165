"""Teams that a coordinator keeps: a name, an organisation, and roles that belong to it. A patient may share with one.

A member is a PractitionerRole, not a person: whose role ends is out of every team with it. What is here is like the
directory: it names no patient, and reading it discloses nothing of a record.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.spec import json
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import belonging, referring, resources
from fhir_server.store.database import Session
from fhir_server.store.keys import NONE

SYSTEM: Final = "https://fhir-server.example.org/organisation-team"
"""System of `CareTeam.identifier` of such a team; the value is the organisation."""
LONGEST_NAME: Final = 100
MOST_MEMBERS: Final = 500


@dataclass(frozen=True, slots=True)
class Member:
    """A role in a team: literal reference and the name that was current when it was added."""

    role: str
    name: str


@dataclass(frozen=True, slots=True)
class Team:
    """One team.

    Attributes:
        id: Logical id of the CareTeam.
        version: For `If-Match`.
        organization: `Organization/…`.
        organization_name: As it was when the team was made.
        members: By name.
        resource: The CareTeam itself.
    """

    id: str
    version: str
    name: str
    organization: str
    organization_name: str
    members: tuple[Member, ...]
    resource: Mapping[str, Any]


def listed(session: Session, organization: str) -> tuple[Team, ...]:
    """Return the teams of an organisation that have not ended, by name."""
    if not organization:
        return ()
    return _teams(session, belonging.keys_with_identifier(session, "CareTeam", SYSTEM, organization), organization)


def everywhere(session: Session) -> tuple[Team, ...]:
    """Return the teams of every organisation that have not ended, by name: whom a patient can find to share with."""
    return _teams(session, referring.with_identifier_system(session, "CareTeam", SYSTEM))


def found(session: Session, organization: str, team_id: str) -> Team:
    """Return one team of an organisation.

    Raises:
        FhirError: NOT_FOUND (404), also for another organisation's and for one that has ended.
    """
    team = _team(session, team_id)
    if team is None or not organization or team.organization != organization:
        raise FhirError(Kind.NOT_FOUND, "There is no such team in your organisation")
    return team


def shown(session: Session, team_id: str) -> Team | None:
    """Return one team of whichever organisation, None where there is none."""
    return _team(session, team_id)


def plain_name(session: Session, organization: str, typed: str, *, but: str = "") -> str:
    """Return a name for a team as it is stored.

    Raises:
        FhirError: INVALID_VALUE (400) for no name, one too long, or that of another team of the organisation.
    """
    name = unicodedata.normalize("NFC", " ".join(typed.split()))
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise FhirError(Kind.INVALID_VALUE, f"Enter a name of up to {LONGEST_NAME} characters", ("name",))
    if any(team.name.casefold() == name.casefold() and team.id != but for team in listed(session, organization)):
        raise FhirError(Kind.INVALID_VALUE, "Another team of your organisation has this name", ("name",))
    return name


def _teams(session: Session, keys: list[int], organization: str = "") -> tuple[Team, ...]:
    teams = (_team(session, logical_id) for _, logical_id in referring.named(session, keys))
    wanted = (team for team in teams if team is not None and organization in {"", team.organization})
    return tuple(sorted(wanted, key=lambda team: (team.name.casefold(), team.id)))


def _team(session: Session, team_id: str) -> Team | None:
    stored = resources.current(session, "CareTeam", team_id)
    # INVARIANT: made by this service for a coordinator: what a feed writes names no team of another organisation.
    if stored is None or stored.deleted or stored.content is None or stored.author != NONE or stored.patient:
        return None
    resource: dict[str, Any] = json.decode(stored.content, len(stored.content) + 1)
    owners = [str(each.get("value")) for each in resource.get("identifier", ()) if each.get("system") == SYSTEM]
    owner = owners[0] if owners else ""
    if not owner or resource.get("status") != "active" or "subject" in resource:
        return None
    managing = (resource.get("managingOrganization") or [{}])[0]
    members = (each.get("member", {}) for each in resource.get("participant", ()))
    named = (Member(str(each.get("reference", "")), str(each.get("display", ""))) for each in members)
    return Team(
        stored.id,
        str(stored.version),
        str(resource.get("name", "")),
        owner,
        str(managing.get("display", "")),
        tuple(sorted(named, key=lambda member: (member.name.casefold(), member.role))),
        resource,
    )
