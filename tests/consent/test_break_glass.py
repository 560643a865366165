"""Emergency access (access.md §6): who gets it, what it opens, how it ends, what it leaves behind."""

from __future__ import annotations

import base64
import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from fhir_server.access import tokens
from fhir_server.operations import end_break_glass
from fhir_server.smart import authority
from fhir_server.smart import tokens as smart_tokens
from fhir_server.store import accounts, messages
from fhir_server.store.accounts import Account
from fhir_server.store.oauth import Authorization
from tests.consent.world import ANN, BOB, CONSULTANT, GP, NHS, PRACTICE, Json, World, consent, observation
from tests.server import START

_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_WORDS = "Unconscious in the emergency department"
_FORGED = (
    ("Category", "break-glass"),
    ("Category", "BTG; scheme=http://terminology.hl7.org/CodeSystem/v3-ActReason"),
    ("X-Break-Glass", "true"),
    ("X-Purpose", "BTG"),
    ("X-Purpose-Of-Use", "BTG"),
    ("Purpose-Of-Use", "BTG"),
    ("X-Provenance", '{"resourceType":"Provenance","reason":[{"text":"BTG"}]}'),
    ("X-Forwarded-User", "system"),
    ("X-HTTP-Method-Override", "GET"),
)
_PEOPLE = {"identifier": {"system": NHS, "value": "999 000 0002"}, "birthDate": "1981-04-02"}


def _body(**change: Any) -> Json:
    parts: dict[str, tuple[str, Any]] = {
        "reasonCode": ("valueCoding", {"system": _ACT_REASON, "code": "ETREAT"}),
        "reason": ("valueString", _WORDS),
        "declaration": ("valueBoolean", True),
    }
    if "identifier" in change:
        parts["identifier"] = ("valueIdentifier", change.pop("identifier"))
    if "birthDate" in change:
        parts["birthDate"] = ("valueDate", change.pop("birthDate"))
    for name, value in change.items():
        parts[name] = (parts[name][0], value)
    found = [{"name": name, kind: value} for name, (kind, value) in parts.items() if value is not None]
    return {"resourceType": "Parameters", "parameter": found}


def _start(
    world: World, token: str, body: Json | None = None, path: str = "Patient/bob/$break-glass", **more: Any
) -> int:
    return world.server.call("POST", path, token, body or _body(), **more).status_code


def _events(world: World, kind: str, patient: str = BOB) -> list[Json]:
    found = world.server.get(f"AuditEvent?patient={patient}&subtype={kind}", world.operator)
    return [entry["resource"] for entry in found.get("entry", [])]


def _grant(event: Json) -> str:
    """Return the id of the emergency access that an AuditEvent names, "" for none."""
    named = (entity.get("what", {}).get("identifier", {}) for entity in event["entity"])
    return next((each["value"] for each in named if each.get("system", "").endswith("/break-glass")), "")


def test_it_starts_by_number_and_birth_date_and_by_id(world: World) -> None:
    assert world.server.get("Observation?subject=Patient/bob&_summary=count", world.gp)["total"] == 0
    assert _start(world, world.gp, _body(**_PEOPLE), "Patient/$break-glass") == 200
    assert world.server.get("Observation?subject=Patient/bob&_summary=count", world.gp)["total"] == 3
    second = world.server.token(GP)
    assert _start(world, second) == 200
    assert world.server.get("Patient/bob", second)["birthDate"] == "1981-04-02"


@pytest.mark.parametrize(
    "change, status",
    [
        ({"birthDate": "1981-04-03"}, 404),
        ({"birthDate": "1981"}, 400),
        ({"birthDate": "1981-04"}, 400),
        ({"birthDate": "ge1900-01-01"}, 422),
        ({"birthDate": "1981-04-03,1981-04-02"}, 422),
        ({"birthDate": None}, 400),
        ({"identifier": {"system": NHS, "value": "9990000009"}}, 404),
        ({"identifier": {"system": NHS, "value": "9990000009,9990000002"}}, 400),
        ({"identifier": {"system": NHS, "value": ""}}, 422),
        ({"identifier": {"system": "urn:other", "value": "9990000002"}}, 400),
    ],
)
def test_a_person_is_found_by_the_whole_number_and_the_whole_birth_date_only(
    world: World, change: Json, status: int
) -> None:
    assert _start(world, world.gp, _body(**{**_PEOPLE, **change}), "Patient/$break-glass") == status
    assert world.server.get("Observation?subject=Patient/bob&_summary=count", world.gp)["total"] == 0


