"""Who may write what, over HTTP: patients, carers by mandate, full proxies, invited professionals, feeds, staff.

`permissions.txt` has the table; here is what a table does not show: whose a resource is, and how a mandate ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

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
    labelled,
    observation,
    ref,
    staff_token,
)

TYPES = "http://hl7.org/fhir/resource-types"
GENERAL = labelled("general")
_CODE = {"text": "something"}


def _action(*codes: str) -> list[Json]:
    return [{"coding": [{"code": code}]} for code in codes]


def mandate(*, actions: Sequence[str] = (), rules: Sequence[str] | None = None, **more: Any) -> Json:
    """Return Ann's Consent for the carer: for records, and with `rules` (actions, or none named) for Consents too."""
    if actions:
        more["action"] = _action(*actions)
    body = consent(ANN, CARER, **more)
    if rules is not None:
        nested: Json = {"type": "permit", "class": [{"system": TYPES, "code": "Consent"}],
                        "actor": body["provision"]["actor"]}  # fmt: skip
        body["provision"]["provision"] = [nested | ({"action": _action(*rules)} if rules else {})]
    return body


def writings(patient: str) -> dict[str, Json]:
    """Return one resource of each type that a patient writes, a Consent apart."""
    about = {"subject": ref(patient), "meta": GENERAL}
    return {
        "Observation": observation(patient, category="vital-signs"),
        "DocumentReference": {**about, "status": "current", "content": [{"attachment": {"title": "Diary"}}]},
        "QuestionnaireResponse": {**about, "status": "completed"},
        "Communication": {**about, "status": "completed"},
        "Appointment": {"meta": GENERAL, "status": "proposed",
                        "participant": [{"actor": ref(patient), "status": "accepted"}]},
    }  # fmt: skip


def clinical(patient: str) -> dict[str, Json]:
    """Return one resource of each type that an invited professional sends: letters, results, appointments, notes."""
    about = {"subject": ref(patient), "meta": GENERAL}
    return {
        "DocumentReference": {**about, "status": "current", "content": [{"attachment": {"title": "Letter"}}]},
        "Composition": {**about, "status": "final", "type": _CODE, "date": "2026-11-22", "title": "Letter",
                        "author": [ref(GP)]},
        "Observation": observation(patient),
        "DiagnosticReport": {**about, "status": "final", "code": _CODE},
        "Condition": about,
        "ClinicalImpression": {**about, "status": "completed"},
        "Appointment": writings(patient)["Appointment"],
    }  # fmt: skip


def _post(world: World, token: str, kind: str, body: Json) -> int:
    return world.server.call("POST", kind, token, {"resourceType": kind, **body}).status_code


def _statuses(world: World, token: str, bodies: dict[str, Json]) -> set[int]:
    return {_post(world, token, kind, body) for kind, body in bodies.items()}


def _write_again(world: World, token: str, kind: str, logical_id: str, body: Json) -> int:
    sent = {"resourceType": kind, **body, "id": logical_id, "language": "en"}
    return world.server.call("PUT", f"{kind}/{logical_id}", token, sent).status_code


# ---------------------------------------------------------------- patients


def test_a_patient_writes_changes_and_deletes_what_is_theirs(world: World) -> None:
    for kind, body in writings(ANN).items():
        made = world.server.post(kind, world.ann, {"resourceType": kind, **body})
        assert _write_again(world, world.ann, kind, made["id"], body) == 200
        assert world.server.call("GET", f"{kind}/{made['id']}", world.practice).status_code == 200
        assert world.server.call("DELETE", f"{kind}/{made['id']}", world.ann).status_code == 204
        assert world.server.call("GET", f"{kind}/{made['id']}", world.ann).status_code == 410
    diary: Json = {"resourceType": "DocumentReference", **writings(ANN)["DocumentReference"]}
    made = world.server.post("DocumentReference", world.ann, diary)
    binary = {"contentType": "text/plain", "data": "aGVsbG8="}
    context = ref(f"DocumentReference/{made['id']}")
    assert _post(world, world.ann, "Binary", binary | {"securityContext": context}) == 201
    assert _post(world, world.ann, "Binary", binary) == 403
    assert _statuses(world, world.ann, writings(BOB)) == {403}
    never = {kind: body for kind, body in clinical(ANN).items() if kind not in writings(ANN)}
    assert len(never) == 4
    assert _statuses(world, world.ann, never) == {403}


