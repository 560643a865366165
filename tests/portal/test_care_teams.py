"""Care teams: a coordinator keeps them, a patient shares with one, and its members see it from the next request on."""

from __future__ import annotations

from typing import Any

from fhir_server.store import accounts
from tests.portal.conftest import AMELIA, CONSULTANT, COORDINATOR, GP, Person
from tests.server import Server

TEAMS = "/organisation/teams"


def account_id(server: Server, email: str) -> str:
    with server.store.read() as session:
        found = accounts.by_email(session, email)
    assert found is not None
    return found.id


def made(coordinator: Person, name: str = "Heart failure clinic") -> str:
    answer = coordinator.send(TEAMS, {"name": name})
    assert answer.status_code == 303, answer.text
    return str(answer.location.partition("?")[0])


def test_members_see_what_a_patient_shares_with_the_team_and_nobody_else_does(server: Server) -> None:
    nadia, amelia = Person(server, COORDINATOR), Person(server, AMELIA)
    op = server.operator()
    for entry in server.get("/Consent?patient=amelia-hart&status=active", op)["entry"]:
        server.put({**entry["resource"], "status": "inactive"}, op)
    priya = server.token("Practitioner/priya-raman", account_id=account_id(server, CONSULTANT))
    own = "/Observation?patient=amelia-hart&_summary=count"
    before = server.get(own, priya)["total"]
    letter = next(
        each["resource"]["id"]
        for each in server.get("/Observation?patient=amelia-hart&_count=200", op)["entry"]
        if server.call("GET", f"Observation/{each['resource']['id']}", priya).status_code == 404
    )

    path = made(nadia)
    reference = f"CareTeam/{path.rpartition('/')[2]}"
    share = f"/sharing/with/{reference}"
    assert "Heart failure clinic" in amelia.get("/sharing/add?q=heart")
    choice = {"labels": ["general", "mental-health", "sexual-health", "social-care"], "ends": "never", "confirm": "yes"}
    assert "Your choice is saved" in amelia.follow(amelia.send(share, choice))
    assert "Heart failure clinic" in amelia.get("/sharing")
    server.get(f"/Observation/{letter}", priya, 404)

    member = {"step": "add", "member": account_id(server, CONSULTANT)}
    assert "in the team now" in nadia.follow(nadia.send(path, member))
    server.get(f"/Observation/{letter}", priya)
    assert server.get(own, priya)["total"] > before
    # The same again changes nothing; who is another organisation's cannot be added, and sees nothing.
    assert nadia.send(path, member).status_code == 303
    assert nadia.send(path, {"step": "add", "member": account_id(server, GP)}).status_code == 400

    role = nadia.get(path).partition('name="role" value="')[2].partition('"')[0]
    assert "out of the team" in nadia.follow(nadia.send(path, {"step": "remove", "role": role}))
    server.get(f"/Observation/{letter}", priya, 404)
    assert server.get(own, priya)["total"] == before

    # Whose role ends is out with it, and a team that ends is closed to everybody in it.
    nadia.send(path, member)
    server.get(f"/Observation/{letter}", priya)
    stored: dict[str, Any] = server.get(f"/{role}", op)
    server.put({**stored, "active": False}, op)
    server.get(f"/Observation/{letter}", priya, 404)
    assert "Role has ended" in nadia.get(path)
    server.put({**server.get(f"/{role}", op), "active": True}, op)
    server.get(f"/Observation/{letter}", priya)
    assert nadia.send(path, {"step": "end"}).status_code == 400
    assert "has ended" in nadia.follow(nadia.send(path, {"step": "end", "understood": "yes"}))
    server.get(f"/Observation/{letter}", priya, 404)
    assert nadia.get(path, 404)


def test_names_are_checked_and_another_organisations_team_is_not_there(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    path = made(nadia)
    for name in ("", "x" * 101, "heart FAILURE  clinic"):
        assert nadia.send(TEAMS, {"name": name}).status_code == 400, name
    assert nadia.send(path, {"step": "rename", "name": "Heart clinic"}).status_code == 303
    assert nadia.send(path, {"step": "remove", "role": "PractitionerRole/nobody"}).status_code == 404
    op = server.operator()
    team = server.get(f"/CareTeam/{path.rpartition('/')[2]}", op)
    assert team["name"] == "Heart clinic"
    # What a hospital's own system writes is no team of a coordinator, whatever it says of itself.
    feed = server.token("Organization/brentmoor-hospitals", organization="Organization/brentmoor-hospitals")
    forged = {name: value for name, value in team.items() if name not in {"id", "meta"}} | {"name": "Forged"}
    server.call("POST", "CareTeam", feed, forged)
    assert "Forged" not in nadia.get(TEAMS)
    moved = [{**team["identifier"][0], "value": "Organization/elsewhere"}]
    server.put({**team, "identifier": moved}, op)
    assert nadia.send(path, {"step": "rename", "name": "Mine"}).status_code == 404
    assert "Heart clinic" not in nadia.get(TEAMS)
