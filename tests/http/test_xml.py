"""FHIR XML at the REST door: negotiated in every answer, read in every body, the same record as in JSON."""

import base64
from typing import Any
from xml.etree import ElementTree as ET

import orjson
import pytest
from werkzeug.test import TestResponse

from fhir_server.spec import json
from fhir_server.spec.definitions import load
from fhir_server.spec.xml_read import read_xml
from fhir_server.spec.xml_write import write_xml
from tests.server import Server

XML = "application/fhir+xml"
JSON = "application/fhir+json"
NS = "{http://hl7.org/fhir}"
DEFINITIONS = load()
OBSERVATION = b"""<?xml version="1.0" encoding="UTF-8"?>
<!-- as an analyser sends it -->
<Observation xmlns="http://hl7.org/fhir">
  <text><status value="generated"/>
    <div xmlns="http://www.w3.org/1999/xhtml">5 &lt; 6<br/>&#160;<b title='q'>x</b></div></text>
  <contained><Patient><id value="p"/><name><given value="A"/><given><extension url="http://a.test/e">
    <valueCode value="x"/></extension></given><given id="g" value="C"/></name></Patient></contained>
  <extension url="http://a.test/e"><valueDecimal value="1.00"/></extension>
  <status value="final"/>
  <code><text value="line&#10;break &amp; &quot;quote&quot;"/></code>
  <subject><reference value="#p"/></subject>
  <valueQuantity><value value="1.50"/></valueQuantity>
  <component><code><text value="x"/></code><valueInteger value="7"/></component>
</Observation>"""
SAME_IN_JSON = {
    "resourceType": "Observation",
    "text": {
        "status": "generated",
        "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">5 &lt; 6<br/>&#160;<b title='q'>x</b></div>",
    },
    "contained": [
        {
            "resourceType": "Patient",
            "id": "p",
            "name": [
                {
                    "given": ["A", None, "C"],
                    "_given": [
                        None,
                        {"extension": [{"url": "http://a.test/e", "valueCode": "x"}]},
                        {"id": "g"},
                    ],
                }
            ],
        }
    ],
    "extension": [{"url": "http://a.test/e", "valueDecimal": 1.0}],
    "status": "final",
    "code": {"text": 'line\nbreak & "quote"'},
    "subject": {"reference": "#p"},
    "valueQuantity": {"value": 1.5},
    "component": [{"code": {"text": "x"}, "valueInteger": 7}],
}


@pytest.fixture
def operator(server: Server) -> str:
    return server.operator()


def _parsed(answer: TestResponse) -> dict[str, Any]:
    """Return an XML answer as the JSON it stands for."""
    assert str(answer.mimetype).endswith("xml"), answer.text
    return read_xml(DEFINITIONS, answer.data, 10**7)


def _send(
    server: Server, method: str, path: str, token: str, body: bytes | None = None, **headers: str
) -> TestResponse:
    sent = {"Accept": XML, "Content-Type": XML} | {name.replace("_", "-"): text for name, text in headers.items()}
    return server.call(method, path, token, body, sent)


def test_what_comes_in_as_xml_is_stored_as_the_same_json_and_goes_out_as_the_same_xml(
    server: Server, operator: str
) -> None:
    made = _send(server, "POST", "Observation", operator, OBSERVATION)
    assert made.status_code == 201, made.text
    path = f"Observation/{_parsed(made)['id']}"
    raw = server.call("GET", path, operator).data
    stored = orjson.loads(raw)
    assert {name: value for name, value in stored.items() if name not in {"id", "meta"}} == SAME_IN_JSON
    assert b'"valueDecimal":1.00' in raw
    assert b'"value":1.50' in raw
    read = _send(server, "GET", path, operator)
    assert read.headers["Content-Type"] == f"{XML}; charset=utf-8"
    assert read.headers["ETag"] == 'W/"1"'
    assert json.encode(_parsed(read)).count(b"1.50") == 1
    assert orjson.loads(json.encode(_parsed(read))) == stored
    tags = [child.tag.removeprefix(NS) for child in ET.fromstring(read.data)]  # noqa: S314 - our own answer
    assert tags[:4] == ["id", "meta", "text", "contained"]


