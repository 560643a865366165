"""Hostile XML: refused with what is wrong and where; nothing fetched, nothing multiplied."""

from pathlib import Path

import pytest

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError
from fhir_server.spec.xml_read import read_xml

LIMIT = 10**7
OPEN = '<Patient xmlns="http://hl7.org/fhir">'
LAUGHS = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
BOMB = f'<!DOCTYPE p [<!ENTITY a0 "ha">{LAUGHS}]>{OPEN}<id value="&a9;"/></Patient>'
BLOW_UP = f'<!DOCTYPE p [<!ENTITY a "{"a" * 50_000}">]>{OPEN}<id value="{"&a;" * 50_000}"/></Patient>'


def _refusal(definitions: Definitions, document: str | bytes, charset: str = "") -> FhirError:
    raw = document.encode() if isinstance(document, str) else document
    with pytest.raises(FhirError) as refused:
        read_xml(definitions, raw, LIMIT, charset)
    return refused.value


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize(
    "document",
    [
        BOMB,
        BLOW_UP,
        f"<!DOCTYPE p>{OPEN}</Patient>",
        f'<!DOCTYPE p SYSTEM "http://127.0.0.1:9/a.dtd">{OPEN}</Patient>',
        f'<!DOCTYPE p [<!ENTITY % a SYSTEM "http://127.0.0.1:9/a.dtd"> %a;]>{OPEN}</Patient>',
        f'<?xml version="1.0"?>\n<!-- a --><!-- b -->\n<!DOCTYPE p []>{OPEN}</Patient>',
    ],
)
def test_a_document_type_is_refused(definitions: Definitions, document: str, encoding: str) -> None:
    refusal = _refusal(definitions, document.encode(encoding))
    assert (refusal.status, refusal.diagnostics) == (
        400,
        "The content must have no document type and no entities.",
    )


