"""Hold what https://hl7.org/fhir/R4/references.html#contained asks of contained resources: dom-3, dom-4, ids.

Not dom-5, which forbids a label on one: a sender that put one there meant it, and its container takes it over. To
refuse the record would be safe, too, but nobody would see it then.
"""

from __future__ import annotations

from typing import Any

from fhir_server.spec.checks import Json, Place, Run

_OWN_META = ("versionId", "lastUpdated")


def check_contained(resource: Json, place: Place, run: Run) -> None:
    """Check the contained resources of a resource; their content is checked where they stand."""
    contained = resource["contained"]
    if type(contained) is not list:
        return
    named = _fragments(resource)
    seen: set[str] = set()
    for index, each in enumerate(contained):
        if type(each) is not dict:
            continue
        where = ((place, "contained"), index)
        logical_id = each.get("id")
        if type(logical_id) is not str:
            run.add((where, "id"), "required", "is required in a contained resource")
        elif logical_id in seen:
            run.add((where, "id"), "invariant", "must differ from that of every other contained resource")
        elif f"#{logical_id}" not in named and "#" not in _fragments(each):
            run.add(where, "invariant", "must be referred to from the resource that contains it (dom-3)")
        if type(logical_id) is str:
            seen.add(logical_id)
        _check_meta(each.get("meta"), where, run)


def _check_meta(meta: Any, where: Place, run: Run) -> None:
    if type(meta) is not dict:
        return
    for name in _OWN_META:
        if name in meta:
            run.add(((where, "meta"), name), "invariant", "must not be in a contained resource (dom-4)")


def _fragments(value: Json) -> set[str]:
    """Return every text in a resource that begins with `#`: references, canonicals and links to what it contains."""
    found: set[str] = set()
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if type(item) is dict:
            waiting += item.values()
        elif type(item) is list:
            waiting += item
        elif type(item) is str and item[:1] == "#":
            found.add(item)
    return found
