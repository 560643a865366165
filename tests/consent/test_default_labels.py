"""Which privacy label a resource gets that nobody chose one for: its sender's, its source's, that of a finer code."""

from __future__ import annotations

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
    relabel,
)
from tests.consent.world import ANN, LABEL, World, observation, ref

_SNOMED = "http://snomed.info/sct"
_SETTINGS = {"710": MENTAL, "711": MENTAL, "712": MENTAL, "713": MENTAL, "715": MENTAL, "360": SEXUAL, "504": SEXUAL,
             "100": GENERAL}  # fmt: skip
_ORGANISATIONS = {"mental-health-trust": MENTAL, "local-authority": "social-care", "acute-trust": GENERAL, "": GENERAL}
_SENT = {
    "MH": MENTAL, "PSY": MENTAL, "PSYTHPN": MENTAL, "BH": MENTAL, "ETH": MENTAL, "ETHUD": MENTAL, "OPIOIDUD": MENTAL,
    "EMOTDIS": MENTAL, "SEX": SEXUAL, "STD": SEXUAL, "HIV": SEXUAL, "SDV": SEXUAL,
}  # fmt: skip


def test_a_resource_without_a_label_gets_that_of_its_source(world: World) -> None:
    for code, label in _SETTINGS.items():
        setting = {"practiceSetting": {"coding": [{"code": code}]}}
        body = {"resourceType": "DocumentReference", "status": "current", "subject": ref(ANN), "context": setting,
                "content": [{"attachment": {"title": "Letter"}}]}  # fmt: skip
        assert labels_of(world.server.post("DocumentReference", world.trust, body)) == {label}, code
        service = {"serviceType": {"coding": [{"code": code}]}, "class": {"code": "AMB"}, "status": "finished"}
        made = world.server.post(
            "Encounter", world.trust, {"resourceType": "Encounter", "subject": ref(ANN), **service}
        )
        assert labels_of(made) == {label}, code
    for number, (kind, label) in enumerate(_ORGANISATIONS.items()):
        place = f"Organization/source-{number}"
        body = {"resourceType": "Organization", "id": f"source-{number}", "name": "Source"}
        world.server.put(body | ({"type": [{"coding": [{"code": kind}]}]} if kind else {}), world.operator)
        made = world.server.post("Observation", world.server.token(place), observation(ANN, label=""))
        assert labels_of(made) == {label}, kind
    assert labels_of(world.server.post("Observation", world.ann, observation(ANN, label=""))) == {GENERAL}
    unknown = world.server.post("Observation", world.server.token("Organization/nowhere"), observation(ANN, label=""))
    assert labels_of(unknown) == set()


def test_the_senders_label_comes_before_its_source_and_finer_codes_bring_their_label(world: World) -> None:
    setting = {"coding": [{"code": "713"}]}
    made = world.server.post("Encounter", world.trust, {"resourceType": "Encounter", "status": "finished",
                             "class": {"code": "AMB"}, "subject": ref(ANN), "serviceType": setting,
                             "meta": meta_of((LABEL, GENERAL))})  # fmt: skip
    assert codings(made) == {("label", GENERAL), ("level", "N")}
    for code, label in _SENT.items():
        body = {**observation(ANN), "meta": meta_of((labels.ACT_CODE, code))}
        made = world.server.post("Observation", world.trust, body)
        assert labels_of(made) == {label}, code
        assert {("act", code), ("level", "R")} <= codings(made), code
        assert not is_seen(world, f"Observation/{made['id']}", world.practice), code


def test_a_finer_code_is_shared_by_itself_or_with_the_label_it_belongs_to(world: World) -> None:
    body = world.server.get(f"Consent/{world.consents[0]}", world.ann)
    codes = ("PSY", "ETHUD", "SDV")
    for code in codes:
        world.server.put({**observation(ANN, f"x-{code}"), "meta": meta_of((labels.ACT_CODE, code))}, world.trust)
    expected = {
        (labels.ACT_CODE, "PSY"): {"PSY"}, (labels.ACT_CODE, "ETHUD"): {"ETHUD"}, (labels.ACT_CODE, "SDV"): {"SDV"},
        (labels.ACT_CODE, "SUD"): {"ETHUD"}, (labels.ACT_CODE, "MH"): {"PSY", "ETHUD"},
        (LABEL, MENTAL): {"PSY", "ETHUD"}, (LABEL, SEXUAL): {"SDV"},
        (labels.ACT_CODE, "SEX"): {"SDV"}, (LABEL, GENERAL): set(),
    }  # fmt: skip
    for (system, code), found in expected.items():
        body["provision"]["securityLabel"] = [{"system": system, "code": code}]
        world.server.put(body, world.ann)
        assert {each for each in codes if is_seen(world, f"Observation/x-{each}", world.practice)} == found, code
    # A deny of one leaves the other kinds of the label.
    denied = {"type": "deny", "securityLabel": [{"system": labels.ACT_CODE, "code": "PSY"}]}
    body["provision"] = {key: each for key, each in body["provision"].items() if key != "securityLabel"}
    world.server.put({**body, "provision": {**body["provision"], "provision": [denied]}}, world.ann)
    assert {each for each in codes if is_seen(world, f"Observation/x-{each}", world.practice)} == {"ETHUD", "SDV"}


def test_what_has_no_label_or_one_not_understood_needs_all_four(world: World) -> None:
    nowhere = world.server.token("Organization/nowhere")
    world.server.put(observation(ANN, "unset", label=""), nowhere)
    for name, system in (("vendor", "urn:vendor"), ("act", labels.ACT_CODE), ("own", LABEL)):
        world.server.put(
            {**observation(ANN, name), "meta": meta_of((system, "mystery"), (LABEL, GENERAL))}, world.trust
        )
    names = ("unset", "vendor", "act", "own")
    body = world.server.get(f"Consent/{world.consents[0]}", world.ann)
    four = [{"system": LABEL, "code": code} for code in labels.BY_CODE]
    for listed, found in ((four[:3], False), (four[1:], False), (four, True), ([], True)):
        body["provision"]["securityLabel"] = listed
        if not listed:
            del body["provision"]["securityLabel"]
        world.server.put(body, world.ann)
        assert {is_seen(world, f"Observation/{name}", world.practice) for name in names} == {found}
    assert labels_of(relabel(world, "Observation/unset", GENERAL)) == {GENERAL}
    assert codings(relabel(world, "Observation/vendor", GENERAL)) == {("label", GENERAL), ("level", "N")}
    # To confirm a label as it stands takes nothing away; to name it alone does.
    before = world.server.get("Observation/act", world.ann)
    confirmed = world.server.put(before, world.ann, 200)
    assert codings(confirmed) == codings(before)
    assert {**CHOSEN, "code": GENERAL} in confirmed["meta"]["security"]
    assert codings(relabel(world, "Observation/act", GENERAL)) == {("label", GENERAL), ("level", "N")}
