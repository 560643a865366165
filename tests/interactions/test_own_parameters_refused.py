"""What cannot be an active SearchParameter of the operator is refused, naming the element, and has no effect."""

from typing import Any

import pytest

from tests.interactions.an_own_parameter import EYES, forget, parameter, part, parts, patient_with, put
from tests.server import Server

Json = dict[str, Any]


@pytest.mark.parametrize(
    "changes,element",
    [
        ({"code": "family"}, "code"),
        ({"code": "_own"}, "code"),
        ({"code": "date", "base": ["Patient"]}, "code"),
        ({"code": "a.b"}, "code"),
        ({"expression": "Patient.name.where(use = "}, "expression"),
        ({"expression": "Patient.nothing"}, "expression"),
        ({"expression": "Observation.status"}, "expression"),
        ({"expression": "Patient.name.replaceMatches('a', 'b')"}, "expression"),
        ({"expression": "Patient.name", "type": "quantity"}, "expression"),
        ({"expression": f"Patient.extension('{EYES}')", "type": "number"}, "expression"),
        ({"expression": "Patient.birthDate", "type": "reference"}, "expression"),
        ({"type": "special"}, "type"),
        ({"type": "composite"}, "component"),
        ({"type": "composite", "component": [part("individual-gender", "gender")]}, "component"),
        ({"type": "composite", "component": parts(("individual-shade", "gender"))}, "component[1].definition"),
        ({"type": "composite", "component": parts(("Group-characteristic-value", "name"))}, "component[1].definition"),
        ({"type": "composite", "component": parts(("individual-phonetic", "nothing"))}, "component[1].expression"),
        (
            {"type": "composite", "component": parts(("individual-birthdate", "valueString"))},
            "component[1].expression",
        ),
        (
            {"type": "composite", "component": parts(("individual-phonetic", "x.trace('a')"))},
            "component[1].expression",
        ),
        (
            {"type": "composite", "component": parts(("individual-phonetic", "url")), "expression": "Patient.gone"},
            "expression",
        ),
    ],
)
def test_what_cannot_be_in_force_is_refused_naming_the_element(server: Server, changes: Json, element: str) -> None:
    token = server.operator()
    refused = server.call("PUT", "SearchParameter/eyes", token, parameter(**changes))
    assert refused.status_code == 422, refused.text
    assert f"SearchParameter.{element}" in refused.text
    server.put(parameter(**{**changes, "status": "draft"}), token)
    server.put({**patient_with("p", "blue"), "name": [{"family": "a"}], "birthDate": "2000-01-01"}, token)


def test_without_an_expression_or_with_the_code_of_another_it_is_refused(server: Server) -> None:
    token = server.operator()
    nowhere = {name: value for name, value in parameter().items() if name != "expression"}
    assert server.call("PUT", "SearchParameter/eyes", token, nowhere).status_code == 422
    put(server, token)
    again = parameter(id="more", url="http://example.org/SearchParameter/more")
    assert server.call("PUT", "SearchParameter/more", token, again).status_code == 422
    server.put({**again, "base": ["Practitioner"], "expression": "Practitioner.name"}, token)


def test_only_the_operator_adds_parameters(server: Server) -> None:
    token = server.token("Organization/g")
    server.put({"resourceType": "Organization", "id": "g", "name": "G"}, server.operator())
    server.call("POST", "SearchParameter", token, {n: v for n, v in parameter().items() if n != "id"})
    forget(server)
    assert "not supported" in server.get("Patient?eyes=a", server.operator(), 400)["issue"][0]["diagnostics"]


def test_definitions_of_fhir_itself_are_stored_without_effect(server: Server) -> None:
    official = {"code": "name", "url": "http://hl7.org/fhir/SearchParameter/Patient-name", "expression": "Patient.name"}
    server.put(parameter(**official), server.operator())
    assert server.get("$reindex", server.operator()) == {"resourceType": "Parameters"}
