"""Profiles at the API: those an administrator stores, those the settings require, and where a problem stands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_server.settings import SettingsError, load
from tests.databases import Databases
from tests.server import Server, build, create_schema

Json = dict[str, Any]
URL = "https://trust.example.org/StructureDefinition/weight"
OBSERVATION = {"resourceType": "Observation", "status": "final", "code": {"text": "Weight"}}
OURS = "https://fhir-server.example.org/StructureDefinition"
LINE, COLUMN = (f"http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-{name}" for name in ("line", "col"))


def definition(*elements: Json, **changes: Any) -> Json:
    return {
        "resourceType": "StructureDefinition",
        "id": "weight",
        "url": URL,
        "name": "Weight",
        "status": "active",
        "kind": "resource",
        "abstract": False,
        "type": "Observation",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Observation", "path": "Observation"},
                *({"path": each["id"].partition(":")[0], **each} for each in elements),
            ]
        },
        **changes,
    }


WEIGHT = definition({"id": "Observation.note", "min": 1})


def claim(resource: Mapping[str, Any] = OBSERVATION, url: str = URL) -> Json:
    return {**resource, "meta": {"profile": [url]}}


def forget(server: Server) -> None:
    """Let the process look at the database at its next request, as it does a second later."""
    server.app.extensions["fhir"].base.live._checked_at_s = float("-inf")


def refused(server: Server, body: Json, token: str, path: str = "Observation") -> list[Json]:
    answer = server.call("POST", path, token, body)
    assert answer.status_code == 422, answer.text
    issues: list[Json] = orjson.loads(answer.data)["issue"]
    return issues


def test_a_profile_of_the_operator_is_held_to_until_it_is_retired(server: Server) -> None:
    token = server.operator()
    server.post("Observation", token, claim())
    server.put(WEIGHT, token)
    forget(server)
    (issue,) = refused(server, claim(), token)
    assert (issue["code"], issue["expression"]) == ("required", ["Observation.note"])
    assert URL in issue["diagnostics"]
    server.post("Observation", token, OBSERVATION)
    server.post("Observation", token, claim({**OBSERVATION, "note": [{"text": "x"}]}))
    refused(server, {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": claim(), "request": {"method": "POST", "url": "Observation"}}]}, token, "")  # fmt: skip
    server.put({**WEIGHT, "status": "retired"}, token)
    forget(server)
    server.post("Observation", token, claim())
    server.put(WEIGHT, token)
    forget(server)
    refused(server, claim(), token)
    server.call("DELETE", "StructureDefinition/weight", token)
    forget(server)
    server.post("Observation", token, claim())


def test_a_profile_of_somebody_else_judges_nobody(server: Server) -> None:
    operator = server.operator()
    server.put({"resourceType": "Organization", "id": "trust", "name": "Trust"}, operator)
    trust = server.token("Organization/trust")
    server.call("POST", "StructureDefinition", trust, {**WEIGHT, "id": "x"})
    forget(server)
    server.post("Observation", operator, claim())


def test_nobody_changes_what_our_profiles_mean(server: Server) -> None:
    token = server.operator()
    server.put(definition(url=f"{OURS}/record-observation"), token)
    forget(server)
    refused(server, claim(url=f"{OURS}/record-observation"), token)


@pytest.mark.parametrize(
    "hostile, element",
    [
        (definition({"id": "Observation.note", "max": "many"}), "Observation.note max"),
        (
            definition({"id": "Patient.name", "path": "Observation.note"}),
            "StructureDefinition.differential.element[1].id",
        ),
        (definition(*({"id": f"Observation.note:n{n}"} for n in range(2_001))), "StructureDefinition.differential"),
        (
            definition(type="Nonsense", differential={"element": [{"id": "Nonsense", "path": "Nonsense"}]}),
            "StructureDefinition.type",
        ),
    ],
)
def test_a_definition_that_cannot_be_held_to_is_refused_when_it_is_stored(
    server: Server, hostile: Json, element: str
) -> None:
    (issue,) = refused(server, hostile, server.operator(), "StructureDefinition")
    assert issue["expression"] == [element]


def test_codes_are_looked_up_in_stored_value_sets(server: Server) -> None:
    token = server.operator()
    value_set = "https://trust.example.org/ValueSet/units"
    binding = {"strength": "required", "valueSet": value_set}
    server.put(definition({"id": "Observation.method", "min": 1, "binding": binding}), token)
    forget(server)
    method = {"coding": [{"system": "http://x.org", "code": "a"}]}
    body = claim({**OBSERVATION, "method": method})
    server.post("Observation", token, body)
    include = [{"system": "http://x.org", "concept": [{"code": "b"}]}]
    stored = {
        "resourceType": "ValueSet",
        "id": "v",
        "url": value_set,
        "status": "active",
        "compose": {"include": include},
    }
    server.put(stored, token)
    (issue,) = refused(server, body, token)
    assert (issue["code"], issue["expression"]) == ("code-invalid", ["Observation.method"])
    include[0]["concept"] = [{"code": "a"}]
    server.put(stored, token)
    server.post("Observation", token, body)


def test_what_the_settings_require_is_held_without_a_claim(databases: Databases, tmp_path: Path) -> None:
    url = databases.prepared("schema", create_schema)
    server = build(url, tmp_path, required_profiles=f"Observation={OURS}/record-observation")
    token = server.operator()
    elements = {each["expression"][0] for each in refused(server, OBSERVATION, token)}
    assert elements == {"Observation", "Observation.category", "Observation.subject", "Observation.effective"}
    server.post("Patient", token, {"resourceType": "Patient"})
    server.close()


def test_a_requirement_of_no_type_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="REQUIRED_PROFILES"):
        load({"FHIR_SERVER_REQUIRED_PROFILES": "nonsense"})
    with pytest.raises(SettingsError, match="Nonsense: no resource type"):
        build(f"sqlite:///{tmp_path}/x.db", tmp_path, required_profiles="Nonsense=http://x")


def test_uk_core_is_accepted_and_told_as_not_looked_at(server: Server) -> None:
    uk = "https://fhir.hl7.org.uk/StructureDefinition"
    number = {
        "extension": [
            {
                "url": f"{uk}/Extension-UKCore-NHSNumberVerificationStatus",
                "valueCodeableConcept": {
                    "coding": [
                        {
                            "system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland",
                            "code": "01",
                        }
                    ]
                },
            }
        ],
        "system": "https://fhir.nhs.uk/Id/nhs-number",
        "value": "9000000009",
    }
    patient = {
        "resourceType": "Patient",
        "meta": {"profile": [f"{uk}/UKCore-Patient", f"{OURS}/record-patient"]},
        "extension": [{"url": f"{uk}/Extension-UKCore-EthnicCategory", "valueCodeableConcept": {"text": "x"}}],
        "identifier": [number],
        "name": [{"use": "official", "family": "Okafor", "given": ["Amara"]}],
        "birthDate": "1984-05-17",
    }
    token = server.operator()
    server.post("Patient", token, patient)
    told = server.post("Patient/$validate", token, patient, 200)["issue"]
    assert [(each["severity"], each.get("expression")) for each in told] == [
        ("information", ["Patient.meta.profile[0]"]),
        ("warning", ["Patient"]),
    ]


def test_validate_with_a_profile_at_type_and_instance(server: Server) -> None:
    token = server.operator()
    server.put({**OBSERVATION, "id": "o"}, token)
    server.put(WEIGHT, token)
    forget(server)
    for path in (f"Observation/o/$validate?profile={URL}", f"Observation/o/$validate?mode=profile&profile={URL}|9"):
        errors = [each for each in server.get(path, token)["issue"] if each["severity"] == "error"]
        expected = "required" if path.endswith(URL) else "not-supported"
        assert [each["code"] for each in errors] == [expected]
    call = {
        "resourceType": "Parameters",
        "parameter": [{"name": "profile", "valueCanonical": URL}, {"name": "resource", "resource": OBSERVATION}],
    }
    codes = [each["code"] for each in server.post("Observation/$validate", token, call, 200)["issue"]]
    assert codes == ["required", "invariant"]


def positions(issues: list[Json]) -> dict[str, tuple[int, int]]:
    found = {}
    for issue in issues:
        values = {each["url"]: each["valueInteger"] for each in issue.get("extension", ())}
        found[issue["expression"][0]] = (values[LINE], values[COLUMN])
    return found


def test_a_refusal_tells_line_and_column_in_json_and_xml(server: Server) -> None:
    token = server.operator()
    text = b'{\n  "resourceType": "Patient",\n  "gender": "x",\n  "name": [{"family": 1}]\n}'
    answer = server.call("POST", "Patient", token, text)
    assert answer.status_code == 400
    expected = {"Patient.gender": (3, 13), "Patient.name[0].family": (4, 23)}
    assert positions(orjson.loads(answer.data)["issue"]) == expected
    answer = server.call("POST", "Patient/$validate", token, text)
    assert positions(orjson.loads(answer.data)["issue"]) == {**expected, "Patient": (1, 1)}
    xml = b'<Patient xmlns="http://hl7.org/fhir">\n  <gender value="x"/>\n</Patient>'
    answer = server.call("POST", "Patient", token, xml, {"Content-Type": "application/fhir+xml"})
    assert positions(orjson.loads(answer.data)["issue"]) == {"Patient.gender": (2, 3)}
    call = b'{"resourceType": "Parameters", "parameter": [\n{"name": "resource", "resource": ' + text + b"}]}"
    answer = server.call("POST", "Patient/$validate", token, call)
    assert positions(orjson.loads(answer.data)["issue"])["Patient.gender"] == (4, 13)