def _appointment(status: str, **others: str) -> Json:
    """Return Ann's Appointment with others, by the status of each; `Practitioner_gp="accepted"`."""
    with_others = [{"actor": ref(name.replace("_", "/")), "status": said} for name, said in others.items()]
    return {
        "meta": GENERAL,
        "status": status,
        "start": "2026-12-01T10:00:00Z",
        "end": "2026-12-01T10:20:00Z",
        "participant": [{"actor": ref(ANN), "status": "accepted"}, *with_others],
    }


def test_a_patient_asks_for_an_appointment_and_takes_the_request_back_and_books_none(world: World) -> None:
    for status in ("booked", "arrived", "fulfilled", "cancelled", "entered-in-error"):
        answer = world.server.call(
            "POST", "Appointment", world.ann, {"resourceType": "Appointment", **_appointment(status)}
        )
        assert answer.status_code == 403
        assert answer.json is not None
        assert answer.json["issue"][0]["expression"] == ["Appointment.status"]
        assert "proposed" in answer.json["issue"][0]["diagnostics"]
    asked = world.server.post(
        "Appointment",
        world.ann,
        {"resourceType": "Appointment", **_appointment("proposed", Practitioner_gp="needs-action")},
    )
    for status, expected in {"booked": 403, "noshow": 403, "cancelled": 200, "proposed": 200}.items():
        assert _write_again(world, world.ann, "Appointment", asked["id"], _appointment(status)) == expected
    patch = [{"op": "replace", "path": "/status", "value": "booked"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = world.server.call("PATCH", f"Appointment/{asked['id']}", world.ann, orjson.dumps(patch), headers)
    assert answer.status_code == 403


def test_a_patient_cannot_say_for_others_that_they_come(world: World) -> None:
    answer = world.server.call(
        "POST", "Appointment", world.ann,
        {"resourceType": "Appointment", **_appointment("proposed", Practitioner_gp="accepted")},
    )  # fmt: skip
    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["issue"][0]["expression"] == ["Appointment.participant[1].status"]
    nobody: Json = {**_appointment("proposed"), "participant": [{"status": "accepted", "type": [{"text": "doctor"}]}]}
    assert _post(world, world.ann, "Appointment", nobody) == 403


def test_what_a_hospital_booked_gets_a_new_label_by_its_patient_and_no_new_status(world: World) -> None:
    body = {"resourceType": "Appointment", **_appointment("booked", Practitioner_gp="accepted")}
    booked = world.server.post("Appointment", world.trust, body)
    path = f"Appointment/{booked['id']}"
    assert world.server.call("PUT", path, world.ann, booked | {"status": "cancelled"}).status_code == 403
    hidden = booked | {"meta": {"security": [{"system": LABEL, "code": "sexual-health"}]}}
    assert world.server.call("PUT", path, world.ann, hidden).status_code == 200
    assert world.server.get(path, world.ann)["status"] == "booked"


def test_nobody_writes_an_audit_event(world: World) -> None:
    event = {"type": {"code": "rest"}, "recorded": "2026-11-22T09:00:00Z", "agent": [{"requestor": True}],
             "source": {"observer": ref(TRUST)}}  # fmt: skip
    officer = staff_token(world, "privacy-officer")
    for token in (world.operator, world.trust, world.gp, world.ann, world.carer, officer):
        assert _post(world, token, "AuditEvent", event) in {403, 405}
        listed = world.server.get("AuditEvent?patient=ann", world.ann)["entry"]
        path = f"AuditEvent/{listed[0]['resource']['id']}"
        assert world.server.call("PUT", path, token, listed[0]["resource"]).status_code in {403, 405}
        assert world.server.call("DELETE", path, token).status_code in {403, 405}


def test_nobody_learns_by_a_conflict_whom_somebody_else_shares_with(world: World) -> None:
    shared, not_shared = consent(ANN, PRACTICE), consent(ANN, TRUST)
    for token in (world.bob, world.carer):
        answers = [world.server.call("POST", "Consent", token, body) for body in (shared, not_shared)]
        assert [answer.status_code for answer in answers] == [403, 403]
        assert answers[0].data == answers[1].data
    own = world.share(consent(BOB, GP), world.bob)
    for body in (shared, not_shared):
        assert _write_again(world, world.bob, "Consent", own, body) == 403
    assert _post(world, world.ann, "Consent", shared) == 409


# ---------------------------------------------------------------- carers by mandate


@pytest.mark.parametrize(
    "actions, create, change",
    [((), 201, 200), (("access", "correct"), 201, 200), (("correct",), 201, 404), (("access",), 403, 403),
     (("access", "use", "disclose"), 403, 403)],
)  # fmt: skip
def test_a_carer_writes_by_mandate_and_until_it_is_withdrawn(
    world: World, actions: tuple[str, ...], create: int, change: int
) -> None:
    assert _statuses(world, world.carer, writings(ANN)) == {403}
    first = world.share(mandate())
    own = world.server.post("Observation", world.carer, observation(ANN))["id"]
    world.server.put(mandate(actions=actions) | {"id": first}, world.ann)
    assert _statuses(world, world.carer, writings(ANN)) == {create}
    assert _write_again(world, world.carer, "Observation", own, observation(ANN)) == change
    assert _write_again(world, world.carer, "Observation", "a-1", observation(ANN)) == (404 if change == 404 else 403)
    assert _statuses(world, world.carer, writings(BOB)) == {403}
    assert _post(world, world.carer, "Observation", observation(ANN, label="mental-health")) == 403
    assert _post(world, world.carer, "Consent", consent(ANN, GP)) == 403
    assert _post(world, world.carer, "Condition", {"subject": ref(ANN)}) == 403
    world.server.put(mandate(actions=actions, status="inactive") | {"id": first}, world.ann)
    assert _statuses(world, world.carer, writings(ANN)) == {403}
    assert _write_again(world, world.carer, "Observation", own, observation(ANN)) == 404
    world.server.call("DELETE", f"Observation/{own}", world.carer)
    assert world.server.call("GET", f"Observation/{own}", world.ann).status_code == 200


def test_a_mandate_for_another_time_or_purpose_lets_nothing_be_written(world: World) -> None:
    reason = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}]
    for more in ({"period": {"end": "2026-11-21"}}, {"period": {"start": "2026-11-23"}}, {"purpose": reason}):
        shared = world.share(mandate(**more))
        assert _statuses(world, world.carer, writings(ANN)) == {403}, more
        assert world.server.call("DELETE", f"Consent/{shared}", world.ann).status_code == 204


