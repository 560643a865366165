"""Write a stored resource as FHIR XML (https://hl7.org/fhir/R4/xml.html), for a caller who asks for it.

Comes in: JSON, stored or made here, so already held to the definitions. Goes out: a UTF-8 document in the order of the
definitions that says exactly the same: digits of decimals, narrative, ids and extensions of primitives.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fhir_server.spec import json
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.xml_narrative import embeddable
from fhir_server.spec.xml_shapes import FHIR, Content, XmlField, XmlShape, shape_of
from fhir_server.spec.xml_values import value_text

Json = Mapping[str, Any]

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'
_INDENT = "  "
# A decimal is wanted as the text it was written with, and nothing is computed with it.
_DECODER = msgspec.json.Decoder(float_hook=str)


class UnwritableError(ValueError):
    """The JSON has a member that FHIR R4 does not define, so no XML can say it."""


def write_xml(definitions: Definitions, resource: bytes | Json, *, pretty: bool = False) -> bytes:
    """Return the XML of a resource.

    Args:
        definitions: Which elements there are, and their order.
        resource: JSON text that was written here, or the object.
        pretty: One element a line, indented.

    Raises:
        UnwritableError: The resource is not one of FHIR R4.
    """
    content = _DECODER.decode(resource if isinstance(resource, bytes) else json.encode(resource))
    writer = _Writer(definitions, pretty=pretty)
    writer.parts.append(_DECLARATION)
    writer.resource(content, 0, f' xmlns="{FHIR}"')
    return "".join(writer.parts).encode()


class _Writer:
    """Collects the parts of one document."""

    def __init__(self, definitions: Definitions, *, pretty: bool) -> None:
        self.parts: list[str] = []
        self._definitions = definitions
        self._pretty = pretty

    def resource(self, value: Json, level: int, namespace: str = "") -> None:
        name = value.get("resourceType")
        if type(name) is not str or name not in self._definitions.resource_types:
            raise UnwritableError("resourceType is none of FHIR R4")
        self._structure(name, value, shape_of(self._definitions, name), level, namespace)

    def _structure(self, name: str, value: Json, shape: XmlShape, level: int, start: str = "") -> None:
        for attribute in shape.attributes:
            if attribute in value:
                start += f' {attribute}="{value_text(value[attribute])}"'
        self._open(name, start, level)
        children = len(self.parts)
        self._children(value, shape, level + 1)
        if len(self.parts) == children:
            self.parts[-1] = f"{self.parts[-1][:-1]}/>"
        else:
            self._close(name, level)

    def _children(self, value: Json, shape: XmlShape, level: int) -> None:
        positions = shape.positions
        try:
            names = sorted(value, key=positions.__getitem__)
        except KeyError as error:
            raise UnwritableError(f"{error} is no element of {shape.context} in FHIR R4") from error
        done = ""
        for member in names:
            if positions[member] < 0:
                continue
            name = member.removeprefix("_")
            if name != done:
                self._field(value, shape.fields[name], level)
            done = name

    def _field(self, owner: Json, field: XmlField, level: int) -> None:
        found, twins = owner.get(field.name), owner.get(f"_{field.name}")
        if not field.many:
            self._item(field, found, twins, level)
            return
        values = found if type(found) is list else ()
        extensions = twins if type(twins) is list else ()
        for index in range(max(len(values), len(extensions))):
            value = values[index] if index < len(values) else None
            self._item(field, value, extensions[index] if index < len(extensions) else None, level)

    def _item(self, field: XmlField, value: Any, twin: Any, level: int) -> None:
        name = field.name
        if field.content is Content.STRUCTURE:
            self._structure(name, value, shape_of(self._definitions, field.context), level)
        elif field.content is Content.RESOURCE:
            self._open(name, "", level)
            self.resource(value, level + 1)
            self._close(name, level)
        elif field.content is Content.XHTML:
            self._break(level)
            self.parts.append(embeddable(str(value)))
        elif not twin:
            self._break(level)
            self.parts.append(f'<{name} value="{value_text(value)}"/>')
        else:
            start = "" if value is None else f' value="{value_text(value)}"'
            self._structure(name, twin, shape_of(self._definitions, "Element"), level, start)

    def _open(self, name: str, attributes: str, level: int) -> None:
        self._break(level)
        self.parts.append(f"<{name}{attributes}>")

    def _close(self, name: str, level: int) -> None:
        self._break(level)
        self.parts.append(f"</{name}>")

    def _break(self, level: int) -> None:
        if self._pretty:
            self.parts.append(f"\n{_INDENT * level}")
