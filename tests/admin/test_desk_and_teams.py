"""`/api/v1/person-cases`, `/api/v1/teams` and accounts that nobody uses: the pages' rights over the wire."""

from __future__ import annotations

from datetime import timedelta

from fhir_server.identity import account_requests, limits
from fhir_server.identity.account_requests import TOPICS
from fhir_server.operations import closing_unused
from fhir_server.store import accounts, closures, invitations, messages
from tests.admin.conftest import Desk
from tests.admin.test_invitations_api import ANN, _token

CASES, TEAMS, MESSAGES = "/api/v1/person-cases", "/api/v1/teams", "/api/v1/contact-messages"
ADA = {"given": "Ada", "family": "Okoro", "email": "ada@example.org", "job": "Nurse", "number": "555021935107"}
EVIDENCE = "The hospital's records office wrote that both are hers"


def test_one_proposes_another_decides_and_nobody_else_gets_in(one: Desk) -> None:
    op = one.operator()
    for name, more in (("first", {}), ("second", {"identifier": [{"system": "https://x.example.org", "value": "2"}]})):
        one.server.put({"resourceType": "Patient", "id": name, "birthDate": "1980-02-01", **more}, op)
    desk, other = _token(one, "service-desk"), one.administrator()
    body = {"kind": "merge", "number": "Patient/first", "birth_date": "1980-02-01", "other_number": "Patient/second",
            "other_birth_date": "1980-02-01", "evidence": EVIDENCE}  # fmt: skip
    for wrong, status in (
        ({**body, "day": "2026-01-01"}, 400),
        ({name: value for name, value in body.items() if name != "other_number"}, 400),
        ({**body, "kind": "twins"}, 422),
        ({**body, "evidence": "short"}, 422),
        ({**body, "evidence": "short" + " " * 20}, 400),
        ({**body, "number": "Patient/nobody"}, 400),
        ({**body, "other_number": "Patient/first"}, 422),
        ({**body, "surprise": 1}, 422),
    ):
        assert one.call("POST", CASES, desk, wrong).status_code == status, wrong
    assert one.call("POST", CASES, other, body).status_code == 403
    made = one.call("POST", CASES, desk, body)
    assert made.status_code == 201, made.text
    assert [each["id"] for each in one.call("GET", CASES, desk).json["cases"]] == [made.json["id"]]
    path = f"{CASES}/{made.json['id']}"
    assert one.call("POST", f"{path}/approve", desk).status_code == 403
    assert one.call("POST", f"{path}/approve", _token(one, "coordinator")).status_code == 403
    done = one.call("POST", f"{path}/approve", other)
    assert (done.status_code, done.json["state"]) == (200, "done"), done.text
    assert one.call("POST", f"{path}/refuse", other).status_code == 404
    assert one.server.get("Patient/first", op)["active"] is False
    assert len(one.events("approve-person-case")) == 3
    assert len(one.events("propose-person-case")) == 10


def test_messages_are_listed_a_page_at_a_time_and_closed_once(desk: Desk) -> None:
    token, admin = _token(desk, "service-desk"), _token(desk, "admin")
    sent = []
    for number in range(5):
        desk.server.clock.advance(seconds=number % 2)
        about = {"name": "Ann", "email": "Ann@example.org", "topic": TOPICS[0], "body": f"Line\nnumber {number}"}
        with desk.server.store.write() as session:
            sent.append(account_requests.send_message(session, **about, address="192.0.2.1", now=desk.server.clock()))
    found: list[dict[str, str]] = []
    after: str | None = ""
    while after is not None:
        page = desk.call("GET", f"{MESSAGES}?count=2&after={after}", admin if found else token).json
        found, after = found + page["messages"], page.get("next")
    assert sorted(each["id"] for each in found) == sorted(sent)
    assert [each["sent_at"] for each in found] == sorted(each["sent_at"] for each in found)
    first = {name: value for name, value in found[0].items() if name not in {"id", "sent_at"}}
    assert first == {"name": "Ann", "email": "ann@example.org", "topic": TOPICS[0], "body": "Line\nnumber 0"}
    path = f"{MESSAGES}/{sent[0]}/close"
    statuses = [desk.call("POST", path, each).status_code for each in (admin, _token(desk, "coordinator"), "")]
    assert statuses == [403, 403, 401]
    assert [desk.call("POST", path, token).status_code for _ in range(2)] == [204, 404]
    assert desk.call("POST", f"{MESSAGES}/unknown/close", token).status_code == 404
    assert len(desk.call("GET", MESSAGES, token).json["messages"]) == 4
    for role in ("coordinator", "professional", "patient"):
        assert desk.call("GET", MESSAGES, _token(desk, role)).status_code == 403, role
    assert desk.call("GET", MESSAGES, _token(desk, "service-desk", scope="user/*.rs")).status_code == 403
    assert desk.call("GET", f"{MESSAGES}?count=0", token).status_code == 422
    outcomes = sorted(event["outcome"] for event in desk.events("close-contact-message"))
    assert outcomes == ["0", *["4"] * 4]


