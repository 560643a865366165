"""`/api/v1/invitations`, files of them and requests for accounts: the pages' rights over the wire."""

import dataclasses
from typing import Any

import pytest

from fhir_server.identity import account_requests
from fhir_server.operations import inviting_files
from fhir_server.store import accounts
from fhir_server.store.accounts import Secrets
from tests.admin.conftest import Desk

INVITATIONS = "/api/v1/invitations"
REQUESTS = "/api/v1/account-requests"
ANN = {
    "given": "Ann",
    "family": "Example",
    "birth_date": "1980-02-01",
    "nhs_number": "943 476 5919",
    "email": "ann@example.org",
    "mobile": "07700 900982",
}
CSV = "given,family,birth_date,nhs_number,email,mobile\nAnn,Example,1980-02-01,9434765919,ann@example.org,07700900982\n"


def _token(desk: Desk, role: str, organization: str = "Organization/1", scope: str = "user/*.cruds") -> str:
    made = dataclasses.replace(desk.account("patient"), id=f"{role}{organization[-1]}{scope[5:9]}"[:36], role=role)
    made = dataclasses.replace(made, email=f"{made.id}@example.org".replace("*", "x"), organization=organization)
    with desk.server.store.write() as session:
        if accounts.by_id(session, made.id) is None:
            accounts.add(session, made, Secrets("x", "x"))
    more: dict[str, Any] = {"organization": organization}
    return desk.server.token(f"account:{made.id}", scope, account_id=made.id, **more)


def test_a_coordinator_invites_reads_sends_again_and_cancels(desk: Desk) -> None:
    token = _token(desk, "coordinator")
    made = desk.call("POST", INVITATIONS, token, ANN)
    assert made.status_code == 201, made.text
    path = made.headers["Location"]
    assert "code" not in made.text
    assert "token" not in made.text
    assert desk.call("GET", path, token).json["state"] == "waiting"
    assert [one["id"] for one in desk.call("GET", f"{INVITATIONS}?text=ann", token).json["invitations"]] == [
        made.json["id"]
    ]
    assert desk.call("POST", f"{path}/resend", token).status_code == 204
    assert desk.call("POST", f"{path}/cancel", token).status_code == 204
    assert desk.call("GET", path, token).json["state"] == "cancelled"
    for action in ("invite", "resend-invitation", "cancel-invitation"):
        assert len(desk.events(action)) == 1


def test_another_organisations_invitation_is_not_there(desk: Desk) -> None:
    path = desk.call("POST", INVITATIONS, _token(desk, "coordinator"), ANN).headers["Location"]
    other = _token(desk, "coordinator", "Organization/2")
    for method, place in (("GET", path), ("POST", f"{path}/resend"), ("POST", f"{path}/cancel")):
        assert desk.call(method, place, other).status_code == 404
    assert desk.call("GET", INVITATIONS, other).json["invitations"] == []
    assert desk.call("GET", path, _token(desk, "admin")).status_code == 200


@pytest.mark.parametrize("role", ["patient", "professional", "privacy-officer", "service-desk"])
def test_nobody_else_invites(one: Desk, role: str) -> None:
    for method, place in (("GET", INVITATIONS), ("POST", INVITATIONS), ("POST", "/api/v1/invitation-files")):
        assert one.call(method, place, _token(one, role), ANN if method == "POST" else None).status_code == 403


def test_without_token_or_full_scope_nothing_is_done(one: Desk) -> None:
    assert one.call("POST", INVITATIONS, "", ANN).status_code == 401
    assert one.call("POST", INVITATIONS, _token(one, "coordinator", scope="user/*.rs"), ANN).status_code == 403


@pytest.mark.parametrize(
    "change,status,named",
    [
        ({"given": "=1"}, 400, "first name"),
        ({"nhs_number": "1"}, 400, "NHS number"),
        ({"email": "a@b\nBcc: c"}, 400, "e-mail"),
        ({"extra": "x"}, 422, "extra"),
        ({"given": 1}, 422, "given"),
    ],
)
def test_wrong_details_are_refused_by_name(one: Desk, change: dict[str, Any], status: int, named: str) -> None:
    refused = one.call("POST", INVITATIONS, _token(one, "coordinator"), ANN | change)
    assert (refused.status_code, named in refused.json["message"]) == (status, True), refused.text


