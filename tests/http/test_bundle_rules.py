"""Rules of a transaction: many entries, circles, duplicates, every kind of link, creates that race for an identity."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from tests.server import Server

ONE = "urn:uuid:6b1fa2bd-7e9a-4d0c-9d6d-3e2c8b6f0a11"
TWO = "urn:uuid:6b1fa2bd-7e9a-4d0c-9d6d-3e2c8b6f0a12"
ELSEWHERE = "https://other.test/fhir/Patient/77"
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "http://a.test/s", "value": "1"}]}
_THREADS = 16
_EACH = 1000 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 12


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def _entry(
    method: str, url: str, resource: dict[str, Any] | None = None, name: str = "", **request: str
) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    return made | ({"resource": resource} if resource else {}) | ({"fullUrl": name} if name else {})


def _transaction(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def _stored(server: Server, operator: str, answer: dict[str, Any], index: int) -> Any:
    return server.get(answer["entry"][index]["response"]["location"].partition("/_history")[0], operator)


def test_a_thousand_entries_are_one_transaction(server: Server, operator: str) -> None:
    names = [f"urn:uuid:6b1fa2bd-7e9a-4d0c-9d6d-{number:012d}" for number in range(1_000)]
    entries = [
        _entry("POST", "Patient", {"resourceType": "Patient", "link": [_link(names[number - 1])]}, name)
        for number, name in enumerate(names)
    ]
    answer = server.post("", operator, _transaction(*entries), 200)
    assert {entry["response"]["status"] for entry in answer["entry"]} == {"201 Created"}
    for number in (0, 1, 999):
        target = _stored(server, operator, answer, number)["link"][0]["other"]["reference"]
        assert answer["entry"][number - 1]["response"]["location"].endswith(f"/fhir/{target}/_history/1")
    entries[500]["resource"] = {"resourceType": "Patient", "gender": "wrong"}
    refused = server.post("", operator, _transaction(*entries), 422)
    assert "Bundle.entry[500]" in refused["issue"][0]["expression"][0]
    assert server.get("Patient?_summary=count", operator)["total"] == 1_000


def _link(target: str) -> dict[str, Any]:
    return {"other": {"reference": target}, "type": "seealso"}


def test_two_entries_may_refer_to_each_other_and_one_to_itself(server: Server, operator: str) -> None:
    first = {"resourceType": "Patient", "link": [_link(TWO), _link(ONE)]}
    second = {"resourceType": "Patient", "link": [_link(ONE)]}
    entries = (_entry("POST", "Patient", first, ONE), _entry("POST", "Patient", second, TWO))
    answer = server.post("", operator, _transaction(*entries), 200)
    one, two = (_stored(server, operator, answer, index) for index in (0, 1))
    assert [each["other"]["reference"] for each in one["link"]] == [f"Patient/{two['id']}", f"Patient/{one['id']}"]
    assert two["link"][0]["other"]["reference"] == f"Patient/{one['id']}"


SENT = {
    "resourceType": "DocumentReference",
    "status": "current",
    "text": {
        "status": "additional",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{ONE}">{ONE}</a><a href="{ELSEWHERE}">x</a>'
        '<a href="Patient/77">x</a><a href="https://third.test/a">x</a></div>',
    },
    "identifier": [{"system": ONE, "value": ONE}],
    "subject": {"reference": ONE, "display": ONE},
    "author": [{"reference": ELSEWHERE}, {"reference": "Patient/77"}, {"reference": "Patient/78"}],
    "description": ONE,
    "extension": [
        {"url": "http://a.test/1", "valueUri": ONE},
        {"url": "http://a.test/2", "valueString": ONE},
        {"url": "http://a.test/3", "valueCanonical": ONE},
    ],
    "content": [{"attachment": {"contentType": "text/plain", "url": TWO}}],
}


def test_every_link_to_another_entry_is_rewritten_and_no_text_that_is_none(server: Server, operator: str) -> None:
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="}
    answer = server.post(
        "",
        operator,
        _transaction(
            _entry("POST", "DocumentReference", SENT),
            _entry("POST", "Patient", PATIENT, ONE),
            _entry("POST", "Patient", {**PATIENT, "active": True}, ELSEWHERE),
            _entry("POST", "Binary", binary, TWO),
        ),
        200,
    )
    found, one, other, letter = (_stored(server, operator, answer, index) for index in range(4))
    here, there = f"Patient/{one['id']}", f"Patient/{other['id']}"
    assert found["subject"] == {"reference": here, "display": ONE}
    assert [each["reference"] for each in found["author"]] == [there, there, "Patient/78"]
    assert found["content"][0]["attachment"]["url"] == f"Binary/{letter['id']}"
    assert found["extension"][0]["valueUri"] == here
    assert (found["extension"][1]["valueString"], found["extension"][2]["valueCanonical"]) == (ONE, ONE)
    # The system of an identifier is a uri, its value and a description are text.
    assert found["identifier"] == [{"system": here, "value": ONE}]
    assert found["description"] == ONE
    links = f'<a href="{here}">{ONE}</a><a href="{there}">x</a><a href="{there}">x</a><a href="https://third.test/a">'
    assert links in found["text"]["div"]


def test_a_get_entry_sees_what_the_transaction_made_by_its_name(server: Server, operator: str) -> None:
    observation = {
        "resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": ELSEWHERE},
    }  # fmt: skip
    answer = server.post(
        "",
        operator,
        _transaction(
            _entry("GET", "Patient/77"),
            _entry("GET", f"Observation?subject={ELSEWHERE}"),
            _entry("POST", "Patient", PATIENT, ELSEWHERE),
            _entry("POST", "Observation", observation),
        ),
        200,
    )
    read, found = (entry["resource"] for entry in answer["entry"][:2])
    assert read["identifier"] == PATIENT["identifier"]
    assert found["entry"][0]["resource"]["subject"]["reference"] == f"Patient/{read['id']}"


WHERE = "identifier=http://a.test/s|1"
BY_ID = _entry("PUT", "Patient/one", {**PATIENT, "id": "one"})
BY_CONDITION = _entry("PUT", f"Patient?{WHERE}", PATIENT)


@pytest.mark.parametrize(
    "entries",
    [
        (BY_ID, BY_ID),
        (BY_ID, _entry("DELETE", "Patient/one")),
        (BY_ID, BY_CONDITION),
        (BY_CONDITION, BY_CONDITION),
        (BY_CONDITION, _entry("DELETE", f"Patient?{WHERE}")),
        (_entry("POST", "Patient", PATIENT, ONE), _entry("POST", "Patient", PATIENT, ONE)),
    ],
)
def test_two_changes_of_one_resource_are_refused(
    server: Server, operator: str, entries: tuple[dict[str, Any], ...]
) -> None:
    server.put({**PATIENT, "id": "one"}, operator)
    refused = server.post("", operator, _transaction(*entries), 400)
    assert refused["issue"][0]["expression"] == ["Bundle.entry[1]"]
    assert server.get("Patient/one", operator)["meta"]["versionId"] == "1"
    assert server.get("Patient?_summary=count", operator)["total"] == 1


def test_what_one_entry_creates_under_a_condition_no_other_changes_or_makes_twice(
    server: Server, operator: str
) -> None:
    conditional_create = _entry("POST", "Patient", PATIENT, ifNoneExist=WHERE)
    for entries in (
        (BY_CONDITION, BY_CONDITION),
        (conditional_create, BY_CONDITION),
        (BY_CONDITION, conditional_create),
    ):
        server.post("", operator, _transaction(*entries), 400)
    assert server.get("Patient?_summary=count", operator)["total"] == 0


def test_a_condition_may_name_another_entry(server: Server, operator: str) -> None:
    basic = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": ONE}}
    patient = _entry("PUT", f"Patient?{WHERE}", PATIENT, ONE)
    statuses = []
    for dependent in (
        _entry("PUT", f"Basic?subject={ONE}", basic),
        _entry("PUT", f"Basic?subject={ONE}", basic),
        _entry("POST", "Basic", basic, ifNoneExist=f"subject={ONE}"),
    ):
        answer = server.post("", operator, _transaction(dependent, patient), 200)
        statuses.append([entry["response"]["status"][:3] for entry in answer["entry"]])
    assert statuses == [["201", "201"], ["200", "200"], ["200", "200"]]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_two_creates_under_one_condition_make_one_resource(server: Server, operator: str, kind: str) -> None:
    entries = [_entry("POST", "Patient", PATIENT, name, ifNoneExist=WHERE) for name in (ONE, TWO)]
    basic = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": TWO}}
    further = [_entry("POST", "Basic", basic)] if kind == "transaction" else []
    answer = server.post("", operator, _transaction(*entries, *further, kind=kind), 200)
    assert [entry["response"]["status"][:3] for entry in answer["entry"][:2]] == ["201", "200"]
    assert server.get("Patient?_summary=count", operator)["total"] == 1
    if further:
        target = _stored(server, operator, answer, 2)["subject"]["reference"]
        assert server.get(target, operator)["identifier"] == PATIENT["identifier"]


def test_creates_that_race_for_one_identity_make_one_resource(server: Server, operator: str) -> None:
    def create(number: int) -> set[int]:
        statuses = set()
        for value in (f"{(number * 3 + step) % _EACH}" for step in range(_EACH)):
            body = {**PATIENT, "identifier": [{"system": "http://race.test", "value": value}]}
            condition = f"identifier=http://race.test|{value}"
            if number % 2:
                answer = server.call("POST", "Patient", operator, body, {"If-None-Exist": condition})
                statuses.add(answer.status_code)
                continue
            bundle = _transaction(_entry("POST", "Patient", body, ifNoneExist=condition))
            told = server.call("POST", "", operator, bundle)
            statuses.add(told.status_code)
        return statuses

    with ThreadPoolExecutor(_THREADS) as pool:
        statuses = set().union(*pool.map(create, range(_THREADS)))
    assert statuses <= {200, 201}
    assert server.get("Patient?_summary=count", operator)["total"] == _EACH
    for value in range(_EACH):
        path = f"Patient?identifier=http://race.test|{value}&_summary=count"
        assert server.get(path, operator)["total"] == 1


def test_issues_of_a_batch_are_told_by_line_and_column_in_the_bundle(server: Server, operator: str) -> None:
    good = '{"resource":{"resourceType":"Patient"},\n "request":{"method":"POST","url":"Patient"}}'
    bad = (
        '{"resource":{"resourceType":"Patient",\n  "gender":"martian"},\n "request":{"method":"POST","url":"Patient"}}'
    )
    no_method = '{"request":{\n   "method":"FROB","url":"Patient"}}'
    absent = '\n{"request":{"method":"GET","url":"Patient/none"}}'
    text = f'{{"resourceType":"Bundle","type":"batch","entry":[\n{good},\n{bad},\n{no_method},{absent}]}}'
    answer = orjson.loads(server.call("POST", "", operator, text.encode()).data)
    found = [
        [each["valueInteger"] for each in entry["response"]["outcome"]["issue"][0].get("extension", ())]
        for entry in answer["entry"][1:]
    ]
    assert [entry["response"]["status"][:3] for entry in answer["entry"]] == ["201", "422", "400", "404"]
    lines = text.split("\n")
    expected = [(number, line.index(part) + 1) for part in ('"gender"', '"method":"FROB"') for number, line in
                enumerate(lines, 1) if part in line]  # fmt: skip
    assert [position[0] for position in found[:2]] == [number for number, _ in expected]
    assert found[2][0] == len(lines)
    deep: dict[str, Any] = {
        "resourceType": "Basic",
        "code": {"text": "x"},
        "extension": [{"url": "http://x", "valueString": "y"}],
    }
    for _ in range(30):
        deep["extension"] = [{"url": "http://x", "extension": deep["extension"]}]
    stored = server.post("Basic", operator, deep)
    reads = [{"request": {"method": "GET", "url": f"Basic/{name}"}} for name in (stored["id"], "none")]
    told = server.post("", operator, {"resourceType": "Bundle", "type": "batch", "entry": reads}, 200)
    assert [entry["response"]["status"][:3] for entry in told["entry"]] == ["200", "404"]


@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_an_entry_reads_what_was_modified_since(server: Server, operator: str, kind: str) -> None:
    server.put({**PATIENT, "id": "read"}, operator)
    last = server.get("Patient/read", operator)["meta"]["lastUpdated"]

    def read(status: int = 200, **request: str) -> str:
        entry = {"request": {"method": "GET", "url": "Patient/read", **request}}
        answer = server.post("", operator, _transaction(entry, kind=kind), status)
        return str(answer["entry"][0]["response"]["status"][:3]) if status == 200 else ""

    assert read(ifModifiedSince=last) == "304"
    assert read(ifModifiedSince="2100-01-01T00:00:00+01:00") == "304"
    assert read(ifModifiedSince="2000-01-01T00:00:00Z") == "200"
    assert read(ifModifiedSince=last, ifNoneMatch='W/"7"') == "200", "ifNoneMatch goes before"
    if kind == "batch":
        assert read(ifModifiedSince="yesterday") == "400"
    else:
        read(400, ifModifiedSince="yesterday")


def test_nothing_in_a_bundle_of_requests_is_passed_over(server: Server, operator: str) -> None:
    good = _entry("POST", "Patient", PATIENT)
    request = good["request"]
    for wrong, where in (
        ({**good, "request": {**request, "ifNonExist": "identifier=1"}}, "Bundle.entry[0].request.ifNonExist"),
        ({**good, "request": {**request, "ifMatch": 1}}, "Bundle.entry[0].request.ifMatch"),
        ({**good, "request": {**request, "ifNoneExist": ""}}, "Bundle.entry[0].request.ifNoneExist"),
        ({**good, "fullurl": ONE}, "Bundle.entry[0].fullurl"),
        ({**good, "fullUrl": 5}, "Bundle.entry[0].fullUrl"),
        ({**good, "fullUrl": "http://a.test/Patient/1/_history/1"}, "Bundle.entry[0].fullUrl"),
        (_entry("DELETE", "Patient/one", ifNoneExist="identifier=1"), "Bundle.entry[0].request.ifNoneExist"),
        ({**good, "modifierExtension": []}, "Bundle.entry[0].modifierExtension"),
    ):
        refused = server.post("", operator, _transaction(wrong), 400)
        assert refused["issue"][0]["expression"] == [where]
        told = server.post("", operator, _transaction(wrong, kind="batch"), 200)["entry"][0]["response"]
        assert (told["status"], told["outcome"]["issue"][0]["expression"]) == ("400", [where])
    for kind in ("batch", "transaction"):
        refused = server.post("", operator, {**_transaction(good, kind=kind), "entries": []}, 400)
        assert refused["issue"][0]["expression"] == ["Bundle.entries"]
        for name, value in (
            ("id", 1),
            ("meta", "x"),
            ("link", "x"),
            ("timestamp", "yesterday"),
            ("entry", None),
            ("type", []),
        ):
            refused = server.call("POST", "", operator, {**_transaction(good, kind=kind), name: value})
            assert refused.status_code in {400, 422}, (name, refused.text)
            assert orjson.loads(refused.data)["issue"][0]["expression"] == [f"Bundle.{name}"]
    assert server.get("Patient?_summary=count", operator)["total"] == 0
    noted = {**good, "request": {**request, "_url": {"extension": [{"url": "http://x.test", "valueCode": "y"}]}}}
    server.post("", operator, {**_transaction(noted), "id": "b", "meta": {}, "total": 1}, 200)
