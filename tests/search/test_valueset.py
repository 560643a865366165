"""Expansion of value sets: the same codes as the official expansions of FHIR, and a reason where there are none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.terminology import Terminology
from fhir_server.search.valueset import Codes, NotExpandable, Part, expand
from fhir_server.spec import build_definitions, build_packages, code_systems
from fhir_server.spec.code_systems import CodeSystem
from tests.search.world import DEFINITIONS

Json = dict[str, Any]

SYSTEM = "http://a.test"
# The official expansions leave out codes that are deprecated or retired, and one holds a thousand of LOINC's only.
_DIFFERING = {
    "c80-doc-typecodes",
    "detectedissue-category",
    "diagnostic-service-sections",
    "observation-interpretation",
    "patient-contactrelationship",
    "relatedperson-relationshiptype",
    "security-labels",
    "v2-0487",
    "v2-0916",
    "v3-ActCode",
    "v3-ActPharmacySupplyType",
}


def _official() -> Iterator[tuple[str, dict[str, frozenset[str]]]]:
    archive = build_packages.fetch(build_definitions.EXPANSIONS)
    for resource in build_packages.read_resources(archive, ("ValueSet",)):
        systems: dict[str, set[str]] = {}
        waiting = list(resource.get("expansion", {}).get("contains", ()))
        while waiting:
            each = waiting.pop()
            waiting += each.get("contains", ())
            if "code" in each and not each.get("abstract"):
                systems.setdefault(each["system"], set()).add(each["code"])
        if systems:
            yield resource["url"], {system: frozenset(codes) for system, codes in systems.items()}


def test_fhir_value_sets_expand_to_the_official_codes() -> None:
    same, differing = 0, set()
    for url, wanted in _official():
        terms = Terminology(DEFINITIONS)
        resource = terms.value_set_resource(url)
        found: Codes = {}
        with suppress(NotExpandable):
            found = expand(resource or {}, terms)
        if not found or any(part.all_but for part in found.values()):
            continue
        codes = {system: part.codes for system, part in found.items() if part.codes}
        if codes == wanted:
            same += 1
        else:
            differing.add(url.rpartition("/")[2])
            assert all(codes[system] >= wanted[system] for system in wanted)
    assert differing == _DIFFERING
    assert same > 450


@dataclass
class Shelf:
    """A library of what a test puts there."""

    sets: dict[str, Json] = field(default_factory=dict)
    systems: dict[str, CodeSystem] = field(default_factory=dict)

    def value_set_resource(self, canonical: str) -> Json | None:
        return self.sets.get(canonical)

    def code_system(self, url: str, version: str = "") -> CodeSystem | None:
        return None if version else self.systems.get(url)


def _including(**part: Any) -> Json:
    return {"compose": {"include": [part]}}


def _shelf() -> Shelf:
    shelf = Shelf(
        systems={SYSTEM: code_systems.read({"url": SYSTEM, "content": "complete", "concept": [{"code": "a"}]})}
    )
    shelf.sets = {
        "self": _including(valueSet=["self"]),
        "one": _including(valueSet=["two"]),
        "two": _including(valueSet=["one"]),
        "lacking": _including(valueSet=["nowhere"]),
        **{f"down{number}": _including(valueSet=[f"down{number + 1}"]) for number in range(50)},
        "down50": _including(system=SYSTEM),
        **{f"wide{number}": _including(valueSet=[f"wide{number - 1}"] * 2) for number in range(1, 14)},
        "wide0": _including(system=SYSTEM),
    }
    return shelf


def _filtered(op: str, value: str, **more: str) -> Json:
    return _including(**{"system": SYSTEM, **more}, filter=[{"property": "concept", "op": op, "value": value}])


def _listing(count: int) -> Json:
    return _including(system=SYSTEM, concept=[{"code": str(number)} for number in range(count)])


@pytest.mark.parametrize(
    "resource, said",
    [
        ({}, "neither a whole expansion nor a definition"),
        ({"compose": {"include": []}}, "neither a whole expansion nor a definition"),
        ({"compose": {"include": [{}]}}, "neither a system nor a value set"),
        ({"expansion": {"total": 2, "contains": [{"system": SYSTEM, "code": "a"}]}}, "neither a whole expansion"),
        ({"expansion": {"offset": 1, "contains": [{"system": SYSTEM, "code": "a"}]}}, "neither a whole expansion"),
        (_including(valueSet=["self"]), "imports itself by way of self"),
        (_including(valueSet=["one"]), "imports itself by way of one"),
        (_including(valueSet=["lacking"]), "imports nowhere, which is not known"),
        (_including(valueSet=["down0"]), "deeper than 16"),
        (_filtered("is-a", "a", system="http://b.test"), "needs the code system http://b.test"),
        (_filtered("is-a", "a", version="9"), "needs the code system"),
        (_filtered("is-a", "b"), "filters by b, which http://a.test does not have"),
        (_filtered("regex", "((a+)+)+$"), "filter regex, which is not supported"),
        (_including(system=SYSTEM, filter=[{}]), "not supported"),
        (_listing(20_000), "more than 10000 codes"),
        ({"compose": {"include": [{"system": SYSTEM}] * 1_000_000}}, "too long to work out"),
    ],
)
def test_what_cannot_be_expanded_has_a_reason(resource: Json, said: str) -> None:
    with pytest.raises(NotExpandable, match=said):
        expand(resource, _shelf())


def test_a_web_of_imports_is_walked_once() -> None:
    assert expand(_including(valueSet=["wide13"]), _shelf()) == {SYSTEM: Part(frozenset("a"))}


def test_a_part_holds_what_all_its_conditions_hold() -> None:
    shelf = _shelf()
    shelf.sets["a b"] = _including(system="http://b.test", concept=[{"code": "a"}, {"code": "b"}])
    shelf.sets["b c"] = _including(system="http://b.test", concept=[{"code": "b"}, {"code": "c"}])
    assert expand(_including(valueSet=["a b", "b c"]), shelf) == {"http://b.test": Part(frozenset("b"))}
    assert expand(_including(valueSet=["a b"], system="http://b.test"), shelf)["http://b.test"].codes == {"a", "b"}
    assert expand(_including(valueSet=["a b"], system=SYSTEM), shelf) == {}


def test_the_whole_of_an_unknown_system_is_whatever_says_to_be_of_it() -> None:
    resource = _including(system="http://b.test")
    resource["compose"]["exclude"] = [{"system": "http://b.test", "concept": [{"code": "x"}]}]
    assert expand(resource, _shelf()) == {"http://b.test": Part(frozenset("x"), all_but=True)}


def test_inactive_codes_are_left_out_where_the_definition_says_so() -> None:
    concepts = [{"code": "a"}, {"code": "b", "property": [{"code": "inactive", "valueBoolean": True}]}]
    system = code_systems.read({"url": SYSTEM, "content": "complete", "concept": concepts})
    shelf = Shelf(systems={SYSTEM: system})
    for part in ({"system": SYSTEM}, {"system": SYSTEM, "concept": [{"code": "a"}, {"code": "b"}]}):
        resource = _including(**part)
        assert expand(resource, shelf)[SYSTEM].codes == {"a", "b"}
        resource["compose"]["inactive"] = False
        assert expand(resource, shelf)[SYSTEM].codes == {"a"}


_PARTS = st.builds(Part, st.frozensets(st.sampled_from("abcd")), st.booleans())


@given(one=_PARTS, other=_PARTS, code=st.sampled_from("abcde"))
def test_parts_combine_as_sets_do(one: Part, other: Part, code: str) -> None:
    def has(part: Part) -> bool:
        return (code in part.codes) is not part.all_but

    assert has(one | other) is (has(one) or has(other))
    assert has(one & other) is (has(one) and has(other))
    assert has(one - other) is (has(one) and not has(other))
