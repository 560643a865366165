"""Searches of several types: of the whole system, of a compartment, under scopes, in a Bundle, in the audit log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.consent.world import ANN, World

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
"""What `_search` takes."""


def _relations(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def test_a_system_search_finds_every_type_or_the_named_ones(world: World) -> None:
    everything = world.server.ids("?_count=1000", world.ann)
    assert {name.partition("/")[0] for name in everything} >= {"Patient", "Observation", "Encounter", "Organization"}
    named = world.server.ids("?_type=Patient,Encounter&_count=1000", world.ann)
    assert named == {name for name in everything if name.partition("/")[0] in {"Patient", "Encounter"}}
    by_post = world.server.call("POST", "_search?_type=Patient", world.ann, b"_id=ann", FORM)
    assert by_post.status_code == 200
    assert by_post.json is not None
    assert _relations(by_post.json)["self"].endswith("/fhir?_type=Patient&_id=ann")


def test_parameters_of_a_system_search_are_those_that_all_its_types_have(world: World) -> None:
    assert ANN in world.server.ids("?_type=Patient,Observation&_lastUpdated=gt2000", world.ann)
    both = world.server.ids("?_type=Observation,Encounter&subject=Patient/ann&_sort=-date", world.ann)
    assert {name.partition("/")[0] for name in both} == {"Observation", "Encounter"}
    for query in (
        "?_type=Patient,Observation&code=x",
        "?code=x",
        "?_type=Patient,Nothing",
        "?_type=Patient&_type=Group",
    ):
        world.server.get(query, world.ann, 400)
    said = world.server.get("?_type=Patient,Observation&code=x", world.ann, 400)["issue"][0]["diagnostics"]
    assert "'code'" in said
    assert "_lastUpdated" in said
    assert "_type" in world.server.get("Patient?_type=Patient", world.ann, 400)["issue"][0]["diagnostics"]


def test_a_type_without_scope_is_not_there_unless_it_is_named(world: World) -> None:
    app = world.server.token(ANN, "patient/Observation.rs patient/Encounter.r", client_id="app")
    found = world.server.ids("?_count=1000", app)
    assert found == world.server.ids("Observation?_count=1000", app)
    assert found
    assert world.server.call("GET", "?_type=Observation,Encounter", app).status_code == 403
    assert world.server.call("GET", "?_type=Patient", app).status_code == 403
    nothing = world.server.token(ANN, "openid", client_id="app")
    assert world.server.call("GET", "?_id=ann", nothing).status_code == 403


def test_audit_events_are_searched_on_their_own(world: World) -> None:
    world.server.get("?_type=AuditEvent", world.ann, 400)
    assert not [name for name in world.server.ids("?_count=1000", world.ann) if name.startswith("AuditEvent")]


@pytest.mark.parametrize("owner", [ANN, "Encounter/a-enc"])
def test_a_compartment_is_searched_for_all_types_or_the_named_ones(world: World, owner: str) -> None:
    found = world.server.ids(f"{owner}/*?_count=1000", world.ann)
    assert owner in found
    assert {name.partition("/")[0] for name in found} >= {"Observation"}
    for kind in ("Observation", owner.partition("/")[0]):
        of_kind = {name for name in found if name.startswith(f"{kind}/")}
        assert world.server.ids(f"{owner}/{kind}?_count=1000", world.ann) == of_kind
        assert world.server.ids(f"{owner}/*?_type={kind}&_count=1000", world.ann) == of_kind
    posted = world.server.call("POST", f"{owner}/*/_search", world.ann, b"_type=Observation", FORM)
    assert posted.json is not None
    assert _relations(posted.json)["self"].endswith(f"/fhir/{owner}/*?_type=Observation")
    assert world.server.call("POST", f"{owner}/Observation/_search", world.ann, b"", FORM).status_code == 200


def test_a_compartment_of_somebody_else_is_empty(world: World) -> None:
    assert world.server.ids("Patient/bob/*", world.ann) == set()
    assert world.server.ids("Patient/nobody/*", world.ann) == set()
    world.server.get("Patient/ann/*?_type=ValueSet", world.ann, 400)
    world.server.get("Organization/trust/*", world.ann, 400)


def test_pages_of_a_system_search_hold_every_match_once(world: World) -> None:
    everything = world.server.ids("?_count=1000", world.ann)
    found: list[str] = []
    url = "?_count=4&_sort=_lastUpdated,_id"
    while url:
        page = world.server.get(url, world.ann)
        found += [f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in page["entry"]]
        url = _relations(page).get("next", "")
    assert sorted(found) == sorted(everything)


def test_an_entry_of_a_bundle_may_search_the_whole_system(world: World) -> None:
    entries = [
        {"request": {"method": "GET", "url": "?_type=Patient"}},
        {"request": {"method": "GET", "url": "Patient/ann/*?_type=Encounter"}},
        {"request": {"method": "GET", "url": "?nosuch=1"}},
    ]
    answer = world.server.post("", world.ann, {"resourceType": "Bundle", "type": "batch", "entry": entries}, 200)
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["200", "200", "400"]
    first, second = (entry["resource"]["entry"] for entry in answer["entry"][:2])
    assert {each["resource"]["resourceType"] for each in first} == {"Patient"}
    assert {each["resource"]["resourceType"] for each in second} == {"Encounter"}
    whole = {"resourceType": "Bundle", "type": "transaction", "entry": entries[:2]}
    assert len(world.server.post("", world.ann, whole, 200)["entry"]) == 2


def test_a_system_search_is_on_the_log_of_the_patients_it_showed(world: World) -> None:
    world.server.get("?_type=Observation&_lastUpdated=gt2001", world.ann)
    events = world.server.get("AuditEvent?patient=Patient/ann&subtype=search-system", world.ann)["entry"]
    assert events[0]["resource"]["subtype"][0]["code"] == "search-system"


def test_a_search_by_post_takes_a_form_only(world: World) -> None:
    for path in ("_search", "Patient/_search"):
        sent = {"Content-Type": "application/fhir+json"}
        assert world.server.call("POST", path, world.ann, b"{}", sent).status_code == 415
        assert world.server.call("GET", path, world.ann).status_code == 405
    both = world.server.call("POST", "Patient/_search?_id=ann", world.ann, b"_count=3", FORM)
    assert both.json is not None
    assert _relations(both.json)["self"].endswith("/Patient?_id=ann&_count=3")
