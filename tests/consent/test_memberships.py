"""Who counts as a team, a group or an organisation: as long as the resource that says so is in force, and no longer.

Every change acts on the next request, with the token the caller holds already.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.consent.world import ANN, BOB, GP, PRACTICE, Json, World, consent, labelled, ref

TEAM, GROUP = "CareTeam/team", "Group/ward"
STRANGER = "Practitioner/stranger"
PAST, FUTURE = {"end": "2026-11-21"}, {"start": "2026-11-23"}
_B1 = "Observation/b-1"


def _team(*members: str, period: Json | None = None, **more: object) -> Json:
    participants = [{"member": ref(member), **({"period": period} if period else {})} for member in members]
    return {"resourceType": "CareTeam", "id": "team", "status": "active", "participant": participants, **more}


def _group(*members: str, member: Json | None = None, **more: object) -> Json:
    entities = [{"entity": ref(each), **(member or {})} for each in members]
    return {"resourceType": "Group", "id": "ward", "type": "practitioner", "actual": True, "member": entities, **more}


def _seen(world: World, token: str) -> bool:
    read = world.server.call("GET", _B1, token).status_code == 200
    assert (_B1 in world.server.ids("Observation?patient=Patient/bob", token)) is read
    return read


@pytest.fixture
def shared(world: World) -> World:
    """Let Bob share with a team and with a group; nobody is in either."""
    world.share(consent(BOB, TEAM, GROUP))
    return world


# Each: what the organisation says, and whether the consultant then counts as the team or group.
_SAID: dict[str, tuple[Callable[[], Json], bool]] = {
    "in the team": (lambda: _team(GP), True),
    "by role": (lambda: _team("PractitionerRole/role-0"), True),
    "by organisation": (lambda: _team(PRACTICE), True),
    "out of the team": (lambda: _team(STRANGER), False),
    "for the future": (lambda: _team(GP, period=FUTURE), False),
    "of the past": (lambda: _team(GP, period=PAST), False),
    "now": (lambda: _team(GP, period={"start": "2026-11-01", "end": "2026-12-01"}), True),
    "team of the past": (lambda: _team(GP) | {"period": PAST}, False),
    "team of now": (lambda: _team(GP) | {"period": FUTURE | {"start": "2026-01-01"}}, True),
    "proposed": (lambda: _team(GP) | {"status": "proposed"}, False),
    "suspended": (lambda: _team(GP) | {"status": "suspended"}, False),
    "inactive team": (lambda: _team(GP) | {"status": "inactive"}, False),
    "entered in error": (lambda: _team(GP) | {"status": "entered-in-error"}, False),
    "by another server": (lambda: _team("http://elsewhere.example/fhir/Practitioner/consultant"), False),
    "no longer said": (lambda: _empty(_team()), False),
    "in the group": (lambda: _group(GP), True),
    "inactive member": (lambda: _group(GP, member={"inactive": True}), False),
    "member of the past": (lambda: _group(GP, member={"period": PAST}), False),
    "a group that is not actual": (lambda: _empty(_group()) | {"actual": False}, False),
    "a group not in use": (lambda: _group(GP, active=False), False),
    "again in the group": (lambda: _group(GP, active=True), True),
    "nobody": (lambda: _empty(_group()), False),
    "a role in the group": (lambda: _group("PractitionerRole/role-0"), True),
    "a stranger in the group": (lambda: _group(STRANGER), False),
}


def test_membership_acts_on_the_next_request_for_as_long_as_it_is_in_force(shared: World) -> None:
    for name, (said, counts) in _SAID.items():
        shared.server.put(said(), shared.operator)
        assert _seen(shared, shared.gp) is counts, name
        assert not _seen(shared, shared.server.token(STRANGER)) or STRANGER in str(said()), name
    assert not _seen(shared, shared.gp)


def _outer(inner: Json) -> Json:
    """Return a team of that team, or a group of that group (R4 knows no team in a group)."""
    named = f"{inner['resourceType']}/{inner['id']}"
    return {**(_team(named) if named == TEAM else _group(named)), "id": "outer"}


@pytest.mark.parametrize("made", [_team, _group])
def test_a_team_of_a_team_counts_until_either_ends(world: World, made: Callable[..., Json]) -> None:
    inner, outer = made(GP), _outer(made(GP))
    of_inner, of_outer = (f"{body['resourceType']}/{body['id']}" for body in (inner, outer))
    world.share(consent(BOB, of_outer))
    world.server.put(inner, world.operator)
    assert not _seen(world, world.gp)
    world.server.put(outer, world.operator)
    assert _seen(world, world.gp)
    world.server.put(made(STRANGER), world.operator)
    assert not _seen(world, world.gp)
    world.server.put(made("PractitionerRole/role-0"), world.operator)
    assert _seen(world, world.gp)
    assert world.server.call("DELETE", of_inner, world.operator).status_code == 204
    assert not _seen(world, world.gp)
    world.server.put(inner, world.operator)
    assert _seen(world, world.gp)
    assert world.server.call("DELETE", of_outer, world.operator).status_code == 204
    assert not _seen(world, world.gp)


def test_the_clock_alone_begins_and_ends_a_membership(shared: World) -> None:
    hour = {"start": "2026-11-22T10:00:00Z", "end": "2026-11-22T10:59:59Z"}
    shared.server.put(_team(GP, period=hour), shared.operator)
    seen = []
    for seconds in (3_599, 1, 3_599, 1):
        shared.server.clock.advance(seconds=seconds)
        seen.append(_seen(shared, shared.gp))
    assert seen == [False, True, True, False]


def test_teams_that_name_each_other_are_worked_out_once(shared: World) -> None:
    outer = {**_team(TEAM), "id": "outer"}
    shared.server.put(outer, shared.operator)
    shared.server.put(_team(GP, "CareTeam/outer", TEAM), shared.operator)
    assert _seen(shared, shared.gp)
    assert not _seen(shared, shared.server.token(STRANGER))


def test_a_role_opens_what_is_shared_with_its_organisation_until_it_ends(world: World) -> None:
    role = {"resourceType": "PractitionerRole", "id": "role-9", "active": True,
            "practitioner": ref("Practitioner/nurse"), "organization": ref(PRACTICE)}  # fmt: skip
    body = {"resourceType": "Condition", "id": "by-operator", "meta": labelled("general"), "subject": ref(ANN)}
    world.server.put(body, world.operator)
    path, nurse = "Condition/by-operator", world.server.token("Practitioner/nurse")
    steps: list[tuple[Json | None, int]] = [
        (None, 404), (role, 200), (role | {"active": False}, 404), (role | {"period": PAST}, 404),
        (role | {"period": FUTURE}, 404), (role | {"period": {"start": "2026-01-01"}}, 200),
        (role | {"practitioner": ref(STRANGER)}, 404), (role, 200),
    ]  # fmt: skip
    for number, (said, status) in enumerate(steps):
        if said:
            world.server.put(said, world.operator)
        assert world.server.call("GET", path, nurse).status_code == status, number
    assert world.server.call("DELETE", "PractitionerRole/role-9", world.operator).status_code == 204
    assert world.server.call("GET", path, nurse).status_code == 404


def test_nobody_puts_themselves_in_a_team(shared: World) -> None:
    for body in (_team(GP), _group(GP)):
        kind, path = body["resourceType"], f"{body['resourceType']}/{body['id']}"
        shared.server.put(_empty(body), shared.operator)
        for token in (shared.gp, shared.consultant):
            assert shared.server.call("POST", kind, token, body).status_code == 403
            assert shared.server.call("PUT", path, token, body).status_code == 403
            assert shared.server.call("PUT", f"{kind}?identifier=urn:x|1", token, body).status_code == 403
            assert shared.server.call("DELETE", path, token).status_code == 403
        for token in (shared.carer, shared.bob):
            assert shared.server.call("POST", kind, token, body).status_code == 403
            assert shared.server.call("PUT", path, token, body).status_code in {403, 404}
        # An organisation's system says who is in its own teams, and changes no other's.
        assert shared.server.call("PUT", path, shared.trust, body).status_code == 409
        assert shared.server.call("DELETE", path, shared.trust).status_code == 204
        assert shared.server.get(path, shared.operator)["meta"]["versionId"] == "1"
    assert not _seen(shared, shared.gp)


def _empty(body: Json) -> Json:
    return {name: value for name, value in body.items() if name not in {"participant", "member"}}
