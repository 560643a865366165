"""A professional asks for access without learning who is here; the patient says yes or no."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.pages import said
from tests.portal.conftest import AMELIA, CONSULTANT, DESMOND, Person
from tests.portal.test_carers import sent
from tests.server import Server

AMELIA_IS: dict[str, Any] = {
    "step": "ask",
    "nhs-number": "999 002 4685",
    "born-day": "14",
    "born-month": "3",
    "born-year": "1976",
    "reason": "You come to my clinic next week",
}
RECORD = "/patients/amelia-hart"


def asked(server: Server, **more: Any) -> Person:
    priya = Person(server, CONSULTANT)
    priya.follow(priya.send("/patients/ask", AMELIA_IS | more))
    return priya


def request_of(page: str) -> str:
    found = re.search(r'href="(/sharing/requests/[^"]+)"', page)
    assert found is not None
    return found[1]


def test_a_yes_shares_what_the_patient_chooses_and_the_professional_learns_it(server: Server) -> None:
    priya, amelia = asked(server), Person(server, AMELIA)
    assert sent(server, "news", AMELIA) == [{}], "told, and not of what"
    priya.get(RECORD, 404)
    question = amelia.get(request_of(amelia.get("/sharing")))
    assert "You come to my clinic next week" in question
    answer = amelia.send(request_of(amelia.get("/sharing")), {"answer": "yes"})
    assert answer.location == "/sharing/with/Practitioner/priya-raman"
    amelia.follow(amelia.send(answer.location, {"labels": ["general"], "ends": "never", "confirm": "yes"}))
    page = priya.get(RECORD)
    assert "Metformin" in page
    assert "Sertraline" not in page
    assert "They said yes" in priya.get("/patients/requests")
    assert sent(server, "news", CONSULTANT)
    assert "/sharing/requests/" not in amelia.get("/sharing")


def test_a_no_shares_nothing_and_is_told(server: Server) -> None:
    priya, amelia = asked(server), Person(server, AMELIA)
    assert "You said no" in amelia.follow(amelia.send(request_of(amelia.get("/sharing")), {"answer": "no"}))
    priya.get(RECORD, 404)
    assert "They said no" in priya.get("/patients/requests")


@pytest.mark.parametrize("who", [{"born-day": "15"}, {"nhs-number": "943 476 5919"}])
def test_nobody_learns_who_is_here(server: Server, who: dict[str, str]) -> None:
    known = asked(server)
    own = ("999 002 4685", "943 476 5919", "14 March 1976", "15 March 1976")
    shown = said(known.get("/patients/requests"), *own)
    amelia = Person(server, AMELIA)
    amelia.send(request_of(amelia.get("/sharing")), {"answer": "no"})
    other = Person(server, CONSULTANT)
    first = other.send("/patients/ask", AMELIA_IS | {"nhs-number": "943 476 5919"} | who)
    assert (first.status_code, first.location) == (303, "/patients/requests?done=asked")
    assert "Waiting" in shown
    assert "Waiting" in other.get("/patients/requests")
    assert "/sharing/requests/" not in amelia.get("/sharing")


def test_a_request_runs_out(server: Server) -> None:
    asked(server)
    path = request_of(Person(server, AMELIA).get("/sharing"))
    server.clock.advance(days=29)
    Person(server, AMELIA).get(path, 404)
    assert "No answer in time" in Person(server, CONSULTANT).get("/patients/requests")


def test_nobody_answers_for_somebody_else(server: Server) -> None:
    asked(server)
    path = request_of(Person(server, AMELIA).get("/sharing"))
    assert Person(server, DESMOND).send(path, {"answer": "no"}).status_code == 404


def test_asking_twice_is_one_request_and_one_message(server: Server) -> None:
    asked(server)
    asked(server)
    assert Person(server, AMELIA).get("/sharing").count("/sharing/requests/") == 1
    assert len(sent(server, "news", AMELIA)) == 1


def test_asking_is_limited_for_people_who_are_here_and_who_are_not(server: Server) -> None:
    priya = Person(server, CONSULTANT)
    numbers = [number for number in range(9434765000, 9434765999) if _is_valid(str(number))]
    for number in numbers[:20]:
        assert priya.send("/patients/ask", AMELIA_IS | {"nhs-number": str(number)}).status_code == 303
    assert priya.send("/patients/ask", AMELIA_IS | {"nhs-number": str(numbers[20])}).status_code == 429
    assert priya.send("/patients/ask", AMELIA_IS).status_code == 429


@pytest.mark.parametrize("reason", ["", "short", "x" * 501])
def test_a_reason_is_needed(server: Server, reason: str) -> None:
    answer = Person(server, CONSULTANT).send("/patients/ask", AMELIA_IS | {"reason": reason})
    assert answer.status_code == 400
    assert "Say why in 10 to 500 characters" in answer.text
    assert "/sharing/requests/" not in Person(server, AMELIA).get("/sharing")


def test_the_patients_log_names_who_asked(server: Server) -> None:
    asked(server)
    assert "Dr Priya Raman" in Person(server, AMELIA).get("/access-log")


def _is_valid(number: str) -> bool:
    check = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(number[:9])) % 11
    return check % 11 == int(number[9]) and check != 10
