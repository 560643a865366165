"""Privacy labels over HTTP: what the patient makes of them, and who else may (access.md §4, nhs.md §6)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fhir_server.access import labels
from tests.consent.labelling import (
    CHOSEN,
    GENERAL,
    MENTAL,
    SEXUAL,
    codings,
    is_seen,
    labels_of,
    meta_of,
    patch,
    relabel,
)
from tests.consent.world import ANN, BOB, CARER, GP, LABEL, Json, World, consent, observation, ref

TYPES = "http://hl7.org/fhir/resource-types"


def _proxy(world: World) -> None:
    """Let the carer decide for Ann: Consents and everything general and of mental health."""
    body = consent(ANN, CARER, labels=(GENERAL, MENTAL))
    mandate = {"type": "permit", "class": [{"system": TYPES, "code": "Consent"}],
               "actor": body["provision"]["actor"]}  # fmt: skip
    body["provision"]["provision"] = [mandate]
    world.share(body)


# ---------------------------------------------------------------- the patient chooses


def test_a_chosen_label_takes_effect_is_marked_versioned_and_audited(world: World) -> None:
    made = relabel(world, "Observation/a-1", MENTAL)
    assert codings(made) == {("label", MENTAL), ("level", "R"), ("act", "MH")}
    assert [each for each in made["meta"]["security"] if each["system"] == LABEL] == [{**CHOSEN, "code": MENTAL}]
    assert made["meta"]["versionId"] == "2"
    assert not is_seen(world, "Observation/a-1", world.practice)
    assert "Observation/a-1" not in world.server.ids("Observation?patient=ann", world.practice)
    security = f"Observation?_security={LABEL}|{MENTAL}"
    assert world.server.ids(security, world.ann) == {"Observation/a-1", "Observation/a-mh"}
    history = world.server.get("Observation/a-1/_history", world.ann)["entry"]
    assert [codings(each["resource"]) for each in history] == [codings(made), {("label", GENERAL), ("level", "N")}]
    logged = world.server.get(f"AuditEvent?patient=ann&entity=Observation/a-1&agent={ANN}&action=U", world.ann)
    assert [each["resource"]["subtype"][0]["code"] for each in logged["entry"]] == ["patch"]
    back = relabel(world, "Observation/a-1", GENERAL)
    assert codings(back) == {("label", GENERAL), ("level", "N")}
    assert is_seen(world, "Observation/a-1", world.practice)


@pytest.mark.parametrize("path", ["Observation/a-2", "Encounter/a-enc", "DocumentReference/a-doc"])
def test_whatever_the_type_a_put_that_differs_by_the_label_alone_chooses_it(world: World, path: str) -> None:
    body = world.server.get(path, world.ann)
    body["meta"] = {"security": [{"system": LABEL, "code": SEXUAL}]}
    made = world.server.put(body, world.ann, 200)
    assert codings(made) == {("label", SEXUAL), ("level", "R"), ("act", "SEX")}
    assert {name: value for name, value in made.items() if name != "meta"} == {
        name: value for name, value in body.items() if name != "meta"
    }
    assert not is_seen(world, path, world.practice)


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "add", "path": "/meta/security/-", "value": {"system": LABEL, "code": MENTAL}}],
        [{"op": "replace", "path": "/meta/security/0/code", "value": MENTAL}],
        [{"op": "replace", "path": "/meta/security/0", "value": {"system": LABEL, "code": MENTAL, "display": "Mind"}}],
    ],
)
def test_a_patch_may_add_or_replace_a_label(world: World, operations: list[Json]) -> None:
    assert codings(patch(world, "Observation/a-1", world.ann, operations)) == {
        ("label", MENTAL), ("level", "R"), ("act", "MH"),
    }  # fmt: skip


_WITH_LABEL = {"op": "replace", "path": "/meta/security/0/code", "value": MENTAL}


_CHANGES: tuple[Json, ...] = (
    {"op": "replace", "path": "/status", "value": "cancelled"},
    {"op": "replace", "path": "/valueQuantity/value", "value": 6},
    {"op": "remove", "path": "/effectiveDateTime"},
    {"op": "add", "path": "/meta/tag", "value": [{"code": "x"}]},
    {"op": "add", "path": "/meta/profile", "value": ["http://example.org/p"]},
    {"op": "add", "path": "/note", "value": [{"text": "no"}]},
    {"op": "add", "path": "/meta/security/-", "value": {"system": labels.ACT_CODE, "code": "NOPAT"}},
    {"op": "add", "path": "/meta/security/-", "value": {"system": labels.ACT_CODE, "code": "HIV"}},
    {"op": "add", "path": "/meta/security/-", "value": {"system": labels.CONFIDENTIALITY, "code": "V"}},
    {"op": "add", "path": "/meta/security/-", "value": {"system": "urn:other", "code": "x"}},
    {"op": "replace", "path": "/subject/reference", "value": BOB},
)


def test_nothing_but_the_label_of_what_others_wrote_changes(world: World) -> None:
    for change in _CHANGES:
        patch(world, "Observation/a-1", world.ann, [_WITH_LABEL, change], 403)
        patch(world, "Observation/a-1", world.ann, [change], 403)
    body = world.server.get("Observation/a-1", world.ann)
    assert body["meta"]["versionId"] == "1"


@pytest.mark.parametrize(
    "security",
    [[], [{"system": LABEL, "code": "private"}], [{"system": LABEL, "code": MENTAL}, {"system": LABEL, "code": SEXUAL}],
     [{"system": labels.CONFIDENTIALITY, "code": "N"}]],
)  # fmt: skip
def test_one_of_the_four_labels_has_to_be_chosen(world: World, security: list[Json]) -> None:
    body = world.server.get("Observation/a-1", world.ann)
    del body["meta"]
    if security:
        body["meta"] = {"security": security}
    answer = world.server.call("PUT", "Observation/a-1", world.ann, body)
    assert answer.status_code == 422
    assert "Observation.meta.security" in answer.text
    assert GENERAL in answer.text


def test_a_label_is_chosen_by_every_kind_of_update_and_heeds_preconditions(world: World) -> None:
    def wanted(code: str) -> Json:
        return {**world.server.get("Observation/a-1", world.ann), "meta": meta_of((LABEL, code))}

    stale = world.server.call("PUT", "Observation/a-1", world.ann, wanted(MENTAL), {"If-Match": 'W/"9"'})
    assert stale.status_code == 412
    fresh = world.server.call("PUT", "Observation/a-1", world.ann, wanted(MENTAL), {"If-Match": 'W/"1"'})
    assert fresh.status_code == 200
    found = world.server.call("PUT", "Observation?_id=a-1", world.ann, wanted(SEXUAL))
    assert labels_of(orjson.loads(found.data)) == {SEXUAL}
    request = {"method": "PUT", "url": "Observation/a-1"}
    for kind in ("batch", "transaction"):
        for code in (GENERAL, MENTAL):
            entry = {"resource": wanted(code), "request": request}
            bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
            world.server.post("", world.ann, bundle, 200)
            assert labels_of(world.server.get("Observation/a-1", world.ann)) == {code}
    other = {"resource": wanted(GENERAL) | {"status": "amended"}, "request": request}
    world.server.post("", world.ann, {"resourceType": "Bundle", "type": "transaction", "entry": [other]}, 403)
    assert not is_seen(world, "Observation/a-1", world.practice)


def test_finer_codes_go_with_the_label_they_belong_to_and_the_highest_level_stays(world: World) -> None:
    finer = [(LABEL, MENTAL), (labels.ACT_CODE, "PSY"), (labels.CONFIDENTIALITY, "V"), ("urn:vendor", "vip")]
    body = {**observation(ANN, "finer"), "meta": {"security": [{"system": s, "code": c} for s, c in finer]}}
    world.server.put(body, world.trust)
    assert ("act", "PSY") in codings(relabel(world, "Observation/finer", MENTAL, status=200))
    assert codings(relabel(world, "Observation/finer", GENERAL)) == {("label", GENERAL), ("level", "V")}
    assert is_seen(world, "Observation/finer", world.practice)


def test_what_shares_the_verdict_follows(world: World) -> None:
    shared = ("DocumentReference/a-doc", "Binary/a-bin", "Provenance/a-prov")
    assert all(is_seen(world, path, world.practice) for path in shared)
    relabel(world, shared[0], MENTAL)
    assert not any(is_seen(world, path, world.practice) for path in shared)
    assert all(is_seen(world, path, world.ann) for path in shared)
    relabel(world, shared[0], GENERAL)
    assert all(is_seen(world, path, world.practice) for path in shared)


def test_a_container_stays_as_sensitive_as_what_it_contains(world: World) -> None:
    inner = {**observation(ANN, "in", MENTAL)}
    body = observation(ANN, "outer", contained=[inner], hasMember=[ref("#in")])
    world.server.put(body, world.trust)
    for code in (MENTAL, GENERAL):
        relabel(world, "Observation/outer", code)
        assert not is_seen(world, "Observation/outer", world.practice)
    body = observation(ANN, "plain", contained=[observation(ANN, "in", "")], hasMember=[ref("#in")])
    world.server.put(body, world.trust)
    assert is_seen(world, "Observation/plain", world.practice)
    relabel(world, "Observation/plain", SEXUAL)
    assert not is_seen(world, "Observation/plain", world.practice)


def test_a_level_that_nobody_stated_is_that_of_the_labels(world: World) -> None:
    normal = consent(ANN, GP, labels=(), securityLabel=[{"system": labels.CONFIDENTIALITY, "code": "N"}])
    world.share(normal)
    mixed = {"security": [{"system": LABEL, "code": code} for code in (GENERAL, MENTAL)]}
    inner = observation(ANN, "in", MENTAL)
    world.server.put({**observation(ANN, "mixed"), "meta": mixed}, world.trust)
    world.server.put(observation(ANN, "holds", contained=[inner], hasMember=[ref("#in")]), world.trust)
    found = world.server.ids("Observation?patient=ann", world.server.token(GP))
    assert "a-1" in {name.partition("/")[2] for name in found}
    assert found.isdisjoint({"Observation/mixed", "Observation/holds", "Observation/a-mh"})


# ---------------------------------------------------------------- the choice lasts


@pytest.mark.parametrize("label", [GENERAL, "", SEXUAL])
def test_the_author_does_not_undo_a_choice(world: World, label: str) -> None:
    relabel(world, "Observation/a-1", MENTAL)
    sent = observation(ANN, "a-1", label, value=6)
    made = world.server.put(sent, world.trust, 200)
    assert made["valueQuantity"]["value"] == 6
    assert codings(made) == {("label", MENTAL), ("level", "R"), ("act", "MH")}
    security = {"op": "add", "path": "/meta/security", "value": [{"system": LABEL, "code": GENERAL}]}
    assert codings(patch(world, "Observation/a-1", world.trust, [security])) == codings(made)
    entry = {"resource": sent, "request": {"method": "PUT", "url": "Observation/a-1"}}
    world.server.post("", world.trust, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, 200)
    assert not is_seen(world, "Observation/a-1", world.practice)
    assert {"label", MENTAL} <= {word for pair in codings(relabel(world, "Observation/a-1", MENTAL)) for word in pair}


def test_a_choice_outlives_deletion_and_return(world: World) -> None:
    relabel(world, "Observation/a-1", MENTAL)
    assert world.server.call("DELETE", "Observation/a-1", world.trust).status_code == 204
    world.server.put(observation(ANN, "a-1", GENERAL), world.trust, 201)
    assert not is_seen(world, "Observation/a-1", world.practice)


def test_a_choice_of_the_patient_opens_what_its_author_closes_again(world: World) -> None:
    relabel(world, "Observation/a-mh", GENERAL)
    assert is_seen(world, "Observation/a-mh", world.practice)
    world.server.put(observation(ANN, "a-mh", MENTAL, value=1), world.trust)
    assert world.server.get("Observation/a-mh", world.practice)["valueQuantity"]["value"] == 1


def test_an_author_cannot_say_that_a_patient_chose(world: World) -> None:
    claimed = {**observation(ANN, "claimed"), "meta": {"security": [{**CHOSEN, "code": GENERAL}]}}
    made = world.server.put(claimed, world.trust)
    assert "userSelected" not in made["meta"]["security"][0]
    made = world.server.put({**claimed, "meta": {"security": [{**CHOSEN, "code": MENTAL}]}}, world.trust)
    assert "userSelected" not in str(made["meta"])
    assert ("label", MENTAL) in codings(made)


def test_an_author_goes_on_to_withhold_and_to_release(world: World) -> None:
    relabel(world, "Observation/a-1", MENTAL)
    withheld = {"security": [{"system": labels.ACT_CODE, "code": "NOPAT"}]}
    world.server.put({**observation(ANN, "a-1"), "meta": withheld}, world.trust)
    assert not is_seen(world, "Observation/a-1", world.ann)
    world.server.put(observation(ANN, "a-1", ""), world.trust)
    assert not is_seen(world, "Observation/a-1", world.ann), "silence released what was withheld"
    world.server.put(observation(ANN, "a-1", GENERAL), world.trust)
    assert codings(world.server.get("Observation/a-1", world.ann)) == {
        ("label", MENTAL),
        ("level", "R"),
        ("act", "MH"),
    }


def test_the_label_of_a_patients_own_measurement_is_their_choice(world: World) -> None:
    made = world.server.post("Observation", world.ann, observation(ANN, "", MENTAL))
    path = f"Observation/{made['id']}"
    assert {**CHOSEN, "code": MENTAL} in made["meta"]["security"]
    body = {**made, "meta": {"security": [{"system": LABEL, "code": GENERAL}, *made["meta"]["security"][1:]]}}
    changed = world.server.put({**body, "status": "amended"}, world.ann, 200)
    assert codings(changed) == {("label", GENERAL), ("level", "N")}
    assert is_seen(world, path, world.practice)


# ---------------------------------------------------------------- who may choose


def test_nobody_else_relabels(world: World) -> None:
    body = {**world.server.get("Observation/a-1", world.ann), "meta": {"security": [{"system": LABEL, "code": MENTAL}]}}
    for token in (world.practice, world.gp):
        assert world.server.call("PUT", "Observation/a-1", token, body).status_code == 403
    for token in (world.bob, world.carer):
        assert world.server.call("PUT", "Observation/a-1", token, body).status_code == 404
    world.share(consent(ANN, CARER))
    assert world.server.call("PUT", "Observation/a-1", world.carer, body).status_code == 403


def test_a_full_proxy_chooses_within_what_it_sees(world: World) -> None:
    _proxy(world)
    made = relabel(world, "Observation/a-1", MENTAL, world.carer)
    assert {**CHOSEN, "code": MENTAL} in made["meta"]["security"]
    assert not is_seen(world, "Observation/a-1", world.practice)
    relabel(world, "Observation/a-1", SEXUAL, world.carer, 403)
    relabel(world, "Observation/b-1", GENERAL, world.carer, 404)
    patch(world, "Observation/a-1", world.carer, [{"op": "replace", "path": "/status", "value": "amended"}], 403)


def test_a_proxy_who_only_reads_consents_chooses_no_label(world: World) -> None:
    body = consent(ANN, CARER)
    body["provision"]["provision"] = [
        {"type": "permit", "class": [{"system": TYPES, "code": "Consent"}], "actor": body["provision"]["actor"],
         "action": [{"coding": [{"code": "access"}]}]}
    ]  # fmt: skip
    world.share(body)
    assert world.server.ids("Consent", world.carer)
    relabel(world, "Observation/a-1", MENTAL, world.carer, 403)


@pytest.mark.parametrize(
    "path", ["Patient/ann", "Binary/a-bin", "Provenance/a-prov", "Organization/trust", "PractitionerRole/role-0"]
)
def test_what_has_no_label_of_its_own_gets_none(world: World, path: str) -> None:
    operation = {"op": "add", "path": "/meta", "value": {"security": [{"system": LABEL, "code": MENTAL}]}}
    patch(world, path, world.ann, [operation], 403)
    assert is_seen(world, path, world.practice)


@pytest.mark.parametrize(
    "scope, status",
    [("patient/*.cruds", 200), ("patient/Observation.cruds patient/Consent.cu", 200),
     ("patient/Observation.cruds", 403),
     ("patient/Observation.rs patient/Consent.cruds", 403), ("patient/Observation.cruds patient/Consent.rs", 403)],
)  # fmt: skip
def test_an_app_needs_the_right_to_write_consents_to_choose_a_label(world: World, scope: str, status: int) -> None:
    relabel(world, "Observation/a-1", MENTAL, world.server.token(ANN, scope, client_id="app"), status)


def test_a_type_the_patient_never_writes_is_not_made_by_a_conditional_update(world: World) -> None:
    body = {"resourceType": "Condition", "subject": ref(ANN)}
    assert world.server.call("PUT", "Condition?identifier=urn:x|1", world.ann, body).status_code == 403
    assert world.server.call("PUT", "Condition/new", world.ann, {**body, "id": "new"}).status_code == 404
    assert world.server.call("POST", "Condition", world.ann, body).status_code == 403
    assert world.server.call("DELETE", "Encounter/a-enc", world.ann).status_code == 403


def test_labels_that_are_no_codings_are_refused(world: World) -> None:
    body = world.server.get("Observation/a-1", world.ann)
    securities: list[Any] = [["x"], 5, "x", {}, [5], [None], [[]], [{"system": 5, "code": {}}]]
    for security in securities:
        sent = {**body, "meta": {"security": security}}
        for token in (world.ann, world.trust):
            assert world.server.call("PUT", "Observation/a-1", token, sent).status_code in {400, 422}, security
        assert world.server.call("POST", "Observation", world.trust, sent).status_code in {400, 422}, security
