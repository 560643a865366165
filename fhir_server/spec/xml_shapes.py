"""How each structure of FHIR is written in XML: which elements, in which order, which of them are attributes.

Comes in: the definitions. Goes out: one `XmlShape` per type or inline structure, made when it is first asked for, and
what the reader and the writer both know of XML (https://hl7.org/fhir/R4/xml.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.elements import PRIMITIVES, Child

FHIR = "http://hl7.org/fhir"
_NUMBERS = frozenset({"integer", "unsignedInt", "positiveInt"})


class Content(Enum):
    """What stands in an element, by which JSON form it takes."""

    TEXT = "text"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    XHTML = "xhtml"
    STRUCTURE = "structure"
    RESOURCE = "resource"


@dataclass(frozen=True, slots=True)
class XmlField:
    """One element of a structure.

    Attributes:
        name: Its name in XML and JSON, such as `valueQuantity`.
        segment: Its name in FHIRPath, such as `value.ofType(Quantity)`.
        position: Its place in the order of the structure; equal for the types of a choice.
        content: What stands in it.
        many: Whether JSON holds an array.
        context: For a structure, the path whose shape its own elements have.
    """

    name: str
    segment: str
    position: int
    content: Content
    many: bool
    context: str

    @property
    def primitive(self) -> bool:
        """Return whether its value is an attribute."""
        return self.content not in {Content.STRUCTURE, Content.RESOURCE, Content.XHTML}


@dataclass(frozen=True, slots=True)
class XmlShape:
    """The elements and attributes of a structure.

    Attributes:
        context: Path of the structure, such as `Patient.contact`.
        fields: Its elements by name.
        attributes: Names of its members that are attributes: `id` of an element, `url` of an extension.
        positions: By JSON member name, twins with an underscore included, the place in the order; -1 for an attribute.
    """

    context: str
    fields: Mapping[str, XmlField]
    attributes: frozenset[str]
    positions: Mapping[str, int]


def shape_of(definitions: Definitions, context: str) -> XmlShape:
    """Return the XML shape of a type or inline structure, one per process."""
    shape: XmlShape | None = definitions.compiled.get(("xml", context))
    return shape or definitions.compiled.setdefault(("xml", context), _make(definitions, context))


def _make(definitions: Definitions, context: str) -> XmlShape:
    attributes: set[str] = set()
    if context not in definitions.resource_types:
        attributes.add("id")
    if context == "Extension":
        attributes.add("url")
    fields: dict[str, XmlField] = {}
    positions = {"resourceType": -1, **dict.fromkeys(attributes, -1)}
    for position, alternatives in enumerate(definitions.fields(context).values()):
        for child in alternatives:
            if child.json_name in attributes:
                continue
            field = _field(child, position)
            fields[field.name] = field
            positions[field.name] = position
            if field.primitive:
                positions[f"_{field.name}"] = position
    return XmlShape(context, fields, frozenset(attributes), positions)


def _field(child: Child, position: int) -> XmlField:
    element = child.element
    content = _content(child.type)
    context = child.context if content is Content.STRUCTURE else ""
    segment = f"{element.name}.ofType({child.type})" if element.choice else element.name
    return XmlField(child.json_name, segment, position, content, element.many, context)


def _content(type_name: str) -> Content:
    if type_name == "Resource":
        return Content.RESOURCE
    if type_name not in PRIMITIVES:
        return Content.STRUCTURE
    if type_name in _NUMBERS:
        return Content.INTEGER
    return {"boolean": Content.BOOLEAN, "decimal": Content.DECIMAL, "xhtml": Content.XHTML}.get(type_name, Content.TEXT)