def test_the_desk_helps_an_address_and_learns_nothing(one: Desk) -> None:
    desk, coordinator = _token(one, "service-desk"), _token(one, "coordinator")
    invited = one.call("POST", "/api/v1/invitations", coordinator, ANN)
    with one.server.store.write() as session:
        invitations.lock(session, invited.json["id"], one.server.clock() + timedelta(minutes=15))
        limits.allow(session, one.server.clock(), *[(limits.SIGN_IN_ACCOUNT, "ann@example.org")] * 41)
    for act in ("unlock", "resend"):
        path = f"/api/v1/addresses/{act}"
        answers = [one.call("POST", path, desk, {"email": each}) for each in ("Ann@example.org", "bo@example.org")]
        assert [(each.status_code, each.text) for each in answers] == [(204, "")] * 2
        assert one.call("POST", path, desk, {"email": "nobody"}).status_code == 400
        assert one.call("POST", path, coordinator, {"email": "ann@example.org"}).status_code == 403
    with one.server.store.write() as session:
        found = invitations.by_id(session, invited.json["id"])
        assert limits.allow(session, one.server.clock(), (limits.SIGN_IN_ACCOUNT, "ann@example.org"))
        sent = [each.kind for each in messages.lease(session, one.server.clock(), timedelta(0), limit=100)]
    assert found is not None
    assert found.locked_until is None
    assert [sent.count(kind) for kind in ("invitation", "invitation-code")] == [2, 2]
    assert [len(one.events(action)) for action in ("unlock-account", "resend-messages")] == [4, 4]


def test_a_coordinators_program_keeps_the_teams_of_its_organisation(one: Desk) -> None:
    op = one.operator()
    for number in ("1", "2"):
        one.server.put({"resourceType": "Organization", "id": number, "name": f"Trust {number}"}, op)
    one.server.put({"resourceType": "Practitioner", "id": "ada", "name": [{"family": "Ada"}]}, op)
    role = {"resourceType": "PractitionerRole", "id": "role", "practitioner": {"reference": "Practitioner/ada"},
            "organization": {"reference": "Organization/1"}, "active": True}  # fmt: skip
    one.server.put(role, op)
    token, stranger = _token(one, "coordinator"), _token(one, "coordinator", "Organization/2")
    member, elsewhere = one.account("professional", "Practitioner/ada"), one.account("professional", "Practitioner/bo")
    made = one.call("POST", TEAMS, token, {"name": "Renal"})
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    assert one.call("POST", f"{path}/members", token, {"account_id": elsewhere.id}).status_code == 404
    who = {"account_id": member.id}
    listed = one.call("GET", "/api/v1/professionals", token).json["professionals"]
    assert [each["id"] for each in listed] == [member.id]
    added = one.call("POST", f"{path}/members", token, who)
    assert [each["role"] for each in added.json["members"]] == ["PractitionerRole/role"]
    assert one.call("POST", f"{path}/rename", token, {"name": "Renal clinic"}).json["name"] == "Renal clinic"
    for method, place, body in (
        ("GET", path, None),
        ("POST", f"{path}/rename", {"name": "Mine"}),
        ("POST", f"{path}/members", who),
        ("DELETE", path, None),
    ):
        assert one.call(method, place, stranger, body).status_code == 404, (method, place)
    assert one.call("GET", TEAMS, stranger).json["teams"] == []
    assert one.call("DELETE", f"{path}/members/PractitionerRole/role", token).json["members"] == []
    leave = f"/api/v1/professionals/{member.id}/leave"
    assert [one.call("POST", leave, each).status_code for each in (stranger, token, token)] == [404, 204, 404]
    assert one.server.get("/PractitionerRole/role", op)["active"] is False
    assert one.call("GET", "/api/v1/professionals", token).json["professionals"] == []
    assert [event["outcome"] for event in one.events("professional-leaves")].count("0") == 1
    assert one.call("DELETE", path, token).status_code == 204
    assert one.call("GET", TEAMS, token).json["teams"] == []


