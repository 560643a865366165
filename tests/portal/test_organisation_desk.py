"""Messages and requests for accounts: from the public forms to the queue, two people, the set-up link, the end."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from fhir_server.operations import inviting_files
from fhir_server.store import messages
from tests.portal.conftest import ADMIN, COORDINATOR, DESK, Person
from tests.server import Server

ASKED = {
    "name": "Gail Practice",
    "email": "gail@example.org",
    "job": "GP",
    "organization": "Hill Practice",
    "registration": "1234567",
    "reason": "To see what patients share with me",
}
MESSAGE = {"name": "Ann", "email": "ann@example.org", "topic": "I cannot sign in", "body": "Please help me."}
CHECK = {
    "step": "check",
    "evidence": "Looked her up in the register and called",
    "practitioner": "Practitioner/new-doctor",
    "organization": "Organization/brentmoor-hospitals",
}


def queued(server: Server, kind: str) -> list[dict[str, str]]:
    with server.store.write() as session:
        found = messages.lease(session, server.clock(), timedelta())
    return [{"to": item.recipient, **item.details} for item in found if item.kind == kind]


def ask(server: Server) -> str:
    """Ask for an account as a stranger who is in the directory; return the address of the request in the queue."""
    server.put({"resourceType": "Practitioner", "id": "new-doctor"}, server.operator())
    answer = Person(server).send("/contact/account", ASKED, page="/contact/account")
    assert (answer.status_code, "We have your message" in answer.text) == (200, True), answer.text
    link = re.search(r"/service-desk/requests/[0-9a-f-]{36}", Person(server, DESK).get("/service-desk/requests"))
    assert link
    return link[0]


def test_a_professional_asks_two_people_agree_and_the_link_works_once(server: Server) -> None:
    path = ask(server)
    gareth, sandra = Person(server, DESK), Person(server, ADMIN)
    assert sandra.send(path, {"step": "approve"}).status_code == 400
    taken = gareth.send(path, CHECK | {"practitioner": "Practitioner/priya-raman"})
    assert (taken.status_code, "This person has an account." in taken.text) == (400, True)
    assert gareth.send(path, CHECK).status_code == 303
    assert gareth.send(path, {"step": "approve"}).status_code == 403
    assert sandra.send(path, {"step": "approve"}).status_code == 303
    (sent,) = queued(server, "account-set-up")
    assert sent["to"] == ASKED["email"]
    link = f"/set-up/{sent['token']}"
    stranger = Person(server)
    form = {"password": "walrus kettle orbit 41", "terms": "accepted"}
    assert stranger.send(link, form | {"terms": ""}, page=link).status_code == 400
    assert stranger.send(link, form | {"password": "short"}, page=link).status_code == 400
    assert stranger.send(link, form, page=link).status_code == 303
    assert stranger.open(link).status_code == 404
    signed = {"email": ASKED["email"], "password": form["password"]}
    assert stranger.send("/sign-in", signed, page="/sign-in").status_code == 303
    assert "Amelia Hart" not in stranger.get("/patients")
    assert stranger.open("/patients/amelia-hart").status_code == 404


def test_a_refused_request_gives_no_link(server: Server) -> None:
    path = ask(server)
    assert Person(server, ADMIN).send(path, {"step": "refuse"}).status_code == 303
    assert queued(server, "account-set-up") == []
    assert Person(server, DESK).send(path, CHECK).status_code == 404


def test_an_old_link_does_not_work(server: Server) -> None:
    path = ask(server)
    Person(server, DESK).send(path, CHECK)
    Person(server, ADMIN).send(path, {"step": "approve"})
    (sent,) = queued(server, "account-set-up")
    server.clock.advance(days=8)
    assert Person(server).open(f"/set-up/{sent['token']}").status_code == 404


@pytest.mark.parametrize(
    "change", [{"evidence": "short"}, {"practitioner": "Practitioner/nobody"}, {"organization": ""}]
)
def test_a_check_needs_evidence_and_entries_of_the_directory(server: Server, change: dict[str, str]) -> None:
    assert Person(server, DESK).send(ask(server), CHECK | change).status_code == 400


def test_the_queue_is_the_service_desks(server: Server) -> None:
    path = ask(server)
    nadia = Person(server, COORDINATOR)
    assert [nadia.open(place).status_code for place in ("/service-desk/requests", path)] == [403, 403]


def test_a_message_reaches_the_queue_is_answered_and_closed(server: Server) -> None:
    Person(server).send("/contact/message", MESSAGE, page="/contact/message")
    gareth = Person(server, DESK)
    page = gareth.get("/service-desk/requests")
    assert "Please help me." in page
    close = re.search(r"/service-desk/messages/[0-9a-f-]{36}/close", page)
    assert close
    gareth.follow(gareth.send(close[0], {}))
    assert "Please help me." not in gareth.get("/service-desk/requests")
    assert gareth.send(close[0], {}).status_code == 404


@pytest.mark.parametrize(
    "change", [{"name": ""}, {"email": "x"}, {"topic": "Other"}, {"body": ""}, {"body": "x" * 3_000}]
)
def test_what_is_wrong_with_a_message_is_said(server: Server, change: dict[str, str]) -> None:
    answer = Person(server).send("/contact/message", MESSAGE | change, page="/contact/message")
    assert (answer.status_code, "There is a problem" in answer.text) == (400, True)


@pytest.mark.parametrize("name", ["", "G\u0430il Practice", "Dr\u3164", "see www.example.com", "Gail\r\nBcc: x"])
def test_a_name_that_is_none_or_passes_for_anothers_is_not_taken(server: Server, name: str) -> None:
    """It becomes the name of the account, which patients read in their access log."""
    answer = Person(server).send("/contact/account", ASKED | {"name": name}, page="/contact/account")
    assert (answer.status_code, "letters of one alphabet" in answer.text) == (400, True)


def test_programs_and_floods_do_not_reach_the_queue(server: Server) -> None:
    stranger = Person(server)
    trapped = stranger.send("/contact/message", MESSAGE | {"website": "x"}, page="/contact/message")
    assert trapped.status_code == 200
    assert queued(server, "account-requested") == []
    answers = [stranger.send("/contact/message", MESSAGE, page="/contact/message").status_code for _ in range(6)]
    assert answers == [200, 200, 200, 200, 200, 429]
    assert len(queued(server, "account-requested")) == 3


def test_requests_and_messages_are_forgotten_after_ninety_days(server: Server) -> None:
    ask(server)
    Person(server).send("/contact/message", MESSAGE, page="/contact/message")
    server.clock.advance(days=89)
    assert inviting_files.upkeep(server.app.extensions["fhir"].base) == 0
    server.clock.advance(days=2)
    assert inviting_files.upkeep(server.app.extensions["fhir"].base) == 2
