"""PATCH over HTTP: FHIRPath Patch and JSON Patch, conditional, with If-Match, in a Bundle, under the gate."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from tests.consent.world import World
from tests.server import Server

JSON_PATCH = "application/json-patch+json"
PATIENT = {"resourceType": "Patient", "active": True, "identifier": [{"system": "http://a.test/s", "value": "1"}]}


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def _set(path: str, **value: Any) -> dict[str, Any]:
    """Return a FHIRPath Patch that replaces one element."""
    part = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": path},
        {"name": "value", **value},
    ]
    return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}


def _binary(operations: list[dict[str, Any]], media: str = JSON_PATCH) -> dict[str, Any]:
    data = base64.b64encode(orjson.dumps(operations)).decode()
    return {"resourceType": "Binary", "contentType": media, "data": data}


OFF = _set("Patient.active", valueBoolean=False)
OFF_JSON = [{"op": "replace", "path": "/active", "value": False}]


def test_a_fhirpath_patch_makes_a_version(server: Server, operator: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    answer = server.call("PATCH", path, operator, OFF, {"If-Match": 'W/"1"'})
    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == 'W/"2"'
    assert server.get(path, operator)["active"] is False
    assert server.call("PATCH", path, operator, OFF, {"If-Match": 'W/"1"'}).status_code == 412


@pytest.mark.parametrize(
    "body, status",
    [
        (_set("Patient.id", valueString="other"), 422),
        (_set("Patient.identifier.value.upper()", valueString="x"), 400),
        (_set("Patient.gender", valueCode="male"), 422),
        (_set("Patient.active", valueString="no"), 400),
        (PATIENT, 400),
        (b"{", 400),
        (b"", 400),
    ],
)
def test_what_cannot_be_applied_changes_nothing(server: Server, operator: str, body: Any, status: int) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    assert server.call("PATCH", path, operator, body).status_code == status
    assert server.get(path, operator)["meta"]["versionId"] == "1"


def test_other_media_types_of_patches_are_415(server: Server, operator: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    for media in ("application/xml", "text/plain", "application/json"):
        refused = server.call("PATCH", path, operator, b"<diff/>", {"Content-Type": media})
        assert refused.status_code == 415
        assert JSON_PATCH in refused.text


@pytest.mark.parametrize("kind", ["fhirpath", "json"])
def test_a_conditional_patch_changes_the_one_match(server: Server, operator: str, kind: str) -> None:
    body: Any = OFF if kind == "fhirpath" else orjson.dumps(OFF_JSON)
    headers = {} if kind == "fhirpath" else {"Content-Type": JSON_PATCH}
    where = "Patient?identifier=http://a.test/s|1"
    assert server.call("PATCH", where, operator, body, headers).status_code == 404
    first = server.post("Patient", operator, PATIENT)["id"]
    assert server.call("PATCH", where, operator, body, headers | {"If-Match": 'W/"7"'}).status_code == 412
    assert server.call("PATCH", where, operator, body, headers).status_code == 200
    assert server.get(f"Patient/{first}", operator)["active"] is False
    server.post("Patient", operator, PATIENT)
    assert server.call("PATCH", where, operator, body, headers).status_code == 412
    for without in ("Patient", "Patient?", "Patient?identifier="):
        assert server.call("PATCH", without, operator, body, headers).status_code == 400


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize("patch", [OFF, _binary(OFF_JSON)])
def test_a_bundle_patches_by_either_way(server: Server, operator: str, kind: str, patch: dict[str, Any]) -> None:
    logical_id = server.post("Patient", operator, PATIENT)["id"]
    for url in (f"Patient/{logical_id}", "Patient?identifier=http://a.test/s|1"):
        entry = {"resource": patch, "request": {"method": "PATCH", "url": url}}
        answer = server.post("", operator, {"resourceType": "Bundle", "type": kind, "entry": [entry]}, 200)
        assert answer["entry"][0]["response"]["status"].startswith("200")
    stored = server.get(f"Patient/{logical_id}", operator)
    assert (stored["active"], stored["meta"]["versionId"]) == (False, "3")
    stale = {"resource": patch, "request": {"method": "PATCH", "url": f"Patient/{logical_id}", "ifMatch": 'W/"1"'}}
    refused = server.call("POST", "", operator, {"resourceType": "Bundle", "type": kind, "entry": [stale]})
    assert refused.status_code == (412 if kind == "transaction" else 200)
    assert "412" in refused.text or kind == "transaction"


def test_references_of_a_patch_in_a_transaction_lead_to_what_it_makes(server: Server, operator: str) -> None:
    logical_id = server.post("Patient", operator, {**PATIENT, "managingOrganization": {"display": "x"}})["id"]
    reference = {"reference": "urn:uuid:6b1fa2bd-7e9a-4d0c-9d6d-3e2c8b6f0a11"}
    patch = _set("Patient.managingOrganization", valueReference=reference)
    entries = [
        {"resource": patch, "request": {"method": "PATCH", "url": f"Patient/{logical_id}"}},
        {
            "fullUrl": reference["reference"],
            "resource": {"resourceType": "Organization", "name": "x"},
            "request": {"method": "POST", "url": "Organization"},
        },
    ]
    server.post("", operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, 200)
    found = server.get(f"Patient/{logical_id}", operator)["managingOrganization"]["reference"]
    assert server.get(found, operator)["name"] == "x"


def test_a_patch_entry_of_another_kind_is_refused(server: Server, operator: str) -> None:
    logical_id = server.post("Patient", operator, PATIENT)["id"]
    for patch in (None, PATIENT, _binary(OFF_JSON, "text/plain"), {"resourceType": "Binary", "data": "!"}):
        entry = {"request": {"method": "PATCH", "url": f"Patient/{logical_id}"}} | (
            {"resource": patch} if patch else {}
        )
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        assert server.call("POST", "", operator, bundle).status_code == 400


def test_a_patch_reaches_what_its_caller_may_change_and_nothing_else(world: World) -> None:
    patch = _set("Observation.status", valueCode="amended")
    hidden = world.server.call("PATCH", "Observation/a-mh", world.gp, patch)
    absent = world.server.call("PATCH", "Observation/nowhere", world.gp, patch)
    assert (hidden.status_code, absent.status_code) == (404, 404)
    assert world.server.call("PATCH", "Observation/a-1", world.gp, patch).status_code == 403
    where = "Observation?code=44261-6&patient=Patient/ann"
    assert world.server.call("PATCH", where, world.gp, patch).status_code == 404
    assert world.server.call("PATCH", where, world.trust, patch).status_code == 200
    label = _set("Observation.meta.security[0].code", valueCode="general")
    assert world.server.call("PATCH", "Observation/a-1", world.gp, label).status_code == 403
