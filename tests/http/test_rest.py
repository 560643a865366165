"""The FHIR REST door: status, headers and bodies of each interaction, and of each way to get one wrong."""

import base64
from typing import Any

import orjson
import pytest
from werkzeug.test import TestResponse

from tests.server import Server

PATIENT = {"resourceType": "Patient", "active": True, "name": [{"family": "Rest"}]}


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def test_a_created_resource_is_read_back_with_its_version_headers(server: Server, operator: str) -> None:
    made = server.call("POST", "Patient", operator, PATIENT)
    assert made.status_code == 201
    assert made.headers["ETag"] == 'W/"1"'
    assert made.headers["Location"].endswith(f"/fhir/Patient/{_json(made)['id']}/_history/1")
    read = server.call("GET", f"Patient/{_json(made)['id']}", operator)
    assert read.data == made.data
    assert read.headers["ETag"] == 'W/"1"'
    assert read.headers["Last-Modified"].endswith("GMT")
    assert read.headers["Cache-Control"] == "no-store"


def test_an_update_makes_a_version_and_history_lists_all(server: Server, operator: str) -> None:
    made = server.post("Patient", operator, PATIENT)
    server.put({**PATIENT, "id": made["id"], "active": False}, operator)
    server.call("DELETE", f"Patient/{made['id']}", operator)
    history = server.get(f"Patient/{made['id']}/_history", operator)
    assert [entry["request"]["method"] for entry in history["entry"]] == ["DELETE", "PUT", "POST"]
    assert history["total"] == 3
    assert server.get(f"Patient/{made['id']}/_history/1", operator)["active"] is True
    server.get(f"Patient/{made['id']}/_history/3", operator, 410)
    server.get(f"Patient/{made['id']}/_history/4", operator, 404)
    server.get(f"Patient/{made['id']}", operator, 410)


def test_a_stale_version_is_refused_and_changes_nothing(server: Server, operator: str) -> None:
    made = server.post("Patient", operator, PATIENT)
    path = f"Patient/{made['id']}"
    server.put({**PATIENT, "id": made["id"], "active": False}, operator)
    stale = server.call("PUT", path, operator, {**PATIENT, "id": made["id"]}, {"If-Match": 'W/"1"'})
    assert stale.status_code == 412
    assert server.get(path, operator)["meta"]["versionId"] == "2"


def test_decimals_keep_their_digits(server: Server, operator: str) -> None:
    raw = (
        b'{"resourceType":"Observation","status":"final","code":{"text":"probe"},'
        b'"valueQuantity":{"value":1.500},"component":[{"code":{"text":"x"},"valueQuantity":{"value":1.0E3}}]}'
    )
    made = server.call("POST", "Observation", operator, raw)
    assert made.status_code == 201, made.text
    text = server.call("GET", f"Observation/{_json(made)['id']}", operator).data
    assert b'"value":1.500' in text
    assert b'"value":1.0E3' in text


def test_binary_is_served_raw_where_its_own_type_is_wanted(server: Server, operator: str) -> None:
    made = server.call("POST", "Binary", operator, b"\x89PNG", {"Content-Type": "image/png"})
    assert made.status_code == 201, made.text
    raw = server.call("GET", f"Binary/{_json(made)['id']}", operator, headers={"Accept": "image/png"})
    assert (raw.data, raw.headers["Content-Type"]) == (b"\x89PNG", "image/png")
    assert raw.headers["X-Content-Type-Options"] == "nosniff"
    wrapped = server.get(f"Binary/{_json(made)['id']}", operator)
    assert base64.b64decode(wrapped["data"]) == b"\x89PNG"


def test_a_json_patch_changes_what_it_names(server: Server, operator: str) -> None:
    made = server.post("Patient", operator, PATIENT)
    patch = orjson.dumps([{"op": "replace", "path": "/active", "value": False}])
    headers = {"Content-Type": "application/json-patch+json"}
    assert server.call("PATCH", f"Patient/{made['id']}", operator, patch, headers).status_code == 200
    assert server.get(f"Patient/{made['id']}", operator)["active"] is False


