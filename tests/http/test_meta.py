"""`$meta`, `$meta-add` and `$meta-delete`: what they tell, and that labels follow the rules of an update."""

from __future__ import annotations

from typing import Any

import pytest

from tests.consent.callers import CALLERS
from tests.consent.removal import remove_hidden, restored
from tests.consent.world import ANN, LABEL, TRUST, World, labelled
from tests.server import Server

TAG = {"system": "http://a.test/tags", "code": "blue"}
PROFILE = "http://a.test/StructureDefinition/p"
PATIENT = {"resourceType": "Patient", "meta": {"tag": [TAG], "profile": [PROFILE]}, "active": True}


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def _sent(**meta: Any) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def _meta(answer: dict[str, Any]) -> dict[str, Any]:
    assert answer["resourceType"] == "Parameters"
    return dict(answer["parameter"][0]["valueMeta"]) if "parameter" in answer else {}


def _labels(meta: dict[str, Any]) -> set[str]:
    return {each["code"] for each in meta.get("security", ()) if each.get("system") == LABEL}


def test_meta_is_that_of_the_resource_or_the_version(server: Server, operator: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    server.call("PUT", path, operator, {"resourceType": "Patient", "id": path.partition("/")[2], "active": True})
    assert _meta(server.get(f"{path}/$meta", operator))["versionId"] == "2"
    assert "tag" not in _meta(server.get(f"{path}/$meta", operator))
    assert _meta(server.get(f"{path}/_history/1/$meta", operator))["tag"] == [TAG]
    assert _meta(server.post(f"{path}/$meta", operator, {"resourceType": "Parameters"}, 200))["versionId"] == "2"
    server.call("DELETE", path, operator)
    server.get(f"{path}/$meta", operator, 410)
    for wrong in (f"{path}/_history/9/$meta", f"{path}/_history/x/$meta", "Patient/nowhere/$meta"):
        server.get(wrong, operator, 404)
    server.get("Patient/$meta?x=1", operator, 400)
    server.get("AuditEvent/$meta", operator, 400)


def test_meta_of_a_type_or_the_system_is_all_that_is_in_use(server: Server, operator: str) -> None:
    for code in ("blue", "red", "blue"):
        server.post("Patient", operator, {**PATIENT, "meta": {"tag": [{**TAG, "code": code}], "profile": [PROFILE]}})
    for path in ("Patient/$meta", "$meta"):
        found = _meta(server.get(path, operator))
        assert {each["code"] for each in found["tag"]} >= {"blue", "red"}
        assert len([each for each in found["tag"] if each["code"] == "blue"]) == 1
        assert PROFILE in found["profile"]
    assert _meta(server.get("Observation/$meta", operator)) == {}


def test_tags_and_profiles_are_added_and_taken_away_as_an_update(server: Server, operator: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    more = {"tag": [TAG, {**TAG, "code": "red"}], "profile": ["http://a.test/q"]}
    added = _meta(server.post(f"{path}/$meta-add", operator, _sent(**more), 200))
    assert [each["code"] for each in added["tag"]] == ["blue", "red"]
    assert added["profile"] == [PROFILE, "http://a.test/q"]
    assert server.get(path, operator)["meta"] == added
    left = _meta(server.post(f"{path}/$meta-delete", operator, _sent(tag=[TAG], profile=[PROFILE, "http://no"]), 200))
    assert ([each["code"] for each in left["tag"]], left["profile"]) == (["red"], ["http://a.test/q"])
    assert left["versionId"] == "3"
    stale = server.call("POST", f"{path}/$meta-add", operator, _sent(tag=[TAG]), {"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    assert server.get(f"{path}/_history", operator)["total"] == 3


@pytest.mark.parametrize("operation", ["$meta-add", "$meta-delete"])
def test_a_change_needs_one_meta(server: Server, operator: str, operation: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    two = _sent()["parameter"] * 2
    for body in (PATIENT, {"resourceType": "Parameters"}, {"resourceType": "Parameters", "parameter": two}):
        assert server.call("POST", f"{path}/{operation}", operator, body).status_code == 400
    assert server.call("POST", f"{path}/{operation}", operator, b"").status_code == 400
    assert server.call("GET", f"{path}/{operation}", operator).status_code == 405
    assert server.call("POST", f"Patient/nowhere/{operation}", operator, _sent(tag=[TAG])).status_code == 404
    for nowhere in (f"Patient/{operation}", operation, f"{path}/_history/1/{operation}"):
        assert server.call("POST", nowhere, operator, _sent(tag=[TAG])).status_code == 404


def test_hidden_resources_have_no_meta(world: World) -> None:
    for path in ("Observation/a-mh", "Observation/b-1", "Observation/nowhere"):
        world.server.get(f"{path}/$meta", world.gp, 404)
        for operation in ("$meta-add", "$meta-delete"):
            assert world.server.call("POST", f"{path}/{operation}", world.gp, _sent(tag=[TAG])).status_code == 404
    assert _labels(_meta(world.server.get("Observation/$meta", world.gp))) == {"general"}
    assert "mental-health" in _labels(_meta(world.server.get("Observation/$meta", world.ann)))
    assert "mental-health" not in _labels(_meta(world.server.get("$meta", world.gp)))


def test_hidden_resources_change_no_byte_of_any_meta(world: World) -> None:
    paths = ("$meta", "Observation/$meta", "Observation/a-mh/$meta", "Observation/a-2/$meta", "Consent/$meta")
    for caller, token_of in sorted(CALLERS.items()):
        with restored(world.server):
            token = token_of(world)
            before = [_told(world, path, token) for path in paths]
            remove_hidden(world.server, token)
            assert [_told(world, path, token) for path in paths] == before, caller


def _told(world: World, path: str, token: str) -> tuple[int, Any]:
    answer = world.server.call("GET", path, token)
    return answer.status_code, [issue["code"] for issue in (answer.json or {}).get("issue", ())] or answer.json


def test_the_capability_statement_names_operations_of_the_system_and_of_types(server: Server) -> None:
    rest = server.get("metadata", "")["rest"][0]
    assert "meta" in {each["name"] for each in rest["operation"]}
    assert "meta-add" not in {each["name"] for each in rest["operation"]}
    patient = next(each for each in rest["resource"] if each["type"] == "Patient")
    assert {"meta", "meta-add", "meta-delete"} <= {each["name"] for each in patient["operation"]}


def test_meta_needs_the_scopes_of_what_it_tells_and_changes(world: World) -> None:
    app = world.server.token(ANN, "patient/Observation.rs", client_id="app")
    assert _labels(_meta(world.server.get("$meta", app))) == {"general", "mental-health"}
    for path in ("Encounter/$meta", "Encounter/a-enc/$meta", "Patient/$meta"):
        assert world.server.call("GET", path, app).status_code == 403
    assert world.server.call("POST", "Observation/a-1/$meta-add", app, _sent(tag=[TAG])).status_code == 403
    writer = world.server.token(TRUST, "system/Observation.u", client_id="writer")
    assert world.server.call("POST", "Observation/a-1/$meta-add", writer, _sent(tag=[TAG])).status_code == 403


def test_a_label_changes_by_the_rules_of_an_update(world: World) -> None:
    hide = _sent(**labelled("mental-health"))
    # Somebody who may read it only may not open, close or tag it.
    for body in (hide, _sent(tag=[TAG])):
        assert world.server.call("POST", "Observation/a-1/$meta-add", world.gp, body).status_code == 403
    # The patient chooses among what others wrote, but changes nothing else of it.
    assert world.server.call("POST", "Observation/a-1/$meta-add", world.ann, _sent(tag=[TAG])).status_code == 403
    chosen = _meta(world.server.post("Observation/a-1/$meta-add", world.ann, hide, 200))
    assert _labels(chosen) == {"mental-health"}
    world.server.get("Observation/a-1", world.gp, 404)
    # The author may tag it, and neither takes the choice away nor adds another.
    for operation, body in (("$meta-delete", hide), ("$meta-add", _sent(**labelled("general")))):
        world.server.call("POST", f"Observation/a-1/{operation}", world.trust, body)
        assert "mental-health" in _labels(_meta(world.server.get("Observation/a-1/$meta", world.trust)))
    tagged = _meta(world.server.post("Observation/a-1/$meta-add", world.trust, _sent(tag=[TAG]), 200))
    assert "mental-health" in _labels(tagged)
    world.server.get("Observation/a-1", world.gp, 404)
    assert world.server.call("POST", "Observation/a-1/$meta-delete", world.ann, hide).status_code == 422


def test_meta_is_on_the_log_of_the_patient(world: World) -> None:
    world.server.get("Observation/a-2/$meta", world.gp)
    world.server.post("Observation/a-1/$meta-add", world.trust, _sent(tag=[TAG]), 200)
    events = world.server.get("AuditEvent?patient=Patient/ann&_count=20", world.ann)["entry"]
    touched = {
        each["what"].get("reference", "") for event in events for each in event["resource"]["entity"] if "what" in each
    }
    assert {"Observation/a-2/_history/1", "Observation/a-1/_history/2"} <= touched
