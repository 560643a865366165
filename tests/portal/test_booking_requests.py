"""A coordinator answers what a patient asked about an appointment, and meets nothing else of the record."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page

from tests.browsers import violations
from tests.keyboard import Keyboard
from tests.portal.conftest import AMELIA, COORDINATOR, GP, PRIVACY, Person, Site
from tests.portal.test_quality import sign_in
from tests.server import Server

LIST = "/organisation/appointment-requests"
_SECRETS = ("Sertraline", "Depress", "999 002 4685", "9990024685", "Results", "Letters")


def _asked(amelia: Person) -> list[str]:
    """Ask about every appointment ahead; return the pages of the form."""
    found = re.findall(r'href="(/record/appointments/[^"]+/ask)"', amelia.get("/record/appointments"))
    for ask in found:
        amelia.follow(amelia.send(ask, {"kind": "change", "message": "Mornings only\n\n<b>please</b>"}))
    return found


def _listed(coordinator: Person) -> list[str]:
    return re.findall(rf'href="({LIST}/[^"]+)"', coordinator.get(LIST))


def test_a_request_reaches_who_booked_is_answered_once_and_tells_no_more_than_it_needs(server: Server) -> None:
    amelia, nadia = Person(server, AMELIA), Person(server, COORDINATOR)
    assert "No request waits" in nadia.get(LIST)
    asked = _asked(amelia)
    waiting = _listed(nadia)
    booked_elsewhere = len(asked) - len(waiting)
    assert len(waiting) == 1, (asked, waiting)
    assert booked_elsewhere > 0, "what other organisations booked is theirs"
    page = nadia.get(waiting[0])
    assert "Mornings only\n\n&lt;b&gt;please" in page
    assert "Amelia Hart, born 14 March 1976" in page
    for secret in _SECRETS:
        assert secret not in page, secret
    for wrong, said in (
        ({}, "Choose your answer"),
        ({"verdict": "another-time"}, "Say which times you can offer"),
        ({"verdict": "accepted", "message": "x" * 501}, "500 characters or fewer"),
    ):
        answer = nadia.send(waiting[0], wrong)
        assert (answer.status_code, said in answer.text, "<title>Error: " in answer.text) == (400, True, True), wrong
    given = {"verdict": "another-time", "message": "Thursday at 10"}
    assert "Your answer is with the patient" in nadia.follow(nadia.send(waiting[0], given))
    assert _listed(nadia) == []
    assert "was answered or taken back already" in nadia.follow(nadia.send(waiting[0], given))
    assert waiting[0] in nadia.get(f"{LIST}?show=answered")
    assert "<form method=" not in nadia.get(waiting[0]).partition("<main")[2], "there is nothing to answer any more"
    home = amelia.get("/")
    assert "Answers about your appointments" in home
    assert "Thursday at 10" in home
    shown = amelia.get("/record/appointments")
    assert "Another time offered" in shown
    assert "Thursday at 10" in shown
    assert "Answered what you asked about an appointment" in amelia.get("/access-log")
    for other in (Person(server, GP), Person(server, PRIVACY)):
        assert other.open(waiting[0]).status_code == 403


def test_what_is_taken_back_or_of_another_organisation_is_not_there(server: Server) -> None:
    amelia, nadia = Person(server, AMELIA), Person(server, COORDINATOR)
    asked = _asked(amelia)
    (mine,) = _listed(nadia)
    tasks = server.get("Task?status=requested", server.operator())["entry"]
    others = {f"{LIST}/{entry['resource']['id']}" for entry in tasks} - {mine}
    assert others
    absent = nadia.open(f"{LIST}/nothing")
    for path in others:
        assert (nadia.open(path).status_code, absent.status_code) == (404, 404)
        assert nadia.send(path, {"verdict": "accepted"}).status_code == 404
    for ask in asked:
        amelia.follow(amelia.send(ask, {"step": "back"}))
    assert _listed(nadia) == []
    page = nadia.get(mine)
    assert "Taken back" in page
    assert "answered or taken back" in nadia.follow(nadia.send(mine, {"verdict": "accepted"}))


@pytest.mark.browser
def test_a_coordinator_answers_with_the_keyboard_alone(page: Page, site: Site) -> None:
    _asked(Person(site.server, AMELIA))
    page.set_viewport_size({"width": 320, "height": 640})
    sign_in(page, site, COORDINATOR)
    keys = Keyboard(page)
    keys.open(f"{site.url}/organisation", "Invitations")
    keys.follow(page.get_by_role("link", name="Appointments"), "Requests about appointments")
    assert violations(page) == []
    keys.follow(page.get_by_role("link", name="Amelia Hart"), "Asked for another time")
    assert violations(page) == []
    keys.send(page.get_by_role("button", name="Send the answer"))
    keys.told("Choose your answer")
    assert violations(page) == []
    keys.tick(page.get_by_label("Another time instead"))
    keys.write(page.get_by_label("Message to the patient"), "Thursday at 10")
    keys.follow(page.get_by_role("button", name="Send the answer"), "Requests about appointments")
    assert violations(page) == []
