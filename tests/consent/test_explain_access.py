"""`$explain-access`: the gate's own decision in words, for those only who may read the patient's Consents."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.operations.counting import COMPARTMENT_TYPES
from fhir_server.spec import definitions
from tests.consent.shares import ACTORS, ROWS, consents, denial, named, part, share_only, token_of
from tests.consent.world import (
    ANN,
    BOB,
    CARER,
    CONSULTANT,
    GP,
    LABEL,
    PRACTICE,
    TRUST,
    Json,
    World,
    consent,
    ref,
    staff_token,
)

_FEW = settings(
    max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
_ABSENT = "Observation/nowhere"
_DENY = "https://profiles.ihe.net/ITI/PCF/Policy-deny"


def _explain(world: World, row: str, actor: str, token: str = "", **query: str) -> Json:
    more = "".join(f"&{name}={value}" for name, value in query.items())
    found: Json = world.server.get(f"{row}/$explain-access?actor={actor}{more}", token or world.ann)
    return found


def _one(body: Json, name: str) -> str:
    (found,) = named(body, name)
    return str(next(value for key, value in found.items() if key.startswith("value")))


def _says(world: World, row: str, actor: str, token: str = "", **query: str) -> tuple[str, str]:
    body = _explain(world, row, actor, token, **query)
    return _one(body, "decision"), _one(body, "reason")


def test_types_are_those_of_the_patient_compartment() -> None:
    known = definitions.load()
    compartment = {name for name in known.resource_types if known.compartment_parameters("Patient", name)}
    assert set(COMPARTMENT_TYPES) == compartment - {"AuditEvent"} | {"Patient"}


@_FEW
@given(bodies=st.lists(consents(), min_size=1, max_size=3))
def test_the_decision_is_what_a_read_by_that_actor_answers(world: World, bodies: list[Json]) -> None:
    share_only(world, bodies)
    for row in ROWS:
        for actor in ACTORS:
            read = world.server.call("GET", row, token_of(world, actor)).status_code
            decision, reason = _says(world, row, actor)
            assert (decision == "permit") is (read == 200), (row, actor, reason, bodies)


def test_the_consent_and_the_provision_that_decided_are_named(world: World) -> None:
    body = _explain(world, "Observation/a-1", GP)
    assert _one(body, "decision") == "permit"
    assert _one(body, "reason") == "consent"
    (rule,) = named(body, "rule")
    assert part(rule, "consent") == [ref(f"Consent/{world.consents[0]}")]
    assert part(rule, "provision") == ["Consent.provision"]
    assert part(rule, "matched") == ["permit"]
    assert part(rule, "stands") == [True]


def test_a_denial_and_its_exception_are_told_apart(world: World) -> None:
    share_only(world, [])
    general = {"type": "permit", "securityLabel": [{"system": LABEL, "code": "general"}],
               "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(PRACTICE)}]}  # fmt: skip
    world.share(denial("", general))
    body = _explain(world, "Observation/a-1", GP)
    rules = [(part(rule, "provision"), part(rule, "matched"), part(rule, "stands")) for rule in named(body, "rule")]
    assert rules == [
        (["Consent.provision"], ["deny"], [False]),
        (["Consent.provision.provision[0]"], ["permit"], [True]),
    ]
    assert "but a provision inside it says otherwise" in part(named(body, "rule")[0], "reason")[0]
    assert _says(world, "Observation/a-mh", GP) == ("deny", "denied")


def test_no_consent_at_all_and_one_that_leaves_it_out_are_told_apart(world: World) -> None:
    hidden = _explain(world, "Observation/a-mh", GP)
    assert (_one(hidden, "decision"), _one(hidden, "reason")) == ("deny", "no-permit")
    assert "information of this kind" in _one(hidden, "text")
    share_only(world, [])
    assert "None names them" in _one(_explain(world, "Observation/a-mh", GP), "text")


def test_own_data_owner_and_directory_are_explained(world: World) -> None:
    assert _says(world, "Observation/a-mh", TRUST) == ("permit", "own-data")
    assert _says(world, "Observation/a-mh", CONSULTANT) == ("permit", "own-data")
    assert _says(world, "Observation/a-mh", ANN) == ("permit", "owner")
    assert _says(world, "Observation/a-mh", BOB) == ("deny", "no-permit")
    assert _says(world, "Organization/trust", BOB) == ("permit", "directory")


def test_what_a_consent_denies_its_author_is_told_beside_own_data(world: World) -> None:
    share_only(world, [])
    world.share(consent(ANN, TRUST, type="deny"))
    body = _explain(world, "Observation/a-1", TRUST)
    assert _one(body, "decision") == "permit"
    assert [part(rule, "matched") for rule in named(body, "rule")] == [["deny"], ["permit"]]


def test_a_consent_is_never_shown_to_a_grantee(world: World) -> None:
    assert _says(world, f"Consent/{world.consents[0]}", GP) == ("deny", "no-permit")


def test_the_purpose_decides(world: World) -> None:
    share_only(world, [])
    system = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    world.share(consent(ANN, GP, purpose=[{"system": system, "code": "HRESCH"}]))
    assert _says(world, "Observation/a-1", GP) == ("deny", "no-permit")
    assert _says(world, "Observation/a-1", GP, purpose="HRESCH") == ("permit", "consent")


def test_an_emergency_is_explained_while_it_runs(world: World) -> None:
    parameters = [
        {"name": "reasonCode",
         "valueCoding": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "ETREAT"}},
        {"name": "reason", "valueString": "Found unconscious at home, needs the list of medicines"},
        {"name": "declaration", "valueBoolean": True},
    ]  # fmt: skip
    body = {"resourceType": "Parameters", "parameter": parameters}
    world.server.post("Patient/ann/$break-glass", world.gp, body, 200)
    explained = _explain(world, "Observation/a-mh", GP)
    assert (_one(explained, "decision"), _one(explained, "reason")) == ("permit", "emergency")
    assert "Emergency access until 22 November 2026, 10:00 UTC" in part(named(explained, "rule")[0], "reason")[0]
    assert _says(world, "Observation/a-mh", PRACTICE) == ("deny", "no-permit")
    world.server.clock.advance(minutes=61)
    assert _says(world, "Observation/a-mh", GP) == ("deny", "no-permit")


def test_switched_off_sharing_is_explained(world: World) -> None:
    share_only(world, [])
    world.share(denial(_DENY))
    body = _explain(world, "Observation/a-1", GP)
    assert (_one(body, "decision"), _one(body, "reason")) == ("deny", "denied")
    assert any("All sharing is switched off" in part(rule, "reason")[0] for rule in named(body, "rule"))


def _refused(world: World) -> Iterator[tuple[str, str]]:
    yield "another patient", world.bob
    yield "a carer who is no full proxy", world.carer
    yield "a grantee", world.gp
    yield "a grantee's organisation", world.practice
    yield "the author", world.trust


def test_everybody_else_gets_one_answer_for_seen_hidden_and_absent(world: World) -> None:
    for who, token in _refused(world):
        answers = []
        for row in ("Observation/a-1", "Observation/a-mh", _ABSENT):
            answer = world.server.call("GET", f"{row}/$explain-access?actor={GP}", token)
            assert answer.status_code in {403, 404}, who
            answers.append((answer.status_code, answer.text.replace(row, "")))
        assert len(set(answers)) == 1, who


def test_a_full_proxy_and_the_patient_get_the_same_answer(world: World) -> None:
    types = [{"system": "http://hl7.org/fhir/resource-types", "code": "Consent"}]
    everything: Json = {"type": "permit", "class": types,
                        "actor": [{"role": {"coding": [{"code": "IRCP"}]}, "reference": ref(CARER)}]}  # fmt: skip
    world.share(consent(ANN, CARER, labels=(), provision=[everything]))
    assert _explain(world, "Observation/a-mh", GP, world.carer) == _explain(world, "Observation/a-mh", GP)
    assert world.server.call("GET", f"Observation/b-1/$explain-access?actor={GP}", world.carer).status_code == 404


def test_a_privacy_officer_is_answered_other_staff_are_not(world: World) -> None:
    officer = staff_token(world, "privacy-officer")
    assert _explain(world, "Observation/a-mh", GP, officer) == _explain(world, "Observation/a-mh", GP)
    assert world.server.call("GET", f"{_ABSENT}/$explain-access?actor={GP}", officer).status_code == 404
    for role in ("coordinator", "service-desk", "admin"):
        token = staff_token(world, role)
        for row in ("Observation/a-1", _ABSENT):
            assert world.server.call("GET", f"{row}/$explain-access?actor={GP}", token).status_code == 403


def test_what_is_withheld_from_the_patient_is_absent(world: World) -> None:
    body: Json = world.server.get("Observation/a-1", world.operator)
    body["meta"]["security"].append({"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "NOPAT"})
    world.server.put(body, world.trust, 200)
    for row in ("Observation/a-1", _ABSENT):
        answer = world.server.call("GET", f"{row}/$explain-access?actor={GP}", world.ann)
        assert answer.status_code == 404
        assert row in answer.text


def test_a_deleted_row_is_gone(world: World) -> None:
    assert world.server.call("DELETE", "Observation/a-1", world.trust).status_code == 204
    assert world.server.call("GET", f"Observation/a-1/$explain-access?actor={GP}", world.ann).status_code == 410


def test_a_token_that_may_not_read_consents_gets_no_answer(world: World) -> None:
    token = world.server.token(ANN, "patient/Observation.rs")
    for row in ("Observation/a-1", _ABSENT):
        assert world.server.call("GET", f"{row}/$explain-access?actor={GP}", token).status_code == 403


def test_a_wrong_parameter_is_named(world: World) -> None:
    for query, names in (
        ("", "actor"),
        ("?actor=Observation/a-1", "actor"),
        ("?actor=https://elsewhere.example.org/Practitioner/1", "actor"),
        (f"?actor={GP}&actor={GP}", "actor"),
        (f"?actor={GP}&purpose=NONSENSE", "purpose"),
        (f"?actor={GP}&other=1", "other"),
    ):
        answer = world.server.call("GET", f"Observation/a-1/$explain-access{query}", world.ann)
        assert answer.status_code == 400
        assert names in orjson.loads(answer.data)["issue"][0]["diagnostics"]


def test_it_is_called_by_post_as_well(world: World) -> None:
    parameters: list[Any] = [{"name": "actor", "valueReference": ref(GP)}, {"name": "purpose", "valueCode": "TREAT"}]
    body = {"resourceType": "Parameters", "parameter": parameters}
    posted = world.server.post("Observation/a-1/$explain-access", world.ann, body, 200)
    assert posted == _explain(world, "Observation/a-1", GP, purpose="TREAT")


def test_each_answer_and_refusal_is_on_the_patients_log(world: World) -> None:
    _explain(world, "Observation/a-1", GP)
    world.server.call("GET", f"Observation/a-1/$explain-access?actor={GP}", world.bob)
    found = world.server.get("AuditEvent?patient=ann&subtype=operation", world.ann)["entry"]
    assert sorted(entry["resource"]["outcome"] for entry in found) == ["0", "4"]


def test_the_moment_is_that_of_the_clock(world: World) -> None:
    share_only(world, [])
    world.share(consent(ANN, GP, period={"end": "2026-11-22T10:00:00Z"}))
    assert world.server.clock() == datetime(2026, 11, 22, 9, tzinfo=UTC)
    assert _says(world, "Observation/a-1", GP) == ("permit", "consent")
    world.server.clock.advance(hours=2)
    assert _says(world, "Observation/a-1", GP) == ("deny", "no-permit")