def test_a_file_is_not_read(definitions: Definitions, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("treasure")
    inclusion = f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" parse="text" href="{secret.as_uri()}"/>'
    for document in (
        f'<!DOCTYPE p [<!ENTITY x SYSTEM "{secret.as_uri()}">]>{OPEN}<id value="&x;"/></Patient>',
        f"{OPEN}{inclusion}</Patient>",
        f'{OPEN}<text><div xmlns="http://www.w3.org/1999/xhtml">{inclusion}</div></text></Patient>',
    ):
        refusal = _refusal(definitions, document)
        assert refusal.status == 400
        assert "treasure" not in refusal.diagnostics


@pytest.mark.parametrize(
    "document",
    [
        OPEN + '<extension url="a">' * 5_000 + "</extension>" * 5_000 + "</Patient>",
        OPEN + "<contained><Patient>" * 5_000,
        OPEN + '<text><div xmlns="http://www.w3.org/1999/xhtml">' + "<b>" * 5_000,
    ],
)
def test_deep_nesting_is_refused_where_it_passes_the_limit(definitions: Definitions, document: str) -> None:
    refusal = _refusal(definitions, document)
    assert refusal.status == 400
    assert "nested deeper than" in refusal.diagnostics


@pytest.mark.parametrize(
    "document",
    [
        "<!--" * 1_000_000,
        "<!---->" * 1_000_000,
        " " * 5_000_000,
        OPEN + '<id value="' + "a" * 5_000_000,
        OPEN + "<" + "a" * 5_000_000,
        OPEN[:-1] + "".join(f' a{n}="1"' for n in range(100_000)) + "/>",
        OPEN + "<name/>" * 500_000 + "</Patient>",
        OPEN + "<active value='" + "&#x41;" * 500_000 + "'/></Patient>",
    ],
)
def test_long_nonsense_ends_in_a_refusal(definitions: Definitions, document: str) -> None:
    assert _refusal(definitions, document).status == 400


def test_a_document_beyond_the_limit_is_413(definitions: Definitions) -> None:
    assert _refusal(definitions, b" " * (LIMIT + 1)).status == 413


@pytest.mark.parametrize(
    "inner, location, rule",
    [
        ("hello", "Patient", "must have no text"),
        ("<![CDATA[hello]]>", "Patient", "must have no text"),
        ("<?php x?>", "Patient", "must have no processing instruction"),
        ('<colour value="a"/>', "Patient.colour", "is no element of Patient"),
        ('<name><family value="a"/><colour/></name>', "Patient.name[0].colour", "is no element of HumanName"),
        ('<active xmlns="http://a.test" value="true"/>', "Patient.active", "must be in the namespace"),
        ('<active value="true" colour="a"/>', "Patient.active", "must have no attribute colour"),
        ('<active value="true" xml:base="a"/>', "Patient.active", "must have no attribute base"),
        ('<active value="True"/>', "Patient.active", "must be true or false"),
        ('<multipleBirthInteger value="1.0"/>', "Patient.multipleBirth.ofType(integer)", "must be a whole number"),
        (f'<multipleBirthInteger value="{"9" * 5_000}"/>', "Patient.multipleBirth.ofType(integer)", "whole number"),
        ('<id value=""/>', "Patient.id", "must not be empty"),
        ("<active/>", "Patient.active", "must have a value or an extension"),
        ("<name/>", "Patient.name[0]", "must not be empty"),
        ('<name id=""><family value="a"/></name>', "Patient.name[0]", "must have no empty attribute id"),
        ('<gender value="male"/><active value="true"/>', "Patient.active", "must come earlier"),
        ('<active value="true"/><active value="true"/>', "Patient.active", "must appear only once"),
        ("<contained/>", "Patient.contained[0]", "must hold a resource"),
        ("<contained><Nonsense/></contained>", "Patient.contained[0].Nonsense", "must be a resource type"),
        ("<contained><Patient/><Patient/></contained>", "Patient.contained[0].Patient", "one resource only"),
        ('<text><status value="generated"/><div>a</div></text>', "Patient.text.div", "must be in the namespace"),
        (
            '<text><status value="generated"/><div xmlns="http://www.w3.org/1999/xhtml"><svg xmlns="s"/></div></text>',
            "Patient.text.div",
            "must use only elements of the namespace",
        ),
    ],
)
def test_what_is_not_in_its_place_is_named(definitions: Definitions, inner: str, location: str, rule: str) -> None:
    refusal = _refusal(definitions, f"{OPEN}\n  {inner}</Patient>")
    assert refusal.status == 400
    assert refusal.issues[0].expression == (location,)
    assert refusal.diagnostics.startswith(f"{location} ")
    assert rule in refusal.diagnostics
    assert "(line 2, column " in refusal.diagnostics


@pytest.mark.parametrize(
    "document, charset",
    [
        (b'<?xml version="1.0" encoding="UTF-7"?><Patient xmlns="http://hl7.org/fhir"/>', ""),
        (b'<?xml version="1.0" encoding="punycode"?><Patient xmlns="http://hl7.org/fhir"/>', ""),
        (b'<Patient xmlns="http://hl7.org/fhir"/>', "utf-7"),
        (b'<Patient xmlns="http://hl7.org/fhir"><language value="\xff"/></Patient>', ""),
        ('<Patient xmlns="http://hl7.org/fhir"/>'.encode("utf-32"), ""),
        (b'<Patient xmlns="http://hl7.org/fhir"><language value="\x00"/></Patient>', ""),
        (b'<Patient xmlns="http://hl7.org/fhir"><language value="&#xD800;"/></Patient>', ""),
        (b'<Patient xmlns="http://hl7.org/fhir"><language value="&nbsp;"/></Patient>', ""),
    ],
)
def test_text_in_an_unknown_or_broken_encoding_is_refused(
    definitions: Definitions, document: bytes, charset: str
) -> None:
    assert _refusal(definitions, document, charset).status == 400


@pytest.mark.parametrize("declared, charset", [("ISO-8859-1", ""), ("UTF-8", "latin1")])
def test_an_encoding_is_what_http_or_else_the_document_says(
    definitions: Definitions, declared: str, charset: str
) -> None:
    document = f'<?xml version="1.0" encoding="{declared}"?>{OPEN}<language value="é"/></Patient>'
    assert read_xml(definitions, document.encode("latin1"), LIMIT, charset)["language"] == "é"
