"""Line and column of what is wrong, in JSON and XML as they were sent."""

from __future__ import annotations

import pytest

from fhir_server.spec.positions import LENGTH_LIMIT, find_positions

JSON = b"""{
  "resourceType": "Patient",
  "name": [
    {"family": "A"},
    {"family": "B", "given": ["C", "D \\" {"], "_given": [null, {"id": "x"}]}
  ],
  "_birthDate": {"extension": []},
  "deceasedBoolean": 1, "contact": []
}"""
XML = """<?xml version="1.0"?>
<Bundle xmlns="http://hl7.org/fhir">
  <entry><fullUrl value="é"/>
    <resource><Patient>
      <name/><name><given value="a"/><given value="b"/></name>
      <multipleBirthInteger value="x"/>
    </Patient></resource>
  </entry>
</Bundle>"""


@pytest.mark.parametrize(
    "expression, position",
    [
        ("Patient", (1, 1)),
        ("Patient.name", (4, 5)),
        ("Patient.name[1]", (5, 5)),
        ("Patient.name[1].given[1]", (5, 36)),
        ("Patient.name[0].given", (4, 5)),
        ("Patient.birthDate", (7, 17)),
        ("Patient.deceased.ofType(boolean)", (8, 22)),
        ("Patient.gender", (1, 1)),
        ("Patient.contact[0].name", (8, 36)),
    ],
)
def test_an_element_of_json_is_found_or_the_innermost_around_it(expression: str, position: tuple[int, int]) -> None:
    assert find_positions(JSON, [expression], xml=False) == {expression: position}


@pytest.mark.parametrize(
    "expression, position",
    [
        ("Bundle", (2, 1)),
        ("Bundle.entry[0].resource.name[1].given[1]", (5, 38)),
        ("Bundle.entry[0].resource.multipleBirth.ofType(integer)", (6, 7)),
        ("Bundle.entry[0].request", (3, 3)),
    ],
)
@pytest.mark.parametrize("charset", ["utf-8", "utf-16"])
def test_an_element_of_xml_is_found(expression: str, position: tuple[int, int], charset: str) -> None:
    text = XML if charset == "utf-8" else XML.replace("?>", ' encoding="UTF-16"?>')
    assert find_positions(text.encode(charset), [expression], xml=True) == {expression: position}


@pytest.mark.parametrize(
    "raw, xml",
    [
        (b"{}" + b" " * LENGTH_LIMIT, False),
        (b"\xff{}", False),
        (b"]]", False),
        (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', True),
        (b"<a>", True),
        (b"", False),
    ],
)
def test_nothing_is_said_of_a_text_that_is_too_long_or_none(raw: bytes, xml: bool) -> None:  # noqa: FBT001
    assert find_positions(raw, ["Patient.name"], xml=xml) == {}


def test_what_is_in_parameters_is_found_below_them() -> None:
    raw = b'{"resourceType": "Parameters", "parameter": [{"name": "mode"}, {"resource": {"active": 1}}]}'
    found = find_positions(raw, ["Patient.active"], xml=False, below=(("parameter", 1), ("resource", 0)))
    assert found == {"Patient.active": (1, 88)}
