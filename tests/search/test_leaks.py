"""A search answers exactly what it would if the rows that the caller may not see did not exist."""

from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.search.bundle import searchset
from fhir_server.spec.json import decode
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import ALL, BASE, HIDDEN, SOME, World

Json = dict[str, Any]
_CODE = {"coding": [{"system": "http://a.test", "code": "c"}]}


def _patient(logical_id: str, family: str, organization: str) -> Json:
    return {
        "resourceType": "Patient",
        "id": logical_id,
        "name": [{"family": family}],
        "managingOrganization": {"reference": f"Organization/{organization}"},
    }


def _observation(logical_id: str, patient: str, date: str) -> Json:
    return {
        "resourceType": "Observation",
        "id": logical_id,
        "status": "final",
        "code": _CODE,
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": date,
        "valueQuantity": {"value": 5},
    }


def _report(logical_id: str, patient: str, *results: str) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "id": logical_id,
        "status": "final",
        "code": _CODE,
        "subject": {"reference": f"Patient/{patient}"},
        "result": [{"reference": f"Observation/{each}"} for each in results],
    }


VISIBLE = [
    {"resourceType": "Organization", "id": "g1", "name": "Open"},
    _patient("p1", "Adams", "g1"),
    _patient("p2", "Brown", "g2"),
    _observation("o1", "p1", "2020-01-01"),
    _observation("o2", "p2", "2020-02-01"),
    _observation("o3", "p3", "2020-03-01"),
    _report("d1", "p1", "o1", "h1"),
]
SECRET = [
    {"resourceType": "Organization", "id": "g2", "name": "Closed"},
    _patient("p3", "Clark", "g1"),
    _observation("h1", "p1", "2020-01-15"),
    _observation("h2", "p2", "2020-01-10"),
    _report("d2", "p2", "o2"),
]

QUERIES = [
    ("Observation", ""),
    ("Observation", "code=c&_total=accurate&_count=1"),
    ("Observation", "_summary=count"),
    ("Observation", "_count=1&_sort=date"),
    ("Observation", "_sort=-date"),
    ("Observation", "_id=h1,o1"),
    ("Observation", "_id:not=o1"),
    ("Observation", "status:not=draft"),
    ("Observation", "device:missing=true"),
    ("Observation", "_lastUpdated=gt2000"),
    ("Observation", "code-value-quantity=c$5"),
    ("Observation", "subject:Patient.family=clark"),
    ("Observation", "subject:Patient.organization.name=closed"),
    ("Observation", "subject.family=adams,brown,clark"),
    ("Observation", "patient=p1"),
    ("Observation", "_include=Observation:patient"),
    ("Observation", "_id=o3&_include=Observation:subject&_include:iterate=Patient:organization"),
    ("Observation", "_include=*&_include:iterate=*"),
    ("DiagnosticReport", "result.date=2020-01-15"),
    ("DiagnosticReport", "result=Observation/h1&_include=DiagnosticReport:result"),
    ("Patient", "_has:Observation:patient:date=2020-01-15"),
    ("Patient", "_has:Observation:patient:_has:DiagnosticReport:result:status=final"),
    ("Patient", "_id=p1,p2&_revinclude=Observation:patient"),
    ("Patient", "_revinclude=*"),
    ("Patient", "_revinclude:iterate=Observation:patient&_revinclude:iterate=DiagnosticReport:result"),
    ("Patient", "organization:Organization.name:contains=o"),
    ("Patient", "_sort=family&_include=Patient:organization"),
    ("", "_id=p3,h1,o1"),
    ("", "_type=Patient,Observation"),
]


@pytest.fixture
def worlds(databases: Databases) -> Iterator[tuple[World, World]]:
    full, reduced = World(databases.empty()), World(databases.empty())
    full.add(VISIBLE)
    full.add(SECRET, label=HIDDEN)
    reduced.add(VISIBLE)
    yield full, reduced
    full.close()
    reduced.close()


