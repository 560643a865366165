"""`Patient/[id]/$everything`: a whole record, page by page, and nothing that is hidden in it or behind it."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from tests.consent.world import ANN, BOB, GP, PRACTICE, TRUST, Json, World, consent, labelled, observation, ref

_ANN = "Patient/ann/$everything"
_SHARED = {
    "Patient/ann", "RelatedPerson/carer", "Observation/a-1", "Observation/a-2", "Encounter/a-enc",
    "DocumentReference/a-doc", "Binary/a-bin", "Provenance/a-prov", "Organization/trust",
}  # fmt: skip
_KEPT_BACK = {
    "Observation/a-mh", "Encounter/a-enc-mh", "DocumentReference/a-doc-mh", "Binary/a-bin-mh", "Provenance/a-prov-mh",
}  # fmt: skip


def _names(page: Json) -> list[str]:
    found = [entry["resource"] for entry in page.get("entry", [])]
    return [f"{each['resourceType']}/{each['id']}" for each in found]


def _next(page: Json) -> str:
    return next((link["url"] for link in page["link"] if link["relation"] == "next"), "")


def _all(world: World, token: str, query: str = "", path: str = _ANN) -> list[str]:
    """Return what every page has, in order; each page states the same total."""
    page = world.server.get(f"{path}{query}", token)
    total, found = page["total"], _names(page)
    while link := _next(page):
        page = world.server.get(link, token)
        assert page["total"] == total
        found += _names(page)
    assert total == len(found)
    return found


@pytest.mark.parametrize("query", ["", "?_count=1", "?_count=4"])
def test_a_professional_gets_what_is_shared_and_what_that_refers_to(world: World, query: str) -> None:
    found = _all(world, world.gp, query)
    assert len(found) == len(set(found))
    assert set(found) == _SHARED


def test_a_patient_gets_everything_but_what_names_somebody_else_too(world: World) -> None:
    found = set(_all(world, world.ann))
    consents = {f"Consent/{world.consents[0]}", f"Organization/{PRACTICE.partition('/')[2]}"}
    assert found == _SHARED | _KEPT_BACK | consents
    assert "Observation/both" in _all(world, world.trust)
    assert "Observation/both" in _all(world, world.trust, path="Patient/bob/$everything")


def test_resources_come_as_they_are_stored(world: World) -> None:
    page = world.server.get(_ANN, world.gp)
    for entry in page["entry"]:
        name = f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
        assert entry["resource"] == world.server.get(name, world.gp)
        assert entry["fullUrl"] == f"http://localhost/fhir/{name}"
        assert entry["search"] == {"mode": "match"}


def test_hidden_and_absent_patients_are_one_answer(world: World) -> None:
    answers = [world.server.call("GET", f"Patient/{name}/$everything", world.gp) for name in ("bob", "nowhere")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace("bob", "ID") == answers[1].text.replace("nowhere", "ID")
    for token in (world.carer, world.bob, world.consultant):
        other = BOB if token == world.carer else ANN
        expected = 200 if token == world.consultant else 404
        assert world.server.call("GET", f"{other}/$everything", token).status_code == expected


def test_what_is_shared_is_answered_also_where_the_patient_is_not(world: World) -> None:
    document = observation(BOB, "b-own")
    world.server.put(document, world.practice)
    assert _all(world, world.practice, path="Patient/bob/$everything") == ["Observation/b-own"]
    assert world.server.call("GET", "Patient/bob", world.practice).status_code == 404


def test_what_a_hidden_resource_refers_to_is_not_there_because_of_it(world: World) -> None:
    place = {"resourceType": "Location", "id": "ward", "name": "Mental health ward", "managingOrganization": ref(TRUST)}
    world.server.put(place, world.operator)
    secret: Json = {
        "resourceType": "Encounter", "id": "stay", "meta": labelled("mental-health"), "status": "finished",
        "class": {"code": "IMP"}, "subject": ref(ANN), "location": [{"location": ref("Location/ward")}],
    }  # fmt: skip
    world.server.put(secret, world.trust)
    assert set(_all(world, world.gp)) == _SHARED
    assert {"Encounter/stay", "Location/ward"} <= set(_all(world, world.ann))
    assert world.server.call("GET", "Location/ward", world.gp).status_code == 200


def test_a_role_brings_its_practitioner_and_organisation(world: World) -> None:
    world.server.put(observation(ANN, "signed", performer=[ref("PractitionerRole/role-0")]), world.trust)
    found = set(_all(world, world.gp))
    assert found == _SHARED | {"Observation/signed", "PractitionerRole/role-0", GP, PRACTICE}


def test_nobody_elses_record_comes_with_it(world: World) -> None:
    world.server.put(observation(ANN, "twin", derivedFrom=[ref("Observation/b-1")]), world.trust)
    assert "Observation/b-1" not in _all(world, world.operator)


def test_a_page_link_serves_its_caller_and_question_only(world: World) -> None:
    link = _next(world.server.get(f"{_ANN}?_count=2", world.gp))
    for thief in (world.ann, world.practice, world.trust, world.consultant, world.operator):
        assert world.server.call("GET", link, thief).status_code == 400
    other = link.replace(_ANN, "Patient/bob/$everything")
    assert world.server.call("GET", other, world.gp).status_code == 404
    assert world.server.call("GET", other, world.trust).status_code == 400
    assert world.server.call("GET", link.replace(_ANN, "Patient/ann/Observation"), world.gp).status_code == 400
    assert world.server.call("GET", link.replace("_count=2", "_count=3"), world.gp).status_code == 400
    assert world.server.call("GET", f"{link}x", world.gp).status_code == 400


def test_a_withdrawn_consent_ends_the_pages(world: World) -> None:
    link = _next(world.server.get(f"{_ANN}?_count=2", world.gp))
    world.server.put(consent(ANN, PRACTICE, status="inactive") | {"id": world.consents[0]}, world.ann)
    assert world.server.call("GET", link, world.gp).status_code == 404


@pytest.mark.parametrize(
    "query, dated",
    [
        ("?start=2026-03-03", {"Observation/a-1"}),
        ("?end=2026-03-02", {"Observation/a-2"}),
        ("?start=2026-03-02&end=2026-03", {"Observation/a-1", "Observation/a-2"}),
        ("?start=2026-03-04", set()),
        ("?end=2026-03-01T23:59:59Z", set()),
        ("?start=2026-03-02T23:00:00%2B01:00&end=2026-03-02", {"Observation/a-2"}),
    ],
)
def test_care_dates_limit_the_record_and_leave_what_has_none(world: World, query: str, dated: set[str]) -> None:
    found = set(_all(world, world.gp, query))
    assert {name for name in found if name.startswith("Observation")} == dated
    assert {"Patient/ann", "RelatedPerson/carer"} <= found


@pytest.mark.parametrize(
    "query, expected",
    [
        ("?_type=Observation", {"Observation/a-1", "Observation/a-2"}),
        ("?_type=Observation&_type=Patient,Organization", {"Observation/a-1", "Observation/a-2", "Patient/ann", TRUST}),
        ("?_type=Consent", set()),
        ("?_type=Practitioner&_count=0", set()),
    ],
)
def test_types_may_be_chosen(world: World, query: str, expected: set[str]) -> None:
    assert set(_all(world, world.gp, query)) == expected


def test_since_leaves_what_has_not_changed(world: World) -> None:
    at = world.server.clock.at
    world.server.clock.advance(hours=1)
    world.server.put(observation(ANN, "a-1", value=6), world.trust)
    after = (at.replace(tzinfo=None)).isoformat() + ".001Z"
    assert _all(world, world.gp, f"?_since={after}") == ["Observation/a-1"]
    assert set(_all(world, world.gp, f"?_since={at.date()}")) == _SHARED


def test_post_takes_the_same_as_parameters(world: World) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "start", "valueDate": "2026-03-02"},
            {"name": "end", "valueDate": "2026-03-02"},
            {"name": "_since", "valueInstant": "2026-01-01T00:00:00Z"},
            {"name": "_type", "valueCode": "Observation"},
            {"name": "_type", "valueCode": "Patient"},
            {"name": "_count", "valueInteger": 1},
        ],
    }
    page = world.server.post(_ANN, world.gp, body, 200)
    assert page["total"] == 2
    assert {*_names(page), *_names(world.server.get(_next(page), world.gp))} == {"Observation/a-2", "Patient/ann"}
    assert world.server.call("POST", _ANN, world.gp).get_json()["total"] == len(_SHARED)


@pytest.mark.parametrize(
    "query, said",
    [
        ("start=yesterday", "start"),
        ("end=2026-02-30", "end"),
        ("_since=x", "_since"),
        ("_type=Nothing", "_type"),
        ("_count=-1", "_count"),
        ("_count=1&_count=2", "_count"),
        ("_include=Observation:subject", "_include"),
        ("code=718-7", "code"),
        ("_cursor=AAAA", "page link"),
        ("_cursor=%00", "page link"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(world: World, query: str, said: str) -> None:
    answer = world.server.call("GET", f"{_ANN}?{query}", world.gp)
    assert answer.status_code == 400
    assert said in answer.get_json()["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    "body, status",
    [
        ({"resourceType": "Patient"}, 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "code", "valueString": "x"}]}, 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "_count", "valuePeriod": {"start": "2026"}}]}, 400),
        ({"resourceType": "Parameters", "parameter": [{"valueInteger": 1}]}, 422),
    ],
)
def test_a_body_that_is_not_understood_is_refused(world: World, body: Json, status: int) -> None:
    answer = world.server.call("POST", _ANN, world.gp, body)
    assert answer.status_code == status, answer.text


def test_it_is_on_the_log_of_each_patient_with_that_patients_resources(world: World) -> None:
    world.server.get(_ANN, world.trust)
    events: dict[str, Any] = {}
    for patient in (ANN, BOB):
        found = world.server.get(f"AuditEvent?patient={patient}&subtype=operation", world.operator)
        (events[patient],) = [entry["resource"] for entry in found["entry"]]
    told = {
        patient: {entity["what"]["reference"].partition("/_history")[0]
                  for entity in event["entity"] if "reference" in entity.get("what", {})}
        for patient, event in events.items()
    }  # fmt: skip
    assert {"Observation/a-1", "Observation/both", "Observation/a-mh"} <= told[ANN]
    assert "Observation/a-1" not in told[BOB]
    assert "Observation/both" in told[BOB]
    query = next(entity["query"] for entity in events[ANN]["entity"] if "query" in entity)
    assert "$everything" in base64.b64decode(query).decode()


def test_a_refusal_is_on_the_log_of_the_patient_aimed_at(world: World) -> None:
    world.server.get("Patient/bob/$everything", world.gp, 404)
    found = world.server.get(f"AuditEvent?patient={BOB}&subtype=operation", world.operator)
    assert [entry["resource"]["outcome"] for entry in found["entry"]] == ["4"]


def test_a_scope_narrows_it(world: World) -> None:
    narrow = world.server.token(GP, "user/Observation.rs user/Patient.rs")
    assert set(_all(world, narrow)) == {"Patient/ann", "Observation/a-1", "Observation/a-2"}
    none = world.server.token(GP, "user/Observation.c")
    assert world.server.call("GET", _ANN, none).status_code == 404


def test_a_deleted_patient_is_gone_where_it_was_visible_and_unknown_elsewhere(world: World) -> None:
    made = orjson.loads(world.server.call("POST", "Patient", world.operator, {"resourceType": "Patient"}).data)
    path = f"Patient/{made['id']}"
    assert world.server.call("DELETE", path, world.operator).status_code == 204
    assert world.server.call("GET", f"{path}/$everything", world.operator).status_code == 410
    assert world.server.call("GET", f"{path}/$everything", world.gp).status_code == 404


@pytest.mark.parametrize("method, path, status", [("PUT", _ANN, 405), ("GET", "Patient/$everything", 404)])
def test_other_levels_and_methods_are_refused(world: World, method: str, path: str, status: int) -> None:
    assert world.server.call(method, path, world.operator, {} if method == "PUT" else None).status_code == status