def test_if_none_exist_finds_what_is_there(server: Server, operator: str) -> None:
    body = {**PATIENT, "identifier": [{"system": "http://a.test/s", "value": "1"}]}
    condition = {"If-None-Exist": "identifier=http://a.test/s|1"}
    first = server.call("POST", "Patient", operator, body, condition)
    again = server.call("POST", "Patient", operator, body, condition)
    assert (first.status_code, again.status_code) == (201, 200)
    assert _json(again)["id"] == _json(first)["id"]


def test_a_second_patient_with_one_nhs_number_is_refused(server: Server, operator: str) -> None:
    body = {**PATIENT, "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}]}
    server.post("Patient", operator, body)
    server.post("Patient", operator, body, 409)


def test_the_capability_statement_needs_no_token(server: Server) -> None:
    statement = server.get("metadata", "")
    assert statement["fhirVersion"] == "4.0.1"
    types = {resource["type"] for resource in statement["rest"][0]["resource"]}
    assert len(types) == 146
    uris = statement["rest"][0]["security"]["extension"][0]["extension"]
    assert {item["url"] for item in uris} >= {"authorize", "token"}


def test_what_is_claimed_for_audit_events_is_what_is_understood(server: Server, operator: str) -> None:
    resources = server.get("metadata", "")["rest"][0]["resource"]
    claimed = next(item["searchParam"] for item in resources if item["type"] == "AuditEvent")
    refusal = server.get("AuditEvent?nonsense=1", operator, 400)["issue"][0]["diagnostics"]
    understood = refusal.partition("supported on AuditEvent: ")[2].split(", ")
    assert {item["name"] for item in claimed} | {"_count", "_sort", "_total", "_summary"} == set(understood)


def test_a_browser_app_may_call_from_anywhere_with_a_token(server: Server) -> None:
    preflight = server.call("OPTIONS", "Patient", headers={"Origin": "https://app.test"})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in preflight.headers


@pytest.mark.parametrize(
    "method, path, body, headers, status",
    [
        ("POST", "Patient", b"", {}, 400),
        ("POST", "Patient", b"[]", {}, 400),
        ("POST", "Patient", b'{"resourceType":"Patient"', {}, 400),
        ("POST", "Patient", b'{"resourceType":"Patient","active":true,"active":false}', {}, 400),
        ("POST", "Patient", b'{"resourceType":"Patient","active":NaN}', {}, 400),
        ("POST", "Patient", b"\xff\xfe", {}, 400),
        ("POST", "Patient", b'{"a":' * 500 + b"1" + b"}" * 500, {}, 400),
        ("POST", "Patient", b'{"resourceType":"Observation"}', {}, 400),
        ("POST", "Patient", b'{"resourceType":"Patient","birthDate":"2024-02-31"}', {}, 422),
        ("POST", "Patient", b'{"resourceType":"Patient","gender":"unheard-of"}', {}, 422),
        ("POST", "Patient", b'{"resourceType":"Patient","colour":"red"}', {}, 400),
        ("POST", "Patient", b"<Patient/>", {"Content-Type": "text/turtle"}, 415),
        ("POST", "Patient", b"{}", {"Content-Encoding": "br"}, 415),
        ("PUT", "Patient/a", b'{"resourceType":"Patient","id":"b"}', {}, 400),
        ("PUT", "Patient/a", b'{"resourceType":"Patient"}', {}, 400),
        ("PUT", "Patient", b'{"resourceType":"Patient"}', {}, 400),
        ("PUT", "Patient?identifier=x", b'{"resourceType":"Patient","id":5}', {}, 400),
        ("DELETE", "Patient", None, {}, 400),
        ("GET", "Patient/never", None, {}, 404),
        ("GET", "patient/never", None, {}, 404),
        ("GET", "Nonsense", None, {}, 404),
        ("GET", "Patient/never/$nothing", None, {}, 404),
        ("GET", "Patient?nonsense=1", None, {}, 400),
        ("GET", "Patient?birthdate=yesterday", None, {}, 400),
        ("GET", "Patient", None, {"Accept": "text/turtle"}, 406),
        ("GET", "Patient?_format=ttl", None, {}, 406),
        ("PATCH", "Patient/never", b"[]", {"Content-Type": "application/json"}, 415),
        ("POST", "Patient/never", b"{}", {}, 405),
        ("POST", "", b'{"resourceType":"Bundle","type":"collection"}', {}, 400),
        ("POST", "", b'{"resourceType":"Bundle","type":"transaction","entry":[{}]}', {}, 400),
        ("POST", "AuditEvent", b'{"resourceType":"AuditEvent"}', {}, 403),
    ],
)
def test_a_bad_request_is_told_what_is_wrong_and_changes_nothing(
    server: Server, operator: str, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    answer = server.call(method, path, operator, body, headers)
    assert answer.status_code == status, answer.text
    outcome = orjson.loads(answer.data)
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["diagnostics"]
    assert "Traceback" not in answer.text
    assert server.get("Patient?_summary=count", operator)["total"] == 0


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer \u00e9"])
def test_without_a_valid_token_there_is_nothing_but_401(server: Server, header: str) -> None:
    answer = server.call("GET", "Patient", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert _json(answer)["resourceType"] == "OperationOutcome"


def test_a_failed_entry_rolls_the_whole_transaction_back(server: Server, operator: str) -> None:
    entries = [
        {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
        {"resource": {"resourceType": "Patient", "gender": "x"}, "request": {"method": "POST", "url": "Patient"}},
    ]
    answer = server.call("POST", "", operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 422
    assert _json(answer)["issue"][0]["expression"] == ["Bundle.entry[1].resource.gender"]
    assert server.get("Patient?_summary=count", operator)["total"] == 0


def test_a_batch_answers_each_entry_on_its_own(server: Server, operator: str) -> None:
    entries = [
        {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "GET", "url": "Patient/never"}},
        {"request": {"method": "GET", "url": "Patient?_summary=count"}},
    ]
    body = server.post("", operator, {"resourceType": "Bundle", "type": "batch", "entry": entries}, 200)
    assert [entry["response"]["status"][:3] for entry in body["entry"]] == ["201", "404", "200"]
    assert body["entry"][1]["response"]["outcome"]["resourceType"] == "OperationOutcome"
    assert body["entry"][2]["resource"]["total"] == 1


def test_a_compartment_holds_what_names_its_patient(server: Server, operator: str) -> None:
    for name in ("one", "two"):
        server.put({**PATIENT, "id": name}, operator)
        server.post("Observation", operator, _observation(f"Patient/{name}"))
    for name in ("one", "two"):
        found = server.get(f"Patient/{name}/Observation?_count=1", operator)
        assert [entry["resource"]["subject"]["reference"] for entry in found["entry"]] == [f"Patient/{name}"]
        assert found["link"][0]["url"].endswith(f"/fhir/Patient/{name}/Observation?_count=1")
    server.get("Patient/one/Observation?status=unheard-of,final&_summary=count", operator)
    server.get("Patient/one/Organization", operator, 400)
    server.get("Organization/one/Observation", operator, 400)


def test_what_a_patient_enters_is_general(server: Server, operator: str) -> None:
    server.put({**PATIENT, "id": "one"}, operator)
    made = server.post("Observation", server.token("Patient/one"), _observation("Patient/one"))
    assert "general" in {coding["code"] for coding in made["meta"]["security"]}


def _json(answer: TestResponse) -> Any:  # parsed JSON
    return orjson.loads(answer.data)


def _observation(subject: str) -> dict[str, Any]:
    code = {"text": "probe"}
    return {"resourceType": "Observation", "status": "final", "code": code, "subject": {"reference": subject}}


def test_references_inside_a_transaction_become_the_ids_given(server: Server, operator: str) -> None:
    urn = "urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059"
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "probe"},
        "subject": {"reference": urn},
    }
    entries = [
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        {"fullUrl": urn, "resource": PATIENT, "request": {"method": "POST", "url": "Patient"}},
    ]
    body = server.post("", operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, 200)
    patient, made = (body["entry"][index]["response"]["location"].split("/")[-3] for index in (1, 0))
    assert server.get(f"Observation/{made}", operator)["subject"]["reference"] == f"Patient/{patient}"
