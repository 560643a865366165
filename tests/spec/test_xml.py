"""XML says what JSON says: every official example comes back equal; an independent reader understands it as we do."""

import json as plain
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions, load
from fhir_server.spec.xml_read import read_xml
from fhir_server.spec.xml_write import UnwritableError, write_xml
from tests.spec.examples import read_examples

LIMIT = 10**8
SMALL_BYTES = 20_000
LARGE_BYTES = LIMIT if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 100_000
DEFINITIONS = load()
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), min_size=1).filter(
    lambda text: not any(character < " " and character not in "\t\n\r" for character in text)
)
NAMESPACE = 'xmlns="http://hl7.org/fhir"'


def _same(definitions: Definitions, raw: bytes, *, pretty: bool = False) -> bool:
    """Return whether JSON comes back from XML with every digit, whatever the order of its members."""
    back = read_xml(definitions, write_xml(definitions, raw, pretty=pretty), LIMIT)
    return bool(_digits(back) == _digits(json.decode(raw, LIMIT)))


def _digits(value: Any) -> Any:
    """Return JSON with each number as its text."""
    return plain.loads(json.encode(value), parse_float=lambda text: f"decimal {text}")


def test_every_small_example_comes_back_from_xml(definitions: Definitions) -> None:
    different = [name for name, raw in read_examples(definitions, SMALL_BYTES) if not _same(definitions, raw)]
    assert different == []


@pytest.mark.slow
def test_every_large_example_comes_back_from_xml(definitions: Definitions) -> None:
    """The largest are collections of the others, so that only the nightly run reads them a second time."""
    large = [(name, raw) for name, raw in read_examples(definitions) if SMALL_BYTES < len(raw) < LARGE_BYTES]
    assert len(large) > 200
    assert [name for name, raw in large if not _same(definitions, raw)] == []


def _judged(definitions: Definitions) -> Iterator[tuple[str, bytes, Any]]:
    """Yield two examples of each type that the independent reader, which is of R4B, knows in the same form."""
    seen: dict[str, int] = {}
    for name, raw in read_examples(definitions, SMALL_BYTES):
        kind = name.partition("-")[0]
        if seen.get(kind, 0) == 2:
            continue
        try:
            model = get_fhir_model_class(kind)
            model.model_validate_json(raw)
        except (KeyError, ValueError):
            continue
        seen[kind] = seen.get(kind, 0) + 1
        yield name, raw, model


def test_an_independent_reader_understands_our_xml_and_we_understand_its(definitions: Definitions) -> None:
    count = 0
    for name, raw, model in _judged(definitions):
        mine = _comparable(json.decode(raw, LIMIT))
        try:
            theirs = model.model_validate_xml(write_xml(definitions, raw))
        except KeyError:  # it has no place for an array of primitives none of which has a value
            continue
        assert _comparable(plain.loads(theirs.model_dump_json())) == mine, name
        back = read_xml(definitions, theirs.model_dump_xml(), LIMIT)
        assert _comparable(back) == mine, name
        count += 1
    assert count > 150


def _comparable(value: Any) -> Any:
    """Return JSON without what the other reader has in its own way: narrative, zeros, fractions of seconds.

    It also passes over ids of elements, which are attributes in XML, and over line breaks of base64.
    """
    if isinstance(value, dict):
        lost = {"div"} if "resourceType" in value else {"div", "id"}
        return {name: _comparable(item) for name, item in value.items() if name not in lost}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value) if "T" in value else "".join(value.split())
        except ValueError:
            return "".join(value.split())
    return value if isinstance(value, bool | None) else float(value)


@given(TEXT, TEXT, st.booleans())
def test_any_text_comes_back(definitions_text: str, other: str, pretty: bool) -> None:  # noqa: FBT001
    resource = {
        "resourceType": "Patient",
        "id": "a",
        "extension": [{"url": definitions_text, "valueString": other}],
        "name": [{"id": other, "text": definitions_text, "given": [other, definitions_text]}],
    }
    assert _same(DEFINITIONS, json.encode(resource), pretty=pretty)