@pytest.mark.parametrize(
    "change",
    [
        {"reason": "too short"},
        {"reason": "x" + " " * 40},
        {"reason": None},
        {"reason": "x" * 2001},
        {"declaration": False},
        {"declaration": None},
        {"reasonCode": {"system": "urn:mine", "code": "ETREAT"}},
        {"reasonCode": {"system": _ACT_REASON}},
        {"reasonCode": None},
    ],
)
def test_an_incomplete_reason_is_refused_naming_the_part(world: World, change: Json) -> None:
    answer = world.server.call("POST", "Patient/bob/$break-glass", world.gp, _body(**change))
    assert answer.status_code == 400
    assert answer.get_json()["issue"][0]["expression"]
    assert world.server.call("GET", "Patient/bob", world.gp).status_code == 404


def test_the_sign_in_has_to_be_five_minutes_old_at_most(world: World) -> None:
    world.server.clock.advance(minutes=5)
    assert _start(world, world.gp) == 200
    world.server.clock.advance(seconds=1)
    assert _start(world, world.gp) == 403
    assert _start(world, world.server.token(GP)) == 200


@pytest.mark.parametrize("who", ["receptionist", "system", "patient", "carer", "operator"])
def test_it_is_for_professionals_with_the_role_only(world: World, who: str) -> None:
    token = {
        "receptionist": world.server.token(GP, may_break_glass=False),
        "system": world.server.token(PRACTICE, may_break_glass=True),
        "patient": world.server.token(ANN, may_break_glass=True),
        "carer": world.server.token("RelatedPerson/carer", may_break_glass=True),
        "operator": world.operator,
    }[who]
    # By id, and by number and date of birth: either way the refusal is on the log of the patient it was aimed at.
    assert _start(world, token) == 403
    assert _start(world, token, _body(**_PEOPLE), "Patient/$break-glass") == 403
    assert [event["outcome"] for event in _events(world, "operation")] == ["4", "4"]
    assert not _events(world, "110127")


def test_disabled_sharing_refuses_it_and_ends_a_running_one(world: World) -> None:
    deny = consent(BOB, GP, type="deny", labels=(), policy="https://profiles.ihe.net/ITI/PCF/Policy-deny")
    assert _start(world, world.gp) == 200
    assert world.server.get("Patient/bob", world.gp)["id"] == "bob"
    world.share(deny)
    assert world.server.call("GET", "Patient/bob", world.gp).status_code == 404
    assert _start(world, world.server.token(GP)) == 403
    assert _start(world, world.server.token(CONSULTANT)) == 403


def test_no_header_does_anything_at_all(world: World) -> None:
    receptionist = world.server.token(GP, may_break_glass=False)
    requests: tuple[tuple[str, str, str, Json | None], ...] = (
        ("GET", "Patient/bob", world.gp, None),
        ("GET", "Observation/b-mh", world.gp, None),
        ("GET", "Observation?subject=Patient/bob", world.gp, None),
        ("GET", "Observation?subject=Patient/ann", world.gp, None),
        ("POST", "Patient/bob/$break-glass", receptionist, _body()),
    )
    for method, path, token, body in requests:
        plain = world.server.call(method, path, token, body)
        for name, value in _FORGED:
            forged = world.server.call(method, path, token, body, headers={name: value})
            assert (forged.status_code, forged.data) == (plain.status_code, plain.data), (name, path)
    assert {event["outcome"] for event in _events(world, "read")} == {"4"}
    assert not _events(world, "110127")


