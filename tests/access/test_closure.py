"""The subjects closure: what makes somebody count as a role, an organisation, a team or a group, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_server.access import purposes
from fhir_server.access.closure import CONTAINERS, Closure, closure, compile_memberships
from fhir_server.access.decide import gate_of
from fhir_server.access.visibility import Gate
from fhir_server.spec.definitions import load
from fhir_server.store import memberships
from fhir_server.store.database import Session
from fhir_server.store.instants import to_us
from fhir_server.store.keys import key_of_reference
from tests.server import START

_BASE = "http://localhost/fhir"
_NOW = to_us(START)
_DAY_US = 86_400_000_000
DR, NURSE, DEVICE = "Practitioner/dr", "Practitioner/nurse", "Device/pump"
ROLE, TEAM, GROUP, ABOVE = "PractitionerRole/role", "CareTeam/team", "Group/group", "Group/above"
TRUST, OTHER = "Organization/trust", "Organization/other"

Json = dict[str, Any]


def _ref(name: str) -> Json:
    return {"reference": name}


def _role(**more: Any) -> Json:
    return {"resourceType": "PractitionerRole", "practitioner": _ref(DR), "organization": _ref(TRUST), **more}


def _team(*members: str, **more: Any) -> Json:
    return {"resourceType": "CareTeam", "participant": [{"member": _ref(name)} for name in members], **more}


def _group(*members: str, **more: Any) -> Json:
    found = [{"entity": _ref(name)} for name in members]
    return {"resourceType": "Group", "type": "person", "actual": True, "member": found, **more}


def _closure(session: Session, who: str, **resources: Json) -> Closure:
    """Return the closure of somebody while these resources say who belongs to what; `PractitionerRole_role=…`."""
    for name, resource in resources.items():
        key = key_of_reference(name.replace("_", "/"))
        memberships.replace(session, key, compile_memberships(resource, key, _BASE))
    return closure(session, who, _NOW)


def _keys(*names: str) -> set[int]:
    return {key_of_reference(name) for name in names}


def test_nobody_is_more_than_themselves_until_a_resource_says_so(session: Session) -> None:
    assert _closure(session, DR)[:2] == ((key_of_reference(DR),), ())
    assert _closure(session, TRUST)[:2] == ((key_of_reference(TRUST),), (key_of_reference(TRUST),))


def test_a_role_makes_its_practitioner_the_role_and_its_organisation(session: Session) -> None:
    found = _closure(session, DR, PractitionerRole_role=_role())
    assert set(found.actors) == _keys(DR, ROLE, TRUST)
    assert found.organizations == (key_of_reference(TRUST),)
    assert set(closure(session, ROLE, _NOW).actors) == _keys(ROLE, TRUST)
    assert set(closure(session, NURSE, _NOW).actors) == _keys(NURSE)


@pytest.mark.parametrize(
    "change",
    [
        {"active": False},
        {"practitioner": {}},
        {"practitioner": _ref("Patient/dr")},
        {"practitioner": _ref("http://elsewhere/Practitioner/dr")},
        {"period": {"end": "2026-11-21"}},
        {"period": {"start": "2026-11-23"}},
        {"period": "nonsense"},
    ],
)
def test_a_role_that_is_not_in_force_or_not_understood_states_nothing(session: Session, change: Json) -> None:
    found = _closure(session, DR, PractitionerRole_role=_role(**change))
    assert found[:2] == ((key_of_reference(DR),), ())


def test_a_role_without_an_organisation_is_that_role_only(session: Session) -> None:
    found = _closure(session, DR, PractitionerRole_role=_role(organization=_ref("Group/trust")))
    assert set(found.actors) == _keys(DR, ROLE)
    assert found.organizations == ()


def test_teams_and_groups_make_their_members_count_as_them_but_give_no_own_data(session: Session) -> None:
    resources = {
        "PractitionerRole_role": _role(), "CareTeam_team": _team(TRUST, NURSE), "Group_group": _group(ROLE, DEVICE),
    }  # fmt: skip
    found = _closure(session, DR, **resources)
    assert set(found.actors) == _keys(DR, ROLE, TRUST, TEAM, GROUP)
    assert found.organizations == (key_of_reference(TRUST),)
    assert set(closure(session, NURSE, _NOW).actors) == _keys(NURSE, TEAM)
    assert set(closure(session, DEVICE, _NOW).actors) == _keys(DEVICE, GROUP)


def test_a_group_of_teams_is_reached_through_the_team_and_not_the_other_way(session: Session) -> None:
    found = _closure(session, NURSE, CareTeam_team=_team(NURSE), Group_above=_group(TEAM))
    assert set(found.actors) == _keys(NURSE, TEAM, ABOVE)
    assert set(closure(session, ABOVE, _NOW).actors) == _keys(ABOVE)


def test_membership_is_followed_a_few_steps_and_in_circles_without_end(session: Session) -> None:
    chain = {f"Group_g{number}": _group(f"Group/g{number - 1}") for number in range(1, 6)}
    found = _closure(session, "Group/g0", **chain)
    assert set(found.actors) == _keys("Group/g0", "Group/g1", "Group/g2", "Group/g3")
    round_about = _closure(session, "Group/x", Group_x=_group("Group/y"), Group_y=_group("Group/x"))
    assert set(round_about.actors) == _keys("Group/x", "Group/y")


@pytest.mark.parametrize("status", ["proposed", "suspended", "inactive", "entered-in-error"])
def test_a_team_that_is_not_in_force_states_nothing(session: Session, status: str) -> None:
    assert set(_closure(session, NURSE, CareTeam_team=_team(NURSE, status=status)).actors) == _keys(NURSE)
    assert set(_closure(session, NURSE, CareTeam_team=_team(NURSE, status="active")).actors) == _keys(NURSE, TEAM)


@pytest.mark.parametrize("change", [{"active": False}, {"actual": False}, {"actual": None}])
def test_a_group_that_is_not_in_force_states_nothing(session: Session, change: Json) -> None:
    assert set(_closure(session, NURSE, Group_group=_group(NURSE, **change)).actors) == _keys(NURSE)
    assert set(_closure(session, NURSE, Group_group=_group(NURSE, active=True)).actors) == _keys(NURSE, GROUP)


def test_an_inactive_member_does_not_belong(session: Session) -> None:
    group = _group(NURSE, DR)
    group["member"][0]["inactive"] = True
    found = _closure(session, NURSE, Group_group=group)
    assert set(found.actors) == _keys(NURSE)
    assert set(closure(session, DR, _NOW).actors) == _keys(DR, GROUP)


def test_a_member_belongs_while_both_the_team_and_the_membership_last(session: Session) -> None:
    team = _team(NURSE, period={"start": "2026-11-20T00:00:00Z", "end": "2026-11-26T00:00:00Z"})
    team["participant"][0]["period"] = {"start": "2026-11-22T09:00:00Z", "end": "2026-11-30T00:00:00Z"}
    _closure(session, NURSE, CareTeam_team=team)

    def belongs(at_us: int) -> bool:
        return set(closure(session, NURSE, at_us).actors) == _keys(NURSE, TEAM)

    assert not belongs(_NOW - 1)
    assert belongs(_NOW)
    assert belongs(_NOW + 3 * _DAY_US)
    assert not belongs(_NOW + 5 * _DAY_US)


def test_a_period_holds_at_each_step_of_the_way(session: Session) -> None:
    late = _group(TEAM)
    late["member"][0]["period"] = {"start": "2026-11-22T09:00:00.000001Z"}
    resources = {"CareTeam_team": _team(NURSE), "Group_above": late}
    assert set(_closure(session, NURSE, **resources).actors) == _keys(NURSE, TEAM)
    assert set(closure(session, NURSE, _NOW + 1).actors) == _keys(NURSE, TEAM, ABOVE)


def test_what_states_memberships_is_what_is_compiled_on_write() -> None:
    said = {**_role(), **_team(NURSE), **_group(NURSE)}
    stating = {kind for kind in load().resource_types if compile_memberships({**said, "resourceType": kind}, 1, _BASE)}
    assert stating == CONTAINERS == {"PractitionerRole", "CareTeam", "Group"}


def test_what_a_resource_stated_before_is_replaced(session: Session) -> None:
    _closure(session, DR, PractitionerRole_role=_role())
    found = _closure(session, DR, PractitionerRole_role=_role(organization=_ref(OTHER)))
    assert found.organizations == (key_of_reference(OTHER),)


def test_a_patient_looks_at_a_record_as_its_owner_from_whom_something_may_be_withheld(session: Session) -> None:
    bits, _ = purposes.of_caller("PATRQT")
    expected = Gate(_NOW, own=key_of_reference("Patient/ann"), directory=True, purposes=bits, shielded=True)
    assert gate_of(session, "Patient/ann", "PATRQT", START) == expected


@pytest.mark.parametrize(
    "who, own_data, shielded", [(DR, {DR, TRUST}, False), (TRUST, {TRUST}, False), ("RelatedPerson/carer", set(), True)]
)
def test_an_actor_looks_at_a_record_as_all_that_it_is(
    session: Session, who: str, own_data: set[str], *, shielded: bool
) -> None:
    found = _closure(session, who, PractitionerRole_role=_role())
    gate = gate_of(session, who, "TREAT http://project|study", START)
    assert gate.actors == found.actors
    assert set(gate.organizations) == _keys(*own_data)
    assert (gate.own, gate.shielded, gate.directory, gate.emergencies) == (0, shielded, True, ())
    assert (gate.purposes, gate.other_purposes) == purposes.of_caller("TREAT http://project|study")


_NOWHERE = [{}, {"reference": ""}, _ref("Patient/dr"), _ref("http://elsewhere/Practitioner/dr"), "Practitioner/dr"]


@pytest.mark.parametrize("who", _NOWHERE)
def test_a_member_that_is_not_understood_states_nothing_of_anybody(who: Any) -> None:
    assert compile_memberships(_role(practitioner=who), 1, _BASE) == ()
    assert compile_memberships({**_team(), "participant": [{"member": who}]}, 1, _BASE) == ()
    assert len(compile_memberships(_role(organization=who), 1, _BASE)) == 1


def test_whoever_a_consent_may_name_may_be_a_member_of_a_team_or_a_group() -> None:
    kinds = ("Practitioner", "PractitionerRole", "Organization", "RelatedPerson", "CareTeam", "Group", "Device")
    for kind in kinds:
        who = f"{kind}/somebody"
        for said in (_team(who), _group(who)):
            assert [each.member for each in compile_memberships(said, 1, _BASE)] == [key_of_reference(who)], said


@pytest.mark.parametrize("start", ["2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"])
def test_a_membership_after_the_end_of_its_team_is_none(start: str) -> None:
    team = _team(NURSE, period={"end": "2026-11-23T23:59:59.999999Z"})
    team["participant"][0]["period"] = {"start": start}
    assert compile_memberships(team, 1, _BASE) == ()
