"""Find organisations, teams and professionals to share with: the directory over the road, and coordinators' teams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhir_server import web
from fhir_server.identity import care_teams
from fhir_server.portal.models.sharing import Grantee
from fhir_server.portal.models.words import concepts, display, listed_names, party_name, reference
from fhir_server.portal.road import Road, escaped

_TYPES: Final = frozenset({"Organization", "Practitioner", "RelatedPerson"})
_FEW: Final = "20"
_MOST_NAMES: Final = 100
_TITLES: Final = frozenset({"dr", "mr", "mrs", "ms", "miss", "prof", "professor", "sister", "nurse"})


def find_grantees(road: Road, text: str) -> tuple[Grantee, ...]:
    """Return organisations, then their teams, then professionals, whose name has every word of the text."""
    words = [word for word in text.replace(",", " ").split() if word.strip(".").casefold() not in _TITLES][:5]
    if not words:
        return ()
    query = [("name:contains", escaped(word)) for word in words]
    organizations = road.search("Organization", *query, ("_count", _FEW)).matches
    people = road.search("Practitioner", *query, ("_count", _FEW)).matches
    roles = _roles(road, people)
    return (
        *(
            Grantee(f"Organization/{entry['id']}", party_name(entry), concepts(entry.get("type")))
            for entry in organizations
        ),
        *(team for team in _teams(road) if all(word.casefold() in team.name.casefold() for word in words)),
        *(
            Grantee(f"Practitioner/{entry['id']}", party_name(entry), roles.get(str(entry["id"]), ""))
            for entry in people
        ),
    )


def grantee_of(road: Road, grantee_type: str, grantee_id: str) -> Grantee | None:
    """Return one entry of the directory, None where there is none."""
    if grantee_type == "CareTeam":
        return next((team for team in _teams(road) if team.reference == f"CareTeam/{grantee_id}"), None)
    entry = road.find(grantee_type, grantee_id) if grantee_type in _TYPES else None
    if entry is None:
        return None
    detail = concepts(entry.get("type")) if grantee_type == "Organization" else ""
    if grantee_type == "Practitioner":
        detail = _roles(road, [entry]).get(grantee_id, "")
    return Grantee(f"{grantee_type}/{grantee_id}", party_name(entry), detail)


def names(road: Road, references: Iterable[str]) -> dict[str, str]:
    """Return the names of organisations, teams and professionals by their literal reference."""
    found: dict[str, str] = {}
    wanted = set(references)
    if any(entry.startswith("CareTeam/") for entry in wanted):
        found |= {team.reference: team.name for team in _teams(road) if team.reference in wanted}
    for kind in ("Organization", "Practitioner"):
        ids = sorted(entry.partition("/")[2] for entry in wanted if entry.startswith(f"{kind}/"))
        if ids:
            query = ("_id", ",".join(escaped(entry) for entry in ids[:_MOST_NAMES]))
            entries = road.search(kind, query, ("_count", str(_MOST_NAMES))).matches
            found |= {f"{kind}/{entry['id']}": party_name(entry) for entry in entries}
    return found


def _teams(road: Road) -> tuple[Grantee, ...]:
    """Return the teams that coordinators keep: like the directory they name no patient."""
    with road.context.store.read() as session:
        found = care_teams.everywhere(session)
    return tuple(
        Grantee(f"CareTeam/{team.id}", team.name, ", ".join(filter(None, (web.say("Team"), team.organization_name))))
        for team in found
    )


def _roles(road: Road, people: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return what each professional is and where, by their id."""
    references = ",".join(f"Practitioner/{entry['id']}" for entry in people)
    if not references:
        return {}
    roles: dict[str, list[str]] = {}
    for role in road.search("PractitionerRole", ("practitioner", references), ("_count", "100")).matches:
        owner = reference(role.get("practitioner")).partition("/")[2]
        text = ", ".join(filter(None, (concepts(role.get("code")), display(role.get("organization")))))
        roles.setdefault(owner, []).append(text)
    return {owner: listed_names([text for text in texts if text]) for owner, texts in roles.items()}