def _answers(world: World, kind: str, query: str, visibility: Any) -> list[Json]:
    pairs: list[tuple[str, str]] = [
        (name, value) for name, _, value in (each.partition("=") for each in query.split("&")) if name
    ]
    answers = []
    cursor: str | None = ""
    while cursor is not None:
        page, request = world.search(kind, [*pairs, ("_cursor", cursor)], visibility=visibility)
        bundle = decode(searchset(page, request, fhir_base=BASE, path=kind), 1_000_000)
        # A sealed cursor is random by nature; that there is one must agree, what it says cannot be compared.
        bundle["link"] = [link["relation"] for link in bundle["link"]]
        answers.append(bundle)
        cursor = page.next_cursor
    return answers


def test_hidden_rows_change_no_answer(worlds: tuple[World, World]) -> None:
    full, reduced = worlds
    for kind, query in QUERIES:
        assert _answers(full, kind, query, SOME) == _answers(reduced, kind, query, ALL), (kind, query)


def test_the_same_queries_do_see_the_hidden_rows_without_the_visibility(worlds: tuple[World, World]) -> None:
    full, reduced = worlds
    differing = [each for each in QUERIES if _answers(full, *each, ALL) != _answers(reduced, *each, ALL)]
    assert len(differing) > len(QUERIES) * 0.8


def test_hidden_texts_change_no_answer_and_no_score(worlds: tuple[World, World]) -> None:
    full, reduced = worlds
    seen = [{"resourceType": "Basic", "id": f"b{number}", "code": {"text": "bone " * number}} for number in (1, 2, 3)]
    hidden = [{"resourceType": "Basic", "id": f"h{number}", "code": {"text": "bone liver " * 9}} for number in range(9)]
    about = {"resourceType": "Basic", "id": "about", "code": {"text": "x"}, "subject": {"reference": "Basic/h1"}}
    for world in worlds:
        world.add([*seen, about])
    full.add(hidden, label=HIDDEN)
    queries = [
        "_content=bone&_total=accurate",
        "_content=bone OR liver&_sort=_score&_count=1",
        "_content=liver&_summary=count",
        "_content=liv*",
        "_content:missing=true",
        "subject:Basic._content=liver",
    ]
    for query in queries:
        assert _answers(full, "Basic", query, SOME) == _answers(reduced, "Basic", query, ALL), query
        assert query == queries[4] or _answers(full, "Basic", query, ALL) != _answers(reduced, "Basic", query, ALL)


_PLACED = {"resourceType": "Location", "position": {"latitude": 51.5, "longitude": -0.1}}
_MEASURED = {"resourceType": "Observation", "status": "final", "code": _CODE}
_MILLIGRAMS = {"value": 500, "system": "http://unitsofmeasure.org", "code": "mg"}
_QUANTITY_QUERIES = [
    ("Location", "near=51.5|-0.1|5|km&_total=accurate"),
    ("Location", "near=51.5|-0.1&_count=1"),
    ("Location", "near:missing=false"),
    ("Observation", "value-quantity=0.5|http://unitsofmeasure.org|g&_total=accurate"),
    ("Observation", "value-quantity=gt0.4|http://unitsofmeasure.org|g&_sort=-value-quantity&_count=1"),
    ("Observation", "code-value-quantity=c$0.5|http://unitsofmeasure.org|g"),
    ("Encounter", "location.near=51.5|-0.1|5|km"),
]


def test_hidden_places_and_quantities_change_no_answer(worlds: tuple[World, World]) -> None:
    full, reduced = worlds
    shown: list[Json] = [
        {**_PLACED, "id": "l1"},
        {**_MEASURED, "id": "v1", "valueQuantity": _MILLIGRAMS},
        *(
            {
                "resourceType": "Encounter",
                "id": f"e{each}",
                "status": "finished",
                "class": {"code": "AMB"},
                "location": [{"location": {"reference": f"Location/l{each}"}}],
            }
            for each in (1, 2)
        ),
    ]
    for world in worlds:
        world.add(shown)
    full.add([{**_PLACED, "id": "l2"}, {**_MEASURED, "id": "v2", "valueQuantity": _MILLIGRAMS}], label=HIDDEN)
    for kind, query in _QUANTITY_QUERIES:
        seen = _answers(full, kind, query, SOME)
        assert seen == _answers(reduced, kind, query, ALL), (kind, query)
        assert seen != _answers(full, kind, query, ALL), (kind, query)


