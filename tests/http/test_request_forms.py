"""What a request may say in more than one place: form or URL, header or URL, and patches by the general JSON type."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from tests.server import Server

FORM = "application/x-www-form-urlencoded"
MERGE = "application/merge-patch+json"
PATIENT = {
    "resourceType": "Patient",
    "identifier": [{"system": "https://example.org/mrn", "value": "1"}],
    "name": [{"family": "Forms"}],
    "maritalStatus": {"text": "Single", "coding": [{"code": "S"}]},
    "multipleBirthInteger": 2,
}


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def _post(server: Server, operator: str, path: str, form: str, **headers: str) -> Any:
    return server.call("POST", path, operator, form.encode(), {"Content-Type": FORM, **headers})


def test_a_form_chooses_format_and_indentation(server: Server, operator: str) -> None:
    server.post("Patient", operator, PATIENT)
    as_xml = _post(server, operator, "Patient/_search", "name=forms&_format=xml&_pretty=true")
    assert as_xml.mimetype == "application/fhir+xml"
    assert b"\n  <" in as_xml.data
    assert b"_format" not in as_xml.data
    as_json = _post(server, operator, "_search", "_type=Patient&_pretty=true", Accept="application/fhir+json")
    assert as_json.data.startswith(b'{\n  "')


def test_the_url_goes_before_the_form(server: Server, operator: str) -> None:
    found = _post(server, operator, "Patient/_search?_format=json", "_format=xml")
    assert found.mimetype == "application/fhir+json"


def test_a_refusal_has_the_form_that_was_asked_for(server: Server, operator: str) -> None:
    refused = _post(server, operator, "Patient/_search", "nonsense=1&_format=xml&_pretty=true")
    assert (refused.status_code, refused.mimetype) == (400, "application/fhir+xml")
    assert b"\n  <issue>" in refused.data
    indented = server.call("GET", "Patient/never?_pretty=true", operator)
    assert indented.data.startswith(b'{\n  "')


def test_a_format_that_is_not_known_is_406_in_a_form_too(server: Server, operator: str) -> None:
    assert _post(server, operator, "Patient/_search", "_format=turtle").status_code == 406


def test_a_form_that_is_not_utf8_is_400(server: Server, operator: str) -> None:
    assert _post(server, operator, "Patient/_search", "name=%ff").status_code == 400
    raw = server.call("POST", "Patient/_search", operator, b"name=\xff", {"Content-Type": FORM})
    assert raw.status_code == 400


def test_criteria_in_the_url_of_a_create_are_those_of_if_none_exist(server: Server, operator: str) -> None:
    path = "Patient?identifier=https://example.org/mrn|1"
    first = server.call("POST", path, operator, PATIENT)
    second = server.call("POST", path, operator, PATIENT)
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.headers["Location"] == first.headers["Location"]
    assert server.get("Patient?_summary=count", operator)["total"] == 1
    both = server.call("POST", path, operator, PATIENT, {"If-None-Exist": "name=a"})
    assert both.status_code == 400
    server.post("Patient?nonsense=1", operator, PATIENT, 400)
    server.post("Patient?_count=1", operator, PATIENT, 400)


def test_criteria_in_the_url_of_an_entry_are_those_of_if_none_exist(server: Server, operator: str) -> None:
    entry = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient?identifier=https://example.org/mrn|1"}}
    for kind, status in (("batch", "201 Created"), ("transaction", "200 OK")):
        answer = server.post("", operator, {"resourceType": "Bundle", "type": kind, "entry": [entry]}, 200)
        assert answer["entry"][0]["response"]["status"] == status


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "Patient/{id}?nonsense=1"),
        ("GET", "Patient/{id}/_history/1?_count=1"),
        ("PUT", "Patient/{id}?nonsense=1"),
        ("DELETE", "Patient/{id}?_cascade=delete"),
        ("POST", "?nonsense=1"),
        ("GET", "metadata?nonsense=1"),
    ],
)
def test_a_parameter_that_would_be_passed_over_is_400_unless_the_caller_is_lenient(
    server: Server, operator: str, method: str, path: str
) -> None:
    made = server.post("Patient", operator, PATIENT)
    path = path.format(id=made["id"])
    body: Mapping[str, Any] | None = made if method == "PUT" else None
    if method == "POST":
        body = {"resourceType": "Bundle", "type": "batch"}
    refused = server.call(method, path, operator, body)
    assert refused.status_code == 400
    assert "Supported: " in json.loads(refused.data)["issue"][0]["diagnostics"]
    assert server.call(method, path, operator, body, {"Prefer": "handling=lenient"}).status_code in {200, 204}


def test_the_total_is_told_by_the_name_that_fhirpy_has_for_it(server: Server, operator: str) -> None:
    for _ in range(3):
        server.post("Patient", operator, PATIENT)
    found = server.get("Patient?_count=1&_totalMethod=count", operator)
    assert found["total"] == 3
    assert "_total=accurate" in found["link"][0]["url"]
    server.get("Patient?_totalMethod=guess", operator, 400)


# ---------------------------------------------------------------- JSON Merge Patch


def test_a_merge_patch_adds_replaces_and_removes_members(server: Server, operator: str) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    changes = {
        "gender": "other",
        "name": [{"family": "Merged"}],
        "maritalStatus": {"text": None},
        "multipleBirthInteger": None,
        "deceasedBoolean": None,
    }
    for media in (MERGE, "application/json"):
        answer = server.call("PATCH", path, operator, changes, {"Content-Type": media})
        assert answer.status_code == 200, answer.text
        found = json.loads(answer.data)
        assert (found["gender"], found["name"]) == ("other", [{"family": "Merged"}])
        assert found["maritalStatus"] == {"coding": [{"code": "S"}]}
        assert not {"multipleBirthInteger", "deceasedBoolean"} & set(found)
        assert found["identifier"] == PATIENT["identifier"]


@pytest.mark.parametrize(
    "body, status",
    [
        (b"[]", 400),
        (b"", 400),
        (b"{", 400),
        (b'{"colour":"red"}', 400),
        (b'{"gender":"unheard-of"}', 422),
        (b'{"id":"other"}', 422),
        (b'{"resourceType":"Observation"}', 422),
        (b'{"name":{"family":"a"}}', 400),
    ],
)
def test_a_merge_patch_that_does_not_fit_changes_nothing(
    server: Server, operator: str, body: bytes, status: int
) -> None:
    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    refused = server.call("PATCH", path, operator, body, {"Content-Type": MERGE})
    assert refused.status_code == status, refused.text
    assert server.get(path, operator)["meta"]["versionId"] == "1"


def test_a_merge_patch_keeps_the_digits_of_decimals_and_obeys_if_match(server: Server, operator: str) -> None:
    raw = b'{"resourceType":"Observation","status":"final","code":{"text":"t"},"valueQuantity":{"value":1.50}}'
    path = f"Observation/{json.loads(server.call('POST', 'Observation', operator, raw).data)['id']}"
    headers = {"Content-Type": MERGE, "If-Match": 'W/"2"'}
    assert server.call("PATCH", path, operator, {"status": "amended"}, headers).status_code == 412
    merged = server.call("PATCH", path, operator, {"status": "amended"}, headers | {"If-Match": 'W/"1"'})
    assert b'"value":1.50' in merged.data


def test_an_entry_of_a_bundle_may_be_a_merge_patch(server: Server, operator: str) -> None:

    path = f"Patient/{server.post('Patient', operator, PATIENT)['id']}"
    data = b64encode(json.dumps({"gender": "other"}).encode()).decode()
    entry = {
        "resource": {"resourceType": "Binary", "contentType": MERGE, "data": data},
        "request": {"method": "PATCH", "url": path},
    }
    server.post("", operator, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, 200)
    assert server.get(path, operator)["gender"] == "other"