DIVS = (
    '<div xmlns="http://www.w3.org/1999/xhtml">a</div>',
    "<div xmlns='http://www.w3.org/1999/xhtml' lang=\"x>\">\r\n\t<p  title='&quot;>'>&#160;<br></br><br /></p ></div >",
    '<div xmlns="http://www.w3.org/1999/xhtml"><!-- </div> --><![CDATA[</div>]]><div><div/></div></div>',
    '<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="cy">\U0001f600 é</div>',
)


@pytest.mark.parametrize("div", DIVS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("pretty", [False, True])
def test_a_narrative_comes_back_to_the_byte(definitions: Definitions, div: str, encoding: str, *, pretty: bool) -> None:
    resource = {"resourceType": "Patient", "text": {"status": "generated", "div": div}, "active": True}
    document = write_xml(definitions, resource, pretty=pretty).decode().encode(encoding)
    assert read_xml(definitions, document, LIMIT) == resource


def test_a_narrative_whose_namespace_has_a_prefix_gets_one_of_its_own(definitions: Definitions) -> None:
    document = (
        '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text>'
        '<f:status value="generated"/><h:div><h:p class="a&amp;b">1 &lt; 2</h:p></h:div></f:text></f:Patient>'
    )
    div = '<div xmlns="http://www.w3.org/1999/xhtml"><p class="a&amp;b">1 &lt; 2</p></div>'
    assert read_xml(definitions, document.encode(), LIMIT)["text"]["div"] == div


@pytest.mark.parametrize(
    "div", ["<div>", "</text><active value='true'/>", "<p>a</p>", "\x01", "<div>a</div><div>b</div>"]
)
def test_what_is_no_narrative_goes_out_as_text_only(definitions: Definitions, div: str) -> None:
    document = write_xml(definitions, {"resourceType": "Patient", "text": {"status": "generated", "div": div}})
    back = read_xml(definitions, document, LIMIT)
    assert set(back) == {"resourceType", "text"}
    assert back["text"]["div"].startswith('<div xmlns="http://www.w3.org/1999/xhtml">')


def test_elements_go_out_in_the_order_of_the_definitions(definitions: Definitions) -> None:
    document = write_xml(definitions, {"gender": "male", "resourceType": "Patient", "name": [{"text": "a"}], "id": "b"})
    parts = ['<id value="b"/>', '<name><text value="a"/></name>', '<gender value="male"/>']
    assert document.decode().endswith(f"<Patient {NAMESPACE}>{''.join(parts)}</Patient>")


@pytest.mark.parametrize("resource", [{}, {"resourceType": "Nonsense"}, {"resourceType": "Patient", "colour": "red"}])
def test_json_that_is_not_fhir_is_not_written(definitions: Definitions, resource: dict[str, Any]) -> None:
    with pytest.raises(UnwritableError):
        write_xml(definitions, resource)


def test_values_get_their_json_types(definitions: Definitions) -> None:
    document = (
        f'<Observation {NAMESPACE}><extension url="e"><valueDecimal value="1.0E3"/></extension>'
        '<status value="final"/><issued><extension url="e"><valueBoolean value="false"/></extension></issued>'
        '<valueSampledData><origin><value value="-0.50"/></origin><dimensions value="+3"/></valueSampledData>'
        "</Observation>"
    )
    assert _digits(read_xml(definitions, document.encode(), LIMIT)) == {
        "resourceType": "Observation",
        "extension": [{"url": "e", "valueDecimal": "decimal 1.0E3"}],
        "status": "final",
        "_issued": {"extension": [{"url": "e", "valueBoolean": False}]},
        "valueSampledData": {"origin": {"value": "decimal -0.50"}, "dimensions": 3},
    }