def test_a_coordinators_program_lists_whom_its_organisation_waits_for(desk: Desk) -> None:
    op = desk.operator()
    for number in ("1", "2"):
        desk.server.put({"resourceType": "Organization", "id": number, "name": f"Trust {number}"}, op)
    token, stranger = _token(desk, "coordinator"), _token(desk, "coordinator", "Organization/2")
    path = "/api/v1/professionals/invitations"
    made = desk.call("POST", "/api/v1/professionals", token, ADA)
    assert made.status_code == 201, made.text
    (waiting,) = desk.call("GET", path, token).json["invitations"]
    about = {name: waiting[name] for name in ("id", "name", "email", "job")}
    assert about == {**made.json, "name": "Ada Okoro", "email": ADA["email"], "job": ADA["job"]}
    assert waiting["expires_at"] > waiting["invited_at"]
    assert "token" not in waiting
    assert desk.call("GET", path, stranger).json["invitations"] == []
    resend = f"{path}/{waiting['id']}/resend"
    assert [desk.call("POST", resend, each).status_code for each in (stranger, token)] == [404, 204]
    for role in ("service-desk", "professional", "admin"):
        assert desk.call("GET", path, _token(desk, role)).status_code == 403, role
    outcomes = sorted(event["outcome"] for event in desk.events("list-invited-professionals"))
    assert outcomes == ["0", "0", *["4"] * 3]


def test_an_account_that_nobody_uses_is_reminded_and_closed_a_month_later(one: Desk) -> None:
    context, clock = one.server.app.extensions["fhir"].base, one.server.clock
    unused, used, admin = one.account("patient", "Patient/1"), one.account("patient", "Patient/2"), one.account("admin")
    for _ in range(2):
        assert closing_unused.work(context, timedelta(0)) == 0
    clock.advance(days=340)
    with one.server.store.write() as session:
        accounts.signed_in(session, used.id, clock())
    assert [closing_unused.work(context, timedelta(days=365)) for _ in range(2)] == [1, 0]
    clock.advance(days=29)
    assert closing_unused.work(context, timedelta(days=365)) == 0
    clock.advance(days=2)
    assert [closing_unused.work(context, timedelta(days=365)) for _ in range(2)] == [1, 0]
    with one.server.store.read() as session:
        found = {each.id: accounts.by_id(session, each.id) for each in (unused, used, admin)}
    assert {each.id: each.active for each in found.values() if each} == {
        unused.id: False,
        used.id: True,
        admin.id: True,
    }
    assert len(one.events("close-unused-accounts")) == 1


def test_accounts_that_wait_for_their_month_to_be_over_keep_no_other_from_being_looked_at(one: Desk) -> None:
    context, clock = one.server.app.extensions["fhir"].base, one.server.clock
    waiting = [one.account("patient", f"Patient/{number}") for number in range(3)]
    clock.advance(days=340)
    assert closing_unused.work(context, timedelta(days=365), at_once=2) == 3
    clock.advance(days=1)
    late = one.account("patient", "Patient/late")
    clock.advance(days=28)
    assert closing_unused.work(context, timedelta(days=32), at_once=2) == 1
    with one.server.store.read() as session:
        assert closures.reminded_at(session, late.id, since=late.created_at) == clock()
        assert all(closures.reminded_at(session, each.id, since=each.created_at) for each in waiting)
    with one.server.store.write() as session:
        sent = messages.lease(session, clock(), timedelta(0), limit=100)
    day = (clock() + closing_unused.REMINDED_BEFORE).date().isoformat()
    assert [each.details["last_day"] for each in sent if each.recipient == late.email] == [day]
