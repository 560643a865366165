"""XML Patch (RFC 5261, https://hl7.org/fhir/R4/http.html#patch): add, replace and remove nodes of a resource's XML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from xml.etree import ElementTree as ET

from fhir_server.spec.definitions import Definitions
from fhir_server.spec.outcome import FhirError, Issue, Kind
from fhir_server.spec.xml_read import read_xml
from fhir_server.spec.xml_selectors import Finder, Selector, SelectorError, parse_selector
from fhir_server.spec.xml_text import utf8_document
from fhir_server.spec.xml_write import write_xml

Json = dict[str, Any]

XML_PATCH = "application/xml-patch+xml"
_MOST_CHANGES = 1_000
_DEEPEST_PATCH = 300
_POSITIONS = frozenset({"", "before", "after", "prepend"})
_ALLOWED = {"add": {"sel", "pos", "type"}, "replace": {"sel"}, "remove": {"sel", "ws"}}
_PLACE_IN_TEXT = re.compile(r" \(line [0-9]+, column [0-9]+\)")


@dataclass(frozen=True, slots=True)
class Change:
    """One operation.

    Attributes:
        kind: `add`, `replace` or `remove`.
        selector: What it is about.
        position: Of an addition: `before`, `after`, `prepend`, or "" for a last child.
        attribute: Name of an attribute to add, or "".
        elements: New elements.
        text: New value of an attribute.
    """

    kind: str
    selector: Selector
    position: str
    attribute: str
    elements: tuple[ET.Element, ...]
    text: str


def parse_xml_patch(raw: bytes, limit_bytes: int, charset: str = "") -> tuple[Change, ...]:
    """Return the operations of a patch document.

    Raises:
        FhirError: 413 when too long; 400 when it is not well-formed, has a document type, or is not RFC 5261 as far as
            it is supported.
    """
    document = utf8_document(raw, limit_bytes, charset)
    changes: list[Change] = []
    scopes: list[dict[str, str]] = [{}]
    declared: dict[str, str] = {}
    try:
        # No document type got here, so there is no entity that could grow or be fetched.
        for event, node in ET.iterparse(BytesIO(document), ("start", "end", "start-ns")):  # noqa: S314
            if event == "start-ns":
                declared[node[0]] = node[1]
            elif event == "start":
                scopes.append({**scopes[-1], **declared} if declared else scopes[-1])
                declared = {}
                _check_frame(node, len(scopes) - 2, len(changes))
            else:
                scope = scopes.pop()
                if len(scopes) == len(("document", "diff")):
                    changes.append(_change(node, scope, len(changes)))
    except ET.ParseError as error:
        line, column = error.position
        text = f"The patch is not well-formed XML (line {line}, column {column + 1})."
        raise FhirError(Kind.MALFORMED, text) from error
    if not changes:
        raise FhirError(Kind.MALFORMED, "The patch must have at least one add, replace or remove")
    return tuple(changes)


def apply_xml_patch(definitions: Definitions, resource: Mapping[str, Any], changes: tuple[Change, ...]) -> Json:
    """Return the patched resource; the given one is not changed. New elements find their place in the order of FHIR.

    Raises:
        FhirError: INVALID_CONTENT (422) for a change that cannot be made, or one that leaves no FHIR XML.
    """
    document = ET.Element("document")
    document.append(ET.fromstring(write_xml(definitions, resource)))  # noqa: S314 - written here
    before = _read(definitions, document)
    finder = Finder(document)
    for number, change in enumerate(changes, 1):
        try:
            _apply(change, *finder.find(change.selector))
        except SelectorError as error:
            raise FhirError(Kind.INVALID_CONTENT, f"Operation {number} of the patch: sel {error}.") from error
    result = _read(definitions, document)
    # A narrative that was not touched keeps the text it was stored with.
    written = dict(zip(_divs(before), _divs(resource), strict=False))
    for holder in _holders(result):
        holder["div"] = written.get(holder["div"], holder["div"])
    return result


def _check_frame(node: ET.Element, depth: int, count: int) -> None:
    local = node.tag.rpartition("}")[2]
    if depth == 0 and local != "diff":
        raise FhirError(
            Kind.MALFORMED, "The patch must be a diff element with add, replace and remove in it (RFC 5261)"
        )
    if depth == 1 and local not in _ALLOWED:
        raise FhirError(Kind.MALFORMED, "The patch may have the operations add, replace and remove only")
    if depth > _DEEPEST_PATCH or count >= _MOST_CHANGES:
        text = f"The patch may have at most {_MOST_CHANGES} operations, nested at most {_DEEPEST_PATCH} levels"
        raise FhirError(Kind.MALFORMED, text)


def _change(node: ET.Element, namespaces: Mapping[str, str], before_count: int) -> Change:
    where = f"Operation {before_count + 1} of the patch"
    kind = node.tag.rpartition("}")[2]
    if unknown := set(node.attrib) - _ALLOWED[kind]:
        raise FhirError(Kind.MALFORMED, f"{where}: {kind} has no attribute {min(unknown)[:64]}")
    try:
        selector = parse_selector(node.get("sel", ""), namespaces)
    except SelectorError as error:
        raise FhirError(Kind.MALFORMED, f"{where}: sel {error}.") from error
    position, attribute = node.get("pos", ""), node.get("type", "")
    text = "".join(node.itertext()).strip() if not len(node) else ""
    change = Change(kind, selector, position, attribute.removeprefix("@"), tuple(node), text)
    if position not in _POSITIONS or (attribute and not attribute.startswith("@")):
        raise FhirError(Kind.MALFORMED, f"{where}: pos is before, after or prepend, and type is @ and a name")
    is_value = bool(attribute or selector.attribute)
    fits = {
        "add": not selector.attribute
        and (bool(text) if attribute else bool(len(node)))
        and not (attribute and position),
        "replace": bool(text) if is_value else len(node) == 1,
        "remove": not len(node) and not text,
    }
    if not fits[kind]:
        raise FhirError(Kind.MALFORMED, f"{where}: {kind} does not have the content that goes with what it selects")
    return change


def _apply(change: Change, element: ET.Element, parent: ET.Element) -> None:
    name = change.attribute or change.selector.attribute
    if name:
        if (name in element.attrib) is (change.kind == "add"):
            raise SelectorError(
                "is there already" if change.kind == "add" else "selects an attribute that is not there"
            )
        if change.kind == "remove":
            del element.attrib[name]
        else:
            element.set(name, change.text)
        return
    # The same change may be asked of several resources, so its elements are not given away.
    new = [deepcopy(each) for each in change.elements]
    if change.kind == "add" and not change.position:
        element.extend(new)
        return
    if change.kind == "add" and change.position == "prepend":
        element[:0] = new
        return
    at = list(parent).index(element)
    if change.kind == "add":
        at += change.position == "after"
        parent[at:at] = new
        return
    parent[at : at + 1] = new
    if change.kind == "remove" and element.tail and at:
        parent[at - 1].tail = (parent[at - 1].tail or "") + element.tail


def _read(definitions: Definitions, document: ET.Element) -> Json:
    """Return the resource in a document, whose elements may be in any order."""
    if len(document) != 1:
        raise FhirError(Kind.INVALID_CONTENT, "The patch must leave one resource")
    try:
        raw = ET.tostring(document[0], encoding="utf-8")
    except RecursionError as error:
        raise FhirError(Kind.INVALID_CONTENT, "The resource is nested too deeply to be patched as XML") from error
    try:
        return read_xml(definitions, raw, len(raw), ordered=False)
    except FhirError as error:
        issues = tuple(
            Issue(each.severity, "invalid", _PLACE_IN_TEXT.sub("", each.diagnostics), each.expression)
            for each in error.issues
        )
        raise FhirError(Kind.INVALID_CONTENT, issues[0].diagnostics, issues=issues) from error


def _holders(value: Any) -> Iterator[Json]:
    """Yield the narratives in a resource, in the order of its members."""
    if isinstance(value, Mapping):
        if isinstance(value.get("div"), str):
            yield value  # type: ignore[misc]
        for name in sorted(value):
            yield from _holders(value[name])
    elif isinstance(value, list):
        for item in value:
            yield from _holders(item)


def _divs(resource: Mapping[str, Any]) -> list[str]:
    return [holder["div"] for holder in _holders(resource)]
