"""What the server says of itself by `metadata`, in each mode and format."""

from typing import Any

import pytest

from fhir_server.spec import json
from fhir_server.spec.validate import validate
from tests.server import Server


def test_full_and_normative_are_the_capability_statement(server: Server) -> None:
    full = server.get("metadata", "")
    assert full["resourceType"] == "CapabilityStatement"
    for query in ("?mode=full", "?mode=normative", "?mode=", "?_format=json&mode=full"):
        assert server.get(f"metadata{query}", "") == full


def test_terminology_names_the_code_systems_that_searches_know(server: Server) -> None:
    statement = server.get("metadata?mode=terminology", "")
    assert statement["resourceType"] == "TerminologyCapabilities"
    validate(server.app.extensions["fhir"].base.definitions, statement)
    systems = {each["uri"]: each for each in statement["codeSystem"]}
    assert len(systems) == len(statement["codeSystem"])
    assert {"expansion", "validateCode", "translation", "closure"}.isdisjoint(statement)
    known = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    assert systems[known]["subsumption"] is True
    operator = server.operator()
    encounter: dict[str, Any] = {"resourceType": "Encounter", "status": "finished"}
    server.post("Encounter", operator, {**encounter, "class": {"system": known, "code": "ACUTE"}})
    assert server.get(f"Encounter?class:below={known}|IMP&_total=accurate", operator)["total"] == 1
    assert "http://snomed.info/sct" not in systems
    server.get("Encounter?class:below=http://snomed.info/sct|1", operator, 400)


def test_every_listed_code_system_answers_a_question_of_subsumption(server: Server) -> None:
    operator = server.operator()
    for each in server.get("metadata?mode=terminology", "")["codeSystem"][::40]:
        server.get(f"Observation?code:below={each['uri']}|any", operator)


def test_statements_are_there_in_xml_and_for_everybody(server: Server) -> None:
    for mode, kind in (("terminology", b"TerminologyCapabilities"), ("full", b"CapabilityStatement")):
        for _ in range(2):
            answer = server.call("GET", f"metadata?mode={mode}&_format=xml")
            assert (answer.status_code, answer.mimetype) == (200, "application/fhir+xml")
            assert b"<" + kind + b" xmlns" in answer.data
    assert json.decode(server.call("GET", "metadata?_pretty=true").data, 10_000_000) == server.get("metadata", "")


@pytest.mark.parametrize("query", ["mode=all", "mode=FULL", "_pretty=yes", "mode=full&nonsense=1"])
def test_another_mode_is_400(server: Server, query: str) -> None:
    server.get(f"metadata?{query}", "", 400)
