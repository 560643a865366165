"""What an emergency access sets off (access.md §6): flags, the review by somebody else, messages, a checkpoint."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.operations import start_signing
from fhir_server.store import accounts, checkpoints, emergencies, messages, notice_choices
from fhir_server.store.accounts import Account, Secrets
from tests.consent.world import ANN, BOB, CARER, CONSULTANT, GP, NHS, Json, World, consent
from tests.server import START

_REASON = "Unconscious in the emergency department"
_FLAG = "https://fhir-server.example.org/CodeSystem/emergency-flag"
_ADDRESS = {"line": ["12 Mill Lane"], "postalCode": "BX1 2AB"}


def _start(world: World, token: str, patient: str = BOB, reason: str = _REASON) -> Any:
    parameters = [
        {"name": "reasonCode", "valueCoding": {"system": "http://snomed.info/sct", "code": "418799008"}},
        {"name": "reason", "valueString": reason},
        {"name": "declaration", "valueBoolean": True},
    ]
    body = {"resourceType": "Parameters", "parameter": parameters}
    return world.server.call("POST", f"{patient}/$break-glass", token, body)


def _close(world: World, task: Json, token: str, outcome: str = "appropriate", note: str = "Asked the ward") -> Any:
    parameters = [{"name": "outcome", "valueCode": outcome}, {"name": "note", "valueString": note}]
    body = {"resourceType": "Parameters", "parameter": parameters}
    return world.server.call("POST", f"Task/{task['id']}/$close-emergency-review", token, body)


def _account(world: World, name: str, role: str, reference: str = "") -> Account:
    account = Account(
        id=name, email=f"{name}@example.org", name=name.title(), role=role, reference=reference, organization="",
        may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
    )  # fmt: skip
    with world.server.store.write() as session:
        accounts.add(session, account, Secrets("", ""))
    return account


def _officer(world: World, name: str = "ruth", reference: str = "") -> str:
    _account(world, name, "privacy-officer", reference)
    return world.server.token(reference or f"account:{name}", account_id=name)


def _tasks(world: World) -> list[Json]:
    found = world.server.get("Task?_sort=_lastUpdated", world.server.operator())
    return [entry["resource"] for entry in found.get("entry", [])]


def _flags(task: Json) -> set[str]:
    codings = [each["valueCodeableConcept"]["coding"][0] for each in task.get("input", [])]
    assert {coding["system"] for coding in codings} <= {_FLAG}
    return {coding["code"] for coding in codings}


def _person(world: World, reference: str, **elements: Any) -> None:
    """Store a Practitioner or Patient with further elements."""
    token = world.operator
    world.server.put(world.server.get(reference, token) | elements, token)


def _mailed(world: World) -> set[str]:
    with world.server.store.write() as session:
        return {each.recipient for each in messages.lease(session, world.server.clock(), timedelta(days=1))}


# ---------------------------------------------------------------------------- flags


def _visit(world: World, organization: str) -> None:
    encounter = {"resourceType": "Encounter", "id": organization, "status": "in-progress", "class": {"code": "EMER"},
                 "subject": {"reference": BOB},
                 "serviceProvider": {"reference": f"Organization/{organization}"}}  # fmt: skip
    world.server.put(encounter, world.trust)


def test_visits_to_others_only_are_flagged(world: World) -> None:
    _visit(world, "trust")
    assert _start(world, world.gp).status_code == 200
    assert _start(world, world.consultant).status_code == 200
    by = {task["requester"]["reference"]: _flags(task) for task in _tasks(world)}
    assert by == {GP: {"no-visit"}, CONSULTANT: set()}


def test_an_access_without_anything_unusual_has_no_flag(world: World) -> None:
    _visit(world, "trust")
    _visit(world, "practice")
    assert _start(world, world.gp).status_code == 200
    (task,) = _tasks(world)
    assert _flags(task) == set()
    assert (task["priority"], task["status"], task["description"]) == ("routine", "requested", _REASON)


@pytest.mark.parametrize(
    "professional,patient,flag",
    [
        ({"name": [{"family": "BÓB"}]}, {}, "same-surname"),
        ({"name": [{"family": "Mill-Jones"}]}, {"name": [{"family": "Bob"}, {"family": "Jones"}]}, "same-surname"),
        (
            {"address": [_ADDRESS]},
            {"address": [{"line": ["12, MILL LANE", "x"], "postalCode": "bx12ab"}]},
            "same-address",
        ),
    ],
)
def test_kin_and_neighbours_are_flagged(world: World, professional: Json, patient: Json, flag: str) -> None:
    _person(world, GP, **professional)
    _person(world, BOB, **patient)
    assert _start(world, world.gp).status_code == 200
    assert _flags(_tasks(world)[0]) == {flag}


def test_another_house_in_the_street_is_no_sign(world: World) -> None:
    _person(world, GP, address=[_ADDRESS])
    _person(world, BOB, address=[{"line": ["14 Mill Lane"], "postalCode": "BX1 2AB"}, {"postalCode": "BX1 2AB"}])
    assert _start(world, world.gp).status_code == 200
    assert _flags(_tasks(world)[0]) == set()


def test_repetition_is_flagged_for_seven_days(world: World) -> None:
    steps: tuple[tuple[str, int, set[str]], ...] = (
        (BOB, 0, set()),
        (BOB, 1, {"same-patient-again"}),
        (ANN, 1, {"repeated-use"}),
        (BOB, 9, set()),
    )
    for patient, days, flags in steps:
        world.server.clock.advance(days=days)
        assert _start(world, world.server.token(GP), patient).status_code == 200
        newest = max(_tasks(world), key=lambda task: str(task["authoredOn"]))
        assert _flags(newest) == flags


def test_another_professional_is_not_blamed_for_it(world: World) -> None:
    assert _start(world, world.gp).status_code == 200
    assert _start(world, world.consultant).status_code == 200
    assert all("same-patient-again" not in _flags(task) for task in _tasks(world))


@pytest.mark.parametrize("evidence", ["identifier", "name and birth date", "person"])
def test_ones_own_record_stays_closed_and_the_attempt_is_flagged(world: World, evidence: str) -> None:
    name = [{"family": "Bob", "given": ["Robert"]}]
    if evidence == "identifier":
        _person(world, GP, identifier=[{"system": NHS, "value": "999 000 0002"}])
    elif evidence == "person":
        links = [{"target": {"reference": BOB}}, {"target": {"reference": GP}}]
        world.server.put({"resourceType": "Person", "id": "one", "link": links}, world.operator)
    else:
        _person(world, GP, name=name, birthDate="1981-04-02")
        _person(world, BOB, name=name)
    answer = _start(world, world.gp)
    assert answer.status_code == 403
    assert world.server.call("GET", BOB, world.gp).status_code == 404
    (task,) = _tasks(world)
    assert "own-record" in _flags(task)
    assert "focus" not in task
    logged = world.server.get(f"AuditEvent?patient={BOB}&subtype=operation", world.operator)["entry"]
    assert [entry["resource"]["outcome"] for entry in logged] == ["4"]


def test_a_flag_and_disabled_sharing_look_the_same_to_the_professional(world: World) -> None:
    _person(world, GP, identifier=[{"system": NHS, "value": "9990000002"}])
    own = _start(world, world.gp)
    world.share(consent(BOB, GP, type="deny", labels=(), policy="https://profiles.ihe.net/ITI/PCF/Policy-deny"))
    disabled = _start(world, world.consultant)
    assert (own.status_code, own.get_json()) == (disabled.status_code, disabled.get_json())


def test_the_answer_and_the_log_say_nothing_of_flags(world: World) -> None:
    plain = _start(world, world.consultant).get_json()
    _person(world, GP, name=[{"family": "Bob"}])
    flagged = _start(world, world.gp)
    names = [[part["name"] for part in answer["parameter"]] for answer in (plain, flagged.get_json())]
    assert names[0] == names[1]
    log = world.server.call("GET", f"AuditEvent?patient={BOB}", world.operator).text
    assert "same-surname" not in flagged.text + log
    for token in (world.gp, world.consultant, world.bob, world.ann, world.trust, world.practice):
        assert world.server.get("Task?_summary=count", token)["total"] == 0


# ---------------------------------------------------------------------------- the review


def test_a_privacy_officer_closes_it_and_the_patient_reads_the_verdict(world: World) -> None:
    ruth = _officer(world)
    assert _start(world, world.gp).status_code == 200
    (task,) = world.server.get("Task", ruth)["entry"]
    closed = _close(world, task["resource"], ruth, "inappropriate", "No such patient on the ward")
    assert closed.status_code == 200, closed.text
    (now,) = _tasks(world)
    assert (now["status"], now["businessStatus"]["coding"][0]["code"]) == ("completed", "inappropriate")
    assert now["note"][0]["text"] == "No such patient on the ward"
    assert now["owner"]["display"] == "Ruth"
    log = world.server.get("AuditEvent?purpose=HCOMPL", world.bob)
    assert [entry["resource"]["agent"][-1]["name"] for entry in log["entry"]] == ["Ruth"]
    assert "No such patient" not in str(log)


def test_the_verdict_is_final_but_an_enquiry_is_not(world: World) -> None:
    ruth = _officer(world)
    assert _start(world, world.gp).status_code == 200
    (task,) = _tasks(world)
    assert _close(world, task, ruth, "enquiry").status_code == 200
    assert _close(world, task, ruth, "appropriate").status_code == 200
    assert _close(world, task, ruth, "inappropriate").status_code == 422
    (now,) = _tasks(world)
    assert now["businessStatus"]["coding"][0]["code"] == "appropriate"
    assert len(now["note"]) == 2


def test_nobody_reviews_their_own_access(world: World) -> None:
    _account(world, "helen", "professional", GP)
    assert _start(world, world.gp).status_code == 200
    (task,) = _tasks(world)
    same_reference = _officer(world, "officer", GP)
    assert _close(world, task, same_reference).status_code == 403
    with world.server.store.write() as session:
        accounts.add(
            session,
            Account(
                id="second", email="helen.two@example.org", name="HELEN", role="privacy-officer", reference="",
                organization="", may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
            ),
            Secrets("", ""),
        )  # fmt: skip
    assert _close(world, task, world.server.token("account:second", account_id="second")).status_code == 403
    assert _tasks(world)[0]["status"] == "requested"


@pytest.mark.parametrize("who", ["gp", "consultant", "bob", "trust", "operator", "carer"])
def test_a_review_is_for_privacy_officers_only(world: World, who: str) -> None:
    assert _start(world, world.gp).status_code == 200
    (task,) = _tasks(world)
    assert _close(world, task, getattr(world, who)).status_code == 403
    assert _tasks(world)[0]["status"] == "requested"


@pytest.mark.parametrize("outcome,note", [("fine", "x"), ("", "x"), ("appropriate", " "), ("appropriate", "x" * 2001)])
def test_a_verdict_without_outcome_or_note_is_refused(world: World, outcome: str, note: str) -> None:
    ruth = _officer(world)
    assert _start(world, world.gp).status_code == 200
    (task,) = _tasks(world)
    assert _close(world, task, ruth, outcome, note).status_code in {400, 422}
    assert _close(world, {"id": "nothing"}, ruth).status_code == 404
    assert _tasks(world)[0]["status"] == "requested"


# ---------------------------------------------------------------------------- messages, checkpoint


def test_a_carer_is_told_who_asked_for_it_and_may_see_something(world: World) -> None:
    _account(world, "carer", "carer", CARER)
    _account(world, "ann", "patient", ANN)

    def told() -> set[str]:
        world.server.clock.advance(minutes=1)
        assert _start(world, world.server.token(CONSULTANT), ANN).status_code == 200
        return _mailed(world)

    def ask(*, wanted: bool) -> None:
        with world.server.store.write() as session:
            notice_choices.choose(session, "carer", notice_choices.EMERGENCIES, wanted=wanted, now=START)

    ask(wanted=True)
    assert told() == {"ann@example.org"}, "no Consent names the carer"
    shared = world.share(consent(ANN, CARER))
    assert told() == {"ann@example.org", "carer@example.org"}
    ask(wanted=False)
    assert told() == {"ann@example.org"}
    ask(wanted=True)
    world.server.put(consent(ANN, CARER, status="inactive") | {"id": shared}, world.ann)
    assert told() == {"ann@example.org"}


def test_a_closed_account_gets_no_message(world: World) -> None:
    _account(world, "bob", "patient", BOB)
    with world.server.store.write() as session:
        accounts.set_active(session, "bob", active=False, now=START)
    assert _start(world, world.gp).status_code == 200
    assert _mailed(world) == set()


def test_a_checkpoint_is_signed_at_each_start(world: World, tmp_path: Path) -> None:
    context = world.server.app.extensions["fhir"].base
    signer = checkpoints.load_signer(tmp_path / "keys", "localhost/audit")
    assert start_signing.sign_starts(context, signer) == 0, "nothing has started"
    assert _start(world, world.gp).status_code == 200
    assert start_signing.sign_starts(context, signer) == 1
    with world.server.store.read() as session:
        signed = checkpoints.newest(session)
        assert signed is not None
        assert signed.is_signed_by(signer.public_key)
        assert not emergencies.start_is_unsealed(session, 0)
    assert start_signing.sign_starts(context, signer) == 0
    assert _start(world, world.consultant).status_code == 200
    assert start_signing.sign_starts(context, signer) == 1