def test_a_refusal_for_disabled_sharing_or_an_old_sign_in_names_the_patient_too(world: World) -> None:
    world.server.clock.advance(minutes=6)
    assert _start(world, world.gp, _body(**_PEOPLE), "Patient/$break-glass") == 403
    world.share(consent(BOB, GP, type="deny", labels=(), policy="https://profiles.ihe.net/ITI/PCF/Policy-deny"))
    assert _start(world, world.server.token(GP), _body(**_PEOPLE), "Patient/$break-glass") == 403
    assert [event["outcome"] for event in _events(world, "operation")] == ["4", "4"]


@pytest.mark.parametrize(
    "scope", ["user/Observation.rs", "user/*.rs offline_access", "openid fhirUser"], ids=["narrow", "offline", "none"]
)
def test_a_token_that_may_not_read_a_record_or_lives_on_by_itself_opens_none(world: World, scope: str) -> None:
    assert _start(world, world.server.token(GP, scope)) == 403
    assert world.server.call("GET", "Patient/bob", world.gp).status_code == 404


def test_a_token_bound_to_one_patient_opens_no_other(world: World) -> None:
    assert _start(world, world.server.token(GP, patient=ANN)) == 403
    assert _start(world, world.server.token(GP, patient=BOB)) == 200


def test_an_app_with_offline_access_has_no_emergency_right_and_carries_nobodys(world: World) -> None:
    """A refresh token issues from a permission with `offline_access`, whatever the scope of the new token."""
    with world.server.app.test_request_context():
        here = authority.here()
    permission = Authorization(
        id="permission", client_id="app", account_id="", subject=GP, patient="", scope="user/*.rs offline_access",
        purpose="TREAT", organization="", may_break_glass=True, auth_time=START, granted_at=START,
    )  # fmt: skip
    with world.server.store.write() as session:
        kept = smart_tokens.for_person(session, here, permission, "user/*.rs", "")["access_token"]
        online = dataclasses.replace(permission, id="online", scope="user/*.rs")
        alive = smart_tokens.for_person(session, here, online, "user/*.rs", "")["access_token"]
    assert _start(world, kept) == 403
    assert _start(world, alive) == 200, "an app in the hands of a professional who signed in just now may"
    assert world.server.get("Patient/bob", alive)["id"] == "bob"
    for other in (kept, world.gp):
        assert world.server.call("GET", "Patient/bob", other).status_code == 404


@pytest.mark.parametrize("path", ["$export", "Patient/$export", "Patient/bob/$export", "Group/any/$export"])
def test_nothing_is_exported_during_it(world: World, path: str) -> None:
    assert _start(world, world.gp) == 200
    answer = world.server.call("GET", path, world.gp, headers={"Prefer": "respond-async"})
    assert (answer.status_code, "during an emergency access" in answer.text) == (403, True)


def test_it_opens_the_whole_record_of_that_patient_but_not_consents_nor_the_log(world: World) -> None:
    world.share(consent(BOB, "Organization/elsewhere"))
    assert _start(world, world.gp) == 200
    found = world.server.ids("Observation", world.gp)
    own = {"Observation/b-1", "Observation/b-2", "Observation/b-mh"}
    assert found == own | {"Observation/a-1", "Observation/a-2", "Observation/both"}
    assert world.server.call("GET", "Binary/b-bin-mh", world.gp, headers={"Accept": "text/plain"}).data == b"hello"
    for kind in ("Consent", "AuditEvent"):
        assert world.server.get(f"{kind}?patient=Patient/bob&_summary=count", world.gp)["total"] == 0
    assert world.server.call("GET", f"Consent/{world.consents[-1]}", world.gp).status_code == 404


def test_what_names_two_patients_stays_hidden_unless_both_permit(world: World) -> None:
    world.server.put(consent(ANN, PRACTICE, status="inactive") | {"id": world.consents[0]}, world.ann)
    assert _start(world, world.gp) == 200
    assert world.server.call("GET", "Observation/both", world.gp).status_code == 404
    assert _start(world, world.gp, path="Patient/ann/$break-glass") == 200
    assert world.server.get("Observation/both", world.gp)["id"] == "both"


def test_it_never_writes(world: World) -> None:
    assert _start(world, world.gp) == 200
    assert world.server.call("POST", "Observation", world.gp, observation(BOB)).status_code == 403
    assert world.server.call("PUT", "Observation/b-1", world.gp, observation(BOB, "b-1")).status_code == 403
    assert world.server.call("DELETE", "Observation/b-1", world.gp).status_code == 403
    assert world.server.get("Observation/b-1", world.trust)["meta"]["versionId"] == "1"


