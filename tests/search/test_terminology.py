"""Sets and hierarchies of codes answer what a brute-force reading of the definitions answers, on both databases."""

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search import valueset
from fhir_server.search.token_sets import CodesTest
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import BASE, HIDDEN, SOME, World

Json = dict[str, Any]
Coding = tuple[str, str]

_RANDOM = random.Random(20_260_402)
TREE, FLAT, UNKNOWN = "http://tree.test", "http://flat.test", "http://unknown.test"
_SYSTEMS = (TREE, FLAT, UNKNOWN)
_LETTERS = [f"{letter}{number}" for letter in "ABCDE" for number in range(4)]
_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

# Concepts may have several parents and, by mistake, stand above themselves.
_PARENTS: dict[str, set[str]] = {
    code: set(_RANDOM.sample(_LETTERS[:place], min(place, _RANDOM.randrange(3)))) for place, code in enumerate(_LETTERS)
}
_PARENTS["B1"].add("D2")
_COLOURS = {code: _RANDOM.choice(["red", "blue", "none"]) for code in _LETTERS}


def _above(code: str) -> set[str]:
    found, size = {code}, 0
    while len(found) > size:
        size = len(found)
        found |= {parent for each in found for parent in _PARENTS[each]}
    return found


def _tree() -> Json:
    """Say some of the hierarchy by `parent`, some by `child`, and some by nesting."""
    concepts: dict[str, Json] = {}
    nested: dict[str, str] = {}
    for code in _LETTERS:
        concepts[code] = {"code": code, "property": [{"code": "colour", "valueString": _COLOURS[code]}]}
    for code, parents in _PARENTS.items():
        for parent in sorted(parents):
            way = _RANDOM.randrange(3)
            if way == 0 and code not in nested and (code, parent) != ("B1", "D2"):
                nested[code] = parent
            elif way == 1:
                concepts[parent]["property"].append({"code": "narrower", "valueCode": code})
            else:
                concepts[code]["property"].append({"code": "parent", "valueCode": parent})
    for code, parent in nested.items():
        concepts[parent].setdefault("concept", []).append(concepts[code])
    child = {"code": "narrower", "uri": "http://hl7.org/fhir/concept-properties#child", "type": "code"}
    return {
        "resourceType": "CodeSystem",
        "id": "tree",
        "url": TREE,
        "version": "2",
        "status": "active",
        "content": "complete",
        "property": [child, {"code": "colour", "type": "string"}],
        "concept": [concept for code, concept in concepts.items() if code not in nested],
    }


def _part(number: int) -> Json:
    kind = _RANDOM.randrange(6)
    if kind == 0:
        system, codes = _RANDOM.choice(_SYSTEMS), _RANDOM.sample(_LETTERS, 4)
        return {"system": system, "concept": [{"code": code} for code in codes]}
    if kind == 1:
        return {"system": _RANDOM.choice(_SYSTEMS)}
    if kind == 2 and number:
        imported = {f"{BASE}/ValueSet/s{_RANDOM.randrange(number)}", f"http://sets.test/{_RANDOM.randrange(number)}"}
        return {"valueSet": sorted(imported), **({"system": TREE} if _RANDOM.random() < 0.3 else {})}
    ops = [("concept", op, _RANDOM.choice(_LETTERS)) for op in ("is-a", "descendent-of", "is-not-a", "generalizes")]
    colours = [("colour", "=", "red"), ("colour", "in", "red,blue"), ("colour", "not-in", "red")]
    relations = [(name, "=", _RANDOM.choice(_LETTERS)) for name in ("parent", "child")]
    chosen = _RANDOM.sample([*ops, *colours, *relations], _RANDOM.choice([1, 1, 2]))
    return {"system": TREE, "filter": [{"property": prop, "op": op, "value": value} for prop, op, value in chosen]}


