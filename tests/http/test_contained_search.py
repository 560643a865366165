"""`_contained` through HTTP: for whom the container exists, whatever the scopes and labels, and nobody else."""

from __future__ import annotations

from typing import Any

from tests.consent.world import ANN, TRUST, Json, World, labelled, observation, ref

_BASE = "http://localhost/fhir"


def _medicine(code: str, **more: Any) -> Json:
    return {"resourceType": "Medication", "id": "m1", "code": {"coding": [{"code": code}]}, **more}


def _request(logical_id: str, label: str, medicine: Json) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": logical_id,
        "meta": labelled(label),
        "status": "active",
        "intent": "order",
        "subject": ref(ANN),
        "medicationReference": ref("#m1"),
        "contained": [medicine],
    }


def _fill(world: World) -> None:
    world.server.put(_request("open", "general", _medicine("x1")), world.trust)
    world.server.put(_request("closed", "mental-health", _medicine("x1")), world.trust)
    world.server.put(_request("raised", "general", _medicine("x1", meta=labelled("mental-health"))), world.trust)


def test_a_contained_resource_exists_for_whom_its_container_does(world: World) -> None:
    _fill(world)
    query = "Medication?code=x1&_contained=true"
    everything = {"MedicationRequest/open", "MedicationRequest/closed", "MedicationRequest/raised"}
    assert world.server.ids(query, world.ann) == everything
    assert world.server.ids(query, world.practice) == {"MedicationRequest/open"}
    assert world.server.ids(query, world.bob) == set()
    for more in ("&_total=accurate", "&_summary=count", "&_total=accurate&_count=1"):
        assert world.server.get(query + more, world.practice)["total"] == 1
    assert world.server.get(query + "&_summary=count", world.bob)["total"] == 0


def test_a_scope_for_the_contained_type_opens_no_container(world: World) -> None:
    _fill(world)
    narrow = world.server.token(TRUST, "system/Medication.rs")
    for mode in ("true", "both"):
        assert world.server.ids(f"Medication?code=x1&_contained={mode}", narrow) == set()
    both = world.server.token(TRUST, "system/Medication.rs system/MedicationRequest.rs")
    assert len(world.server.ids("Medication?code=x1&_contained=both", both)) == 3
    none = world.server.token(TRUST, "system/Patient.rs")
    assert world.server.call("GET", "Medication?_contained=true", none).status_code == 403


def test_a_contained_resource_is_named_by_its_container_and_fragment(world: World) -> None:
    _fill(world)
    found = world.server.get("Medication?code=x1&_contained=true&_containedType=contained", world.practice)
    (entry,) = found["entry"]
    assert entry["fullUrl"] == f"{_BASE}/MedicationRequest/open#m1"
    assert entry["resource"] == _medicine("x1")
    assert entry["search"] == {"mode": "match"}
    (own,) = [each["url"] for each in found["link"] if each["relation"] == "self"]
    assert own == f"{_BASE}/Medication?code=x1&_contained=true&_containedType=contained"


def test_what_a_resource_contains_is_found_as_it_is_now(world: World) -> None:
    _fill(world)
    world.server.put(_request("open", "general", _medicine("x2")), world.trust)
    assert world.server.ids("Medication?code=x1&_contained=true", world.practice) == set()
    assert world.server.ids("Medication?code=x2&_contained=true", world.practice) == {"MedicationRequest/open"}
    assert world.server.call("DELETE", "MedicationRequest/open", world.trust).status_code == 204
    assert world.server.ids("Medication?code=x2&_contained=true", world.practice) == set()


def test_no_conditional_request_deletes_a_container(world: World) -> None:
    _fill(world)
    assert world.server.call("DELETE", "Medication?code=x1&_contained=true", world.trust).status_code == 400
    assert (
        world.server.call("PUT", "Medication?code=x1&_contained=true", world.trust, _medicine("x1")).status_code == 400
    )
    assert len(world.server.ids("Medication?code=x1&_contained=true", world.ann)) == 3
    assert world.server.ids("Observation?code=x1&_contained=true", world.ann) == set()
    world.server.put(observation(ANN, "plain"), world.trust)
