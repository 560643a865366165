"""SMART scopes on every road to a row: read, search, count, include, chain, history, write (scopes ∩ consent)."""

from __future__ import annotations

import pytest

from tests.consent.world import ANN, BOB, CATEGORY, GP, LABEL, TRUST, World, consent, observation

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


_ANNS = ("a-1", "a-2", "a-mh")
_GRANULAR = {
    f"category={CATEGORY}|vital-signs,{CATEGORY}|laboratory": "a-1 a-2 a-mh", f"category={CATEGORY}|": "a-1 a-2 a-mh",
    "code=44261-6,other": "a-mh", "code:not=44261-6": "a-1 a-2", "code:text=haemo": "a-1 a-2 a-mh",
    "date=ge2026-03-02": "a-1 a-2", "date=2026-03-01,2026-03-03": "a-1 a-mh", "date=lt2026-03-02": "a-mh",
    "value-quantity=gt6": "a-2 a-mh", "value-quantity=gt6&date=2026-03-02": "a-2", "_lastUpdated=ge2999": "",
    "encounter=Encounter/a-enc": "a-1", "encounter=Encounter/a-enc,Encounter/a-enc-mh": "a-1 a-2",
    "encounter:missing=true": "a-mh", "has-member=Observation/a-mh": "a-2", "subject=Patient/bob": "",
    "code-value-quantity=718-7$7": "a-2", "_id=a-1,a-mh,b-1": "a-1 a-mh", "_content=haemoglobin": "a-1 a-2 a-mh",
    f"_security={LABEL}|general": "a-1 a-2", "_tag:missing=true": "a-1 a-2 a-mh",
    "date=lt2026-03-02 patient/Observation.rs?encounter=Encounter/a-enc": "a-1 a-mh",
    "date=ap2026-03": "", "subject:Patient.name=ann": "", "_has:Observation:has-member:code=718-7": "", "code=": "",
    "nonsense=a": "", "_list=$current-problems": "", "_count=1": "", "date=lt2026-03-02&_sort=date": "",
}  # fmt: skip
"""Restriction, and which of Ann's three it lets through; of what cannot be enforced nothing."""


def test_a_granular_scope_is_any_search_parameter_on_every_road(world: World) -> None:
    for query, names in _GRANULAR.items():
        app = world.server.token(ANN, f"patient/Observation.rs?{query} patient/Encounter.rs", client_id="app")
        seen = {f"Observation/{name}" for name in names.split()}
        assert world.server.ids("Observation?_sort=date", app) == seen, query
        assert world.server.get("Observation?_summary=count", app)["total"] == len(seen), query
        for name in _ANNS:
            expected = 200 if name in names.split() else 404
            for path in (f"Observation/{name}", f"Observation/{name}/_history", f"Observation/{name}/_history/1"):
                assert world.server.call("GET", path, app).status_code == expected, (query, path)
        pointing = {"Observation/a-1", "Observation/a-2"} & seen
        found = world.server.ids("Encounter?_revinclude=Observation:encounter", app)
        assert found == {"Encounter/a-enc", "Encounter/a-enc-mh"} | pointing, query
        found = world.server.ids("Encounter?_has:Observation:encounter:status=final", app)
        assert found == {f"Encounter/{'a-enc' if name.endswith('1') else 'a-enc-mh'}" for name in pointing}, query


def test_a_granular_scope_holds_for_what_is_deleted_and_for_replaced_versions(world: World) -> None:
    app = world.server.token(ANN, "patient/Observation.cruds?code:not=44261-6&date=ge2027", client_id="app")
    assert world.server.call("POST", "Observation", app, observation(ANN)).status_code == 403
    of_2027 = {"effectiveDateTime": "2027-01-01"}
    wrong = observation(ANN, code="44261-6", **of_2027)
    assert world.server.call("POST", "Observation", app, wrong).status_code == 403
    made = world.server.post("Observation", app, observation(ANN, **of_2027))
    path = f"Observation/{made['id']}"
    assert world.server.call("PUT", path, app, observation(ANN, made["id"])).status_code == 403
    world.server.put(observation(ANN, made["id"], **of_2027, value=1), app)
    assert world.server.get(f"{path}/_history", app)["total"] == 1
    assert world.server.call("GET", f"{path}/_history/1", app).status_code == 404
    # What is not there for the app is deleted already; it stays.
    assert world.server.call("DELETE", "Observation/a-1", app).status_code == 204
    assert world.server.get("Observation/a-1", world.ann)["id"] == "a-1"
    world.server.call("DELETE", path, world.ann)
    assert world.server.call("GET", path, world.ann).status_code == 410
    for gone in (path, f"{path}/_history", f"{path}/_history/2"):
        assert world.server.call("GET", gone, app).status_code == 404


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