def _value_set(number: int) -> Json:
    made: Json = {
        "resourceType": "ValueSet",
        "id": f"s{number}",
        "url": f"http://sets.test/{number}",
        "version": f"1.{number}",
        "status": "active",
    }
    if _RANDOM.random() < 0.15:
        coded: list[Json] = [{"system": _RANDOM.choice(_SYSTEMS), "code": code} for code in _RANDOM.sample(_LETTERS, 5)]
        coded[0]["contains"] = [coded.pop()]
        return {**made, "expansion": {"timestamp": "2020-01-01", "contains": coded}}
    compose: Json = {"include": [_part(number) for _ in range(_RANDOM.choice([1, 2]))]}
    if _RANDOM.random() < 0.4:
        compose["exclude"] = [_part(number)]
    return {**made, "compose": compose}


SETS = [_value_set(number) for number in range(60)]


def _condition(number: int) -> Json:
    codings: list[Json] = []
    for _ in range(_RANDOM.randrange(3)):
        code = _RANDOM.choice([*_LETTERS, "Z9"])
        coding = {"system": _RANDOM.choice([*_SYSTEMS, TREE, ""]), "code": _RANDOM.choice([code, code.lower()])}
        codings.append({name: value for name, value in coding.items() if value})
    concept = {"coding": codings} if codings else {"text": "none"}
    subject = {"reference": "Patient/p"}
    return {
        "resourceType": "Condition",
        "id": f"c{number}",
        "subject": subject,
        **({"code": concept} if number else {}),
    }


CONDITIONS = [_condition(number) for number in range(120)]


def _build(url: str) -> None:
    world = World(url)
    flat: list[Json] = [{"code": code} for code in _LETTERS[:10]]
    flat[0]["property"] = [{"code": "notSelectable", "valueBoolean": True}]
    system: Json = {"resourceType": "CodeSystem", "id": "flat", "url": FLAT, "status": "active", "content": "complete"}
    world.add([_tree(), {**system, "concept": flat}, *SETS, *CONDITIONS])
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-terminology", _build))
    yield made
    made.close()


def _contains(number: int, coding: Coding) -> bool:
    resource = SETS[number]
    if "expansion" in resource:
        listed = resource["expansion"]["contains"]
        listed = [*listed, *(each for outer in listed for each in outer.get("contains", ()))]
        return any((each["system"], each["code"]) == coding for each in listed)
    compose = resource["compose"]
    included = any(_meets(part, coding, abstract=False) for part in compose["include"])
    return included and not any(_meets(part, coding, abstract=True) for part in compose.get("exclude", ()))


def _meets(part: Json, coding: Coding, *, abstract: bool) -> bool:
    system, code = coding
    imported = (int(url.rpartition("/")[2].removeprefix("s")) for url in part.get("valueSet", ()))
    if not all(_contains(number, coding) for number in imported):
        return False
    if "system" not in part:
        return True
    if system != part["system"]:
        return False
    if "concept" in part:
        return any(each["code"] == code for each in part["concept"])
    if "filter" in part:
        return code in _LETTERS and all(_passes(each, code) for each in part["filter"])
    known = {TREE: _LETTERS, FLAT: _LETTERS[0 if abstract else 1 : 10]}
    return system not in known or code in known[system]


def _passes(wanted: Json, code: str) -> bool:
    value = wanted["value"]
    match wanted["property"], wanted["op"]:
        case "concept", "is-a":
            return value in _above(code)
        case "concept", "descendent-of":
            return value in _above(code) and value != code
        case "concept", "is-not-a":
            return value not in _above(code)
        case "concept", "generalizes":
            return code in _above(value)
        case "parent", _:
            return value in _PARENTS[code]
        case "child", _:
            return code in _PARENTS[value]
        case _, op:
            return (_COLOURS[code] in value.split(",")) is not (op == "not-in")


def _codings(resource: Json) -> Iterator[Coding]:
    """Yield the codings as the code systems write them: search compares codes regardless of case."""
    for each in resource.get("code", {}).get("coding", ()):
        yield each.get("system", ""), each["code"].upper()