def test_a_deny_takes_writing_from_a_mandate(world: World) -> None:
    body = mandate()
    body["provision"]["provision"] = [
        {"type": "deny", "action": _action("correct"), "class": [{"system": TYPES, "code": "Observation"}]}
    ]
    world.share(body)
    found = {kind: _post(world, world.carer, kind, sent) for kind, sent in writings(ANN).items()}
    assert found == dict.fromkeys(found, 201) | {"Observation": 403}
    assert world.server.call("GET", "Observation/a-1", world.carer).status_code == 200


# ---------------------------------------------------------------- full proxies


def test_a_full_proxy_writes_consents_for_others_and_none_for_themselves(world: World) -> None:
    mine = world.share(mandate(rules=()))
    made = world.server.post("Consent", world.carer, consent(ANN, CONSULTANT))
    path = f"Consent/{made['id']}"
    assert world.server.call("GET", "Observation/a-1", world.consultant).status_code == 200
    assert world.server.put(made | {"status": "inactive"}, world.carer, 200)["status"] == "inactive"
    assert world.server.call("DELETE", path, world.carer).status_code == 204
    anyone = consent(ANN)
    del anyone["provision"]["actor"]
    refused = [consent(ANN, CARER), consent(ANN, GP, CARER), anyone, mandate(rules=("correct",))]
    refused.append(consent(ANN, GP, policy="https://profiles.ihe.net/ITI/PCF/Policy-deny"))
    nested = consent(ANN, CONSULTANT, type="deny")
    nested["provision"]["provision"] = [{"type": "permit", "actor": consent(ANN, CARER)["provision"]["actor"]}]
    for body in (*refused, nested):
        assert _post(world, world.carer, "Consent", body) == 403
    for body in (consent(BOB, GP), consent(BOB, CONSULTANT)):
        assert _post(world, world.carer, "Consent", body) == 403
    stored = world.server.get(f"Consent/{mine}", world.carer)
    wider = mandate(rules=(), labels=("general", "mental-health")) | {"id": mine}
    for body in (wider, stored | {"status": "inactive"}, stored):
        assert world.server.call("PUT", f"Consent/{mine}", world.carer, body).status_code == 403
    assert world.server.call("DELETE", f"Consent/{mine}", world.carer).status_code == 403
    assert world.server.get(f"Consent/{mine}", world.ann)["meta"]["versionId"] == "1"