def test_it_ends_by_the_clock_to_the_second(world: World) -> None:
    started = world.server.post("Patient/bob/$break-glass", world.gp, _body(), 200)
    expires = {part["name"]: part for part in started["parameter"]}["expires"]["valueInstant"]
    assert expires == "2026-11-22T10:00:00.000Z"
    world.server.clock.at = START
    world.server.clock.advance(minutes=59, seconds=59)
    assert world.server.get("Patient/bob", world.gp)["id"] == "bob"
    link = next(
        link["url"] for link in world.server.get("Observation?_count=1", world.gp)["link"] if link["relation"] == "next"
    )
    world.server.clock.advance(seconds=1)
    assert world.server.call("GET", "Patient/bob", world.gp).status_code == 404
    entries = world.server.get(link, world.gp).get("entry", [])
    assert all(entry["resource"]["subject"]["reference"] == ANN for entry in entries)


def test_it_ends_by_its_operation_and_only_its_own(world: World) -> None:
    other = world.server.token(CONSULTANT)
    assert _start(world, world.gp) == 200
    assert _start(world, other, path="Patient/bob/$end-break-glass") == 404
    assert world.server.get("Patient/bob", world.gp)["id"] == "bob"
    assert _start(world, world.gp, path="Patient/bob/$end-break-glass") == 200
    assert world.server.call("GET", "Patient/bob", world.gp).status_code == 404
    assert _start(world, world.gp, path="Patient/bob/$end-break-glass") == 404
    assert len(_events(world, "110138")) == 1


def test_a_second_start_replaces_the_first(world: World) -> None:
    assert _start(world, world.gp) == 200
    world.server.clock.advance(minutes=4)
    assert _start(world, world.gp) == 200
    assert (len(_events(world, "110127")), len(_events(world, "110138"))) == (2, 1)
    assert _start(world, world.gp, path="Patient/bob/$end-break-glass") == 200
    assert len(_events(world, "110138")) == 2


def test_it_ends_with_the_token_it_belongs_to(world: World) -> None:
    assert _start(world, world.gp) == 200
    with world.server.store.write() as session:
        tokens.revoke(session, world.gp, world.server.clock())
    context = world.server.app.extensions["fhir"].base
    assert end_break_glass.record_expired(context) == 1
    assert end_break_glass.record_expired(context) == 0
    assert len(_events(world, "110138")) == 1


def test_its_end_by_the_clock_is_recorded_once(world: World) -> None:
    context = world.server.app.extensions["fhir"].base
    assert _start(world, world.gp) == 200
    assert end_break_glass.record_expired(context) == 0
    world.server.clock.advance(hours=1)
    assert end_break_glass.record_expired(context) == 1
    assert end_break_glass.record_expired(context) == 0
    assert len(_events(world, "110138")) == 1


def test_it_belongs_to_one_sign_in(world: World) -> None:
    assert _start(world, world.gp) == 200
    elsewhere = world.server.token(GP)
    assert world.server.call("GET", "Patient/bob", elsewhere).status_code == 404
    assert world.server.call("GET", "Patient/bob", world.practice).status_code == 404


def test_all_of_it_is_on_the_patients_log(world: World) -> None:
    assert _start(world, world.gp) == 200
    world.server.get("Observation/b-mh", world.gp)
    world.server.get("Observation/a-1", world.gp)
    started = _events(world, "110127")[0]
    assert started["agent"][-1]["who"]["reference"].endswith(GP) or GP in str(started["agent"])
    assert _WORDS in str(started) or base64.b64encode(_WORDS.encode()).decode() in str(started)
    grant = _grant(started)
    assert grant
    assert [_grant(event) for event in _events(world, "read")] == [grant]
    purposes = [event["purposeOfEvent"][0]["coding"][0]["code"] for event in _events(world, "read")]
    assert purposes == ["BTG"]
    assert [event["purposeOfEvent"][0]["coding"][0]["code"] for event in _events(world, "read", ANN)] == ["TREAT"]
    own = world.server.get("AuditEvent?subtype=110127", world.bob)
    assert own["entry"][0]["resource"]["id"] == started["id"]