def _expect(world: World, query: tuple[str, str], holds: Callable[[Json], bool]) -> None:
    found = world.ids("Condition", query, ("_count", "1000"))
    assert sorted(found) == sorted(each["id"] for each in CONDITIONS if holds(each)), query


def test_in_finds_what_a_value_set_contains_and_not_in_the_rest(world: World) -> None:
    forms = ["http://sets.test/{0}", "http://sets.test/{0}|1.{0}", "ValueSet/s{0}", BASE + "/ValueSet/s{0}"]
    numbers = st.lists(st.integers(0, len(SETS) - 1), min_size=1, max_size=3, unique=True)

    @given(numbers=numbers, form=st.sampled_from(forms), negated=st.booleans())
    def law(numbers: list[int], form: str, *, negated: bool) -> None:
        def holds(resource: Json) -> bool:
            return any(_contains(each, coding) for each in numbers for coding in _codings(resource)) is not negated

        value = ",".join(form.format(number) for number in numbers)
        _expect(world, ("code:not-in" if negated else "code:in", value), holds)

    law()


def test_above_and_below_follow_the_hierarchy_of_the_code_system(world: World) -> None:
    codes = st.lists(st.sampled_from([*_LETTERS, "Z9"]), min_size=1, max_size=3, unique=True)

    @given(codes=codes, modifier=st.sampled_from(["above", "below"]), lower=st.booleans())
    def law(codes: list[str], modifier: str, *, lower: bool) -> None:
        def related(code: str, wanted: str) -> bool:
            if wanted not in _LETTERS or code not in _LETTERS:
                return code == wanted
            return wanted in _above(code) if modifier == "below" else code in _above(wanted)

        def holds(resource: Json) -> bool:
            return any(
                system == TREE and related(code, wanted) for system, code in _codings(resource) for wanted in codes
            )

        written = (code.lower() if lower else code for code in codes)
        _expect(world, (f"code:{modifier}", ",".join(f"{TREE}|{code}" for code in written)), holds)

    law()


def test_a_set_is_asked_for_through_a_chain_and_beside_other_parameters(databases: Databases) -> None:
    world = World(databases.empty())
    patient = {"resourceType": "Patient", "id": "p"}
    reason = {"resourceType": "Encounter", "id": "e", "status": "finished", "subject": {"reference": "Patient/p"}}
    reason["class"] = {"system": _ACT_REASON, "code": "ACCREQNA"}
    world.add([patient, reason, {**CONDITIONS[1], "id": "c", "encounter": {"reference": "Encounter/e"}}])
    below = f"{_ACT_REASON}|_ActAccommodationReason"
    assert world.ids("Encounter", ("class:below", below), ("subject", "Patient/p")) == ["e"]
    assert world.ids("Condition", ("encounter.class:below", below)) == ["c"]
    assert world.ids("Patient", ("_has:Encounter:subject:class:in", "http://terminology.hl7.org/ValueSet/v3-ActReason"))
    assert world.ids("Encounter", ("class:above", below)) == []
    assert world.ids("Encounter", ("status:in", "http://hl7.org/fhir/ValueSet/encounter-status")) == ["e"]
    assert world.ids("Encounter", ("status:in", "http://hl7.org/fhir/ValueSet/observation-status")) == []
    assert world.ids("Encounter", ("status:below", "finished")) == ["e"]
    world.close()


