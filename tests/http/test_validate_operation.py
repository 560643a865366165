"""`$validate`: every problem in one answer of 200, nothing stored, nothing told that a read would not tell."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.consent.world import World
from tests.server import Server

TEXT = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A patient</div>'}
BROKEN = {"resourceType": "Patient", "text": TEXT, "gender": "x", "birthDate": "1980-02-30", "colour": "red"}
GOOD = {"resourceType": "Patient", "text": TEXT, "active": True}
FINE = [("information", "informational")]
BEST_PRACTICE = [("warning", "invariant")]


def found(server: Server, path: str, token: str, body: Any = None, status: int = 200) -> list[tuple[str, str]]:
    answer = server.call("POST" if body is not None else "GET", path, token, body)
    assert answer.status_code == status, answer.text
    outcome = orjson.loads(answer.data)
    assert outcome["resourceType"] == "OperationOutcome"
    return [(each["severity"], each["code"]) for each in outcome["issue"]]


def call(resource: Any, **values: str) -> dict[str, Any]:
    codes = {"mode": "valueCode", "profile": "valueUri"}
    more = [{"name": name, codes[name]: value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": resource}, *more]}


def test_every_problem_is_in_one_answer_and_nothing_is_stored(server: Server) -> None:
    token = server.operator()
    for body in (BROKEN, call(BROKEN)):
        outcome = server.post("Patient/$validate", token, body, 200)
        assert {each["expression"][0] for each in outcome["issue"]} == {
            "Patient.gender",
            "Patient.birthDate",
            "Patient.colour",
        }
    assert found(server, "Patient/$validate", token, GOOD) == FINE
    assert server.get("Patient", token)["total"] == 0


def test_an_organization_without_a_name_is_told_and_stored(server: Server) -> None:
    token = server.operator()
    node = {"resourceType": "Organization", "id": "ward", "text": TEXT, "partOf": {"reference": "Organization/trust"}}
    outcome = server.post("Organization/$validate", token, node, 200)
    assert [(each["severity"], each["code"], each["expression"]) for each in outcome["issue"]] == [
        ("error", "invariant", ["Organization"])
    ]
    server.put(node, token, 201)
    # What is wrong besides is refused, and only that is named.
    refused = server.put({**node, "active": "yes"}, token, 400)
    assert [each["expression"] for each in refused["issue"]] == [["Organization.active"]]


def test_it_is_on_the_audit_log(server: Server) -> None:
    token = server.operator()
    server.post("Patient/$validate", token, BROKEN, 200)
    (entry,) = server.get("AuditEvent?_count=1", token)["entry"]
    assert entry["resource"]["subtype"][0]["code"] == "operation"


@pytest.mark.parametrize(
    "path, body, codes",
    [
        ("Patient/$validate", call({**GOOD, "id": "not a/n id"}, mode="create"), FINE),
        ("Patient/$validate?mode=update", GOOD, [("error", "required")]),
        ("Patient/p/$validate", {**GOOD, "id": "q"}, [("error", "value")]),
        ("Patient/p/$validate", {**GOOD, "id": "p"}, FINE),
        (
            "Patient/$validate",
            {"resourceType": "Basic", "text": TEXT, "code": {"text": "x"}},
            [("error", "invalid")],
        ),
        ("Patient/$validate", {"resourceType": "Patient", "active": True}, BEST_PRACTICE),
        ("Patient/$validate", call(GOOD, profile="http://example.org/unknown"), [("error", "not-supported")]),
        ("Patient/$validate", call(GOOD, profile="http://hl7.org/fhir/StructureDefinition/Patient"), FINE),
        ("Patient/$validate", {**GOOD, "meta": {"profile": ["http://a/b"]}}, [("information", "not-supported")]),
        ("Parameters/$validate", {"resourceType": "Parameters", "parameter": [{"name": "a", "valueCode": "b"}]}, FINE),
        ("Patient/$validate", call({}), [("error", "invalid"), ("error", "structure")]),
    ],
)
def test_what_is_asked_decides_what_is_looked_at(
    server: Server, path: str, body: Any, codes: list[tuple[str, str]]
) -> None:
    assert found(server, path, server.operator(), body) == codes


@pytest.mark.parametrize(
    "path, body, status",
    [
        ("Patient/$validate", {"resourceType": "Parameters"}, 400),
        ("Patient/$validate", call(GOOD, mode="other"), 400),
        ("Patient/$validate", call(GOOD, mode="profile"), 400),
        ("Patient/$validate", call(GOOD, mode="delete"), 400),
        ("Patient/$validate?colour=red", GOOD, 400),
        ("Patient/$validate?mode=create&mode=update", GOOD, 400),
        ("Patient/$validate", call("Patient"), 400),
        ("Patient/$validate", {"resourceType": "Parameters", "parameter": {}}, 400),
        ("Patient/$validate", {"resourceType": "Parameters", "parameter": [{"name": 1}]}, 400),
        ("Patient/$validate", {"resourceType": "Parameters", "parameter": [{"name": "mode"}]}, 400),
        ("Patient/$validate", b"{", 400),
        ("$validate", GOOD, 404),
        ("Patient/absent/$validate", call(GOOD, mode="delete"), 404),
    ],
)
def test_what_is_no_request_is_refused(server: Server, path: str, body: Any, status: int) -> None:
    found(server, path, server.operator(), body, status)


def test_a_token_needs_a_scope_to_write_the_type(server: Server) -> None:
    server.put({"resourceType": "Practitioner", "id": "p"}, server.operator())
    assert found(server, "Patient/$validate", server.token("Practitioner/p", "user/Patient.c"), GOOD) == FINE
    for scope in ("user/Patient.rs", "user/Basic.c"):
        found(server, "Patient/$validate", server.token("Practitioner/p", scope), GOOD, 403)


def test_a_stored_resource_is_validated_where_it_exists_for_the_caller(world: World) -> None:
    server = world.server
    assert found(server, "Observation/a-1/$validate", world.gp) == BEST_PRACTICE
    hidden = server.call("GET", "Observation/a-mh/$validate", world.gp)
    absent = server.call("GET", "Observation/none/$validate", world.gp)
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("a-mh", "none") == absent.text


def test_mode_create_tells_what_would_not_be_stored(world: World) -> None:
    consent = {
        "resourceType": "Consent",
        "text": TEXT,
        "status": "active",
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"text": "x"}],
        "policyRule": {"text": "x"},
        "patient": {"reference": "Patient/a"},
        "provision": {"type": "permit"},
        "verification": [{"verified": True}],
    }
    operator = world.server.operator()
    assert found(world.server, "Consent/$validate", operator, consent) == FINE
    assert found(world.server, "Consent/$validate", operator, call(consent, mode="create")) == [
        ("error", "not-supported")
    ]
    del consent["verification"]
    assert found(world.server, "Consent/$validate", operator, call(consent, mode="create")) == FINE
    refused = found(world.server, "Patient/$validate", world.gp, call(GOOD, mode="create"))
    assert refused == [("error", "forbidden")]


def test_mode_delete_tells_whether_the_caller_may(world: World) -> None:
    assert found(world.server, "Observation/a-1/$validate?mode=delete", world.trust) == FINE
    assert found(world.server, "Observation/a-1/$validate?mode=delete", world.gp) == [("error", "forbidden")]