def test_an_answer_about_two_patients_names_the_emergency_of_one_on_that_ones_log_only(world: World) -> None:
    assert _start(world, world.gp) == 200
    found = world.server.ids("Observation", world.gp)
    assert {"Observation/a-1", "Observation/b-1"} <= found
    (bobs,), (anns,) = _events(world, "search-type"), _events(world, "search-type", ANN)
    assert (bobs["purposeOfEvent"][0]["coding"][0]["code"], bool(_grant(bobs))) == ("BTG", True)
    assert (anns["purposeOfEvent"][0]["coding"][0]["code"], bool(_grant(anns))) == ("TREAT", False)
    assert "Observation/a-" not in str(bobs)
    assert "Observation/b-" not in str(anns)


def test_a_privacy_officer_is_asked_to_review_it(world: World) -> None:
    assert _start(world, world.gp) == 200
    task = world.server.get("Task", world.operator)["entry"][0]["resource"]
    assert task["focus"]["reference"] == f"AuditEvent/{_events(world, '110127')[0]['id']}"
    assert task["restriction"]["period"]["end"] > "2026-11-22"
    for token in (world.gp, world.bob, world.ann, world.trust, world.consultant):
        assert world.server.get("Task?_summary=count", token)["total"] == 0


def test_the_patient_is_told_by_a_message_without_content(world: World) -> None:
    account = Account(
        id="bobs", email="bob@example.org", name="Bob", role="patient", reference=BOB, organization="",
        may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
    )  # fmt: skip
    with world.server.store.write() as session:
        accounts.add(session, account, accounts.Secrets("", ""))
    assert _start(world, world.gp) == 200
    with world.server.store.write() as session:
        queued = messages.lease(session, START, timedelta(minutes=1))
    assert [message.recipient for message in queued] == ["bob@example.org"]
    assert not set(f"{queued[0]}".lower().split()) & {"unconscious", "emergency", "mental-health", "practice"}


def test_a_refused_one_is_on_the_patients_log_too(world: World) -> None:
    world.server.clock.advance(minutes=6)
    assert _start(world, world.gp) == 403
    assert [event["outcome"] for event in _events(world, "operation")] == ["4"]


def test_what_is_refused_during_it_is_logged_under_it(world: World) -> None:
    world.share(consent(BOB, "Organization/elsewhere"))
    assert _start(world, world.gp) == 200
    hidden = f"Consent/{world.consents[-1]}"
    assert world.server.call("GET", hidden, world.gp).status_code == 404
    assert world.server.call("GET", "Observation/b-1/_history/9", world.gp).status_code == 404
    assert world.server.call("PUT", "Observation/b-1", world.gp, observation(BOB, "b-1")).status_code == 403
    # What the role never does is refused before anything is looked up.
    assert world.server.call("DELETE", BOB, world.gp).status_code == 403
    assert world.server.get("Observation?patient=Patient/bob&code=nothing", world.gp)["total"] == 0
    grant = _grant(_events(world, "110127")[0])
    for kind, outcome in (("read", "4"), ("vread", "4"), ("update", "4"), ("delete", "4"), ("search-type", "0")):
        (event,) = [each for each in _events(world, kind) if "Practitioner/gp" in str(each["agent"])]
        assert (event["outcome"], event["purposeOfEvent"][0]["coding"][0]["code"]) == (outcome, "BTG"), kind
        assert _grant(event) == grant, kind


def test_nobody_guesses_numbers_for_long(world: World) -> None:
    stranger = {**_PEOPLE, "birthDate": "1981-04-03"}
    answers = [_start(world, world.gp, _body(**stranger), "Patient/$break-glass") for _ in range(11)]
    assert answers == [404] * 10 + [429]
    assert _start(world, world.gp, _body(**_PEOPLE), "Patient/$break-glass") == 429
    world.server.clock.advance(hours=1)
    again = world.server.token(GP)
    assert [_start(world, again, _body(**_PEOPLE), "Patient/$break-glass") for _ in range(12)] == [200] * 12