def test_a_hidden_value_set_or_code_system_is_not_known(databases: Databases) -> None:
    world = World(databases.empty())
    compose = {"include": [{"system": TREE, "filter": [{"property": "concept", "op": "is-a", "value": "A0"}]}]}
    open_set = {"resourceType": "ValueSet", "id": "open", "url": "http://open.test", "status": "active"}
    world.add([{**open_set, "compose": compose}])
    world.add([_tree(), {**SETS[0], "id": "secret", "url": "http://secret.test"}], label=HIDDEN)

    def refusal(name: str, value: str) -> str:
        with pytest.raises(FhirError) as refused:
            world.ids("Condition", (name, value), visibility=SOME)
        assert refused.value.status == 400
        return refused.value.diagnostics

    for hidden, absent in (
        ("http://secret.test", "http://nothing.test"),
        ("ValueSet/secret", "ValueSet/nothing"),
        ("http://secret.test|1.0", "http://nothing.test|1.0"),
    ):
        assert refusal("code:in", hidden) == refusal("code:in", absent).replace("nothing", "secret")
    assert TREE in refusal("code:in", "http://open.test")
    assert refusal("code:below", f"{TREE}|A0") == refusal("code:below", f"{UNKNOWN}|A0").replace(UNKNOWN, TREE)
    assert world.ids("Condition", ("code:in", "http://secret.test")) == []
    assert world.ids("Condition", ("code:in", "http://open.test"), ("code:below", f"{TREE}|A0")) == []
    world.close()


def test_a_stored_resource_does_not_change_what_fhir_itself_means(databases: Databases) -> None:
    world = World(databases.empty())
    gender = "http://hl7.org/fhir/administrative-gender"
    own = {"resourceType": "CodeSystem", "id": "g", "url": gender, "status": "active", "content": "complete"}
    other = {"resourceType": "ValueSet", "id": "v", "url": "http://hl7.org/fhir/ValueSet/administrative-gender"}
    compose = {"include": [{"system": gender, "concept": [{"code": "nobody"}]}]}
    world.add([{**own, "concept": [{"code": "nobody"}]}, {**other, "status": "active", "compose": compose}])
    world.add([{"resourceType": "Patient", "id": "p", "gender": "male"}])
    assert world.ids("Patient", ("gender:in", other["url"])) == ["p"]
    assert world.ids("Patient", ("gender:in", "ValueSet/v")) == []
    assert world.ids("Patient", ("gender:below", f"{gender}|male")) == ["p"]
    world.close()


def test_of_several_versions_the_one_in_use_with_the_greatest_number_is_meant(databases: Databases) -> None:
    world = World(databases.empty())
    for number, (version, status) in enumerate(
        [("1.9", "active"), ("1.10", "active"), ("2", "draft"), ("x", "retired")]
    ):
        concepts = [{"code": f"v{version}"}]
        made = {"resourceType": "ValueSet", "id": f"v{number}", "url": "http://v.test", "status": status}
        include = [{"system": FLAT, "concept": concepts}]
        coded = {"coding": [{"system": FLAT, "code": f"v{version}"}]}
        condition = {"resourceType": "Condition", "id": f"c{number}", "subject": {"reference": "Patient/p"}}
        world.add([{**made, "version": version, "compose": {"include": include}}, {**condition, "code": coded}])
    assert world.ids("Condition", ("code:in", "http://v.test")) == ["c1"]
    assert world.ids("Condition", ("code:in", "http://v.test|1.9")) == ["c0"]
    assert world.ids("Condition", ("code:in", "http://v.test|x")) == ["c3"]
    with pytest.raises(FhirError, match="not known here"):
        world.ids("Condition", ("code:in", "http://v.test|3"))
    world.close()


