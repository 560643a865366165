"""Selectors of XML Patch: the part of XPath that RFC 5261 names, with nothing in it that could run for long.

`f:Patient/f:name[2]/f:given[@value='A']/@value`: steps down from the document by name or `*`, each with predicates that
count or compare, and at last perhaps an attribute. No axes, functions (but `last()`), unions or arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fhir_server.spec.narrative import XHTML
from fhir_server.spec.xml_shapes import FHIR

_LONGEST_SELECTOR = 1_000
_MOST_VISITS = 1_000_000
_NAME = r"(?:[A-Za-z_][\w.-]*:)?(?:[A-Za-z_][\w.-]*|\*)"
_LITERAL = r"(?:'[^']*'|\"[^\"]*\")"
_STEP = re.compile(rf"({_NAME})((?:\[(?:[^\]'\"]|{_LITERAL})*\])*)(/|$)", re.ASCII)
_ATTRIBUTE = re.compile(r"@([A-Za-z_][\w.-]*)$", re.ASCII)
_PREDICATE = re.compile(rf"\[((?:[^\]'\"]|{_LITERAL})*)\]")
_COMPARISON = re.compile(rf"\s*((?:{_NAME}/)*(?:@[A-Za-z_][\w.-]*|{_NAME}))\s*=\s*({_LITERAL})\s*", re.ASCII)
_POSITION = re.compile(r"\s*(?:position\(\)\s*=\s*)?([1-9][0-9]{0,8}|last\(\))\s*", re.ASCII)


class SelectorError(ValueError):
    """The selector is beyond what is supported, or finds other than one node; the message says which."""


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A path of child elements, and the attribute or text at its end that equals a literal."""

    path: tuple[str, ...]
    attribute: str
    literal: str


@dataclass(frozen=True, slots=True)
class _Step:
    """A name, or `*`, and what the elements of that name are narrowed down by: comparisons, or a place (0 is last)."""

    tag: str
    predicates: tuple[_Comparison | int, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """A parsed selector; `attribute` is "" where it selects an element."""

    steps: tuple[_Step, ...]
    attribute: str


def parse_selector(text: str, namespaces: Mapping[str, str]) -> Selector:
    """Return a selector.

    Args:
        text: As in the attribute `sel`.
        namespaces: Prefixes in scope; a name without one is FHIR's, or XHTML's where that is the default.

    Raises:
        SelectorError: Beyond the subset.
    """
    rest = text.strip().removeprefix("/")
    steps: list[_Step] = []
    attribute = ""
    if len(text) > _LONGEST_SELECTOR:
        raise SelectorError(f"is longer than {_LONGEST_SELECTOR} characters")
    while rest:
        if (last := _ATTRIBUTE.match(rest)) and steps:
            attribute = last[1]
            break
        step = _STEP.match(rest)
        if step is None or rest == step[0] + "/":
            raise SelectorError("must be names of elements with [predicates], and at last perhaps an @attribute")
        predicates = tuple(_predicate(each, namespaces) for each in _PREDICATE.findall(step[2]))
        steps.append(_Step(_tag(step[1], namespaces), predicates))
        rest = rest[step.end() :]
    if not steps:
        raise SelectorError("must select an element or attribute")
    return Selector(tuple(steps), attribute)


class Finder:
    """Finds nodes of one document, within a bound on all the elements looked at."""

    def __init__(self, document: Element) -> None:
        """Begin at the element that stands for the document itself."""
        self._document = document
        self._visits = 0

    def find(self, selector: Selector) -> tuple[Element, Element]:
        """Return the one element that is selected, or that has the selected attribute, and its parent.

        Raises:
            SelectorError: None or several, or too many elements to look at.
        """
        found = [(self._document, self._document)]
        for step in selector.steps:
            found = [(child, parent) for parent, _ in found for child in self._step(step, parent)]
        if len(found) != 1:
            raise SelectorError("must select exactly one node" if found else "selects nothing in the current version")
        return found[0]

    def _step(self, step: _Step, parent: Element) -> list[Element]:
        self._visits += len(parent)
        if self._visits > _MOST_VISITS:
            raise SelectorError("takes too long to find; name more of the way to it")
        found = [child for child in parent if step.tag in {child.tag, "*"}]
        for predicate in step.predicates:
            if isinstance(predicate, int):
                found = found[predicate - 1 :][:1]
            else:
                found = [child for child in found if self._holds(predicate, child)]
        return found

    def _holds(self, comparison: _Comparison, element: Element) -> bool:
        reached = [element]
        for tag in comparison.path:
            self._visits += sum(map(len, reached))
            reached = [child for each in reached for child in each if tag in {child.tag, "*"}]
        if comparison.attribute:
            return any(each.get(comparison.attribute) == comparison.literal for each in reached)
        return any("".join(each.itertext()) == comparison.literal for each in reached)


def _predicate(text: str, namespaces: Mapping[str, str]) -> _Comparison | int:
    if position := _POSITION.fullmatch(text):
        return 0 if position[1] == "last()" else int(position[1])
    comparison = _COMPARISON.fullmatch(text)
    if comparison is None:
        raise SelectorError("must have predicates such as [2], [last()] or [f:system/@value='…']")
    *path, last = comparison[1].split("/")
    attribute = last.removeprefix("@") if last.startswith("@") else ""
    names = path if attribute else [*path, last]
    return _Comparison(tuple(_tag(name, namespaces) for name in names), attribute, comparison[2][1:-1])


def _tag(name: str, namespaces: Mapping[str, str]) -> str:
    prefix, _, local = name.rpartition(":")
    if local == "*":
        return "*"
    if prefix:
        if prefix not in namespaces:
            raise SelectorError(f"has the prefix {prefix[:64]}, which is not declared")
        return f"{{{namespaces[prefix]}}}{local}"
    default = namespaces.get("", FHIR)
    return f"{{{default if default == XHTML else FHIR}}}{local}"
