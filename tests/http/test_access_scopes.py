"""SMART scopes on every road to a row: read, search, count, include, chain, history, write (scopes ∩ consent)."""

from __future__ import annotations

import pytest

from tests.consent.world import ANN, BOB, CATEGORY, GP, TRUST, World, consent, observation

_VITALS = f"Observation.{{}}?category={CATEGORY}|vital-signs"


@pytest.fixture
def app(world: World) -> str:
    """Return the token of an app that Ann lets see her vital signs."""
    return world.server.token(ANN, f"patient/{_VITALS.format('rs')} patient/Encounter.rs", client_id="app")


def test_a_granular_scope_holds_on_read_search_count_and_history(world: World, app: str) -> None:
    assert world.server.ids("Observation", app) == {"Observation/a-2"}
    assert world.server.get("Observation?_summary=count", app)["total"] == 1
    assert world.server.get("Observation/a-2", app)["id"] == "a-2"
    for path in ("Observation/a-1", "Observation/a-mh", "Observation/a-1/_history", "Observation/b-2"):
        assert world.server.call("GET", path, app).status_code == 404


def test_a_granular_scope_holds_on_includes_and_hops(world: World, app: str) -> None:
    found = world.server.ids("Encounter?_revinclude=Observation:encounter", app)
    assert found == {"Encounter/a-enc", "Encounter/a-enc-mh", "Observation/a-2"}
    assert world.server.ids("Observation?_include=*", app) == {"Observation/a-2", "Encounter/a-enc-mh"}
    for query in (
        "Observation?has-member:Observation.code=44261-6",
        "Encounter?_has:Observation:encounter:code=718-7&_id=a-enc",
        "Observation?subject:Patient.name=ann",
        "Encounter?subject:Patient.name=ann",
    ):
        assert world.server.get(f"{query}&_total=accurate", app)["total"] == 0


def test_a_replaced_version_is_not_judged_by_the_categories_of_the_current_one(world: World, app: str) -> None:
    world.server.put(observation(ANN, "a-1", category="vital-signs"), world.trust)
    assert world.server.get("Observation/a-1", app)["meta"]["versionId"] == "2"
    assert world.server.call("GET", "Observation/a-1/_history/1", app).status_code == 404
    assert world.server.get("Observation/a-1/_history", app)["total"] == 1


def test_what_is_outside_the_scopes_is_forbidden_as_a_type_and_absent_as_a_row(world: World, app: str) -> None:
    assert world.server.call("GET", "DocumentReference/a-doc", app).status_code == 403
    assert world.server.call("GET", "Patient?name=ann", app).status_code == 403
    assert world.server.call("POST", "Observation", app, observation(ANN)).status_code == 403


def test_a_granular_scope_holds_on_writes(world: World) -> None:
    token = world.server.token(ANN, f"patient/{_VITALS.format('cruds')}", client_id="app")
    assert world.server.call("POST", "Observation", token, observation(ANN)).status_code == 403
    made = world.server.post("Observation", token, observation(ANN, category="vital-signs"))
    changed = observation(ANN, made["id"])
    assert world.server.call("PUT", f"Observation/{made['id']}", token, changed).status_code == 403
    entries = [
        {"resource": observation(ANN, category=category), "request": {"method": "POST", "url": "Observation"}}
        for category in ("vital-signs", "laboratory")
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    before = world.server.get("Observation?_summary=count", world.ann)["total"]
    assert world.server.call("POST", "", token, bundle).status_code == 403
    assert world.server.get("Observation?_summary=count", world.ann)["total"] == before


def test_a_launch_patient_bounds_reading_and_writing(world: World) -> None:
    world.share(consent(BOB, GP))
    launched = world.server.token(GP, "patient/*.cruds", patient=ANN)
    assert world.server.ids("Patient", launched) == {ANN}
    assert world.server.call("GET", "Observation/b-1", launched).status_code == 404
    assert world.server.call("POST", "Observation", launched, observation(BOB)).status_code == 403
    assert world.server.call("POST", "Observation", launched, observation(ANN)).status_code == 201


def test_a_launch_patient_hides_what_is_nobodys_but_the_directory(world: World) -> None:
    loose = {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="}
    made = world.server.post("Binary", world.trust, loose)
    clinician = "Practitioner/consultant"
    assert world.server.call("GET", f"Binary/{made['id']}", world.server.token(clinician)).status_code == 200
    launched = world.server.token(clinician, "patient/*.rs", patient=ANN)
    assert world.server.call("GET", f"Binary/{made['id']}", launched).status_code == 404
    assert world.server.call("GET", TRUST, launched).status_code == 200


def test_patient_scopes_without_a_patient_open_nothing(world: World) -> None:
    token = world.server.token(GP, "patient/*.cruds", patient="")
    assert world.server.get("Observation?_summary=count", token)["total"] == 0
    assert world.server.call("GET", TRUST, token).status_code == 404


@pytest.mark.parametrize("scope", ["system/*.cud", "system/Observation.cu"])
def test_a_token_to_write_only_is_never_answered_with_stored_content(world: World, scope: str) -> None:
    token = world.server.token(TRUST, scope)
    headers = {"If-None-Exist": "_id=a-1"}
    found = world.server.call("POST", "Observation", token, observation(ANN), headers)
    assert (found.status_code, found.data) == (200, b"")
    patch = b'[{"op":"replace","path":"/status","value":"amended"}]'
    headers = {"Content-Type": "application/json-patch+json"}
    for where in ("Observation/a-mh", "Observation/a-1", "Observation/nowhere"):
        assert world.server.call("PATCH", where, token, patch, headers).status_code == 403
    assert world.server.call("GET", "Observation/a-1", token).status_code == 403


def test_scopes_never_widen(world: World) -> None:
    token = world.server.token(GP, "system/*.* user/*.* patient/*.*", patient=BOB)
    assert world.server.call("GET", "Patient/bob", token).status_code == 404
    assert world.server.call("POST", "Consent", token, consent(BOB, GP)).status_code == 403
