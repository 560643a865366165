"""Read FHIR XML (https://hl7.org/fhir/R4/xml.html) into the object that its JSON would be.

Comes in: bytes from outside, of which nothing is known. Goes out: what `spec.json.decode` makes of the same resource in
JSON, not yet validated, or a `FhirError` that names the element, line and column of the first mistake.

The document is read as a stream, in time and memory proportional to what of it is FHIR: the first element that is not
in its place ends the reading. Comments and white space between elements are skipped, all else has a meaning or is
refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.json import DEPTH_LIMIT
from fhir_server.spec.narrative import XHTML
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.spec.xml_narrative import DivRecorder
from fhir_server.spec.xml_shapes import FHIR, Content, XmlField, XmlShape, shape_of
from fhir_server.spec.xml_text import utf8_document
from fhir_server.spec.xml_values import ValueTextError, parse_value

Json = dict[str, Any]

_NARRATIVE_DEPTH_LIMIT = 256
_SEPARATOR = " "
_SCHEMA_LOCATION = f"http://www.w3.org/2001/XMLSchema-instance{_SEPARATOR}schemaLocation"
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)


def read_xml(
    definitions: Definitions, raw: bytes, limit_bytes: int, charset: str = "", *, ordered: bool = True
) -> Json:
    """Return the resource in an XML document, as the JSON decoder would return it.

    Args:
        definitions: Which elements there are, and their order.
        raw: A document without document type; UTF-8, UTF-16, or one of a few 8-bit encodings that it declares.
        limit_bytes: Longest document to accept.
        charset: Of the Content-Type, "" where absent.
        ordered: Refuse elements that are not in the order of FHIR.

    Raises:
        FhirError: 413 when too long; 400 when it is not well-formed, not FHIR XML, or nested deeper than 64 levels.
    """
    document = utf8_document(raw, limit_bytes, charset)
    reader = _Reader(definitions, document, ordered=ordered)
    try:
        reader.parser.Parse(document, True)
    except expat.ExpatError as error:
        text = f"The content is not well-formed XML: {expat.ErrorString(error.code)}"
        raise FhirError(Kind.MALFORMED, f"{text} (line {error.lineno}, column {error.offset + 1}).") from error
    return reader.result


@dataclass(slots=True)
class _Frame:
    """An open element.

    Attributes:
        element: How its owner names it; None for a resource.
        segment: Its name in a location, with its place where it repeats.
        shape: What it may hold; None for one that holds a resource.
        value: The object being made; of a primitive, its id and extensions.
        depth: Level of that object in JSON.
        owner: The object that it belongs to.
        primitive: The JSON value of a primitive, None where it has none.
        position: Place in the order of what was read last.
        padded: Names of arrays of primitives, of which some have extensions or no value.
    """

    element: XmlField | None
    segment: str
    shape: XmlShape | None
    value: Json
    depth: int
    owner: Json
    primitive: Any = None
    position: int = -1
    padded: dict[str, None] = field(default_factory=dict)


class _Reader:
    """What the parser calls."""

    def __init__(self, definitions: Definitions, document: bytes, *, ordered: bool) -> None:
        self.result: Json = {}
        self._definitions = definitions
        self._document = document
        self._ordered = ordered
        self._stack: list[_Frame] = []
        self._div: DivRecorder | None = None
        self._default_namespace: str | None = None
        self.parser = parser = expat.ParserCreate("utf-8", _SEPARATOR)
        parser.namespace_prefixes = True
        parser.buffer_text = True
        parser.StartNamespaceDeclHandler = self.declare_namespace
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.ProcessingInstructionHandler = self.refuse_instruction
        # INVARIANT: `utf8_document` refused every document type before; these stand guard should it miss one.
        parser.StartDoctypeDeclHandler = self.refuse_doctype
        parser.EntityDeclHandler = self.refuse_doctype

    def declare_namespace(self, prefix: str | None, uri: str) -> None:
        if not prefix:
            self._default_namespace = uri

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, local, prefix = _split(name)
        declared, self._default_namespace = self._default_namespace, None
        if self._div is not None:
            self._start_in_div(self._div, name, attributes)
            return
        owner = self._stack[-1] if self._stack else None
        found = owner.shape.fields.get(local) if owner and owner.shape else None
        wanted = XHTML if found and found.content is Content.XHTML else FHIR
        if namespace != wanted:
            raise self._refusal(f"must be in the namespace {wanted}", _shown(local))
        if owner is None or owner.shape is None:
            self._start_resource(owner, local, attributes)
            return
        if found is None:
            raise self._refusal(f"is no element of {owner.shape.context} in FHIR R4", _shown(local))
        self._check_place(owner, found)
        if found.content is Content.XHTML:
            self._stack.append(_Frame(found, found.segment, None, {}, 0, owner.value))
            self._div = DivRecorder(alone=declared == XHTML and not prefix, start=self.parser.CurrentByteIndex)
            self._div.open(local, prefix, attributes)
        else:
            self._start_field(owner, found, attributes)

    def end(self, name: str) -> None:
        if self._div is not None:
            self._end_in_div(self._div, name)
            return
        frame = self._stack[-1]
        if frame.element is not None and frame.element.primitive:
            self._end_primitive(frame, frame.element)
        elif not frame.value:
            raise self._refusal("must not be empty" if frame.shape else "must hold a resource")
        self._pad(frame)
        self._stack.pop()

    def characters(self, text: str) -> None:
        if self._div is not None:
            self._div.text(text)
        elif not text.isspace():
            raise self._refusal("must have no text; a value is given by the attribute value")

    def refuse_instruction(self, *_: Any) -> None:
        raise self._refusal("must have no processing instruction")

    def refuse_doctype(self, *_: Any) -> None:
        raise FhirError(Kind.MALFORMED, "The content must have no document type and no entities.")

    def _start_resource(self, owner: _Frame | None, name: str, attributes: dict[str, str]) -> None:
        if name not in self._definitions.resource_types:
            raise self._refusal("must be a resource type of FHIR R4", _shown(name))
        value: Json = {"resourceType": name}
        if owner is None:
            attributes = {key: text for key, text in attributes.items() if not key.startswith(_SCHEMA_LOCATION)}
            self.result = value
            frame = _Frame(None, name, shape_of(self._definitions, name), value, 1, {})
        else:
            if owner.value:
                raise self._refusal("must hold one resource only", _shown(name))
            owner.value["resource"] = value
            _put(owner.owner, owner.element, value)
            # A resource is seen at the location of the element that holds it.
            frame = _Frame(None, "", shape_of(self._definitions, name), value, owner.depth, {})
        self._check_depth(frame.depth)
        self._stack.append(frame)
        self._read_attributes(frame, attributes)

    def _start_field(self, owner: _Frame, found: XmlField, attributes: dict[str, str]) -> None:
        index = f"[{len(owner.value.get(found.name, ()))}]" if found.many else ""
        depth = owner.depth + found.many
        self._check_depth(depth + (not found.primitive))
        context = "Element" if found.primitive else found.context
        shape = None if found.content is Content.RESOURCE else shape_of(self._definitions, context)
        frame = _Frame(found, found.segment + index, shape, {}, depth + 1, owner.value)
        self._stack.append(frame)
        if found.primitive:
            attributes = self._read_value(frame, found, attributes)
        elif shape is not None:
            _put(owner.value, found, frame.value)
        self._read_attributes(frame, attributes)

    def _read_value(self, frame: _Frame, found: XmlField, attributes: dict[str, str]) -> dict[str, str]:
        """Return the attributes without `value`, which is kept; an array gets its item at once."""
        if "value" in attributes:
            try:
                frame.primitive = parse_value(found.content, attributes["value"])
            except ValueTextError as error:
                raise self._refusal(str(error)) from error
        if found.many:
            _put(frame.owner, found, frame.primitive)
        elif frame.primitive is not None:
            frame.owner[found.name] = frame.primitive
        return {name: text for name, text in attributes.items() if name != "value"} if attributes else attributes

    def _read_attributes(self, frame: _Frame, attributes: dict[str, str]) -> None:
        for name, text in attributes.items():
            if frame.shape is None or name not in frame.shape.attributes:
                shown = _shown(name.split(_SEPARATOR)[1] if _SEPARATOR in name else name)
                raise self._refusal(f"must have no attribute {shown}")
            if not text:
                raise self._refusal(f"must have no empty attribute {name}")
            frame.value[name] = text

    def _end_primitive(self, frame: _Frame, found: XmlField) -> None:
        if frame.primitive is None and not frame.value:
            raise self._refusal("must have a value or an extension")
        twin = f"_{found.name}"
        if not found.many:
            if frame.value:
                frame.owner[twin] = frame.value
            return
        if frame.value:
            before = len(frame.owner[found.name]) - 1
            twins = frame.owner.setdefault(twin, [])
            twins += [None] * (before - len(twins))
            twins.append(frame.value)
            self._stack[-2].padded[found.name] = None

    def _pad(self, frame: _Frame) -> None:
        """Make an array of primitives and that of their extensions equally long, and drop one without a value."""
        for name in frame.padded:
            values, twins = frame.value[name], frame.value[f"_{name}"]
            twins += [None] * (len(values) - len(twins))
            if all(value is None for value in values):
                del frame.value[name]

    def _start_in_div(self, div: DivRecorder, name: str, attributes: dict[str, str]) -> None:
        namespace, local, prefix = _split(name)
        if namespace != XHTML:
            raise self._refusal(f"must use only elements of the namespace {XHTML}")
        if div.depth >= _NARRATIVE_DEPTH_LIMIT:
            raise self._refusal(f"is nested deeper than {_NARRATIVE_DEPTH_LIMIT} levels")
        div.open(local, prefix, attributes)

    def _end_in_div(self, div: DivRecorder, name: str) -> None:
        div.close(_split(name)[1])
        if not div.depth:
            frame = self._stack.pop()
            _put(frame.owner, frame.element, div.result(self._document, self.parser.CurrentByteIndex))
            self._div = None

    def _check_place(self, owner: _Frame, found: XmlField) -> None:
        if self._ordered and found.position < owner.position:
            raise self._refusal("must come earlier: the elements have an order", found.segment)
        owner.position = found.position
        if not found.many and (found.name in owner.value or f"_{found.name}" in owner.value):
            raise self._refusal("must appear only once", found.segment)

    def _check_depth(self, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            raise self._refusal(f"is nested deeper than {DEPTH_LIMIT} levels")

    def _refusal(self, text: str, child: str = "") -> FhirError:
        """Return the refusal of the element that is open, or of one that would be in it."""
        segments = [frame.segment for frame in self._stack if frame.segment]
        location = ".".join([*segments, child] if child else segments) or "The content"
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1
        expression = (location,) if self._stack or child else ()
        return FhirError(Kind.MALFORMED, f"{location} {text} (line {line}, column {column}).", expression)


def _split(name: str) -> tuple[str, str, str]:
    """Return namespace, local name and prefix of what the parser calls an element."""
    parts = name.split(_SEPARATOR)
    if len(parts) == 1:
        return "", name, ""
    return parts[0], parts[1], "".join(parts[2:])


def _put(owner: Json, found: XmlField | None, value: Any) -> None:
    if found is None:
        return
    if found.many:
        owner.setdefault(found.name, []).append(value)
    else:
        owner[found.name] = value


def _shown(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else "(unnamed)"