def test_every_kind_of_answer_is_xml_where_that_is_wanted(server: Server, operator: str) -> None:
    body = b'<Patient xmlns="http://hl7.org/fhir"><id value="x"/><name><family value="Xml"/></name></Patient>'
    assert _send(server, "PUT", "Patient/x", operator, body).status_code == 201
    for path, kind in {
        "Patient?family=xml": "Bundle",
        "Patient/x/_history": "Bundle",
        "Patient/x/_history/1": "Patient",
        "Patient/x/$everything": "Bundle",
        "metadata": "CapabilityStatement",
        "Patient/x?_summary=true": "Patient",
    }.items():
        answer = _send(server, "GET", path, operator)
        assert (answer.status_code, _parsed(answer)["resourceType"]) == (200, kind), path
        same = server.call("GET", path, operator).data
        assert write_xml(DEFINITIONS, same) == answer.data
    found = _send(server, "GET", "Patient?family=xml", operator)
    assert _parsed(found)["entry"][0]["resource"]["name"] == [{"family": "Xml"}]


def test_a_transaction_may_come_in_xml(server: Server, operator: str) -> None:
    urn = "urn:uuid:88f151c0-a954-468a-88bd-5ae15c08e059"
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "probe"},
        "subject": {"reference": urn},
    }
    entries = [
        {"resource": observation, "request": {"method": "POST", "url": "Observation"}},
        {"fullUrl": urn, "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
    ]
    body = write_xml(DEFINITIONS, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    answer = _send(server, "POST", "", operator, body)
    assert answer.status_code == 200, answer.text
    statuses = [entry["response"]["status"][:3] for entry in _parsed(answer)["entry"]]
    assert statuses == ["201", "201"]
    assert server.get("Observation?subject:missing=false&_summary=count", operator)["total"] == 1


@pytest.mark.parametrize(
    "accept, media",
    [
        ("application/fhir+xml", XML),
        ("application/xml", "application/xml"),
        ("text/xml", "text/xml"),
        ("application/json", "application/json"),
        ("application/xml+fhir", XML),
        ("APPLICATION/FHIR+XML", XML),
        ("application/fhir+xml; fhirVersion=4.0", XML),
        ("application/fhir+json;q=0.5, application/fhir+xml;q=0.9", XML),
        ("application/fhir+xml;q=0.5, application/fhir+json", JSON),
        ("application/fhir+xml;q=0, */*", JSON),
        ("application/fhir+xml, */*;q=0.1", XML),
        ("application/fhir+xml, */*", XML),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "application/xml"),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/fhir+xml; fhirVersion=3.0, application/fhir+json; fhirVersion=4.0", JSON),
        ("", JSON),
    ],
)
def test_the_format_is_what_accept_rates_highest(server: Server, accept: str, media: str) -> None:
    answer = server.call("GET", "Nothing", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (404, media)
    assert "Accept" in answer.headers["Vary"]


@pytest.mark.parametrize(
    "text, media",
    [
        *(("xml", XML), ("text/xml", XML), ("application/xml", XML), ("application/fhir+xml", XML)),
        *(("application/fhir%2Bxml", XML), ("application/fhir%2Bxml;fhirVersion=4.0", XML), ("json", JSON)),
    ],
)
def test_format_in_the_url_overrules_accept(server: Server, text: str, media: str) -> None:
    for accept in (JSON, XML, "text/html"):
        answer = server.call("GET", f"metadata?_format={text}", headers={"Accept": accept})
        assert (answer.status_code, answer.mimetype) == (200, media)


@pytest.mark.parametrize(
    "path, accept",
    [
        ("metadata?_format=turtle", XML),
        ("metadata?_format=application/fhir%2Bxml;fhirVersion=3.0", XML),
        ("metadata", "text/turtle"),
        ("metadata", "application/fhir+xml;q=0"),
        ("metadata", "application/fhir+xml; fhirVersion=5.0"),
    ],
)
def test_a_format_that_is_not_served_is_406(server: Server, path: str, accept: str) -> None:
    answer = server.call("GET", path, headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (406, JSON)


def test_a_body_in_xml_without_accept_is_answered_in_xml(server: Server, operator: str) -> None:
    body = b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    headers = {"Content-Type": XML, "Authorization": f"Bearer {operator}"}
    answer = server.app.test_client().post("/fhir/Patient", data=body, headers=headers)
    assert (answer.status_code, answer.mimetype) == (201, XML)


def test_pretty_xml_is_indented_and_says_the_same(server: Server, operator: str) -> None:
    made = _parsed(_send(server, "POST", "Observation", operator, OBSERVATION))
    plain = _send(server, "GET", f"Observation/{made['id']}", operator)
    pretty = _send(server, "GET", f"Observation/{made['id']}?_pretty=true", operator)
    assert b'\n  <status value="final"/>\n' in pretty.data
    assert _parsed(pretty) == _parsed(plain)


def test_head_and_unchanged_have_no_body_in_xml_either(server: Server, operator: str) -> None:
    made = _parsed(_send(server, "POST", "Observation", operator, OBSERVATION))
    head = _send(server, "HEAD", f"Observation/{made['id']}", operator)
    assert (head.status_code, head.mimetype, head.data) == (200, XML, b"")
    same = _send(server, "GET", f"Observation/{made['id']}", operator, If_None_Match='W/"1"')
    assert (same.status_code, same.data) == (304, b"")


def test_binary_in_xml_is_a_resource_only_where_fhir_xml_is_named(server: Server, operator: str) -> None:
    raw = server.call("POST", "Binary", operator, b"<a/>", {"Content-Type": "text/xml"})
    path = f"Binary/{orjson.loads(raw.data)['id']}"
    wrapped = _send(server, "GET", path, operator)
    assert _parsed(wrapped)["contentType"] == "text/xml"
    assert server.call("GET", path, operator, headers={"Accept": "text/xml"}).data == b"<a/>"
    body = b'<Binary xmlns="http://hl7.org/fhir"><contentType value="text/plain"/><data value="aGk="/></Binary>'
    made = _parsed(_send(server, "POST", "Binary", operator, body))
    assert server.call("GET", f"Binary/{made['id']}", operator, headers={"Accept": "text/plain"}).data == b"hi"


NOTHING = b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'


@pytest.mark.parametrize(
    "body, content_type, status, expression",
    [
        (b"", XML, 400, None),
        (b"<Patient", XML, 400, None),
        (b"{}", XML, 400, None),
        (b"<Patient/>", XML, 400, "Patient"),
        (b'<Nonsense xmlns="http://hl7.org/fhir"/>', XML, 400, "Nonsense"),
        (b'<Observation xmlns="http://hl7.org/fhir"><status value="final"/></Observation>', XML, 400, None),
        (b'<!DOCTYPE Patient [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + NOTHING, XML, 400, None),
        (b'<Patient xmlns="http://hl7.org/fhir"><colour value="red"/></Patient>', XML, 400, "Patient.colour"),
        (b'<Patient xmlns="http://hl7.org/fhir"><gender value="no"/></Patient>', XML, 422, "Patient.gender"),
        (NOTHING, "application/fhir+xml; fhirVersion=3.0", 415, None),
        (NOTHING, "application/fhir+xml; charset=utf-32", 400, None),
        (NOTHING, "text/turtle", 415, None),
    ],
)
def test_a_bad_body_is_refused_in_xml_and_changes_nothing(
    server: Server, operator: str, body: bytes, content_type: str, status: int, expression: str | None
) -> None:
    answer = _send(server, "POST", "Patient", operator, body, Content_Type=content_type)
    assert answer.status_code == status, answer.text
    outcome = _parsed(answer)
    assert outcome["resourceType"] == "OperationOutcome"
    assert expression is None or outcome["issue"][0]["expression"] == [expression]
    assert "etc" not in answer.text
    assert server.get("Patient?_summary=count", operator)["total"] == 0


def test_who_shows_no_token_is_told_so_in_xml(server: Server) -> None:
    answer = server.call("GET", "Patient", headers={"Accept": XML})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert _parsed(answer)["issue"][0]["code"] == "login"


def test_the_capability_statement_says_xml(server: Server) -> None:
    assert {XML, "xml"} <= set(server.get("metadata", "")["format"])


def _patch(server: Server, token: str, path: str, diff: str, **headers: str) -> TestResponse:
    return _send(server, "PATCH", path, token, diff.encode(), Content_Type="application/xml-patch+xml", **headers)


REPLACE = '<diff xmlns:f="http://hl7.org/fhir"><replace sel="f:Patient/f:active/@value">false</replace></diff>'


def test_an_xml_patch_makes_a_version_with_the_change(server: Server, operator: str) -> None:
    server.put({"resourceType": "Patient", "id": "x", "active": True, "name": [{"family": "Xml"}]}, operator)
    answer = _patch(server, operator, "Patient/x", REPLACE)
    assert (answer.status_code, answer.headers["ETag"]) == (200, 'W/"2"')
    assert _parsed(answer)["active"] is False
    assert server.get("Patient/x", operator)["name"] == [{"family": "Xml"}]
    assert _patch(server, operator, "Patient/x", REPLACE, If_Match='W/"1"').status_code == 412
    assert _patch(server, operator, "Patient/never", REPLACE).status_code == 404
    assert _patch(server, operator, "Patient?family=Xml", REPLACE).status_code == 200


@pytest.mark.parametrize(
    "diff, status",
    [
        ("<diff/>", 400),
        ("<diff", 400),
        ('<!DOCTYPE diff [<!ENTITY a "b">]><diff><remove sel="Patient/active"/></diff>', 400),
        ('<diff><remove sel="Patient/birthDate"/></diff>', 422),
        ('<diff><replace sel="Patient/id/@value">y</replace></diff>', 422),
        (
            '<diff xmlns="http://hl7.org/fhir"><add sel="Patient"><gender value="no"/></add></diff>',
            422,
        ),
    ],
)
def test_a_bad_xml_patch_changes_nothing(server: Server, operator: str, diff: str, status: int) -> None:
    server.put({"resourceType": "Patient", "id": "x", "active": True}, operator)
    answer = _patch(server, operator, "Patient/x", diff)
    assert (answer.status_code, _parsed(answer)["resourceType"]) == (status, "OperationOutcome"), answer.text
    assert server.get("Patient/x", operator)["meta"]["versionId"] == "1"


def test_an_entry_of_a_bundle_may_be_an_xml_patch(server: Server, operator: str) -> None:
    server.put({"resourceType": "Patient", "id": "x", "active": True}, operator)
    data = base64.b64encode(REPLACE.encode()).decode()
    binary = {"resourceType": "Binary", "contentType": "application/xml-patch+xml", "data": data}
    entry = {"resource": binary, "request": {"method": "PATCH", "url": "Patient/x"}}
    server.post("", operator, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, 200)
    assert server.get("Patient/x", operator)["active"] is False


def test_a_fhirpath_patch_may_come_in_xml(server: Server, operator: str) -> None:
    server.put({"resourceType": "Patient", "id": "x", "active": True}, operator)
    parts = [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.active"},
        {"name": "value", "valueBoolean": False},
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": parts}]}
    answer = _send(server, "PATCH", "Patient/x", operator, write_xml(DEFINITIONS, parameters))
    assert (answer.status_code, _parsed(answer)["active"]) == (200, False)