def test_a_full_proxy_takes_away_no_deny_that_is_about_them(world: World) -> None:
    world.share(mandate(rules=(), labels=("general", "mental-health")))
    about_carer = world.share(consent(ANN, CARER, labels=("mental-health",), type="deny"))
    everybody = consent(ANN, labels=("mental-health",), type="deny")
    del everybody["provision"]["actor"]
    about_all = world.share(everybody)
    for logical_id in (about_carer, about_all):
        body = world.server.get(f"Consent/{logical_id}", world.carer)
        for method, sent in (("PUT", body | {"status": "inactive"}), ("DELETE", None)):
            assert world.server.call(method, f"Consent/{logical_id}", world.carer, sent).status_code == 403
    assert world.server.call("GET", "Observation/a-mh", world.carer).status_code == 404


@pytest.mark.parametrize(
    "rules, status", [((), 201), (("correct",), 201), (("access", "correct"), 201), (("access",), 403), (None, 403)]
)
def test_only_a_mandate_to_correct_consents_writes_them(
    world: World, rules: tuple[str, ...] | None, status: int
) -> None:
    world.share(mandate(rules=rules))
    assert _post(world, world.carer, "Consent", consent(ANN, CONSULTANT)) == status


# ---------------------------------------------------------------- professionals, feeds, staff


def test_an_invited_professional_sends_what_is_theirs_while_the_consent_permits_writing(world: World) -> None:
    assert _statuses(world, world.gp, clinical(ANN)) == {201}
    assert _statuses(world, world.gp, clinical(BOB)) == {403}
    assert _statuses(world, world.consultant, clinical(ANN)) == {403}, "nobody invited the consultant"
    own = world.server.post("DocumentReference", world.gp,
                            {"resourceType": "DocumentReference", **clinical(ANN)["DocumentReference"]})  # fmt: skip
    letter = clinical(ANN)["DocumentReference"]
    assert _write_again(world, world.gp, "DocumentReference", own["id"], letter) == 200
    assert _write_again(world, world.gp, "DocumentReference", "a-doc", letter) == 403
    assert world.server.call("DELETE", "DocumentReference/a-doc", world.gp).status_code == 403
    assert _post(world, world.gp, "Observation", observation(ANN, label="mental-health")) == 403
    for body in (consent(ANN, GP), consent(ANN, CONSULTANT), consent(ANN, PRACTICE)):
        assert _post(world, world.gp, "Consent", body) == 403
    read_only = consent(ANN, PRACTICE, action=_action("access"))
    world.server.put(read_only | {"id": world.consents[0]}, world.ann)
    assert _statuses(world, world.gp, clinical(ANN)) == {403}
    assert _write_again(world, world.gp, "DocumentReference", own["id"], letter) == 403
    assert world.server.call("GET", "Observation/a-1", world.gp).status_code == 200
    world.server.put(read_only | {"id": world.consents[0], "status": "inactive"}, world.ann)
    assert _statuses(world, world.gp, clinical(ANN)) == {403}
    assert world.server.call("GET", f"DocumentReference/{own['id']}", world.gp).status_code == 200


def test_a_feed_writes_its_own_data_about_anybody_and_nobody_elses(world: World) -> None:
    for patient in (ANN, BOB):
        assert _statuses(world, world.practice, clinical(patient)) == {201}
    steps = [
        ("PUT", "a-1", ANN, 403),
        ("DELETE", "a-1", ANN, 403),
        ("PUT", "b-1", BOB, 409),
        ("DELETE", "b-1", BOB, 204),
    ]
    for method, name, patient, status in steps:
        body = observation(patient, name) if method == "PUT" else None
        assert world.server.call(method, f"Observation/{name}", world.practice, body).status_code == status
    assert world.server.get("Observation/b-1", world.trust)["meta"]["versionId"] == "1"
    for body in (consent(ANN, PRACTICE), consent(BOB, PRACTICE)):
        assert _post(world, world.practice, "Consent", body) == 403
    assert _post(world, world.practice, "Organization", {"name": "Another"}) == 403


def test_staff_write_nothing_but_their_type(world: World) -> None:
    allowed = {"coordinator": "Patient", "privacy-officer": "", "service-desk": "", "administrator": ""}
    bodies = {**clinical(ANN), "Patient": {"name": [{"family": "New"}]}, "Consent": consent(ANN, GP),
              "Task": {"status": "requested", "intent": "order"}, "CareTeam": {"status": "active"},
              "Organization": {"name": "New"}}  # fmt: skip
    for role, own in allowed.items():
        token = staff_token(world, role)
        found = {kind: _post(world, token, kind, body) for kind, body in bodies.items()}
        assert found == dict.fromkeys(bodies, 403) | ({own: 201} if own else {}), role
