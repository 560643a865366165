"""Privacy labels over HTTP: which one a resource gets, and what its patient makes of it (access.md §4, nhs.md §6)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from fhir_server.access import labels
from tests.consent.world import ANN, BOB, CARER, LABEL, Json, World, consent, observation, ref

MENTAL, SEXUAL, GENERAL = "mental-health", "sexual-health", "general"
PATCH = {"Content-Type": "application/json-patch+json"}
TYPES = "http://hl7.org/fhir/resource-types"
CHOSEN = {"system": LABEL, "userSelected": True}


def _codings(resource: Json) -> set[tuple[str, str]]:
    short = {LABEL: "label", labels.CONFIDENTIALITY: "level", labels.ACT_CODE: "act"}
    found = resource.get("meta", {}).get("security", ())
    return {(short.get(each["system"], each["system"]), each["code"]) for each in found}


def _patch(world: World, path: str, token: str, operations: list[Json], status: int = 200) -> Any:
    answer = world.server.call("PATCH", path, token, orjson.dumps(operations), PATCH)
    assert answer.status_code == status, answer.text
    return orjson.loads(answer.data)


def relabel(world: World, path: str, code: str, token: str = "", status: int = 200) -> Any:
    """Choose a label by JSON Patch, as Ann unless told otherwise."""
    operation = {"op": "add", "path": "/meta/security", "value": [{"system": LABEL, "code": code}]}
    return _patch(world, path, token or world.ann, [operation], status)


def _seen(world: World, path: str, token: str) -> bool:
    return world.server.call("GET", path, token).status_code == 200


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
    assert _codings(made) == {("label", MENTAL), ("level", "R"), ("act", "MH")}
    assert [each for each in made["meta"]["security"] if each["system"] == LABEL] == [{**CHOSEN, "code": MENTAL}]
    assert made["meta"]["versionId"] == "2"
    assert not _seen(world, "Observation/a-1", world.practice)
    assert "Observation/a-1" not in world.server.ids("Observation?patient=ann", world.practice)
    security = f"Observation?_security={LABEL}|{MENTAL}"
    assert world.server.ids(security, world.ann) == {"Observation/a-1", "Observation/a-mh"}
    history = world.server.get("Observation/a-1/_history", world.ann)["entry"]
    assert [_codings(each["resource"]) for each in history] == [_codings(made), {("label", GENERAL), ("level", "N")}]
    logged = world.server.get(f"AuditEvent?patient=ann&entity=Observation/a-1&agent={ANN}&action=U", world.ann)
    assert [each["resource"]["subtype"][0]["code"] for each in logged["entry"]] == ["patch"]
    back = relabel(world, "Observation/a-1", GENERAL)
    assert _codings(back) == {("label", GENERAL), ("level", "N")}
    assert _seen(world, "Observation/a-1", world.practice)


@pytest.mark.parametrize("path", ["Observation/a-2", "Encounter/a-enc", "DocumentReference/a-doc"])
def test_whatever_the_type_a_put_that_differs_by_the_label_alone_chooses_it(world: World, path: str) -> None:
    body = world.server.get(path, world.ann)
    body["meta"] = {"security": [{"system": LABEL, "code": SEXUAL}]}
    made = world.server.put(body, world.ann, 200)
    assert _codings(made) == {("label", SEXUAL), ("level", "R"), ("act", "SEX")}
    assert {name: value for name, value in made.items() if name != "meta"} == {
        name: value for name, value in body.items() if name != "meta"
    }
    assert not _seen(world, path, world.practice)


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "add", "path": "/meta/security/-", "value": {"system": LABEL, "code": MENTAL}}],
        [{"op": "replace", "path": "/meta/security/0/code", "value": MENTAL}],
        [{"op": "replace", "path": "/meta/security/0", "value": {"system": LABEL, "code": MENTAL, "display": "Mind"}}],
    ],
)
def test_a_patch_may_add_or_replace_a_label(world: World, operations: list[Json]) -> None:
    assert _codings(_patch(world, "Observation/a-1", world.ann, operations)) == {
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
        _patch(world, "Observation/a-1", world.ann, [_WITH_LABEL, change], 403)
        _patch(world, "Observation/a-1", world.ann, [change], 403)
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
        return {**world.server.get("Observation/a-1", world.ann), "meta": _sent((LABEL, code))}

    stale = world.server.call("PUT", "Observation/a-1", world.ann, wanted(MENTAL), {"If-Match": 'W/"9"'})
    assert stale.status_code == 412
    fresh = world.server.call("PUT", "Observation/a-1", world.ann, wanted(MENTAL), {"If-Match": 'W/"1"'})
    assert fresh.status_code == 200
    found = world.server.call("PUT", "Observation?_id=a-1", world.ann, wanted(SEXUAL))
    assert _label(orjson.loads(found.data)) == {SEXUAL}
    request = {"method": "PUT", "url": "Observation/a-1"}
    for kind in ("batch", "transaction"):
        for code in (GENERAL, MENTAL):
            entry = {"resource": wanted(code), "request": request}
            bundle = {"resourceType": "Bundle", "type": kind, "entry": [entry]}
            world.server.post("", world.ann, bundle, 200)
            assert _label(world.server.get("Observation/a-1", world.ann)) == {code}
    other = {"resource": wanted(GENERAL) | {"status": "amended"}, "request": request}
    world.server.post("", world.ann, {"resourceType": "Bundle", "type": "transaction", "entry": [other]}, 403)
    assert not _seen(world, "Observation/a-1", world.practice)


def test_finer_codes_go_with_the_label_they_belong_to_and_the_highest_level_stays(world: World) -> None:
    finer = [(LABEL, MENTAL), (labels.ACT_CODE, "PSY"), (labels.CONFIDENTIALITY, "V"), ("urn:vendor", "vip")]
    body = {**observation(ANN, "finer"), "meta": {"security": [{"system": s, "code": c} for s, c in finer]}}
    world.server.put(body, world.trust)
    assert ("act", "PSY") in _codings(relabel(world, "Observation/finer", MENTAL, status=200))
    assert _codings(relabel(world, "Observation/finer", GENERAL)) == {("label", GENERAL), ("level", "V")}
    assert _seen(world, "Observation/finer", world.practice)


def test_what_shares_the_verdict_follows(world: World) -> None:
    shared = ("DocumentReference/a-doc", "Binary/a-bin", "Provenance/a-prov")
    assert all(_seen(world, path, world.practice) for path in shared)
    relabel(world, shared[0], MENTAL)
    assert not any(_seen(world, path, world.practice) for path in shared)
    assert all(_seen(world, path, world.ann) for path in shared)
    relabel(world, shared[0], GENERAL)
    assert all(_seen(world, path, world.practice) for path in shared)


def test_a_container_stays_as_sensitive_as_what_it_contains(world: World) -> None:
    inner = {**observation(ANN, "in", MENTAL)}
    body = observation(ANN, "outer", contained=[inner], hasMember=[ref("#in")])
    world.server.put(body, world.trust)
    for code in (MENTAL, GENERAL):
        relabel(world, "Observation/outer", code)
        assert not _seen(world, "Observation/outer", world.practice)
    body = observation(ANN, "plain", contained=[observation(ANN, "in", "")], hasMember=[ref("#in")])
    world.server.put(body, world.trust)
    assert _seen(world, "Observation/plain", world.practice)
    relabel(world, "Observation/plain", SEXUAL)
    assert not _seen(world, "Observation/plain", world.practice)


# ---------------------------------------------------------------- the choice lasts


@pytest.mark.parametrize("label", [GENERAL, "", SEXUAL])
def test_the_author_does_not_undo_a_choice(world: World, label: str) -> None:
    relabel(world, "Observation/a-1", MENTAL)
    sent = observation(ANN, "a-1", label, value=6)
    made = world.server.put(sent, world.trust, 200)
    assert made["valueQuantity"]["value"] == 6
    assert _codings(made) == {("label", MENTAL), ("level", "R"), ("act", "MH")}
    security = {"op": "add", "path": "/meta/security", "value": [{"system": LABEL, "code": GENERAL}]}
    assert _codings(_patch(world, "Observation/a-1", world.trust, [security])) == _codings(made)
    entry = {"resource": sent, "request": {"method": "PUT", "url": "Observation/a-1"}}
    world.server.post("", world.trust, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}, 200)
    assert not _seen(world, "Observation/a-1", world.practice)
    assert {"label", MENTAL} <= {word for pair in _codings(relabel(world, "Observation/a-1", MENTAL)) for word in pair}


def test_a_choice_outlives_deletion_and_return(world: World) -> None:
    relabel(world, "Observation/a-1", MENTAL)
    assert world.server.call("DELETE", "Observation/a-1", world.trust).status_code == 204
    world.server.put(observation(ANN, "a-1", GENERAL), world.trust, 201)
    assert not _seen(world, "Observation/a-1", world.practice)


def test_a_choice_of_the_patient_opens_what_its_author_closes_again(world: World) -> None:
    relabel(world, "Observation/a-mh", GENERAL)
    assert _seen(world, "Observation/a-mh", world.practice)
    world.server.put(observation(ANN, "a-mh", MENTAL, value=1), world.trust)
    assert world.server.get("Observation/a-mh", world.practice)["valueQuantity"]["value"] == 1


def test_an_author_cannot_say_that_a_patient_chose(world: World) -> None:
    claimed = {**observation(ANN, "claimed"), "meta": {"security": [{**CHOSEN, "code": GENERAL}]}}
    made = world.server.put(claimed, world.trust)
    assert "userSelected" not in made["meta"]["security"][0]
    made = world.server.put({**claimed, "meta": {"security": [{**CHOSEN, "code": MENTAL}]}}, world.trust)
    assert "userSelected" not in str(made["meta"])
    assert ("label", MENTAL) in _codings(made)


def test_an_author_goes_on_to_withhold_and_to_release(world: World) -> None:
    relabel(world, "Observation/a-1", MENTAL)
    withheld = {"security": [{"system": labels.ACT_CODE, "code": "NOPAT"}]}
    world.server.put({**observation(ANN, "a-1"), "meta": withheld}, world.trust)
    assert not _seen(world, "Observation/a-1", world.ann)
    world.server.put(observation(ANN, "a-1", ""), world.trust)
    assert not _seen(world, "Observation/a-1", world.ann), "silence released what was withheld"
    world.server.put(observation(ANN, "a-1", GENERAL), world.trust)
    assert _codings(world.server.get("Observation/a-1", world.ann)) == {
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
    assert _codings(changed) == {("label", GENERAL), ("level", "N")}
    assert _seen(world, path, world.practice)


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
    assert not _seen(world, "Observation/a-1", world.practice)
    relabel(world, "Observation/a-1", SEXUAL, world.carer, 403)
    relabel(world, "Observation/b-1", GENERAL, world.carer, 404)
    _patch(world, "Observation/a-1", world.carer, [{"op": "replace", "path": "/status", "value": "amended"}], 403)


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
    _patch(world, path, world.ann, [operation], 403)
    assert _seen(world, path, world.practice)


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


# ---------------------------------------------------------------- which label a resource gets

_SNOMED = "http://snomed.info/sct"
_SETTINGS = {"710": MENTAL, "711": MENTAL, "712": MENTAL, "713": MENTAL, "715": MENTAL, "360": SEXUAL, "504": SEXUAL,
             "100": GENERAL}  # fmt: skip
_ORGANISATIONS = {"mental-health-trust": MENTAL, "local-authority": "social-care", "acute-trust": GENERAL, "": GENERAL}
_SENT = {
    "MH": MENTAL, "PSY": MENTAL, "PSYTHPN": MENTAL, "BH": MENTAL, "ETH": MENTAL, "ETHUD": MENTAL, "OPIOIDUD": MENTAL,
    "EMOTDIS": MENTAL, "SEX": SEXUAL, "STD": SEXUAL, "HIV": SEXUAL, "SDV": SEXUAL,
}  # fmt: skip


def _sent(*codings: tuple[str, str]) -> Json:
    return {"security": [{"system": system, "code": code} for system, code in codings]}


def _label(resource: Json) -> set[str]:
    return {code for system, code in _codings(resource) if system == "label"}


def test_a_resource_without_a_label_gets_that_of_its_source(world: World) -> None:
    for code, label in _SETTINGS.items():
        setting = {"practiceSetting": {"coding": [{"code": code}]}}
        body = {"resourceType": "DocumentReference", "status": "current", "subject": ref(ANN), "context": setting,
                "content": [{"attachment": {"title": "Letter"}}]}  # fmt: skip
        assert _label(world.server.post("DocumentReference", world.trust, body)) == {label}, code
        service = {"serviceType": {"coding": [{"code": code}]}, "class": {"code": "AMB"}, "status": "finished"}
        made = world.server.post(
            "Encounter", world.trust, {"resourceType": "Encounter", "subject": ref(ANN), **service}
        )
        assert _label(made) == {label}, code
    for number, (kind, label) in enumerate(_ORGANISATIONS.items()):
        place = f"Organization/source-{number}"
        body = {"resourceType": "Organization", "id": f"source-{number}", "name": "Source"}
        world.server.put(body | ({"type": [{"coding": [{"code": kind}]}]} if kind else {}), world.operator)
        made = world.server.post("Observation", world.server.token(place), observation(ANN, label=""))
        assert _label(made) == {label}, kind
    assert _label(world.server.post("Observation", world.ann, observation(ANN, label=""))) == {GENERAL}
    unknown = world.server.post("Observation", world.server.token("Organization/nowhere"), observation(ANN, label=""))
    assert _label(unknown) == set()


def test_the_senders_label_comes_before_its_source_and_finer_codes_bring_their_label(world: World) -> None:
    setting = {"coding": [{"code": "713"}]}
    made = world.server.post("Encounter", world.trust, {"resourceType": "Encounter", "status": "finished",
                             "class": {"code": "AMB"}, "subject": ref(ANN), "serviceType": setting,
                             "meta": _sent((LABEL, GENERAL))})  # fmt: skip
    assert _codings(made) == {("label", GENERAL), ("level", "N")}
    for code, label in _SENT.items():
        body = {**observation(ANN), "meta": _sent((labels.ACT_CODE, code))}
        made = world.server.post("Observation", world.trust, body)
        assert _label(made) == {label}, code
        assert {("act", code), ("level", "R")} <= _codings(made), code
        assert not _seen(world, f"Observation/{made['id']}", world.practice), code


def test_a_finer_code_is_shared_by_itself_or_with_the_label_it_belongs_to(world: World) -> None:
    body = world.server.get(f"Consent/{world.consents[0]}", world.ann)
    codes = ("PSY", "ETHUD", "SDV")
    for code in codes:
        world.server.put({**observation(ANN, f"x-{code}"), "meta": _sent((labels.ACT_CODE, code))}, world.trust)
    expected = {
        (labels.ACT_CODE, "PSY"): {"PSY"}, (labels.ACT_CODE, "ETHUD"): {"ETHUD"}, (labels.ACT_CODE, "SDV"): {"SDV"},
        (labels.ACT_CODE, "SUD"): {"ETHUD"}, (labels.ACT_CODE, "MH"): {"PSY", "ETHUD"},
        (LABEL, MENTAL): {"PSY", "ETHUD"}, (LABEL, SEXUAL): {"SDV"},
        (labels.ACT_CODE, "SEX"): {"SDV"}, (LABEL, GENERAL): set(),
    }  # fmt: skip
    for (system, code), found in expected.items():
        body["provision"]["securityLabel"] = [{"system": system, "code": code}]
        world.server.put(body, world.ann)
        assert {each for each in codes if _seen(world, f"Observation/x-{each}", world.practice)} == found, code
    # A deny of one leaves the other kinds of the label.
    denied = {"type": "deny", "securityLabel": [{"system": labels.ACT_CODE, "code": "PSY"}]}
    body["provision"] = {key: each for key, each in body["provision"].items() if key != "securityLabel"}
    world.server.put({**body, "provision": {**body["provision"], "provision": [denied]}}, world.ann)
    assert {each for each in codes if _seen(world, f"Observation/x-{each}", world.practice)} == {"ETHUD", "SDV"}


def test_what_has_no_label_or_one_not_understood_needs_all_four(world: World) -> None:
    nowhere = world.server.token("Organization/nowhere")
    world.server.put(observation(ANN, "unset", label=""), nowhere)
    for name, system in (("vendor", "urn:vendor"), ("act", labels.ACT_CODE), ("own", LABEL)):
        world.server.put({**observation(ANN, name), "meta": _sent((system, "mystery"), (LABEL, GENERAL))}, world.trust)
    names = ("unset", "vendor", "act", "own")
    body = world.server.get(f"Consent/{world.consents[0]}", world.ann)
    four = [{"system": LABEL, "code": code} for code in labels.BY_CODE]
    for listed, found in ((four[:3], False), (four[1:], False), (four, True), ([], True)):
        body["provision"]["securityLabel"] = listed
        if not listed:
            del body["provision"]["securityLabel"]
        world.server.put(body, world.ann)
        assert {_seen(world, f"Observation/{name}", world.practice) for name in names} == {found}
    assert _label(relabel(world, "Observation/unset", GENERAL)) == {GENERAL}
    assert _codings(relabel(world, "Observation/vendor", GENERAL)) == {("label", GENERAL), ("level", "N")}
    # To confirm a label as it stands takes nothing away; to name it alone does.
    before = world.server.get("Observation/act", world.ann)
    confirmed = world.server.put(before, world.ann, 200)
    assert _codings(confirmed) == _codings(before)
    assert {**CHOSEN, "code": GENERAL} in confirmed["meta"]["security"]
    assert _codings(relabel(world, "Observation/act", GENERAL)) == {("label", GENERAL), ("level", "N")}
