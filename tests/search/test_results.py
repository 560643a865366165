"""What a result holds and in which order: sorting, includes, chains through canonicals, summaries, links."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from fhir_server.search.bundle import searchset
from fhir_server.spec.json import decode
from fhir_server.spec.outcome import FhirError
from tests.databases import Databases
from tests.search.world import ALL, BASE, World

Json = dict[str, Any]


def _patient(logical_id: str, *families: str, **elements: object) -> Json:
    return {"resourceType": "Patient", "id": logical_id, "name": [{"family": each} for each in families], **elements}


RESOURCES: list[Json] = [
    {"resourceType": "Organization", "id": "g1", "name": "One", "partOf": {"reference": "Organization/g2"}},
    {"resourceType": "Organization", "id": "g2", "name": "Two", "partOf": {"reference": "Organization/g1"}},
    _patient("p1", "Zorro", "Aardvark", birthDate="1980-01-01", gender="male",
             managingOrganization={"reference": "Organization/g1"}, text={"status": "empty", "div": "<div>x</div>"},
             contact=[{"name": {"text": "kin"}}], multipleBirthInteger=2, deceasedBoolean=True),
    _patient("p2", "Baker", birthDate="1970-01-01", gender="female"),
    _patient("p3", "adams", birthDate="1970-01-01"),
    {"resourceType": "Patient", "id": "p4", "gender": "male"},
    {"resourceType": "Questionnaire", "id": "q1", "status": "active", "url": "http://q.test/one", "version": "2",
     "title": "Asked"},
    {"resourceType": "QuestionnaireResponse", "id": "a1", "status": "completed",
     "questionnaire": "http://q.test/one|2", "subject": {"reference": "Patient/p1"}},
    {"resourceType": "QuestionnaireResponse", "id": "a2", "status": "completed", "questionnaire": "http://q.test/two"},
    {"resourceType": "QuestionnaireResponse", "id": "a3", "status": "completed",
     "questionnaire": "http://q.test/one|1", "subject": {"reference": "Patient/p2"}},
    {"resourceType": "QuestionnaireResponse", "id": "a4", "status": "completed", "questionnaire": "http://q.test/one"},
    {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "weight"},
     "subject": {"reference": f"{BASE}/Patient/p1/_history/3"}, "performer": [{"display": "somebody"}],
     "valueQuantity": {"value": 5, "comparator": "<", "unit": "kg"}},
    {"resourceType": "Slot", "id": "s1", "schedule": {"reference": "Schedule/c"}, "status": "free",
     "start": "2020-07-01T01:00:00+01:00", "end": "2020-07-01T00:30:00Z", "meta": {"profile": ["http://p.test/s|1.0"]}},
    {"resourceType": "Bundle", "id": "b1", "type": "document", "entry": [{"resource": {
        "resourceType": "Composition", "id": "in", "title": "Inside", "subject": {"reference": "Patient/p1"}}}]},
    {"resourceType": "ChargeItem", "id": "h1", "status": "billable", "code": {"text": "hour"}, "subject": {},
     "quantity": {"value": 2, "system": "http://unitsofmeasure.org", "code": "h"}},
    {"resourceType": "Procedure", "id": "r1", "status": "completed", "subject": {}, "performedString": "2019"},
]  # fmt: skip


def _build(url: str) -> None:
    world = World(url)
    world.add(RESOURCES)
    world.close()


@pytest.fixture
def world(databases: Databases) -> Iterator[World]:
    made = World(databases.prepared("search-results", _build))
    yield made
    made.close()


def _bundle(world: World, kind: str, *query: tuple[str, str]) -> Json:
    page, request = world.search(kind, query, visibility=ALL)
    return decode(searchset(page, request, fhir_base=BASE, path=kind), 1_000_000)


def _included(world: World, kind: str, *query: tuple[str, str]) -> list[str]:
    page, _ = world.search(kind, query)
    return sorted(row.id for row in page.includes)


@pytest.mark.parametrize(
    "sort,expected",
    [
        ("family", ["p1", "p3", "p2", "p4"]),
        ("-family", ["p1", "p2", "p3", "p4"]),
        ("birthdate,-family", ["p2", "p3", "p1", "p4"]),
        ("-birthdate,family", ["p1", "p3", "p2", "p4"]),
        ("gender,_id", ["p2", "p1", "p4", "p3"]),
        ("-_id", ["p4", "p3", "p2", "p1"]),
    ],
)
def test_order_follows_least_or_greatest_value_and_puts_missing_ones_last(
    world: World, sort: str, expected: list[str]
) -> None:
    assert world.ids("Patient", ("_sort", sort)) == expected


def test_includes_follow_references_of_the_named_parameter_and_type(world: World) -> None:
    assert _included(world, "Patient", ("_include", "Patient:organization")) == ["g1"]
    assert _included(world, "Patient", ("_include", "Patient:organization:Organization")) == ["g1"]
    assert _included(world, "Patient", ("_include", "Patient:general-practitioner:Organization")) == []
    chain = [("_include", "Patient:organization"), ("_include:iterate", "Organization:partof")]
    assert _included(world, "Patient", *chain) == ["g1", "g2"]
    assert _included(world, "Observation", ("_include", "*")) == ["p1"]
    assert _included(world, "Patient", ("_revinclude", "Observation:subject")) == ["o1"]
    assert _included(world, "Patient", ("_revinclude", "*")) == ["a1", "a3", "o1"]
    assert _included(world, "Patient", ("_revinclude", "QuestionnaireResponse:*")) == ["a1", "a3"]


def test_canonical_references_are_followed_by_url_to_the_version_they_say(world: World) -> None:
    assert sorted(world.ids("QuestionnaireResponse", ("questionnaire", "http://q.test/one"))) == ["a1", "a3", "a4"]
    assert world.ids("QuestionnaireResponse", ("questionnaire", "http://q.test/one|2")) == ["a1"]
    assert world.ids("QuestionnaireResponse", ("questionnaire", "http://q.test/one|3")) == []
    assert sorted(world.ids("QuestionnaireResponse", ("questionnaire.title", "asked"))) == ["a1", "a4"]
    answered = "_has:QuestionnaireResponse:questionnaire:subject"
    assert world.ids("Questionnaire", (answered, "Patient/p1")) == ["q1"]
    assert world.ids("Questionnaire", (answered, "Patient/p2")) == []
    assert world.ids("Questionnaire", ("_id", "q1"), ("_filter", f"{answered} eq Patient/p1")) == ["q1"]
    assert _included(world, "QuestionnaireResponse", ("_include", "QuestionnaireResponse:questionnaire")) == ["q1"]
    assert _included(world, "Questionnaire", ("_revinclude", "QuestionnaireResponse:questionnaire")) == ["a1", "a4"]


def test_references_are_found_in_every_way_they_can_be_written(world: World) -> None:
    for value in ("p1", "Patient/p1", f"{BASE}/Patient/p1", "Patient/p1/_history/3"):
        assert world.ids("Observation", ("subject", value)) == ["o1"]
    assert world.ids("Observation", ("subject:Patient", "p1")) == ["o1"]
    assert world.ids("Observation", ("subject", "Patient/p1/_history/2")) == []
    assert world.ids("Observation", ("subject:Group", "p1")) == []
    assert world.ids("Observation", ("performer:missing", "false")) == ["o1"]


def test_a_quantity_with_a_comparator_stands_for_all_it_may_be(world: World) -> None:
    assert world.ids("Observation", ("value-quantity", "lt5")) == ["o1"]
    assert world.ids("Observation", ("value-quantity", "eb5||kg")) == ["o1"]
    assert world.ids("Observation", ("value-quantity", "gt4.9")) == ["o1"]
    assert world.ids("Observation", ("value-quantity", "5")) == []


@pytest.mark.parametrize(
    "kind,code,found,not_found",
    [
        # An instant is a point in time, so that a client's milliseconds find it; a dateTime covers its second.
        ("Slot", "start", ("2020-07-01T00:00:00.0000000Z", "le2020-07-01T00:00:00.0Z"), ("gt2020-07-01T00:00:00Z",)),
        ("Slot", "_profile", ("http://p.test/s", "http://p.test/s|1.0"), ("http://p.test/s|2.0", "http://p.test")),
        (
            "Questionnaire",
            "url",
            ("http://q.test/one|2", "http://q.test/one"),
            ("http://q.test/one|1", "http://q.test"),
        ),
        # The first entry of a document is where its `composition` leads to.
        ("Bundle", "composition.title", ("ins",), ("out",)),
        ("Bundle", "composition.patient.family", ("zorro",), ("baker",)),
        # The end of a quantity may be left off.
        ("ChargeItem", "quantity", ("2|http://unitsofmeasure.org", "2|"), ("2|urn:x", "3|http://unitsofmeasure.org")),
        # A text is no date, whatever it looks like.
        ("Procedure", "date:missing", ("true",), ("false",)),
        ("Procedure", "date", (), ("2019", "ne2018", "gt2018")),
    ],
)
def test_values_are_read_as_their_type_says(
    world: World, kind: str, code: str, found: tuple[str, ...], not_found: tuple[str, ...]
) -> None:
    assert [value for value in found if len(world.ids(kind, (code, value))) != 1] == []
    assert [value for value in not_found if world.ids(kind, (code, value))] == []


def test_total_is_given_when_asked_for_or_known_for_nothing(world: World) -> None:
    assert _bundle(world, "Patient")["total"] == 4
    assert "total" not in _bundle(world, "Patient", ("_count", "2"))
    assert "total" not in _bundle(world, "Patient", ("_total", "none"))
    assert _bundle(world, "Patient", ("_count", "2"), ("_total", "accurate"))["total"] == 4
    for query in (("_count", "0"), ("_summary", "count")):
        bundle = _bundle(world, "Patient", query)
        assert bundle["total"] == 4
        assert "entry" not in bundle


@pytest.mark.parametrize(
    "query,has,lacks",
    [
        (("_summary", "true"), {"name", "birthDate", "gender"}, {"text", "contact", "multipleBirthInteger"}),
        (("_summary", "text"), {"text", "id"}, {"name", "birthDate"}),
        (("_summary", "data"), {"name", "contact"}, {"text"}),
        (("_elements", "birthDate,multipleBirth"), {"birthDate", "multipleBirthInteger"}, {"name", "text", "gender"}),
        (("_elements", "multipleBirthInteger,multipleBirth[x]"), {"multipleBirthInteger"}, {"name", "birthDate"}),
        (("_elements", "name"), {"name", "deceasedBoolean"}, {"birthDate"}),
        (("_elements", "name.family,Patient.contact.name"), {"name", "contact"}, {"birthDate", "text"}),
    ],
)
def test_a_cut_resource_keeps_what_was_asked_for_and_says_so(
    world: World, query: tuple[str, str], has: set[str], lacks: set[str]
) -> None:
    resource = _bundle(world, "Patient", ("_id", "p1"), query)["entry"][0]["resource"]
    assert has <= set(resource)
    assert not lacks & set(resource)
    assert resource["meta"]["tag"][-1]["code"] == "SUBSETTED"


def test_elements_of_what_is_included_are_left_out_where_its_own_type_is_named(world: World) -> None:
    included = [("_id", "a1"), ("_include", "QuestionnaireResponse:patient")]
    for elements, lacks in (("subject", set()), ("subject,Patient.gender", {"name", "birthDate"})):
        bundle = _bundle(world, "QuestionnaireResponse", *included, ("_elements", elements))
        match, patient = (entry["resource"] for entry in bundle["entry"])
        assert "questionnaire" not in match
        assert {"name", "gender", "birthDate"} - set(patient) == lacks


def test_a_refusal_names_every_parameter_at_once(world: World) -> None:
    wrong = [("birthdate", "x"), ("nosuch", "1"), ("_include", "No:such"), ("name", "right"), ("_count", "-1")]
    with pytest.raises(FhirError) as refused:
        world.search("Patient", wrong)
    texts = [issue.diagnostics for issue in refused.value.issues]
    assert [name for name, text in zip(("birthdate", "nosuch", "_include", "_count"), texts, strict=True)
            if f"'{name}'" not in text] == []  # fmt: skip
    with pytest.raises(FhirError) as refused:
        world.search("Patient", [(f"no{number}", "x") for number in range(60)])
    assert "50 further" in refused.value.issues[-1].diagnostics
    assert len(refused.value.issues) == 11


def test_a_whole_resource_is_served_as_it_was_stored(world: World) -> None:
    page, request = world.search("Patient", [("_id", "p1"), ("_summary", "false")])
    assert page.matches[0].content in searchset(page, request, fhir_base=BASE, path="Patient")


def test_links_state_what_was_understood(world: World) -> None:
    bundle = _bundle(world, "Patient", ("_sort", "family"), ("_count", "5" * 30), ("family", ""), ("_format", "json"))
    assert [link["relation"] for link in bundle["link"]] == ["self"]
    assert bundle["link"][0]["url"] == f"{BASE}/Patient?_sort=family&_count=1000"
    with_unknown = [("_id", "p1"), ("_include", "Patient:nosuch"), ("_include", "NoSuch:type")]
    page, request = world.search("Patient", with_unknown, handling="lenient")
    assert (request.understood, len(page.outcomes), len(page.matches)) == ((("_id", "p1"),), 2, 1)
    first = _bundle(world, "Patient", ("_count", "2"), ("gender:not", "a|b&c=d"))
    assert [link["relation"] for link in first["link"]] == ["self", "first", "next", "last"]
    assert first["link"][0]["url"] == f"{BASE}/Patient?_count=2&gender:not=a%7Cb%26c%3Dd"


def test_a_system_search_covers_all_or_the_named_types(world: World) -> None:
    assert set(world.ids("", ("_id", "p1,o1,g1"))) == {"p1", "o1", "g1"}
    assert set(world.ids("", ("_type", "Patient,Organization"), ("_id", "p1,o1,g1"))) == {"p1", "g1"}
    assert world.ids("", ("_type", "Patient"), ("family", "zorro")) == ["p1"]


def test_an_id_alone_may_be_of_any_type_that_one_of_the_searched_types_points_to(databases: Databases) -> None:
    made = World(databases.empty())
    about = {"status": "final", "code": {"text": "t"}, "subject": {"reference": "Device/x"}}
    made.add([{"resourceType": "Observation", "id": "o", **about}])
    assert made.ids("", ("_type", "Condition,Observation"), ("subject", "x")) == ["o"]
    made.close()


def test_searches_of_one_shape_do_not_share_values(world: World) -> None:
    for _ in range(2):
        assert world.ids("Patient", ("family", "baker")) == ["p2"]
        assert world.ids("Patient", ("family", "adams")) == ["p3"]
        assert world.ids("Patient", ("birthdate", "1970")) != world.ids("Patient", ("birthdate", "1980"))
        assert world.ids("Observation", ("value-quantity", "lt5||kg")) == ["o1"]
        assert world.ids("Observation", ("value-quantity", "lt5||g")) == []
        assert world.ids("Patient", ("_id", "p1"), ("gender", "male,female")) == ["p1"]
        assert world.ids("Patient", ("_id", "p2"), ("gender", "male,other")) == []


def test_an_include_that_is_repeated_goes_as_far_as_the_references(databases: Databases) -> None:
    world = World(databases.empty())
    chain: list[Json] = [{"resourceType": "Organization", "id": f"c{number}", "name": "c"} for number in range(70)]
    for here, there in pairwise(chain):
        here["partOf"] = {"reference": f"Organization/{there['id']}"}
    chain[60]["partOf"] = {"reference": "Organization/c20"}
    world.add(chain)
    query = [("_id", "c30"), ("_include:iterate", "Organization:partof")]
    page, _ = world.search("Organization", query)
    assert len(page.includes) == 40
    assert not page.outcomes
    page, _ = world.search("Organization", [("_id", "c0"), *query[1:]])
    assert len(page.includes) == 50
    assert "50 hops" in page.outcomes[0].diagnostics
    world.close()
