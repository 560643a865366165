"""XML Patch (RFC 5261): the nodes that a selector names are changed, all of them or none, and nothing else is."""

from typing import Any

import pytest

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError
from fhir_server.spec.xml_patch import apply_xml_patch, parse_xml_patch

DIV = "<div xmlns='http://www.w3.org/1999/xhtml'>\r\n<p title='&quot;'>&#160;</p></div>"
PATIENT = {
    "resourceType": "Patient",
    "id": "a",
    "text": {"status": "generated", "div": DIV},
    "identifier": [{"system": "s", "value": "1"}, {"system": "t", "value": "2"}],
    "active": True,
    "name": [{"family": "F", "given": ["A", "B"], "_given": [None, {"id": "b"}]}, {"text": "T"}],
    "gender": "female",
}


def _patched(definitions: Definitions, operations: str, resource: dict[str, Any] | None = None) -> dict[str, Any]:
    document = f'<diff xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml">{operations}</diff>'
    return apply_xml_patch(definitions, resource or PATIENT, parse_xml_patch(document.encode(), 10**7))


@pytest.mark.parametrize(
    "operation, changed",
    [
        ('<replace sel="f:Patient/f:gender/@value">male</replace>', {"gender": "male"}),
        ('<replace sel="/f:Patient/f:active/@value"> false </replace>', {"active": False}),
        ('<replace sel="*/f:gender"><f:gender value="other"/></replace>', {"gender": "other"}),
        ('<remove sel="f:Patient/f:gender"/>', {"gender": None}),
        ('<remove sel="f:Patient/f:gender" ws="both"/>', {"gender": None}),
        ('<remove sel="f:Patient/f:name[2]"/>', {"name": PATIENT["name"][:1]}),  # type: ignore[index]
        ('<remove sel="f:Patient/f:name[last()]"/>', {"name": PATIENT["name"][:1]}),  # type: ignore[index]
        (
            "<replace sel=\"f:Patient/f:identifier[f:system/@value='t']/f:value/@value\">3</replace>",
            {"identifier": [{"system": "s", "value": "1"}, {"system": "t", "value": "3"}]},
        ),
        ('<add sel="f:Patient"><f:birthDate value="1970-01-01"/></add>', {"birthDate": "1970-01-01"}),
        (
            '<add sel="f:Patient/f:identifier[1]" pos="before"><f:identifier><f:value value="0"/></f:identifier></add>',
            {"identifier": [{"value": "0"}, *PATIENT["identifier"]]},  # type: ignore[misc]
        ),
        (
            '<add sel="f:Patient/f:identifier[1]" pos="after"><f:identifier><f:value value="0"/></f:identifier></add>',
            {"identifier": [{"system": "s", "value": "1"}, {"value": "0"}, {"system": "t", "value": "2"}]},
        ),
        (
            '<add sel="f:Patient/f:name[2]" pos="prepend"><f:family value="G"/></add>',
            {"name": [PATIENT["name"][0], {"text": "T", "family": "G"}]},  # type: ignore[index]
        ),
        ('<add sel="f:Patient/f:gender" type="@id">g</add>', {"_gender": {"id": "g"}}),
        (
            "<remove sel=\"f:Patient/f:name[1]/f:given[@id='b']/@id\"/>",
            {"name": [{"family": "F", "given": ["A", "B"]}, {"text": "T"}]},
        ),
        (
            '<replace sel="f:Patient/f:text/h:div/h:p"><h:p>new</h:p></replace>',
            {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">\n<p>new</p></div>'}},
        ),
    ],
)
def test_an_operation_changes_what_it_names_and_nothing_else(
    definitions: Definitions, operation: str, changed: dict[str, Any]
) -> None:
    expected = {name: value for name, value in {**PATIENT, **changed}.items() if value is not None}
    assert _patched(definitions, operation) == expected


def test_names_without_a_prefix_are_those_of_fhir(definitions: Definitions) -> None:
    for default in ("", ' xmlns="http://hl7.org/fhir"'):
        document = f'<diff{default}><remove sel="Patient/gender"/></diff>'
        assert "gender" not in apply_xml_patch(definitions, PATIENT, parse_xml_patch(document.encode(), 1_000))


def test_operations_run_one_after_the_other(definitions: Definitions) -> None:
    operations = '<remove sel="f:Patient/f:name[1]"/><remove sel="f:Patient/f:name[1]"/>'
    assert "name" not in _patched(definitions, operations)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"<diff/>",
        b"<patch/>",
        b"<diff><move sel='Patient'/></diff>",
        b"<diff><remove/></diff>",
        b"<diff><remove sel='Patient//gender'/></diff>",
        b"<diff><remove sel='id(\"a\")'/></diff>",
        b"<diff><remove sel='Patient/text()'/></diff>",
        b"<diff><remove sel='Patient/descendant::gender'/></diff>",
        b"<diff><remove sel='Patient[count(*)>0]'/></diff>",
        b"<diff><remove sel='f:Patient'/></diff>",
        b"<diff><remove sel='Patient/gender' pos='before'/></diff>",
        b"<diff><remove sel='Patient/gender'>x</remove></diff>",
        b"<diff><replace sel='Patient/gender'/></diff>",
        b"<diff><replace sel='Patient/gender/@value'></replace></diff>",
        b"<diff><add sel='Patient' pos='inside'><a/></add></diff>",
        b"<diff><add sel='Patient' type='namespace::p'>urn:p</add></diff>",
        b"<diff><add sel='Patient'/></diff>",
        b"<diff>" + b"<remove sel='Patient/gender'/>" * 1_001 + b"</diff>",
        b"<diff><add sel='Patient'>" + b"<a>" * 5_000 + b"</a>" * 5_000 + b"</add></diff>",
        b"<diff><remove sel='" + b"a/" * 5_000 + b"b'/></diff>",
        b"<!DOCTYPE diff [<!ENTITY a 'b'>]><diff><remove sel='Patient/&a;'/></diff>",
    ],
)
def test_what_is_no_patch_is_400(document: bytes) -> None:
    with pytest.raises(FhirError) as refused:
        parse_xml_patch(document, 10**6)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "operation, text",
    [
        ('<remove sel="f:Patient/f:birthDate"/>', "selects nothing"),
        ('<remove sel="f:Patient/f:identifier"/>', "exactly one"),
        ('<remove sel="f:Observation/f:status"/>', "selects nothing"),
        ('<remove sel="f:Patient/f:gender/@id"/>', "not there"),
        ('<add sel="f:Patient/f:gender" type="@value">male</add>', "there already"),
        ('<add sel="f:Patient"><f:colour value="red"/></add>', "Patient.colour is no element"),
        ('<add sel="f:Patient"><gender value="male"/></add>', "namespace"),
        ('<add sel="f:Patient"><f:gender value="male"/></add>', "Patient.gender must appear only once"),
        ('<add sel="f:Patient" pos="after"><f:Patient/></add>', "one resource"),
        ('<remove sel="f:Patient"/>', "one resource"),
        ('<remove sel="f:Patient/f:gender/@value"/>', "Patient.gender must have a value"),
    ],
)
def test_what_cannot_be_applied_is_422_and_says_why(definitions: Definitions, operation: str, text: str) -> None:
    with pytest.raises(FhirError, match=text) as refused:
        _patched(definitions, operation)
    assert refused.value.status == 422
    assert "line" not in refused.value.diagnostics


def test_a_search_through_everything_ends(definitions: Definitions) -> None:
    many = {"resourceType": "Patient", "name": [{"family": "F", "given": ["A"] * 10}] * 2_000}
    operations = "<remove sel=\"*/*/*[f:x/@value='1']\"/>"
    with pytest.raises(FhirError, match="selects nothing"):
        _patched(definitions, operations, many)
    with pytest.raises(FhirError, match="takes too long"):
        _patched(definitions, "<replace sel=\"*[*/*/@value='A']/f:name[1]/f:family/@value\">F</replace>" * 1_000, many)
