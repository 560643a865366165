"""Invariants of FHIR R4 whose FHIRPath is beyond the subset of `invariants.py`, or dear: the same rule as plain code.

Each function says whether an object (first) of its context breaks the rule within the resource around it (second).
INVARIANT: each takes linear time and never raises, whatever the JSON is: it may not be valid yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from fhir_server.spec.values import parse_reference

_MOST_LIKELY = 100
_NUMBER = re.compile(r"[0-9]{1,9}")
_ON_BEHALF_OF = "Practitioner"


def _objects(value: Any, *names: str) -> list[dict[str, Any]]:
    """Return the objects at a path of names."""
    found = [value] if type(value) is dict else []
    for name in names:
        below = (each.get(name) for each in found)
        found = [item for each in below for item in (each if type(each) is list else [each]) if type(item) is dict]
    return found


def _texts(holders: list[dict[str, Any]], name: str) -> list[str]:
    """Return the texts of a member, of all objects and repetitions."""
    below = (each.get(name) for each in holders)
    return [item for each in below for item in (each if type(each) is list else [each]) if type(item) is str]


def _repeats_a_code(value: Any, _resource: Any) -> bool:
    """`csd-1`: the codes of a CodeSystem are unique, however deep they stand."""

    def codes() -> Iterator[str]:
        waiting = _objects(value, "concept")
        while waiting:
            concept = waiting.pop()
            waiting += _objects(concept, "concept")
            yield from _texts([concept], "code")

    found = list(codes())
    return len(set(found)) < len(found)


def _stands_in_for_no_practitioner(value: Any, resource: Any) -> bool:
    """`ctm-1`: only a practitioner takes part on behalf of somebody; what a reference leads to is told by its text."""
    if type(value) is not dict or "onBehalfOf" not in value:
        return False
    member = value.get("member")
    text = member.get("reference") if type(member) is dict else None
    if type(text) is not str:
        return False
    if text.startswith("#"):
        contained = (each for each in _objects(resource, "contained") if each.get("id") == text[1:])
        return any(each.get("resourceType") != _ON_BEHALF_OF for each in contained)
    return parse_reference(text, "").type not in {None, _ON_BEHALF_OF}


def _has_more_than_the_most(value: Any, _resource: Any) -> bool:
    """`eld-2`: the least number of an element is not more than the most."""
    least, most = (value.get("min"), value.get("max")) if type(value) is dict else (None, None)
    return type(least) is int and type(most) is str and bool(_NUMBER.fullmatch(most)) and least > int(most)


def _names_no_grouping(value: Any, _resource: Any) -> bool:
    """`ig-1`: a resource of a guide is in a grouping that the guide has."""
    known = set(_texts(_objects(value, "grouping"), "id"))
    return not known.issuperset(_texts(_objects(value, "resource"), "groupingId"))


def _names_another_version(value: Any, _resource: Any) -> bool:
    """`ig-2`: a resource of a guide is of a version of FHIR that the guide is for."""
    known = set(_texts(_objects(value), "fhirVersion"))
    return not known.issuperset(_texts(_objects(value, "definition", "resource"), "fhirVersion"))


def _asks_whether_there_is_more_than_yes(value: Any, _resource: Any) -> bool:
    """`que-7`: whether there is an answer is compared with a boolean."""
    if type(value) is not dict or value.get("operator") != "exists":
        return False
    return any(name.startswith("answer") and name != "answerBoolean" for name in value)


def _is_more_than_certain(value: Any, _resource: Any) -> bool:
    """`ras-2`: a probability in numbers is at most 100."""
    found = value.get("probabilityDecimal") if type(value) is dict else None
    return isinstance(found, (int, Decimal)) and type(found) is not bool and found > _MOST_LIKELY


def _strays_from(root: Any, elements: list[dict[str, Any]]) -> bool:
    """Return whether an element but the first is not below a root; what has no path is told elsewhere."""
    paths = _texts(elements[1:], "path")
    return type(root) is str and not all(path.startswith(f"{root}.") for path in paths)


def _snapshot_strays(value: Any, resource: Any) -> bool:
    """`sdf-8`: a snapshot begins with its type, and everything else is below."""
    elements = _objects(value, "element")
    first, kind = _first(elements, resource)
    if first is None:
        return False
    return (kind is not None and first != kind) or _strays_from(first, elements)


def _differential_strays(value: Any, resource: Any) -> bool:
    """`sdf-8a`: a differential begins at or below its type, and everything else is below."""
    elements = _objects(value, "element")
    first, kind = _first(elements, resource)
    if first is None:
        return False
    return (kind is not None and not first.startswith(kind)) or _strays_from(first.partition(".")[0], elements)


def _first(elements: list[dict[str, Any]], resource: Any) -> tuple[str | None, str | None]:
    """Return the path of the first element, and the type that it has to be of: any in a logical model."""
    path = elements[0].get("path") if elements else None
    kind = resource.get("type") if type(resource) is dict and resource.get("kind") != "logical" else None
    return path if type(path) is str else None, kind if type(kind) is str else None


def _describes_its_root(value: Any, _resource: Any) -> bool:
    """`sdf-9`: the root element of a type has no label, code or requirements."""
    elements = [*_objects(value, "snapshot", "element"), *_objects(value, "differential", "element")]
    roots = [each for each in elements if type(each.get("path")) is str and "." not in each["path"]]
    names = ("label", "_label", "code", "requirements", "_requirements")
    return any(name in each for each in roots for name in names)


BY_HAND: Mapping[str, Callable[[Any, Any], bool]] = {
    "csd-1": _repeats_a_code,
    "ctm-1": _stands_in_for_no_practitioner,
    "eld-2": _has_more_than_the_most,
    "ig-1": _names_no_grouping,
    "ig-2": _names_another_version,
    "que-7": _asks_whether_there_is_more_than_yes,
    "ras-2": _is_more_than_certain,
    "sdf-8": _snapshot_strays,
    "sdf-8a": _differential_strays,
    "sdf-9": _describes_its_root,
}
