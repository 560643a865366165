"""Our own profiles: their examples hold, broken copies are refused by element, the recorder writes what conforms."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fhir_server.assembly import definitions
from fhir_server.spec.json import decode
from fhir_server.spec.profile_check import compiled
from fhir_server.spec.validate import find_issues
from tests.server import Server

Json = dict[str, Any]

BASE = "https://fhir-server.example.org/StructureDefinition"
FOLDER = Path(__file__).parents[2] / "profiles"
EXAMPLES = {path.stem.partition("-")[0]: json.loads(path.read_bytes()) for path in (FOLDER / "examples").glob("*.json")}
PROFILES = [json.loads(path.read_bytes()) for path in sorted(FOLDER.glob("StructureDefinition-*.json"))]
GONE = ...


def errors(resource: Json) -> dict[str, str]:
    """Return what is wrong with a resource, by element."""
    raw = json.dumps(resource).encode()
    found = find_issues(definitions(), decode(raw, len(raw)))
    return {issue.expression[0]: issue.diagnostics for issue in found if issue.severity == "error"}


def changed(resource: Json, path: str, value: Any) -> Json:
    """Return a copy with another value at a path; `GONE` takes it away."""
    copy = deepcopy(resource)
    at: Any = copy
    *before, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in before:
        at = at[part]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return copy


@pytest.mark.parametrize("resource", EXAMPLES.values(), ids=list(EXAMPLES))
def test_an_example_claims_its_profile_and_holds(resource: Json) -> None:
    (claimed,) = resource["meta"]["profile"]
    assert claimed in {each["url"] for each in PROFILES if each["type"] == resource["resourceType"]}
    assert errors(resource) == {}


def test_each_profile_has_an_example_and_every_invariant_of_it_is_evaluated() -> None:
    assert {each["type"] for each in PROFILES} == set(EXAMPLES)
    for each in PROFILES:
        found = compiled(definitions(), each["url"])
        assert found is not None
        assert (found.missing, found.beyond) == ((), ())


@pytest.mark.parametrize(
    "name, path, value, element, allowed",
    [
        ("Patient", "birthDate", GONE, "Patient.birthDate", "is required"),
        ("Patient", "name", GONE, "Patient.name", "is required"),
        ("Patient", "name.0", {"use": "official"}, "Patient.name[0]", "rec-pat-2"),
        ("Patient", "identifier.0.value", "900 000 0009", "Patient.identifier[0]", "rec-pat-1"),
        ("Patient", "identifier.0.value", GONE, "Patient.identifier[0].value", "is required"),
        (
            "Patient",
            "identifier.1",
            {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9000000017"},
            "Patient.identifier",
            "at most 1 of the slice nhsNumber",
        ),
        ("Appointment", "start", GONE, "Appointment.start", "is required"),
        ("Appointment", "participant.0", GONE, "Appointment.participant", "at least 1 of the slice patient"),
        (
            "Appointment",
            "participant.1.actor.reference",
            "Patient/other",
            "Appointment.participant",
            "at most 1 of the slice patient",
        ),
        ("DocumentReference", "type", GONE, "DocumentReference.type", "is required"),
        ("DocumentReference", "date", GONE, "DocumentReference.date", "is required"),
        ("DocumentReference", "subject", GONE, "DocumentReference.subject", "is required"),
        ("DocumentReference", "subject.reference", "Group/g", "DocumentReference.subject.reference", "Patient"),
        (
            "DocumentReference",
            "content.0.attachment.url",
            GONE,
            "DocumentReference.content[0].attachment",
            "rec-doc-1",
        ),
        (
            "DocumentReference",
            "content.0.attachment.contentType",
            GONE,
            "DocumentReference.content[0].attachment.contentType",
            "is required",
        ),
        ("Observation", "category", GONE, "Observation.category", "is required"),
        ("Observation", "subject.reference", "Device/d", "Observation.subject.reference", "one of Patient"),
        (
            "Observation",
            "code",
            {"id": "c", "extension": [{"url": "http://x", "valueCode": "a"}]},
            "Observation.code",
            "rec-obs-2",
        ),
        ("Observation", "effectiveDateTime", GONE, "Observation.effective", "is required"),
        ("Observation", "valueQuantity", GONE, "Observation", "rec-obs-1"),
        ("Observation", "valueQuantity", {"unit": "%"}, "Observation.value.ofType(Quantity)", "rec-obs-3"),
        ("Consent", "scope.coding.0.code", "research", "Consent.scope", "patient-privacy"),
        ("Consent", "provision", GONE, "Consent.provision", "is required"),
        ("Consent", "provision.type", GONE, "Consent.provision.type", "is required"),
        ("Consent", "provision.provision.0.type", GONE, "Consent.provision.provision[0].type", "is required"),
        ("Consent", "patient.reference", "https://elsewhere.example.org/Patient/1", "Consent.patient", "rec-con-1"),
        ("Consent", "verification", [{"verified": True}], "Consent.verification", "must be absent"),
        (
            "Consent",
            "modifierExtension",
            [{"url": "http://x", "valueBoolean": True}],
            "Consent.modifierExtension",
            "must be absent",
        ),
        ("AuditEvent", "action", GONE, "AuditEvent.action", "is required"),
        ("AuditEvent", "outcome", GONE, "AuditEvent.outcome", "is required"),
        ("AuditEvent", "agent.0.who", GONE, "AuditEvent.agent[0].who", "is required"),
        ("AuditEvent", "source.site", GONE, "AuditEvent.source.site", "is required"),
        ("AuditEvent", "entity.0.role", GONE, "AuditEvent.entity[0].role", "is required"),
        ("AuditEvent", "entity.0.what.reference", "Group/1", "AuditEvent.entity[0].what.reference", "Patient"),
        ("AuditEvent", "text", {"status": "empty", "div": "<div>x</div>"}, "AuditEvent.text", "must be absent"),
    ],
)
def test_a_broken_copy_is_refused_with_the_element(
    name: str, path: str, value: Any, element: str, allowed: str
) -> None:
    found = errors(changed(EXAMPLES[name], path, value))
    assert element in found, found
    assert allowed in found[element]


@pytest.mark.parametrize("name", ["Patient", "Observation"])
def test_nothing_of_a_profile_is_asked_of_what_does_not_claim_it(name: str) -> None:
    resource = {"resourceType": name, "status": "final", "code": {"text": "x"}}
    assert errors(resource if name == "Observation" else {"resourceType": name}) == {}


def test_what_the_recorder_writes_is_of_our_profile(server: Server) -> None:
    operator = server.operator()
    server.put({"resourceType": "Patient", "id": "a"}, operator)
    server.put({"resourceType": "Practitioner", "id": "p"}, operator)
    server.get("Patient/a", operator)
    server.get("Patient?_id=a", operator)
    server.get("Patient/a", server.token("Practitioner/p"), 404)
    server.get("Patient/none", server.token("Patient/a"), 404)
    server.call("DELETE", "Patient/a", operator)
    events = [entry["resource"] for entry in server.get("AuditEvent?_count=50", operator)["entry"]]
    assert len(events) >= 7
    for event in events:
        event["meta"] = {**event["meta"], "profile": [f"{BASE}/record-audit-event"]}
        assert errors(event) == {}


def test_the_server_publishes_them_and_holds_a_write_to_them(server: Server) -> None:
    token = server.operator()
    refused = server.call(
        "PUT", "Observation/o", token, {**changed(EXAMPLES["Observation"], "category", GONE), "id": "o"}
    )
    assert refused.status_code == 422
    (issue,) = json.loads(refused.data)["issue"]
    assert (issue["code"], issue["expression"]) == ("required", ["Observation.category"])
    assert f"{BASE}/record-observation" in issue["diagnostics"]