@pytest.mark.parametrize(
    "query, said",
    [
        (("code:in", "http://nothing.test"), "cannot be expanded: it is not known here"),
        (("code:in", "Patient/1"), "not known here"),
        (("code:in", "'; DROP TABLE resource; --"), "not known here"),
        (("code:in", "|"), "not known here"),
        (("code:in", "%|\\,"), "not known here"),
        (("code:below", "A0"), r"\[system\]\|\[code\]"),
        (("code:above", "|A0"), r"\[system\]\|\[code\]"),
        (("code:below", f"{TREE}|"), r"\[system\]\|\[code\]"),
        (("code:below", "a|b|c"), r"\[system\]\|\[code\]"),
        (("code:below", "http://loinc.org|1-8"), "stored CodeSystem with this url"),
        (("code:in", ",".join(f"http://{number}.test" for number in range(999))), "not known here"),
        (("identifier:in", "http://sets.test/1"), "CodeableConcept, Coding, code only"),
        (("identifier:below", f"{TREE}|A0"), "CodeableConcept, Coding, code only"),
        (("code:of-type", "a|b|c"), "Identifier only"),
        (("_id:in", "http://sets.test/1"), "modifier"),
    ],
)
def test_what_cannot_be_told_is_refused_with_the_reason(world: World, query: tuple[str, str], said: str) -> None:
    with pytest.raises(FhirError, match=said) as refused:
        world.ids("Condition", query)
    assert refused.value.status == 400


def test_a_stored_set_may_hold_any_number_and_an_implicit_one_none(databases: Databases) -> None:
    world = World(databases.empty())
    huge = [{"url": "http://x.test", "valueDecimal": Decimal("1E+400")}]
    weighed = {"code": "a", "property": [{"code": "weight", "valueDecimal": Decimal("1E+400")}]}
    narrower = {"code": "b", "property": [{"code": "parent", "valueCode": "a"}]}
    system = {"resourceType": "CodeSystem", "id": "w", "url": FLAT, "status": "active", "content": "fragment"}
    include = [{"system": FLAT, "filter": [{"property": "weight", "op": "=", "value": "1E+400"}]}]
    made = {"resourceType": "ValueSet", "id": "v", "url": "http://v.test", "status": "active", "extension": huge}
    world.add([{**system, "concept": [weighed, narrower]}, {**made, "compose": {"include": include}}])
    for code in "abc":
        concept = {"coding": [{"system": FLAT, "code": code}]}
        world.add([{"resourceType": "Condition", "id": code, "subject": {"reference": "Patient/p"}, "code": concept}])
    assert world.ids("Condition", ("code:in", "http://v.test")) == ["a"]
    assert sorted(world.ids("Condition", ("code:in", f"{FLAT}?fhir_vs=isa/a"))) == ["a", "b"]
    assert sorted(world.ids("Condition", ("code:in", f"{FLAT}?fhir_vs"))) == ["a", "b", "c"]
    for unknown in (f"{FLAT}?fhir_vs=refset", "?fhir_vs=isa/a", f"{UNKNOWN}?fhir_vs=isa/a"):
        with pytest.raises(FhirError, match="cannot be expanded"):
            world.ids("Condition", ("code:in", unknown))
    world.close()


def test_a_set_of_many_codes_is_one_value_of_the_statement(databases: Databases) -> None:
    world = World(databases.empty())
    codes = [{"code": f"k{number}"} for number in range(valueset.CODES_LIMIT)]
    made = {"resourceType": "ValueSet", "id": "m", "url": "http://many.test", "status": "active"}
    condition = {"resourceType": "Condition", "id": "c", "subject": {"reference": "Patient/p"}}
    coded = {"coding": [{"system": FLAT, "code": "k9999"}]}
    more = {**made, "id": "n", "url": "http://more.test"}
    world.add(
        [
            {**made, "compose": {"include": [{"system": FLAT, "concept": codes}]}},
            {**more, "compose": {"include": [{"system": FLAT, "concept": [*codes, {"code": "one more"}]}]}},
            {**condition, "code": coded},
        ]
    )
    assert world.ids("Condition", ("code:in", "http://many.test")) == ["c"]
    assert world.ids("Condition", ("code:not-in", "http://many.test")) == []
    with pytest.raises(FhirError, match="more than 10000 codes"):
        world.ids("Condition", ("code:in", "http://more.test"))
    page, request = world.search("Condition", [("code:in", "http://many.test"), ("_count", "0")])
    test = getattr(request.criteria[0], "test", None)
    assert isinstance(test, CodesTest)
    assert len(test.listed) == 1
    assert page.total == 1
    world.close()