def test_the_same_person_twice_is_a_conflict(one: Desk) -> None:
    token = _token(one, "coordinator")
    one.call("POST", INVITATIONS, token, ANN)
    assert one.call("POST", INVITATIONS, token, ANN).status_code == 409


def test_a_file_is_uploaded_done_and_reported(desk: Desk) -> None:
    token = _token(desk, "coordinator")
    made = desk.call("POST", "/api/v1/invitation-files", token, data=CSV, content_type="text/csv")
    assert (made.status_code, made.json["waiting"]) == (202, 1), made.text
    while inviting_files.work(desk.server.app.extensions["fhir"].base):
        pass
    path = made.headers["Location"]
    assert desk.call("GET", path, token).json["invited"] == 1
    assert '"invited"' in desk.call("GET", f"{path}/report", token).text
    for place in (path, f"{path}/report"):
        assert desk.call("GET", place, _token(desk, "coordinator", "Organization/2")).status_code == 404
    wrong = desk.call("POST", "/api/v1/invitation-files", token, data=CSV, content_type="text/plain")
    assert wrong.status_code == 415


def test_requests_for_accounts_take_two_people(desk: Desk) -> None:
    store, now = desk.server.store, desk.server.clock()
    operator = desk.server.operator()
    desk.server.put({"resourceType": "Practitioner", "id": "gp"}, operator)
    desk.server.put({"resourceType": "Organization", "id": "practice", "name": "Practice"}, operator)
    token, admin = _token(desk, "service-desk"), _token(desk, "admin")
    with store.write() as session:
        asked = account_requests.Asked("Gail Practice", "gail@example.org", "GP", "Practice", "1234567", "My patients")
        account_requests.ask(session, asked, address="192.0.2.1", now=now)
    (request,) = desk.call("GET", REQUESTS, token).json["requests"]
    path = f"{REQUESTS}/{request['id']}"
    assert desk.call("POST", f"{path}/approve", admin).status_code == 422
    seen = {
        "evidence": " Saw the register and called the practice ",
        "practitioner": "Practitioner/gp",
        "organization": "Organization/practice",
    }
    for wrong, status, name in (
        ({"evidence": "short" + " " * 20}, 400, "how you checked"),
        ({"practitioner": "Practitioner/nobody"}, 400, "Practitioner/123"),
        ({"organization": "Practitioner/gp"}, 400, "Organization/123"),
        ({"surprise": 1}, 422, "surprise"),
    ):
        refused = desk.call("POST", f"{path}/check", token, seen | wrong)
        assert (refused.status_code, name in refused.json["message"]) == (status, True), refused.text
    for somebody in (admin, _token(desk, "coordinator")):
        assert desk.call("POST", f"{path}/check", somebody, seen).status_code == 403
    assert desk.call("POST", f"{REQUESTS}/unknown/check", token, seen).status_code == 404
    assert desk.call("POST", f"{path}/check", token, seen).status_code == 204
    (checked,) = desk.call("GET", REQUESTS, token).json["requests"]
    assert (checked["state"], checked["evidence"]) == ("checked", seen["evidence"].strip())
    assert desk.call("POST", f"{path}/approve", token).status_code == 403
    assert desk.call("POST", f"{path}/approve", _token(desk, "coordinator")).status_code == 403
    assert desk.call("POST", f"{path}/approve", admin).status_code == 204
    assert desk.call("POST", f"{path}/refuse", admin).status_code == 404
    assert desk.call("POST", f"{path}/check", token, seen).status_code == 404
    outcomes = sorted(event["outcome"] for event in desk.events("check-account-request"))
    assert outcomes == ["0", *["4"] * 8]
    assert desk.call("GET", REQUESTS, token).json["requests"] == []
