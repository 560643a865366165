"""`/api/v1/account-resets` and `/api/v1/sign-in-problems`: the pages' rights over the wire."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fhir_server.identity import resets
from fhir_server.identity.limits import RESET_REQUEST
from fhir_server.store import accounts, logins, messages
from fhir_server.store.logins import LoginConflict
from tests.admin.conftest import Desk
from tests.admin.test_invitations_api import _token

RESETS, PROBLEMS = "/api/v1/account-resets", "/api/v1/sign-in-problems"
REASON = "Came to the desk with her passport, number checked"


def _sent(desk: Desk, kind: str) -> list[Any]:
    with desk.server.store.write() as session:
        found = messages.lease(session, desk.server.clock(), timedelta(0), limit=100)
    return [each for each in found if each.kind == kind]


def _outcomes(desk: Desk, action: str) -> list[str]:
    return sorted(event["outcome"] for event in desk.events(action))


def test_one_asks_to_open_an_account_again_and_another_decides(desk: Desk) -> None:
    lost = desk.account("patient", "Patient/1")
    token, admin = _token(desk, "service-desk"), _token(desk, "admin")
    body = {"email": lost.email, "new_email": " New@example.org ", "reason": f" {REASON} "}
    made = desk.call("POST", RESETS, token, body)
    assert made.status_code == 201, made.text
    assert [each.recipient for each in _sent(desk, "reset-asked")] == [lost.email]
    answer, seen = (desk.call("GET", RESETS, reader) for reader in (token, admin))
    assert answer.json == seen.json
    assert made.json["code"] not in answer.text
    (waiting,) = answer.json["resets"]
    about = {name: waiting[name] for name in ("id", "account_id", "email", "new_email", "reason")}
    assert about == {
        "id": made.json["id"],
        "account_id": lost.id,
        "email": lost.email,
        "new_email": "new@example.org",
        "reason": REASON,
    }
    path = f"{RESETS}/{made.json['id']}"
    assert desk.call("POST", f"{path}/approve", token).status_code == 403
    assert desk.call("POST", f"{RESETS}/unknown/approve", admin).status_code == 404
    statuses = [desk.call("POST", f"{path}/{step}", admin).status_code for step in ("approve", "approve", "refuse")]
    assert statuses == [204, 404, 404]
    assert desk.call("GET", RESETS, token).json["resets"] == []
    (link,) = _sent(desk, "reset-approved")
    with desk.server.store.read() as session:
        found = resets.of_link(session, link.details["token"], desk.server.clock())
    assert (link.recipient, found and found[1].id) == ("new@example.org", lost.id)
    assert _outcomes(desk, "ask-account-reset") == ["0"]
    assert _outcomes(desk, "list-account-resets") == ["0"] * 3
    assert _outcomes(desk, "approve-account-reset") == ["0", "4", "4", "4"]
    assert _outcomes(desk, "refuse-account-reset") == ["4"]


def test_a_request_that_is_turned_down_sends_no_link(desk: Desk) -> None:
    lost = desk.account("patient", "Patient/1")
    made = desk.call("POST", RESETS, _token(desk, "service-desk"), {"email": lost.email, "reason": REASON})
    path = f"{RESETS}/{made.json['id']}"
    admin = _token(desk, "admin")
    assert [desk.call("POST", f"{path}/{step}", admin).status_code for step in ("refuse", "approve")] == [204, 404]
    assert _sent(desk, "reset-approved") == []


def test_nobody_decides_about_their_own_account(desk: Desk) -> None:
    admin = _token(desk, "admin")
    with desk.server.store.read() as session:
        (own,) = accounts.with_role(session, "admin")
    made = desk.call("POST", RESETS, _token(desk, "service-desk"), {"email": own.email, "reason": REASON})
    assert made.status_code == 201, made.text
    assert desk.call("POST", f"{RESETS}/{made.json['id']}/approve", admin).status_code == 403
    assert len(desk.call("GET", RESETS, admin).json["resets"]) == 1


def test_a_wrong_request_is_named_at_its_field_and_counts(desk: Desk) -> None:
    lost, token = desk.account("patient", "Patient/1"), _token(desk, "service-desk")
    body = {"email": lost.email, "new_email": "", "reason": REASON}
    wrongs: tuple[tuple[dict[str, str], int], ...] = (
        ({"email": "nobody@example.org"}, 400),
        ({"new_email": lost.email}, 400),
        ({"reason": "short" + " " * 20}, 400),
        ({"surprise": "x"}, 422),
    )
    for wrong, status in wrongs:
        refused = desk.call("POST", RESETS, token, body | wrong)
        assert refused.status_code == status, refused.text
        assert refused.json["message"].startswith(next(iter(wrong))), refused.text
    for role in ("admin", "coordinator", "patient"):
        assert desk.call("POST", RESETS, _token(desk, role), body).status_code == 403, role
    assert desk.call("GET", RESETS, token).json["resets"] == []
    assert _outcomes(desk, "ask-account-reset") == ["4"] * 7
    # Three of them were looked at.
    left = RESET_REQUEST.count - 3
    statuses = [desk.call("POST", RESETS, token, body | {"email": "no"}).status_code for _ in range(left + 1)]
    assert statuses == [400] * left + [429]


def test_the_desk_lists_and_closes_sign_ins_that_could_not_be_linked(desk: Desk) -> None:
    now, token = desk.server.clock(), _token(desk, "service-desk")
    new = LoginConflict("c1", "https://nhs.example", "their-subject", "No such record", "Patient/1", "", now, now)
    with desk.server.store.write() as session:
        assert logins.note_conflict(session, new)
    answer = desk.call("GET", PROBLEMS, token)
    (problem,) = answer.json["problems"]
    assert (problem["id"], problem["reason"]) == ("c1", "No such record")
    assert set(problem) == {"id", "reason", "found_at", "seen_at"}
    close = f"{PROBLEMS}/c1/close"
    for role in ("admin", "coordinator"):
        assert desk.call("GET", PROBLEMS, _token(desk, role)).status_code == 403, role
        assert desk.call("POST", close, _token(desk, role)).status_code == 403, role
    assert [desk.call("POST", close, token).status_code for _ in range(2)] == [204, 404]
    assert desk.call("GET", PROBLEMS, token).json["problems"] == []
    assert _outcomes(desk, "list-sign-in-problems") == ["0", "0", "4", "4"]
    assert _outcomes(desk, "close-sign-in-problem") == ["0", "4", "4", "4"]
