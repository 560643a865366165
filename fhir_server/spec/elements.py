"""The shapes of FHIR types: elements, their cardinality, types, bindings, and how a choice is named in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import msgspec

# INVARIANT: the primitive types of https://hl7.org/fhir/R4/datatypes.html; their JSON is a scalar, not an object.
PRIMITIVES = frozenset(
    {
        *("base64Binary", "boolean", "canonical", "code", "date", "dateTime", "decimal", "id", "instant", "integer"),
        *("markdown", "oid", "positiveInt", "string", "time", "unsignedInt", "uri", "url", "uuid", "xhtml"),
    }
)
_INLINE = frozenset({"BackboneElement", "Element"})


class ElementType(msgspec.Struct, frozen=True):
    """A type an element may have.

    Attributes:
        code: Name of the type.
        targets: For a Reference or canonical, the resource types it may point to; empty when any.
    """

    code: str
    targets: tuple[str, ...]


class Element(msgspec.Struct, frozen=True, dict=True):
    """One element of a type, as in the snapshot of its StructureDefinition.

    Attributes:
        path: Such as `Patient.contact.name`; a choice ends in `[x]`.
        min: Fewest occurrences.
        max: Most occurrences; None when unlimited.
        types: What it may be; empty when `content_reference` says it.
        content_reference: Path of the element whose content this one repeats (`Questionnaire.item`), or empty.
        binding: URL of the value set it is bound to as required, or empty.
        modifier: Whether it can change the meaning of the element that holds it.
        summary: Whether `_summary=true` keeps it.
    """

    path: str
    min: int
    max: int | None
    types: tuple[ElementType, ...]
    content_reference: str
    binding: str
    modifier: bool
    summary: bool

    @property
    def choice(self) -> bool:
        """Return whether the JSON name carries the type (`valueQuantity`)."""
        return self.path.endswith("[x]")

    @cached_property
    def name(self) -> str:
        """Return the last part of the path, without `[x]`."""
        return self.path.rpartition(".")[2].removesuffix("[x]")

    @property
    def many(self) -> bool:
        """Return whether JSON holds an array."""
        return self.max != 1


class Child(NamedTuple):
    """An element under one of its types.

    Attributes:
        json_name: Its member in JSON, such as `valueQuantity`.
        element: The element.
        type: Name of the type; of an inline structure `BackboneElement` or `Element`.
        context: Path whose fields are the children of this one: a datatype, or the path of an inline structure.
        targets: For a reference, the resource types it may point to; empty when any.
    """

    json_name: str
    element: Element
    type: str
    context: str
    targets: tuple[str, ...]


@dataclass(frozen=True)
class TypeDefinition:
    """A resource type or datatype.

    Attributes:
        name: Such as `Patient` or `HumanName`.
        kind: `resource`, `complex-type` or `primitive-type`.
        abstract: Whether no instance has exactly this type.
        derived_from: Name of the type it specialises, or empty.
        elements: By path, in the order of the definition.
    """

    name: str
    kind: str
    abstract: bool
    derived_from: str
    elements: Mapping[str, Element]

    @cached_property
    def fields(self) -> Mapping[str, Mapping[str, tuple[Child, ...]]]:
        """Return, per path of a structure, its children by name; a choice has one child per type."""
        found: dict[str, dict[str, tuple[Child, ...]]] = {self.name: {}}
        for element in self.elements.values():
            found.setdefault(element.path.rpartition(".")[0], {})[element.name] = _children(element)
        return found


def _children(element: Element) -> tuple[Child, ...]:
    if element.content_reference:
        return (Child(element.name, element, "BackboneElement", element.content_reference, ()),)
    return tuple(
        Child(
            element.name + type_.code[0].upper() + type_.code[1:] if element.choice else element.name,
            element,
            type_.code,
            element.path if type_.code in _INLINE else type_.code,
            type_.targets,
        )
        for type_ in element.types
    )
