"""The leak table of access.md §8: one test a row; what is hidden and what is absent must be one answer.

Rows that wait for what is not built yet: `$lastn` and `$summary` (refused, tested here), Subscription and delivery,
caches (there are none), invitation and look-up forms (tests of sign-in and portal). `_list`, `_text` and value sets are
tested in tests/search as well, `$everything` and `$export` in tests/http, timing in test_timing.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.consent.world import (
    ANN,
    BOB,
    CARER,
    CATEGORY,
    GP,
    LABEL,
    NHS,
    PRACTICE,
    TRUST,
    World,
    consent,
    observation,
    ref,
)

HIDDEN = (
    "Observation/a-mh",
    "Observation/b-1",
    "Observation/both",
    "DocumentReference/a-doc-mh",
    "Binary/a-bin-mh",
    "Patient/bob",
)


def _same_refusal(world: World, token: str, method: str, hidden: str, absent: str, **more: Any) -> None:
    """Assert that what is hidden and what is absent are told apart by nothing but the id that was asked for."""
    first, second = (world.server.call(method, path, token, **more) for path in (hidden, absent))
    assert first.status_code == second.status_code, (first.text, second.text)
    name, other = (path.partition("?")[0].split("/")[1] for path in (hidden, absent))
    assert first.text.replace(name, "ID") == second.text.replace(other, "ID")
    kept = [
        {k: v for k, v in answer.headers if k not in {"X-Request-Id", "Date", "Content-Length"}}
        for answer in (first, second)
    ]
    assert kept[0] == kept[1]


def test_a_row_of_two_patients_needs_the_permit_of_both_whoever_comes_first(world: World) -> None:
    for _ in range(2):  # the next version has the same patients again
        world.server.put(observation(BOB, "both-2", performer=[ref(ANN)]), world.trust)
    names = {"Observation/both", "Observation/both-2"}
    assert [world.server.call("GET", name, world.practice).status_code for name in sorted(names)] == [404, 404]
    assert not world.server.ids("Observation", world.practice) & names
    world.share(consent(BOB, PRACTICE))
    assert world.server.ids("Observation", world.practice) >= names
    assert [world.server.call("GET", name, world.practice).status_code for name in sorted(names)] == [200, 200]


@pytest.mark.parametrize("shape", ["_summary=count", "_total=accurate", "_total=accurate&_count=1", "_count=0"])
def test_totals_count_visible_rows_only(world: World, shape: str) -> None:
    assert world.server.get(f"Observation?{shape}", world.practice)["total"] == 2
    assert world.server.get(f"Observation?subject={BOB}&{shape}", world.practice)["total"] == 0


def test_pages_are_filled_from_visible_rows_and_end_with_them(world: World) -> None:
    first = world.server.get("Observation?_count=1&_sort=date", world.practice)
    assert [entry["resource"]["id"] for entry in first["entry"]] == ["a-2"]
    link = next(link["url"] for link in first["link"] if link["relation"] == "next")
    second = world.server.get(link, world.practice)
    assert [entry["resource"]["id"] for entry in second["entry"]] == ["a-1"]
    assert all(link["relation"] != "next" for link in second["link"])


def test_a_page_link_carries_no_authority(world: World) -> None:
    first = world.server.get("Observation?_count=1", world.practice)
    link = next(link["url"] for link in first["link"] if link["relation"] == "next")
    for thief in (world.ann, world.bob, world.trust, world.gp):
        assert world.server.call("GET", link, thief).status_code == 400
    assert world.server.call("GET", link.replace("Observation?", "Encounter?"), world.practice).status_code == 400
    world.server.put(consent(ANN, PRACTICE, status="inactive") | {"id": world.consents[0]}, world.ann)
    assert "entry" not in world.server.get(link, world.practice)


@pytest.mark.parametrize(
    "query",
    [
        "Observation?_id=a-2&_include=Observation:encounter",
        "Observation?_id=a-2&_include=Observation:has-member",
        "Observation?_id=a-2&_include=*",
        "Observation?_id=a-2&_include=Observation:*&_include:iterate=Encounter:*",
        "Observation?_id=a-2&_include=Observation:encounter&_revinclude:iterate=Observation:encounter",
    ],
)
def test_includes_leave_hidden_targets_out(world: World, query: str) -> None:
    found = world.server.ids(query, world.practice)
    assert not found & {"Encounter/a-enc-mh", "Observation/a-mh", "Observation/both"}
    assert world.server.ids(query, world.trust) > found


def test_reverse_includes_leave_hidden_sources_out(world: World) -> None:
    sources = ("Observation:subject", "DocumentReference:subject", "Consent:patient")
    query = "Patient?_id=ann" + "".join(f"&_revinclude={source}" for source in sources)
    found = world.server.ids(query, world.practice)
    assert found == {"Patient/ann", "Observation/a-1", "Observation/a-2", "DocumentReference/a-doc"}


@pytest.mark.parametrize(
    "query",
    [
        "Observation?encounter:Encounter.class=IMP",
        "Observation?encounter.status=finished&_id=a-2",
        "Observation?has-member:Observation.value-quantity=9",
        "Observation?has-member:Observation.code=44261-6",
        "Observation?has-member:Observation.subject:Patient.name=Ann",
        "Patient?_has:Observation:subject:code=44261-6",
        "Patient?_has:Encounter:subject:class=IMP",
        "Patient?_has:Observation:performer:code=718-7",
        "Encounter?_has:Observation:encounter:_id=b-2",
        "Observation?_has:Observation:has-member:_id=a-mh",
        "Observation?_has:Observation:has-member:code=44261-6",
        "Patient?_has:Observation:subject:has-member:Observation.code=44261-6",
        "Patient?_has:Consent:patient:status=active",
        "Observation?has-member:missing=false&_id=a-mh",
        "Observation?code:not=718-7",
        f"Observation?_security={LABEL}|mental-health",
        f"DocumentReference?_security={LABEL}|mental-health",
        f"Patient?identifier={NHS}|9990000002",
        "Patient?name=Bob",
        f"Observation?performer={BOB}",
        "Observation?code-value-quantity=44261-6$9",
        "Observation?combo-code-value-quantity=44261-6$9",
        "Observation?code:text=haemoglobin&_id=a-mh",
        "Provenance?target=DocumentReference/a-doc-mh",
        "Patient/ann/Observation?code=44261-6",
        "Observation?_filter=code eq 44261-6",
        "Patient?_filter=_has:Observation:subject:code eq 44261-6",
        "Observation?_content=44261",
        "Patient?_has:Observation:subject:_content=44261",
        "?_content=44261",
    ],
)
def test_no_hop_or_criterion_passes_through_a_hidden_row(world: World, query: str) -> None:
    assert world.server.get(f"{query}&_total=accurate", world.trust if "Consent" not in query else world.operator)[
        "total"
    ]
    answer = world.server.get(f"{query}&_total=accurate", world.practice)
    assert answer["total"] == 0
    assert "entry" not in answer


def test_a_named_query_that_is_not_built_is_refused(world: World) -> None:
    assert world.server.call("GET", "Observation?_query=everything", world.practice).status_code == 400


def test_order_depends_on_visible_rows_only(world: World) -> None:
    def order(sort: str) -> list[str]:
        entries = world.server.get(f"Observation?_sort={sort}", world.practice)["entry"]
        return [entry["resource"]["id"] for entry in entries]

    assert order("date") == ["a-2", "a-1"]
    assert order("-date") == ["a-1", "a-2"]
    assert order("value-quantity") == ["a-1", "a-2"]
    before = order("has-member")
    world.server.put(observation(ANN, "a-mh", "mental-health", day=28, value=1), world.trust)
    assert order("has-member") == before


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("suffix", ["", "/_history", "/_history/1", "/_history/7"])
def test_hidden_and_absent_are_one_answer_to_read(world: World, hidden: str, suffix: str) -> None:
    kind = hidden.partition("/")[0]
    _same_refusal(world, world.practice, "GET", f"{hidden}{suffix}", f"{kind}/nowhere{suffix}")


def test_a_deleted_resource_is_gone_only_for_who_could_see_it(world: World) -> None:
    for name in ("a-1", "a-mh"):
        assert world.server.call("DELETE", f"Observation/{name}", world.trust).status_code == 204
    assert world.server.call("GET", "Observation/a-1", world.practice).status_code == 410
    _same_refusal(world, world.practice, "GET", "Observation/a-mh", "Observation/nowhere")
    assert world.server.call("GET", "Observation/a-mh", world.trust).status_code == 410


def test_history_shows_versions_that_are_visible_while_the_current_one_is(world: World) -> None:
    world.server.put(observation(ANN, "a-1", "mental-health", value=1), world.trust)
    _same_refusal(world, world.practice, "GET", "Observation/a-1/_history", "Observation/nowhere/_history")
    _same_refusal(world, world.practice, "GET", "Observation/a-1/_history/1", "Observation/nowhere/_history/1")
    world.server.put(observation(ANN, "a-1", "general", value=2), world.trust)
    history = world.server.get("Observation/a-1/_history", world.practice)
    assert history["total"] == 2
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["3", "1"]
    _same_refusal(world, world.practice, "GET", "Observation/a-1/_history/2", "Observation/nowhere/_history/2")


def test_a_version_that_named_two_patients_needs_both_also_when_the_next_names_one(world: World) -> None:
    world.server.put(observation(ANN, "both", day=9), world.trust)
    assert world.server.get("Observation/both", world.practice)["meta"]["versionId"] == "2"
    for token in (world.practice, world.ann):
        assert world.server.call("GET", "Observation/both/_history/1", token).status_code == 404
        assert world.server.get("Observation/both/_history", token)["total"] == 1


@pytest.mark.parametrize(
    "headers",
    [{"If-None-Match": 'W/"1"'}, {"If-None-Match": 'W/"9"'}, {"If-Modified-Since": "Mon, 01 Jan 2035 00:00:00 GMT"}],
)
def test_conditional_reads_look_at_visibility_first(world: World, headers: dict[str, str]) -> None:
    _same_refusal(world, world.practice, "GET", "Observation/a-mh", "Observation/nowhere", headers=headers)


@pytest.mark.parametrize("version", ["", "1", "9"])
def test_preconditions_of_writes_look_at_visibility_first(world: World, version: str) -> None:
    headers = {"If-Match": f'W/"{version}"'} if version else {}
    for method in ("PUT", "DELETE", "PATCH"):
        for name in ("a-mh", "nowhere"):
            body: Any = observation(ANN, name) if method == "PUT" else None
            if method == "PATCH":
                body = b'[{"op":"replace","path":"/status","value":"amended"}]'
                headers = {**headers, "Content-Type": "application/json-patch+json"}
            answer = world.server.call(method, f"Observation/{name}", world.gp, body, headers)
            expected = {"PUT": 412 if version else 404, "DELETE": 204, "PATCH": 404}[method]
            assert answer.status_code == expected, (method, name, answer.text)
            assert "ETag" not in answer.headers
    assert world.server.get("Observation/a-mh", world.trust)["meta"]["versionId"] == "1"


def test_if_none_exist_matches_visible_rows_only(world: World) -> None:
    for criteria, status in (("_id=a-mh", 201), ("_id=a-1", 200), ("_id=nowhere", 201), ("code=718-7", 412)):
        answer = world.server.call("POST", "Observation", world.gp, observation(ANN), {"If-None-Exist": criteria})
        assert answer.status_code == status, (criteria, answer.text)


def test_conditional_update_and_delete_match_visible_rows_only(world: World) -> None:
    updated = world.server.call("PUT", "Observation?_id=a-mh", world.gp, observation(ANN))
    assert updated.status_code == 201
    assert "a-mh" not in updated.headers["Location"]
    assert world.server.call("DELETE", "Observation?_id=b-1", world.gp).status_code == 204
    assert world.server.get("Observation/b-1", world.trust)["id"] == "b-1"


def test_conditional_references_resolve_to_visible_rows_only(world: World) -> None:
    def post(criteria: str) -> int:
        entry = {
            "resource": observation(ANN, encounter=ref(f"Encounter?{criteria}")),
            "request": {"method": "POST", "url": "Observation"},
        }
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
        return world.server.call("POST", "", world.gp, bundle).status_code

    assert (post("_id=a-enc-mh"), post("_id=nowhere"), post("_id=a-enc")) == (412, 412, 200)


@pytest.mark.parametrize(
    "path",
    [
        "Observation/$lastn",
        "Patient/ann/$summary",
        "$export",
    ],
)
def test_operations_that_are_not_built_disclose_nothing(world: World, path: str) -> None:
    answer = world.server.call("GET", path, world.practice)
    assert answer.status_code in {400, 404}
    assert answer.get_json()["resourceType"] == "OperationOutcome"


def test_a_binary_shares_the_verdict_of_its_document_also_when_that_is_relabelled(world: World) -> None:
    raw = {"Accept": "text/plain"}
    assert world.server.call("GET", "Binary/a-bin", world.practice, headers=raw).data == b"hello"
    _same_refusal(world, world.practice, "GET", "Binary/a-bin-mh", "Binary/nowhere", headers=raw)
    body = world.server.get("DocumentReference/a-doc", world.trust)
    body["meta"] = {"security": [{"system": LABEL, "code": "mental-health"}]}
    world.server.put(body, world.trust)
    _same_refusal(world, world.practice, "GET", "Binary/a-bin", "Binary/nowhere", headers=raw)
    assert "Provenance/a-prov" not in world.server.ids("Provenance", world.practice)
    assert world.server.call("GET", "Binary/a-bin", world.ann, headers=raw).data == b"hello"


def test_a_binary_without_a_document_is_its_authors_alone(world: World) -> None:
    made = world.server.post(
        "Binary", world.trust, {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="}
    )
    for token in (world.practice, world.gp, world.ann, world.carer):
        assert world.server.call("GET", f"Binary/{made['id']}", token).status_code == 404


def test_each_entry_of_a_batch_is_decided_on_its_own(world: World) -> None:
    urls = (
        "Observation/a-1",
        "Observation/a-mh",
        "Observation/nowhere",
        "Observation?subject=Patient/bob&_total=accurate",
        "Patient/bob",
    )
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [{"request": {"method": "GET", "url": url}} for url in urls],
    }
    answers = world.server.post("", world.practice, bundle, 200)["entry"]
    assert [answer["response"]["status"][:3] for answer in answers] == ["200", "404", "404", "200", "404"]
    assert answers[3]["resource"]["total"] == 0


def test_consents_and_audit_events_are_never_a_grantees(world: World) -> None:
    everything = consent(ANN, GP, CARER, labels=("general", "mental-health", "sexual-health", "social-care"))
    world.share(everything)
    for token in (world.practice, world.gp, world.carer, world.trust, world.consultant):
        for kind in ("Consent", "AuditEvent"):
            assert world.server.get(f"{kind}?_summary=count", token)["total"] == 0
        assert world.server.call("GET", f"Consent/{world.consents[0]}", token).status_code == 404
        assert "Consent" not in str(world.server.ids("Patient?_id=ann&_revinclude=Consent:patient", token))
    assert world.server.get("Consent?_summary=count", world.ann)["total"] == 2
    assert world.server.get("AuditEvent?_summary=count", world.ann)["total"] > 0
    assert world.server.get("Consent?_summary=count", world.bob)["total"] == 0


def test_a_provenance_of_a_consent_is_withheld_with_it(world: World) -> None:
    world.server.post("Provenance", world.operator, {
        "resourceType": "Provenance", "target": [ref(f"Consent/{world.consents[0]}")],
        "recorded": "2026-03-01T09:00:00Z", "agent": [{"who": ref(ANN)}],
    })  # fmt: skip
    assert world.server.ids("Provenance", world.practice) == {"Provenance/a-prov"}
    assert len(world.server.ids("Provenance", world.ann)) == 3


def test_a_provenance_follows_its_targets(world: World) -> None:
    assert world.server.ids("Provenance", world.practice) == {"Provenance/a-prov"}
    assert world.server.ids("DocumentReference?_revinclude=Provenance:target", world.practice) == {
        "DocumentReference/a-doc",
        "Provenance/a-prov",
    }


def test_no_visible_byte_depends_on_a_hidden_row(world: World) -> None:
    visible = ("Observation/a-1", "Observation/a-2", "Patient/ann", "DocumentReference/a-doc")
    before = [world.server.call("GET", path, world.practice).data for path in visible]
    world.server.clock.advance(minutes=1)
    world.server.put(observation(ANN, "a-mh", "sexual-health", value=3), world.trust)
    world.server.put(observation(BOB, "b-1", value=3), world.trust)
    assert [world.server.call("GET", path, world.practice).data for path in visible] == before


def test_an_error_names_nothing_that_is_hidden(world: World) -> None:
    for path in (
        "Observation/a-mh",
        "Observation/a-mh/_history/1",
        "Observation?subject=Patient/bob&_count=x",
        "Patient/bob/$break-glass",
    ):
        text = world.server.call("GET", path, world.practice).text
        assert "mental" not in text
        assert "Bob" not in text
        assert TRUST not in text
        assert CATEGORY not in text


def test_one_consent_flip_is_seen_by_the_next_request(world: World) -> None:
    assert world.server.get("Observation?_summary=count", world.practice)["total"] == 2
    body = consent(ANN, PRACTICE, status="inactive") | {"id": world.consents[0]}
    world.server.put(body, world.ann)
    assert world.server.get("Observation?_summary=count", world.practice)["total"] == 0
    world.server.put(body | {"status": "active"}, world.ann)
    assert world.server.get("Observation?_summary=count", world.practice)["total"] == 2
    world.server.call("DELETE", f"Consent/{world.consents[0]}", world.ann)
    assert world.server.get("Observation?_summary=count", world.practice)["total"] == 0
