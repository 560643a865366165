"""The access log over HTTP: found by its patient and the privacy officer, and for everybody else not there."""

from typing import Any

import pytest

from tests.audit.people import STRANGERS, token_of
from tests.consent.world import World
from tests.server import Server

BREAK_GLASS = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "reasonCode", "valueCoding": {"system": "http://snomed.info/sct", "code": "419045004"}},
        {"name": "reason", "valueString": "Found unconscious in the street, allergies unknown"},
        {"name": "declaration", "valueBoolean": True},
    ],
}

SECOND_HOUR = "ge2026-11-22T09:59:00Z&date=lt2026-11-22T10:59:00Z"


@pytest.fixture
def world(server: Server) -> World:
    """Return a record in which Ann, the GP and, in an emergency, the consultant looked; Bob tried in vain."""
    made = World(server).build()
    server.clock.advance(hours=1)
    server.get("Observation?patient=Patient/ann", made.gp)
    server.get("Patient/ann", made.ann)
    server.call("GET", "Patient/ann", made.bob)
    server.get("Patient/bob", made.bob)
    server.clock.advance(hours=1)
    signed_in_now = server.token("Practitioner/consultant", organization="Organization/trust")
    server.post("Patient/ann/$break-glass", signed_in_now, BREAK_GLASS, 200)
    server.get("Patient/ann", signed_in_now)
    server.clock.advance(hours=1)
    return made


def found(world: World, query: str, token: str) -> list[dict[str, Any]]:
    bundle = world.server.get(f"AuditEvent?_count=500&{query}", token)
    return [entry["resource"] for entry in bundle.get("entry", ())]


def asked_by(event: dict[str, Any]) -> str:
    (who,) = (agent["who"] for agent in event["agent"] if agent["requestor"])
    reference: str = who.get("reference", "")
    return reference


def test_a_patient_finds_what_happened_by_each_parameter(world: World) -> None:
    ann = world.ann
    everything = found(world, "patient=Patient/ann", ann)
    assert {asked_by(event) for event in everything} >= {"Patient/ann", "Practitioner/gp", "Practitioner/consultant"}
    others = found(world, "agent:not=Patient/ann", ann)
    assert {asked_by(event) for event in others} == {asked_by(event) for event in everything} - {"Patient/ann"}
    assert {asked_by(event) for event in found(world, "agent=Practitioner/gp", ann)} == {"Practitioner/gp"}
    by_practice = found(world, "agent=Organization/practice", ann)
    assert {asked_by(event) for event in by_practice} == {"Practitioner/gp"}
    assert {event["action"] for event in found(world, "action=R", ann)} == {"R"}
    emergency = found(world, "purpose=BTG", ann)
    assert {asked_by(event) for event in emergency} == {"Practitioner/consultant"}
    assert [event["subtype"][0]["code"] for event in found(world, "subtype=110127", ann)] == ["110127"]
    (tried,) = found(world, "entity=Patient/ann&agent=Patient/bob", ann)
    assert (tried["outcome"], tried["action"]) == ("4", "R")
    assert found(world, "entity:Patient=ann&action=R", ann) == found(world, "entity=Patient/ann&action=R", ann)
    assert tried in found(world, f"date={SECOND_HOUR}", ann)
    assert found(world, "date=lt2020", ann) == []


def test_every_event_of_the_emergency_names_its_grant(world: World) -> None:
    events = found(world, "purpose=BTG", world.ann)
    named = [
        [entity["what"]["identifier"]["value"] for entity in event["entity"] if "break-glass" in str(entity["what"])]
        for event in events
    ]
    assert len(events) >= 2
    assert all(grant == named[0] and len(grant) == 1 for grant in named)


def test_nobody_but_patient_and_privacy_officer_finds_or_reads_any(world: World) -> None:
    (known, *_) = found(world, "patient=Patient/ann", world.ann)
    for who in STRANGERS:
        token = token_of(world, who)
        for query in ("", "patient=Patient/ann", f"_id={known['id']}", "agent=Practitioner/gp", "agent:not=Patient/x"):
            bundle = world.server.get(f"AuditEvent?{query}", token)
            assert (bundle["total"], "entry" in bundle) == (0, False), (who, query)
        assert world.server.get("AuditEvent?_summary=count", token)["total"] == 0
        for path in (f"AuditEvent/{known['id']}", "AuditEvent/absent"):
            assert world.server.call("GET", path, token).status_code == 404, (who, path)
        for query in ("Patient?_revinclude=AuditEvent:patient", "Patient?_has:AuditEvent:patient:action=R"):
            answer = world.server.call("GET", query, token)
            assert answer.status_code == 400 or b"AuditEvent/" not in answer.data, (who, query)


def test_another_patients_events_are_not_there(world: World) -> None:
    bobs = {event["id"] for event in found(world, "patient=Patient/bob", world.bob)}
    anns = {event["id"] for event in found(world, "patient=Patient/ann", world.ann)}
    assert bobs
    assert anns
    assert not bobs & anns
    assert found(world, "patient=Patient/bob", world.ann) == []
    assert world.server.call("GET", f"AuditEvent/{bobs.pop()}", world.ann).status_code == 404


def test_nobody_writes_one(world: World) -> None:
    (known, *_) = found(world, "", world.ann)
    officer = token_of(world, "privacy-officer")
    for token in (world.ann, world.gp, world.trust, world.operator, officer):
        for method, path in (("POST", "AuditEvent"), ("PUT", f"AuditEvent/{known['id']}")):
            assert world.server.call(method, path, token, known).status_code in {403, 405}, (method, path)
        assert world.server.call("DELETE", f"AuditEvent/{known['id']}", token).status_code in {403, 405}
    assert found(world, f"_id={known['id']}", world.ann) == [known]


def test_the_privacy_officers_look_at_a_log_is_on_that_log(world: World) -> None:
    officer = token_of(world, "privacy-officer")
    before = {event["id"] for event in found(world, "patient=Patient/ann", world.ann)}
    events = found(world, "patient=Patient/ann", officer)
    assert before <= {event["id"] for event in events}
    found(world, "subtype=110127", officer)
    world.server.get(f"AuditEvent/{events[-1]['id']}", officer)
    mine = "agent=Patient/ann"
    looked = [event for event in found(world, "agent:not=Patient/ann", world.ann) if event["id"] not in before]
    kinds = [event["subtype"][0]["code"] for event in looked]
    assert kinds == ["read", "search-type", "search-type"]
    assert found(world, mine, world.bob) == []


def test_a_request_without_a_valid_token_is_recorded_once_a_minute_per_address(world: World) -> None:
    officer = token_of(world, "privacy-officer")
    for _ in range(5):
        assert world.server.call("GET", "Patient/ann", "fhs_made_up").status_code == 401
        assert world.server.call("GET", "Patient/ann").status_code == 401
    refused = found(world, "subtype=110122&outcome=4", officer)
    assert len(refused) == 1
    assert refused[0]["agent"][1]["network"]["address"] == "127.0.0.1"
    assert "fhs_made_up" not in str(refused)
    assert found(world, "subtype=110122&outcome=4", world.ann) == []
    world.server.clock.advance(seconds=61)
    world.server.call("GET", "Patient/ann", "fhs_made_up")
    assert len(found(world, "subtype=110122&outcome=4", officer)) == 2
