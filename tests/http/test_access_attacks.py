"""Attacks on the gate through HTTP, each by somebody with a token of their own; the threat model names what remains."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fhir_server.access import tokens
from tests.consent.world import (
    ANN,
    BOB,
    CONSULTANT,
    GP,
    LABEL,
    NHS,
    PRACTICE,
    TRUST,
    Json,
    World,
    consent,
    document,
    observation,
    ref,
)

_BASE = "http://localhost/fhir"


def _status(world: World, token: str, method: str, path: str, body: Any = None, **more: Any) -> int:
    return world.server.call(method, path, token, body, **more).status_code


def _role(logical_id: str, practitioner: str, organization: str) -> Json:
    return {
        "resourceType": "PractitionerRole",
        "id": logical_id,
        "practitioner": ref(practitioner),
        "organization": ref(organization),
    }


# ---------------------------------------------------------------- widening somebody's closure


@pytest.mark.parametrize(
    "organization", [PRACTICE, f"{_BASE}/{PRACTICE}", f"{PRACTICE}/_history/1", "Organization/new"]
)
def test_an_organisation_gives_roles_in_itself_only(world: World, organization: str) -> None:
    assert _status(world, world.trust, "PUT", "PractitionerRole/mine", _role("mine", CONSULTANT, organization)) == 403
    body = {name: value for name, value in _role("mine", CONSULTANT, PRACTICE).items() if name != "organization"}
    assert _status(world, world.trust, "PUT", "PractitionerRole/mine", body) == 403
    assert _status(world, world.trust, "PUT", "PractitionerRole/mine", _role("mine", GP, TRUST)) == 201
    moved = _role("mine", CONSULTANT, PRACTICE)
    assert _status(world, world.trust, "PUT", "PractitionerRole/mine", moved) == 403


def test_a_foreign_role_does_not_become_the_author_of_what_its_holder_writes(world: World) -> None:
    world.server.put(_role("lure", GP, TRUST), world.trust)
    token = world.server.token(GP)
    made = world.server.post("Observation", token, observation(ANN, value=77))
    assert made["id"] not in str(world.server.ids("Observation?value-quantity=77", world.trust))


@pytest.mark.parametrize(
    "kind", ["Organization", "Endpoint", "CodeSystem", "Task", "AuditEvent", "Subscription", "Consent"]
)
def test_a_feed_writes_neither_the_directory_of_others_nor_rules(world: World, kind: str) -> None:
    body = {"resourceType": kind, "id": "trust"}
    assert _status(world, world.trust, "PUT", f"{kind}/trust", body) == 403
    assert _status(world, world.trust, "DELETE", f"{kind}/trust") == 403


def test_a_feed_changes_its_own_rows_only(world: World) -> None:
    for body in (_role("role-0", CONSULTANT, TRUST), {"resourceType": "Practitioner", "id": "gp"}):
        path = f"{body['resourceType']}/{body['id']}"
        assert _status(world, world.trust, "PUT", path, body) == 403
        assert _status(world, world.practice, "DELETE", "Observation/a-1") == 403


@pytest.mark.parametrize("kind", ["CareTeam", "Group"])
def test_a_team_or_group_opens_nothing(world: World, kind: str) -> None:
    body: Json = {"resourceType": kind, "id": "team"}
    if kind == "CareTeam":
        body |= {"subject": ref(BOB), "participant": [{"member": ref(PRACTICE)}]}
    else:
        body |= {"type": "practitioner", "actual": True, "member": [{"entity": ref(GP)}]}
    world.server.put(body, world.trust)
    assert _status(world, world.practice, "GET", "Patient/bob") == 404
    assert _status(world, world.gp, "GET", "Patient/bob") == 404


# ---------------------------------------------------------------- pulling a record into one's own


@pytest.mark.parametrize(
    "body",
    [
        observation(ANN, performer=[ref(BOB)]),
        observation(BOB),
        observation(f"{_BASE}/{BOB}"),
        observation(f"{BOB}/_history/1"),
        {**observation(ANN), "contained": [observation(BOB, "inner")], "hasMember": [ref("#inner")]},
        {**observation(ANN), "subject": {"identifier": {"system": NHS, "value": "9990000002"}}},
        {k: v for k, v in observation(ANN).items() if k != "subject"},
    ],
)
def test_a_patient_writes_about_nobody_else(world: World, body: Json) -> None:
    before = world.server.get("Observation?_summary=count", world.bob)["total"]
    assert _status(world, world.ann, "POST", "Observation", body) == 403
    assert world.server.get("Observation?_summary=count", world.bob)["total"] == before


@pytest.mark.parametrize(
    "context",
    ["DocumentReference/b-doc", f"{_BASE}/DocumentReference/b-doc", "DocumentReference/none", BOB, "Binary/b-bin"],
)
def test_a_patient_ties_a_binary_to_own_documents_only(world: World, context: str) -> None:
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk=", "securityContext": ref(context)}
    assert _status(world, world.ann, "POST", "Binary", binary) == 403


@pytest.mark.parametrize("hidden", ["DocumentReference/b-doc", "DocumentReference/a-doc-mh", "Encounter/b-enc", BOB])
def test_a_professional_cannot_feel_for_hidden_targets(world: World, hidden: str) -> None:
    provenance = {"resourceType": "Provenance", "recorded": "2026-03-01T09:00:00Z", "agent": [{"who": ref(GP)}]}
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "aGk="}
    answers = set()
    for target in (hidden, f"{hidden.partition('/')[0]}/nowhere"):
        first = world.server.call("POST", "Binary", world.gp, {**binary, "securityContext": ref(target)})
        second = world.server.call("POST", "Provenance", world.gp, {**provenance, "target": [ref(target)]})
        answers.add((first.status_code, first.text, second.status_code, second.text))
    assert len(answers) == 1
    seen = {**binary, "securityContext": ref("DocumentReference/a-doc")}
    assert _status(world, world.gp, "POST", "Binary", seen) == 201


def test_a_binary_header_cannot_name_a_foreign_document(world: World) -> None:
    headers = {"Content-Type": "text/plain", "X-Security-Context": "DocumentReference/b-doc"}
    assert _status(world, world.ann, "POST", "Binary", b"hi", headers=headers) == 403


def test_an_absolute_security_context_of_this_server_counts(world: World) -> None:
    binary = {"resourceType": "Binary", "id": "abs", "contentType": "text/plain", "data": "aGk=",
              "securityContext": ref(f"{_BASE}/DocumentReference/a-doc-mh")}  # fmt: skip
    world.server.put(binary, world.trust)
    assert _status(world, world.ann, "GET", "Binary/abs") == 200
    assert _status(world, world.practice, "GET", "Binary/abs") == 404


def test_a_linked_patient_needs_both(world: World) -> None:
    body = world.server.get("Patient/ann", world.trust) | {"link": [{"other": ref(BOB), "type": "seealso"}]}
    world.server.put(body, world.trust)
    for token in (world.practice, world.gp, world.bob, world.ann):
        assert _status(world, token, "GET", "Patient/ann") == 404
    assert _status(world, world.bob, "GET", "Observation/a-1") == 404


# ---------------------------------------------------------------- Consent


@pytest.mark.parametrize(
    "patient",
    [
        BOB,
        f"{_BASE}/{BOB}",
        f"{BOB}/_history/1",
        f"{_BASE}/{ANN}",
        f"{ANN}/_history/1",
        f"{ANN}|2",
        "#ann",
        "Patient/",
        "Patient/ann/",
    ],
)
def test_a_consent_is_for_exactly_ones_own_record(world: World, patient: str) -> None:
    assert _status(world, world.ann, "POST", "Consent", consent(patient, GP)) in {400, 403, 422}
    assert world.server.get("Consent?_summary=count", world.ann)["total"] == 1
    assert _status(world, world.gp, "GET", "Patient/bob") == 404


def test_nobody_but_the_patient_writes_a_consent(world: World) -> None:
    app = world.server.token(ANN, "patient/Observation.cruds", client_id="app")
    for token in (world.bob, world.trust, world.practice, world.gp, world.consultant, world.carer, app):
        assert _status(world, token, "POST", "Consent", consent(ANN, GP, labels=("mental-health",))) == 403
        body = consent(ANN, PRACTICE) | {"id": world.consents[0]}
        assert _status(world, token, "PUT", f"Consent/{world.consents[0]}", body) in {403, 404}
        assert _status(world, token, "DELETE", f"Consent/{world.consents[0]}") in {204, 403}
    assert world.server.get(f"Consent/{world.consents[0]}", world.ann)["meta"]["versionId"] == "1"


def test_a_consent_cannot_be_moved_to_another_record(world: World) -> None:
    body = consent(BOB, GP) | {"id": world.consents[0]}
    assert _status(world, world.ann, "PUT", f"Consent/{world.consents[0]}", body) == 403
    patch = b'[{"op":"replace","path":"/patient/reference","value":"Patient/bob"}]'
    headers = {"Content-Type": "application/json-patch+json"}
    assert _status(world, world.ann, "PATCH", f"Consent/{world.consents[0]}", patch, headers=headers) == 403
    assert _status(world, world.gp, "GET", "Patient/bob") == 404
    assert world.server.get("Observation?_summary=count", world.practice)["total"] == 2


# ---------------------------------------------------------------- ids, labels, tokens


def test_professionals_and_patients_choose_no_ids(world: World) -> None:
    for token, patient in ((world.gp, ANN), (world.ann, ANN)):
        for name in ("mine", "b-mh"):
            assert _status(world, token, "PUT", f"Observation/{name}", observation(patient, name)) == 404
            assert _status(world, token, "PUT", f"Observation?_id={name}", observation(patient, name)) in {
                404,
                400,
                403,
            }
            put = {
                "resource": observation(patient, name),
                "request": {"method": "PUT", "url": f"Observation?_id=x{name}"},
            }
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [put]}
            assert _status(world, token, "POST", "", bundle) == 404


def test_a_conditional_update_does_not_overwrite_what_its_id_names(world: World) -> None:
    assert _status(world, world.trust, "PUT", "Observation?_id=none", observation(ANN, "a-1", value=1)) == 409
    assert world.server.get("Observation/a-1", world.trust)["meta"]["versionId"] == "1"


def test_an_update_without_labels_keeps_what_hides_the_resource(world: World) -> None:
    for body in (observation(ANN, "a-mh", ""), observation(ANN, "a-mh", "") | {"meta": {"tag": [{"code": "x"}]}}):
        world.server.put(body, world.trust)
        assert _status(world, world.practice, "GET", "Observation/a-mh") == 404


def test_a_sensitive_contained_resource_hides_its_container_and_a_general_one_reveals_nothing(world: World) -> None:
    inner = {
        "resourceType": "Condition",
        "id": "c",
        "subject": ref(ANN),
        "meta": {"security": [{"system": LABEL, "code": "mental-health"}]},
    }
    world.server.put({**observation(ANN, "outer"), "contained": [inner], "focus": [ref("#c")]}, world.trust)
    assert _status(world, world.practice, "GET", "Observation/outer") == 404
    inner = inner | {"meta": {"security": [{"system": LABEL, "code": "general"}]}}
    world.server.put(
        {**observation(ANN, "outer2", "mental-health"), "contained": [inner], "focus": [ref("#c")]}, world.trust
    )
    assert _status(world, world.practice, "GET", "Observation/outer2") == 404


_GENERAL = {"system": LABEL, "code": "general"}


@pytest.mark.parametrize(
    "security",
    [
        [{"system": LABEL, "code": "generaL"}],
        [{"system": "urn:x", "code": "general"}],
        [{"code": "general"}],
        [_GENERAL, {"system": LABEL, "code": "mental-health"}],
        [_GENERAL] * 300 + [{"system": "urn:y", "code": "z"}],
    ],
)
def test_a_label_that_is_not_understood_hides(world: World, security: list[Json]) -> None:
    world.server.put({**observation(ANN, "odd"), "meta": {"security": security}}, world.trust)
    assert _status(world, world.practice, "GET", "Observation/odd") == 404
    assert _status(world, world.ann, "GET", "Observation/odd") == 200


def test_a_token_stops_with_its_grant_its_expiry_and_its_account(world: World) -> None:
    short = world.server.token(PRACTICE, expires_in_s=60)
    ended = world.server.token(PRACTICE, grant_id="g1")
    assert _status(world, short, "GET", "Patient/ann") == 200
    with world.server.store.write() as session:
        tokens.revoke_grant(session, "g1", world.server.clock())
    assert _status(world, ended, "GET", "Patient/ann") == 401
    world.server.clock.at += timedelta(seconds=60)
    assert _status(world, short, "GET", "Patient/ann") == 401
    assert _status(world, "", "GET", "Patient/ann") == 401
    assert _status(world, "x" * 5000, "GET", "Patient/ann") == 401


def test_an_unknown_purpose_opens_nothing_and_no_header_changes_one(world: World) -> None:
    for purpose, status in (("TREAT", 200), ("HMARKT", 404), ("XXX", 404), ("", 404)):
        limited = world.server.token(GP, purpose=purpose)
        world.share(consent(ANN, GP, purpose=[{"code": "TREAT"}])) if purpose == "TREAT" else None
        body = consent(ANN, PRACTICE, status="inactive") | {"id": world.consents[0]}
        world.server.put(body, world.ann)
        assert _status(world, limited, "GET", "Patient/ann", headers={"X-Purpose": "TREAT"}) == status


@pytest.mark.parametrize(
    "path",
    [
        "Patient/ann%00",
        "Patient/%C3%A4nn",
        "Patient/ann%2F..%2Fbob",
        "Patient/../Patient/bob",
        "Patient/ann'--",
        "Patient/%EF%BC%A1NN",
        "Observation/a-mh%20",
        "patient/bob",
    ],
)
def test_odd_ids_are_unknown(world: World, path: str) -> None:
    assert _status(world, world.practice, "GET", path) in {400, 404}


def test_a_feed_learns_from_a_taken_id_only_that_it_is_taken(world: World) -> None:
    """The stated exception: a feed chooses ids, so it is told when one cannot be used; the content stays."""
    answer = world.server.call("PUT", "Observation/a-mh", world.practice, observation(ANN, "a-mh"))
    assert answer.status_code == 409
    assert set(answer.get_json()) == {"resourceType", "issue"}
    assert world.server.get("Observation/a-mh", world.trust)["meta"]["versionId"] == "1"


@pytest.mark.parametrize(
    "criteria",
    [
        f"identifier={NHS}|",
        f"identifier={NHS}|9990000001,{NHS}|9990000002",
        "name=Bob",
        f"identifier={NHS}|9990000002&name=Bob",
        "_id=bob",
    ],
)
def test_the_mandate_to_match_people_is_for_one_whole_number(world: World, criteria: str) -> None:
    body = {"resourceType": "Patient", "name": [{"family": "New"}], "birthDate": "1999-01-01"}
    answer = world.server.call("POST", "Patient", world.practice, body, {"If-None-Exist": criteria})
    assert answer.status_code in {201, 200, 412}
    assert "bob" not in answer.headers.get("Location", "")
    assert "Bob" not in answer.text


def test_the_mandate_discloses_an_id_only_for_number_and_birth_date(world: World) -> None:
    body = {
        "resourceType": "Patient",
        "identifier": [{"system": NHS, "value": "9990000002"}],
        "birthDate": "1981-04-02",
    }
    headers = {"If-None-Exist": f"identifier={NHS}|9990000002"}
    found = world.server.call("POST", "Patient", world.practice, body, headers)
    assert (found.status_code, found.data) == (200, b"")
    wrong = world.server.call("POST", "Patient", world.practice, {**body, "birthDate": "1981-04-03"}, headers)
    assert wrong.status_code == 409
    assert "bob" not in wrong.text


def test_a_professional_writes_for_who_permits_only(world: World) -> None:
    assert _status(world, world.gp, "POST", "Observation", observation(ANN)) == 201
    assert _status(world, world.gp, "POST", "Observation", observation(BOB)) == 403
    assert _status(world, world.gp, "POST", "Observation", observation(ANN, label="mental-health")) == 403
    assert _status(world, world.gp, "POST", "DocumentReference", document(BOB, "x", "general")) == 403
    assert _status(world, world.gp, "PUT", "Observation/a-1", observation(ANN, "a-1")) == 403