_LISTED = {"resourceType": "List", "status": "current", "mode": "working"}
_SET = {"resourceType": "ValueSet", "status": "active"}
_IN_A = {"include": [{"system": "http://a.test", "concept": [{"code": "c"}]}]}
_LIST_QUERIES = [
    ("Observation", "_list=w1&_total=accurate"),
    ("Observation", "_list=w1,w2&_count=1"),
    ("", "_list=w1"),
    ("Patient", "_has:Observation:patient:_list=w1,w2"),
    ("Observation", "patient._list=w1"),
    ("Observation", "code:in=http://open.test&_total=accurate"),
    ("Observation", "status:not-in=ValueSet/s1"),
    ("Observation", "code:in=ValueSet/s1,http://secret.test"),
    ("Observation", "code:in=http://imports.test"),
    ("DiagnosticReport", "result.code:in=http://open.test"),
]


def test_hidden_lists_and_value_sets_change_no_answer(worlds: tuple[World, World]) -> None:
    full, reduced = worlds
    entries = [{"item": {"reference": reference}} for reference in ("Observation/o1", "Observation/h1", "Patient/p1")]
    importing = {"include": [{"valueSet": ["http://x.test"]}]}
    shown: list[Json] = [
        {**_LISTED, "id": "w1", "entry": entries},
        {**_SET, "id": "s1", "url": "http://open.test", "compose": _IN_A},
        {**_SET, "id": "s2", "url": "http://imports.test", "compose": importing},
    ]
    for world in worlds:
        world.add(shown)
    hidden_list = {**_LISTED, "id": "w2", "entry": [*entries, {"item": {"reference": "Observation/o2"}}]}
    hidden_sets = [
        {**_SET, "id": url[7], "url": url, "compose": _IN_A} for url in ("http://secret.test", "http://x.test")
    ]
    full.add([hidden_list, *hidden_sets], label=HIDDEN)

    def answer(world: World, kind: str, query: str, visibility: Any) -> list[Json] | str:
        try:
            return _answers(world, kind, query, visibility)
        except FhirError as error:
            return f"{error.status} {error.diagnostics}"

    for kind, query in _LIST_QUERIES:
        seen = answer(full, kind, query, SOME)
        assert seen == answer(reduced, kind, query, ALL), (kind, query)
        assert seen != answer(full, kind, query, ALL), (kind, query)


FURTHER_QUERIES = [
    ("Observation", '_filter=subject.family co "a" and not(date eq 2020-01-15)&_count=1'),
    ("Observation", '_filter=subject[family eq "clark"].organization.name sw "o"'),
    ("Observation", "_filter=not(subject:Patient.family pr true)&_total=accurate"),
    ("Patient", "_filter=_has:Observation:patient:date eq 2020-01-15"),
    ("Patient", "_filter=organization.name pr true or family eq clark&_sort=-family&_count=1"),
    ("", "_type=Patient,Observation&_count=2&_sort=_id"),
    ("", "_total=accurate&_count=3"),
    ("", "_type=Observation,DiagnosticReport&subject=Patient/p2&_revinclude=*"),
]


def test_hidden_rows_change_no_filter_no_system_search_and_no_page_back(worlds: tuple[World, World]) -> None:
    full, reduced = worlds
    for kind, query in FURTHER_QUERIES:
        assert _answers(full, kind, query, SOME) == _answers(reduced, kind, query, ALL), (kind, query)
        assert _answers(full, kind, query, ALL) != _answers(reduced, kind, query, ALL), (kind, query)
        pairs = [(name, value) for name, _, value in (each.partition("=") for each in query.split("&"))]
        backwards = []
        for world, visibility in ((full, SOME), (reduced, ALL)):
            page, _ = world.search(kind, pairs, visibility=visibility)
            seen = []
            cursor = page.last_cursor
            while cursor is not None:
                page, _ = world.search(kind, [*pairs, ("_cursor", cursor)], visibility=visibility)
                seen.append([row.id for row in page.matches])
                cursor = page.previous_cursor
            backwards.append(seen)
        assert backwards[0] == backwards[1], (kind, query)
