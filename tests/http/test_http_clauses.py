"""Clauses of https://hl7.org/fhir/R4/http.html that suites of other servers ask about, one test a clause."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec.definitions import load
from fhir_server.spec.xml_read import read_xml
from fhir_server.spec.xml_write import write_xml
from tests.server import Server

PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": "Clause"}]}
JSON_PATCH = "application/json-patch+json"


@pytest.fixture
def operator(server: Server) -> str:
    token = server.operator()
    server.put(PATIENT, token)
    return token


def _batch(server: Server, operator: str, *requests: dict[str, Any], kind: str = "batch", status: int = 200) -> Any:
    entries = [
        {name: value for name, value in (("request", {**each}), ("resource", each.pop("resource", None))) if value}
        for each in requests
    ]
    for entry in entries:
        entry["request"].pop("resource", None)
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    return server.post("", operator, bundle, status)


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "Patient/a_b", 404),
        ("PUT", "Patient/a_b", 400),
        ("PUT", f"Patient/{'a' * 65}", 400),
        ("DELETE", "Patient/a_b", 404),
        ("GET", "Patient/p/_history/abc", 404),
        ("GET", "Patient/p/_history/0", 404),
        ("GET", "Patient/p/_history/1/more", 404),
        ("GET", "_history/1", 404),
        ("POST", "_history", 405),
        ("POST", "Patient/_history", 405),
        ("PUT", "Patient/p/_history/1", 405),
        ("DELETE", "Patient/p/_history", 405),
        ("PUT", "", 405),
        ("DELETE", "metadata", 405),
        ("GET", "Patient/_search", 405),
    ],
)
def test_urls_that_mean_nothing_or_not_with_this_method(
    server: Server, operator: str, method: str, path: str, status: int
) -> None:
    body = {**PATIENT, "id": path.partition("/")[2]} if method == "PUT" else None
    answer = server.call(method, path, operator, body)
    assert answer.status_code == status, answer.text
    assert orjson.loads(answer.data)["resourceType"] == "OperationOutcome"
    assert ("Allow" in answer.headers) == (status == 405)


def test_head_has_the_headers_of_get_and_no_body(server: Server, operator: str) -> None:
    record = ("Patient/p", "Patient/p/_history", "Patient/p/_history/1")
    for path in (*record, "Patient", "Patient?name=x", "?_type=Patient", "_history", "Patient/_history", "metadata"):
        head, get = (server.call(method, path, operator) for method in ("HEAD", "GET"))
        assert (head.status_code, head.data) == (200, b""), path
        kept = [{k: v for k, v in answer.headers if k not in {"X-Request-Id", "Date"}} for answer in (head, get)]
        assert kept[0] == kept[1], path
    assert server.call("HEAD", "Patient/nowhere", operator).status_code == 404


def test_options_names_the_methods_and_has_no_content(server: Server, operator: str) -> None:
    answer = server.call("OPTIONS", "Patient/p")
    assert (answer.status_code, answer.data) == (204, b"")
    assert answer.headers["Allow"] == "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"
    assert "Content-Type" not in answer.headers


def test_what_is_server_owned_in_a_body_is_replaced(server: Server, operator: str) -> None:
    meta = {"versionId": "77", "lastUpdated": "2001-01-01T00:00:00Z", "tag": [{"code": "kept"}]}
    made = server.post("Patient", operator, {**PATIENT, "id": "mine", "meta": meta})
    assert made["id"] != "mine"
    assert made["meta"]["versionId"] == "1"
    assert made["meta"]["lastUpdated"].startswith("2026")
    assert made["meta"]["tag"] == [{"code": "kept"}]


def test_a_patch_of_what_was_deleted_is_gone(server: Server, operator: str) -> None:
    assert server.call("DELETE", "Patient/p", operator).status_code == 204
    sent = orjson.dumps([{"op": "add", "path": "/active", "value": True}])
    for path, status in (("Patient/p", 410), ("Patient/never", 404)):
        assert server.call("PATCH", path, operator, sent, {"Content-Type": JSON_PATCH}).status_code == status


def test_if_match_any_wants_a_current_version(server: Server, operator: str) -> None:
    headers = {"If-Match": "*"}
    assert server.call("PUT", "Patient/p", operator, PATIENT, headers).status_code == 200
    server.call("DELETE", "Patient/p", operator)
    assert server.call("PUT", "Patient/p", operator, PATIENT, headers).status_code == 412
    assert server.call("PUT", "Patient/q", operator, {**PATIENT, "id": "q"}, headers).status_code == 412


def test_if_none_match_any_creates_and_never_replaces(server: Server, operator: str) -> None:
    headers = {"If-None-Match": "*"}
    assert server.call("PUT", "Patient/p", operator, PATIENT, headers).status_code == 412
    assert server.get("Patient/p", operator)["meta"]["versionId"] == "1"
    assert server.call("PUT", "Patient/q", operator, {**PATIENT, "id": "q"}, headers).status_code == 201
    server.call("DELETE", "Patient/p", operator)
    assert server.call("PUT", "Patient/p", operator, PATIENT, headers).status_code == 201
    entry = {"method": "PUT", "url": "Patient/q", "ifNoneMatch": "*", "resource": {**PATIENT, "id": "q"}}
    assert _batch(server, operator, dict(entry))["entry"][0]["response"]["status"] == "412"
    _batch(server, operator, dict(entry), kind="transaction", status=412)


CONDITIONS = [
    ("If-Match", 'W/"77", W/"{now}"', 200),
    ("If-Match", 'W/"77","78"', 412),
    ("If-Match", "{now}", 200),
    ("If-Match", "", 400),
    ("If-Match", 'W/""', 400),
    ("If-Match", 'W/"{now}" and more', 400),
    ("If-None-Match", 'W/"{now}"', 412),
    ("If-None-Match", 'W/"77"', 200),
    ("If-None-Match", "W/", 400),
    ("If-None-Exist", "identifier=1", 400),
]


def test_a_condition_of_a_write_is_kept_or_refused_and_never_passed_over(server: Server, operator: str) -> None:
    for header, value, status in CONDITIONS:
        now = server.get("Patient/p", operator)["meta"]["versionId"]
        sent = value.format(now=now)
        answer = server.call("PUT", "Patient/p", operator, PATIENT, {header: sent})
        assert answer.status_code == status, (header, sent, answer.text)
        if not value:
            continue
        now = server.get("Patient/p", operator)["meta"]["versionId"]
        member = header[0].lower() + header.replace("-", "")[1:]
        request = {"method": "PUT", "url": "Patient/p", member: value.format(now=now)}
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": PATIENT, "request": request}]}
        answer = server.call("POST", "", operator, bundle)
        assert answer.status_code == status, (member, request, answer.text)


def test_a_version_has_one_name(server: Server, operator: str) -> None:
    for name, status in (("1", 200), ("01", 404), ("\u0661", 404), ("1.0", 404), ("2", 404)):
        assert server.call("GET", f"Patient/p/_history/{name}", operator).status_code == status, name
        assert server.call("GET", f"Patient/p/_history/{name}/$meta", operator).status_code == status, name


def test_criteria_of_a_create_are_a_query_or_a_search_of_its_type(server: Server, operator: str) -> None:
    criteria = "identifier=https://example.org/mrn|1"
    for text, status in (
        (criteria, 201),
        (f"?{criteria}", 201),
        (f"Patient?{criteria}", 201),
        (f"Basic?{criteria}", 400),
    ):
        answer = server.call("POST", "Patient", operator, PATIENT, {"If-None-Exist": text})
        assert answer.status_code == status, text
        entry = {"resource": PATIENT, "request": {"method": "POST", "url": "Patient", "ifNoneExist": text}}
        answer = server.call("POST", "", operator, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
        assert answer.status_code == (200 if status == 201 else 400), text


def test_a_read_in_a_bundle_is_304_where_the_caller_has_the_version(server: Server, operator: str) -> None:
    tags = ('W/"1"', 'W/"0", W/"1"', "*", 'W/"2"')
    for kind in ("batch", "transaction"):
        answer = _batch(
            server,
            operator,
            *({"method": "GET", "url": "Patient/p", "ifNoneMatch": tag} for tag in tags),
            {"method": "GET", "url": "Patient/p/_history/1", "ifNoneMatch": 'W/"1"'},
            kind=kind,
        )
        told = [(entry["response"]["status"], "resource" in entry) for entry in answer["entry"]]
        assert told == [("304 Not Modified", False)] * 3 + [("200 OK", True), ("304 Not Modified", False)]
        assert {entry["response"]["etag"] for entry in answer["entry"]} == {'W/"1"'}


@pytest.mark.parametrize("criteria", ["", "?", "_format=json", "_count=1", "name="])
def test_a_condition_without_criteria_is_no_condition_met(server: Server, operator: str, criteria: str) -> None:
    body = {name: value for name, value in PATIENT.items() if name != "id"}
    entry = {"method": "POST", "url": "Patient", "ifNoneExist": criteria, "resource": body}
    assert _batch(server, operator, dict(entry))["entry"][0]["response"]["status"] == "400"
    _batch(server, operator, dict(entry), kind="transaction", status=400)
    assert server.call("POST", "Patient", operator, body, {"If-None-Exist": criteria}).status_code == 400
    assert server.get("Patient?_summary=count", operator)["total"] == 1


def test_each_entry_of_a_batch_has_a_status_of_its_own(server: Server, operator: str) -> None:
    answer = _batch(
        server,
        operator,
        {"method": "GET", "url": "Patient/p"},
        {"method": "GET", "url": "Patient/none"},
        {"method": "POST", "url": "Patient", "resource": {"resourceType": "Patient"}},
        {"method": "DELETE", "url": "Patient/none"},
        {"method": "HEAD", "url": "Patient/p"},
        {"method": "GET", "url": "Patient?_count=0"},
        {"method": "get", "url": "Patient/p"},
        {"method": "POST", "url": "Patient/p", "resource": PATIENT},
        {"method": "POST", "url": "Nonsense", "resource": PATIENT},
    )
    assert answer["type"] == "batch-response"
    statuses = [entry["response"]["status"].partition(" ")[0] for entry in answer["entry"]]
    assert statuses == ["200", "404", "201", "204", "200", "200", "400", "405", "404"]
    created = answer["entry"][2]["response"]
    assert created["location"].endswith("/_history/1")
    assert {"etag", "lastModified"} <= set(created)
    for entry, status in zip(answer["entry"], statuses, strict=True):
        assert ("outcome" in entry["response"]) == (status >= "400")


def test_an_operation_that_changes_nothing_may_be_an_entry_of_a_batch(server: Server, operator: str) -> None:
    described = {"resourceType": "Patient", "name": [{"family": "Clause"}], "birthDate": "1980-01-01"}
    requests: list[dict[str, Any]] = [
        {"method": "GET", "url": "Patient/p/$everything"},
        {"method": "POST", "url": "Patient/$match", "resource": described},
        {"method": "POST", "url": "Patient/$validate", "resource": {"resourceType": "Patient", "gender": "none"}},
        {"method": "GET", "url": "Patient/none/$everything"},
        {"method": "GET", "url": "Patient/p/$nonsense"},
        {"method": "POST", "url": "Patient/p/$meta-add", "resource": {"resourceType": "Parameters"}},
    ]
    entries = _batch(server, operator, *(dict(each) for each in requests))["entry"]
    statuses = [entry["response"]["status"].partition(" ")[0] for entry in entries]
    assert statuses == ["200", "200", "200", "404", "404", "400"]
    assert [entry["resource"]["resourceType"] for entry in entries[:3]] == ["Bundle", "Bundle", "OperationOutcome"]
    _batch(server, operator, dict(requests[0]), kind="transaction", status=400)


def test_an_entry_that_reads_is_answered_as_the_request_would_be(server: Server, operator: str) -> None:
    """Every kind of GET there is, by itself and as an entry: status, and what is answered but for its sealed links."""
    asked = (
        "Patient/p", "Patient/p?_elements=name", "Patient/p?_summary=text", "Patient/p?_format=json", "Patient/p?x=1",
        "Patient/p/_history/1", "Patient/p/_history?_summary=count", "Patient/_history?_elements=name", "_history",
        "Patient?name=clause", "Patient?x=1", "?_type=Patient", "Patient/p/*", "Patient/p/Observation", "metadata",
        "metadata?mode=terminology", "metadata?_elements=fhirVersion", "metadata?mode=x", "Patient/p/$everything",
        "Patient/p/$validate", "Patient/$meta", "$meta", "Patient/none", "Nonsense/1", "Patient/p?_summary=count",
    )  # fmt: skip
    entries = _batch(server, operator, *({"method": "GET", "url": path} for path in asked))["entry"]
    for path, entry in zip(asked, entries, strict=True):
        alone = server.call("GET", path, operator)
        assert entry["response"]["status"].partition(" ")[0] == str(alone.status_code), path
        if alone.status_code == 200:
            found = orjson.loads(alone.data)
            for resource in (found, entry["resource"]):
                resource.pop("link", None)
            assert entry["resource"] == found, path
    heads = ("Patient/p", "metadata", "Patient?name=clause")
    told = _batch(server, operator, *({"method": "HEAD", "url": path} for path in heads), kind="transaction")["entry"]
    assert [(entry["response"]["status"], "resource" in entry) for entry in told] == [("200 OK", False)] * 3


def test_a_deletion_is_the_same_answer_the_second_time(server: Server, operator: str) -> None:
    first, second, never = (
        server.call("DELETE", path, operator) for path in ("Patient/p", "Patient/p", "Patient/never")
    )
    assert [each.status_code for each in (first, second, never)] == [204, 204, 204]
    assert first.headers["ETag"] == 'W/"2"'
    gone = server.call("GET", "Patient/p", operator)
    assert (gone.status_code, orjson.loads(gone.data)["issue"][0]["code"]) == (410, "deleted")
    entry = server.get("Patient/p/_history", operator)["entry"][0]
    assert (entry["request"], "resource" in entry) == ({"method": "DELETE", "url": "Patient/p"}, False)


# ---------------------------------------------------------------- text that XML cannot carry

_DEFINITIONS = load()
_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(_texts, _texts)
def test_no_text_of_json_makes_broken_xml(family: str, uri: str) -> None:
    sent = {"resourceType": "Patient", "name": [{"family": family}], "meta": {"profile": [uri]}, "language": family}
    back = read_xml(_DEFINITIONS, write_xml(_DEFINITIONS, sent), 1_000_000, "")
    legal = "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in family)
    assert back["name"][0]["family"] == legal


@pytest.mark.parametrize("character", ["\u0000", "\u0008", "\u000b", "\u001f"])
def test_a_control_character_is_refused_in_text(server: Server, operator: str, character: str) -> None:
    for text in (f"a{character}b", character):
        refused = server.post("Patient", operator, {"resourceType": "Patient", "name": [{"family": text}]}, 422)
        assert refused["issue"][0]["expression"] == ["Patient.name[0].family"]


@pytest.mark.parametrize("character", ["\ufffe", "\uffff", "\u0085", "\u2028", "\U0001f701", "\U0010ffff"])
def test_other_text_is_kept_as_json_and_readable_as_xml(server: Server, operator: str, character: str) -> None:
    text = f"a{character}b"
    made = server.post("Patient", operator, {"resourceType": "Patient", "name": [{"family": text}]})
    assert made["name"][0]["family"] == text
    answer = server.call("GET", f"Patient/{made['id']}?_format=xml", operator)
    shown = text.replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    assert read_xml(_DEFINITIONS, answer.data, 1_000_000, "")["name"][0]["family"] == shown
