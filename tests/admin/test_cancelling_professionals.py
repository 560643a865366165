"""A coordinator takes back the invitation of a professional: link and role of it end together, or it was used first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from fhir_server.identity import account_requests
from fhir_server.identity.account_requests import KEPT_DECIDED_FOR
from fhir_server.identity.agreements import Acceptance
from fhir_server.operations import inviting_files
from fhir_server.store import accounts, messages
from tests.admin.conftest import Desk
from tests.admin.test_invitations_api import _token

PATH = "/api/v1/professionals"
NUMBER = "555021935107"
ADA = {"given": "Ada", "family": "Okoro", "email": "ada@example.org", "job": "Nurse", "number": NUMBER}
PASSWORD = "walrus kettle orbit 41"


@pytest.fixture
def nadia(desk: Desk) -> str:
    """Return the token of a coordinator's program of the first of two trusts."""
    for number in "12":
        desk.server.put({"resourceType": "Organization", "id": number, "name": f"Trust {number}"}, desk.operator())
    return _token(desk, "coordinator")


def invited(desk: Desk, coordinator: str, **other: str) -> str:
    desk.server.clock.advance(seconds=1)
    made = desk.call("POST", PATH, coordinator, ADA | other)
    assert made.status_code == 201, made.text
    return str(made.json["id"])


def cancel(desk: Desk, coordinator: str, request_id: str) -> int:
    return int(desk.call("POST", f"{PATH}/invitations/{request_id}/cancel", coordinator).status_code)


def links(desk: Desk) -> list[str]:
    """Return the tokens of the links that were sent and not read yet, oldest first."""
    with desk.server.store.write() as session:
        leased = messages.lease(session, desk.server.clock(), timedelta(0), limit=100)
    return [each.details["token"] for each in leased if each.kind == "professional-invited"]


def set_up(desk: Desk, token: str) -> bool:
    found = account_requests.set_up(
        desk.server.store, token, PASSWORD, Acceptance(), desk.server.clock(), lambda *_: None
    )
    return found is None


def roles(desk: Desk, about: str = "") -> list[dict[str, Any]]:
    found = desk.server.get(f"/PractitionerRole?_sort=_lastUpdated{about}", desk.operator())
    return [each["resource"] for each in found.get("entry", ())]


def test_link_and_role_end_together_and_another_organisation_cannot(desk: Desk, nadia: str) -> None:
    made = invited(desk, nadia)
    [token] = links(desk)
    stranger, admin = _token(desk, "coordinator", "Organization/2"), desk.administrator()
    assert [cancel(desk, who, made) for who in (stranger, admin)] == [404, 403]
    [role] = roles(desk)
    assert role["active"] is True
    assert cancel(desk, nadia, made) == 204
    [role] = roles(desk)
    assert (role["active"], bool(role["period"]["end"])) == (False, True)
    assert not set_up(desk, token)
    assert desk.call("GET", f"{PATH}/invitations", nadia).json["invitations"] == []
    assert [cancel(desk, nadia, each) for each in (made, "unknown", "x" * 300)] == [404] * 3
    assert desk.call("POST", f"{PATH}/invitations/{made}/resend", nadia).status_code == 404
    done = [event["outcome"] for event in desk.events("cancel-set-up")]
    assert (done.count("0"), done.count("4")) == (1, 5)
    # Whoever was invited by mistake can be invited rightly.
    invited(desk, nadia)
    assert [each["active"] for each in roles(desk)] == [False, True]


def test_a_role_from_before_stays_and_one_of_an_earlier_invitation_ends(desk: Desk, nadia: str) -> None:
    invited(desk, nadia, email="mistyped@example.org")
    assert cancel(desk, nadia, invited(desk, nadia)) == 204
    [role] = roles(desk)
    assert role["active"] is False, "of the first invitation, which the second replaced"
    again = {name: value for name, value in role.items() if name not in {"active", "period"}}
    desk.server.put(again, desk.operator())
    assert cancel(desk, nadia, invited(desk, nadia)) == 204
    [role] = roles(desk)
    assert "active" not in role, "of neither invitation"


def test_a_used_link_is_not_taken_back_and_who_came_in_another_way_keeps_what_they_work_with(
    desk: Desk, nadia: str
) -> None:
    made = invited(desk, nadia)
    [token] = links(desk)
    assert set_up(desk, token)
    assert cancel(desk, nadia, made) == 404
    [role] = roles(desk)
    assert role["active"] is True
    made = invited(desk, nadia, number="555021935106", email="bo@example.org")
    [_, role] = roles(desk)
    theirs = desk.account("professional", role["practitioner"]["reference"])
    with desk.server.store.write() as session:
        accounts.set_organization(session, theirs.id, "Organization/1")
    assert cancel(desk, nadia, made) == 409
    assert [each["active"] for each in roles(desk)] == [True, True]


def test_who_asked_for_an_account_is_told_that_they_do_not_get_it(desk: Desk, nadia: str) -> None:
    op, now = desk.server.operator(), desk.server.clock()
    desk.server.put({"resourceType": "Practitioner", "id": "gail"}, op)
    checker, decider = desk.account("service-desk"), desk.account("admin")
    asked = account_requests.Asked("Gail Berg", "gail@example.org", "GP", "Trust", "1234567", "My patients")
    whose = {"practitioner": "Practitioner/gail", "organization": "Organization/1"}
    with desk.server.store.write() as session:
        made = account_requests.ask(session, asked, address="192.0.2.1", now=now)
        account_requests.check(session, checker, made, evidence="Saw the register of the GMC", **whose, now=now)
        account_requests.decide(session, decider, made, approved=True, now=now)
    cancelled = [cancel(desk, nadia, each) for each in (made, invited(desk, nadia))]
    with desk.server.store.write() as session:
        sent = messages.lease(session, desk.server.clock(), timedelta(0), limit=100)
    told = [each.recipient for each in sent if each.kind == "account-refused"]
    assert (cancelled, told) == ([204, 204], ["gail@example.org"]), "who was invited asked for nothing"


def test_what_nobody_used_in_its_time_ends_before_it_is_forgotten(desk: Desk, nadia: str) -> None:
    clock, context = desk.server.clock, desk.server.app.extensions["fhir"].base
    made = invited(desk, nadia)
    clock.advance(seconds=KEPT_DECIDED_FOR.total_seconds() - 60)
    nadia = _token(desk, "coordinator")
    assert desk.call("POST", f"{PATH}/invitations/{made}/resend", nadia).status_code == 204
    clock.advance(days=2)
    assert inviting_files.upkeep(context) == 0, "sent again: the link still works"
    assert [each["active"] for each in roles(desk)] == [True]
    clock.advance(days=6)
    assert inviting_files.upkeep(context) == 2, "its role is ended, then it is forgotten"
    assert [each["active"] for each in roles(desk)] == [False]
    assert [event["outcome"] for event in desk.events("cancel-set-up")] == ["0"]
    assert inviting_files.upkeep(context) == 0


def test_of_a_link_that_is_used_and_taken_back_at_once_one_is_true(desk: Desk, nadia: str) -> None:
    for turn in range(6):
        made = invited(desk, nadia, number=f"55502193510{turn}", email=f"ada{turn}@example.org")
        token = links(desk)[-1]
        with ThreadPoolExecutor(2) as pool:
            cancelled, opened = pool.submit(cancel, desk, nadia, made), pool.submit(set_up, desk, token)
            outcome = cancelled.result(), opened.result()
        assert outcome in {(204, False), (404, True)}
        assert roles(desk)[-1]["active"] is outcome[1]
