"""Paths of URIs, versions of canonicals, parts of wholes, MIME types: `:above` and `:below` as brute force has them."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search import parts
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import ALL, BASE, HIDDEN, SOME, World

Json = dict[str, Any]

_RANDOM = random.Random(20_260_404)
_PLACES = [f"l{number}" for number in range(24)]
# By mistake a place may be part of itself, by way of others.
_WITHIN: dict[str, str] = {
    place: _RANDOM.choice(_PLACES[:number]) for number, place in enumerate(_PLACES) if number % 5 and number
} | {"l5": "l6", "l23": "elsewhere"}
_URLS = [
    *("http://a.test", "http://a.test/", "http://a.test/b", "http://a.test/b/c", "http://a.test/bc", "http://a.test/b_c"),
    *("http://a.test/b%c", "http://A.test/b", "https://a.test/b", "urn:oid:1.2", "urn:oid:1.2.3", "http://a.test/b/c?d=e/f"),
    "http://a.test/" + "long/" * 60,
    "http://a.test/" + "long/" * 60 + "end",
]  # fmt: skip
_CANONICALS = ["http://c.test", "http://c.test/d", "http://c.testing"]
_VERSIONS = ["", "1", "1.0", "1.0.1", "1.1", "10", "2.0-rc"]
_MIMES = ["text/xml", "text/xml; charset=UTF-8", "TEXT/XML;q=1", "text/xmlx", "application/fhir+json"]


def _canonical(url: str, version: str) -> str:
    return f"{url}|{version}" if version else url


def _place(place: str) -> Json:
    made: Json = {"resourceType": "Location", "id": place}
    if place in _WITHIN:
        made["partOf"] = {"reference": _RANDOM.choice(["", BASE + "/"]) + f"Location/{_WITHIN[place]}"}
    return made


def _encounter(logical_id: str, place: str) -> Json:
    made: Json = {"resourceType": "Encounter", "id": logical_id, "status": "finished", "class": {"code": "AMB"}}
    return {**made, "location": [{"location": {"reference": f"Location/{place}"}}]}


def _document(logical_id: str, mime: str) -> Json:
    content = [{"attachment": {"contentType": mime}}]
    return {"resourceType": "DocumentReference", "id": logical_id, "status": "current", "content": content}


PLACES: list[Json] = [_place(place) for place in _PLACES]
ENCOUNTERS = [_encounter(f"e{number}", place) for number, place in enumerate([*_PLACES, "elsewhere"])]
ANSWERS: list[Json] = [
    {"resourceType": "QuestionnaireResponse", "id": f"q{number}", "status": "completed", "questionnaire": canonical}
    for number, canonical in enumerate(_canonical(url, version) for url in _CANONICALS for version in _VERSIONS)
]
SETS: list[Json] = [
    {"resourceType": "ValueSet", "id": f"v{number}", "status": "active", "url": url} for number, url in enumerate(_URLS)
]
DOCUMENTS = [_document(f"d{number}", mime) for number, mime in enumerate(_MIMES)]


def _build(url: str) -> None:
    world = World(url)
    world.add([*PLACES, *ENCOUNTERS, *ANSWERS, *SETS, *DOCUMENTS])
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-hierarchies", _build))
    yield made
    made.close()


def _expect(world: World, query: tuple[str, str], of: list[Json], holds: Callable[[Json], bool]) -> None:
    found = world.ids(of[0]["resourceType"], query, ("_count", "1000"))
    assert sorted(found) == sorted(each["id"] for each in of if holds(each)), query


def _wholes(place: str) -> set[str]:
    found = {place}
    while place in _WITHIN and _WITHIN[place] not in found:
        place = _WITHIN[place]
        found.add(place)
    return found


def test_what_is_part_of_a_whole_is_found_below_it_and_the_whole_above_it(world: World) -> None:
    forms = st.sampled_from(["{}", "Location/{}", BASE + "/Location/{}"])
    places = st.lists(st.sampled_from([*_PLACES, "elsewhere", "nowhere"]), min_size=1, max_size=3, unique=True)

    @given(places=places, form=forms, modifier=st.sampled_from(["above", "below"]))
    def law(places: list[str], form: str, modifier: str) -> None:
        def related(place: str) -> bool:
            if modifier == "below":
                return any(each in _wholes(place) for each in places)
            return any(place in _wholes(each) for each in places)

        def holds(resource: Json) -> bool:
            return related(resource["location"][0]["location"]["reference"].removeprefix("Location/"))

        value = ",".join(form.format(place) for place in places)
        _expect(world, (f"location:{modifier}", value), ENCOUNTERS, holds)
        _expect(
            world,
            (f"partof:{modifier}", value),
            PLACES,
            lambda resource: resource["id"] in _WITHIN and related(_WITHIN[resource["id"]]),
        )

    law()


def test_a_hidden_part_leads_no_further(databases: Databases) -> None:
    full, reduced = World(databases.empty()), World(databases.empty())
    a, b, c = ({"resourceType": "Location", "id": place} for place in "abc")
    for world in (full, reduced):
        world.add(
            [a, {**c, "partOf": {"reference": "Location/b"}}, *(_encounter(f"e{place}", place) for place in "abc")]
        )
    full.add([{**b, "partOf": {"reference": "Location/a"}}], label=HIDDEN)
    for query in (("location:below", "a"), ("location:above", "c"), ("location:below", "b"), ("location:above", "b")):
        seen = full.ids("Encounter", query, visibility=SOME)
        assert seen == reduced.ids("Encounter", query, visibility=ALL), query
    assert full.ids("Encounter", ("location:below", "a"), visibility=SOME) == ["ea"]
    assert len(full.ids("Encounter", ("location:below", "a"))) == 3
    full.close()
    reduced.close()


def test_too_large_a_whole_is_refused(databases: Databases) -> None:
    world = World(databases.empty())
    whole = {"reference": "Location/whole"}
    world.add(
        {"resourceType": "Location", "id": f"l{number}", "partOf": whole} for number in range(parts.RELATED_LIMIT + 1)
    )
    with pytest.raises(FhirError, match="more than 1000 resources of type Location") as refused:
        world.ids("Encounter", ("location:below", "whole"))
    assert refused.value.status == 400
    assert world.ids("Encounter", ("location:above", "l1")) == []
    world.close()


def test_below_a_canonical_are_its_versions(world: World) -> None:
    @given(url=st.sampled_from(_CANONICALS), version=st.sampled_from(_VERSIONS))
    def law(url: str, version: str) -> None:
        def holds(resource: Json) -> bool:
            found, _, own = resource["questionnaire"].partition("|")
            return bool(found == url and (not version or own == version or own.startswith(version + ".")))

        _expect(world, ("questionnaire:below", _canonical(url, version)), ANSWERS, holds)

    law()


def test_above_and_below_a_url_are_the_folders_of_its_path(world: World) -> None:
    @given(
        url=st.sampled_from([*_URLS, "http://a.test/b/", "http:", "http://"]),
        modifier=st.sampled_from(["above", "below"]),
    )
    def law(url: str, modifier: str) -> None:
        def within(inner: str, outer: str) -> bool:
            return inner == outer or inner.startswith(outer if outer.endswith("/") else outer + "/")

        def holds(resource: Json) -> bool:
            own = resource["url"]
            if url.startswith("urn:") or (modifier == "above" and "://" not in url):
                return False
            return within(own, url) if modifier == "below" else within(url, own)

        _expect(world, (f"url:{modifier}", url.replace(",", "\\,")), SETS, holds)

    law()


def test_below_a_mime_type_are_its_parameters(world: World) -> None:
    assert sorted(world.ids("DocumentReference", ("contenttype:below", "text/xml"))) == ["d0", "d1", "d2"]
    assert world.ids("DocumentReference", ("contenttype", "text/xml")) == ["d0"]
    assert world.ids("DocumentReference", ("contenttype:below", "text")) == []


@pytest.mark.parametrize(
    "kind, name, value",
    [
        ("Condition", "subject:below", "p1"),
        ("Observation", "subject:below", "Patient/p1"),
        ("Encounter", "location:below", "http://elsewhere.test/Location/1"),
        ("Encounter", "location:above", "l1,urn:uuid:1"),
        ("QuestionnaireResponse", "questionnaire:above", "http://c.test|1"),
        ("QuestionnaireResponse", "questionnaire:below", "http://c.test|1,Location/l1"),
    ],
)
def test_what_is_in_no_hierarchy_is_refused(world: World, kind: str, name: str, value: str) -> None:
    with pytest.raises(FhirError, match=r"part of each other.*canonical URLs") as refused:
        world.ids(kind, (name, value))
    assert refused.value.status == 400
