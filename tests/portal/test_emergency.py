"""Emergency access on the pages: the view it opens, the privacy officer's verdict, what a carer asked to be told."""

from __future__ import annotations

import re

import pytest

from tests.portal.conftest import AMELIA, CONSULTANT, DESMOND, PRIVACY, THOMAS, Person
from tests.portal.test_carers import sent
from tests.portal.test_tasks import EMERGENCY, RECORD
from tests.server import Server

_REVIEW = re.compile(r'href="(/privacy/reviews/[^"]+)"')


def broken(server: Server, **answers: str) -> Person:
    """Return a consultant who has just opened Amelia's record in an emergency."""
    priya = Person(server, CONSULTANT)
    priya.follow(priya.send("/emergency-access", EMERGENCY | answers))
    return priya


def newest_review(officer: Person) -> str:
    """Return the address of the review that was asked for last: open ones are listed by age."""
    return str(_REVIEW.findall(officer.get("/privacy"))[-1])


def test_the_view_opens_with_what_matters_in_an_emergency(server: Server) -> None:
    page = broken(server).get(RECORD)
    wanted = [f'id="{name}"' for name in ("allergies", "medicines", "problems", "alerts", "results", "kin")]
    assert sorted(wanted, key=page.index) == wanted
    assert "Thomas Hart" in page.partition('id="kin"')[2]


def test_the_band_is_on_every_page_of_the_record_and_needs_no_script(server: Server) -> None:
    priya = broken(server)
    for path in ("", "/letters", "/appointments", "/results", "/measurements"):
        page = priya.get(f"{RECORD}{path}")
        assert "Ends at <time" in page
        assert '<noscript><meta http-equiv="refresh" content="3600"></noscript>' in page
    assert "Emergency access is open" in priya.get("/patients")
    server.clock.advance(minutes=29, seconds=30)
    assert 'content="1830"' in priya.get(RECORD)


def test_signing_out_ends_it(server: Server) -> None:
    priya = broken(server)
    priya.send("/sign-out", {})
    again = Person(server, CONSULTANT)
    again.get(RECORD, 404)
    assert "Ended emergency access" in Person(server, AMELIA).get("/access-log?show=emergencies")


def test_a_verdict_closes_the_review_and_reaches_the_patient(server: Server) -> None:
    Person(server, THOMAS).send("/account/messages", {"emergencies": "yes"})
    broken(server)
    assert sent(server, "access-log", AMELIA)
    assert sent(server, "shared-record", THOMAS), "family who wish it are told, too"
    ruth = Person(server, PRIVACY)
    path = newest_review(ruth)
    page = ruth.get(path)
    assert "Collapsed in the clinic, cannot speak" in page
    assert "Looked at" in page.partition("What they looked at")[2]
    done = ruth.follow(ruth.send(path, {"outcome": "inappropriate", "note": "Nobody on the ward knows of it"}))
    assert "The review is closed" in done
    assert path not in done
    closed = ruth.get("/privacy?show=closed")
    assert path in closed
    assert "Not appropriate" in closed
    shown = ruth.get(path)
    assert "Nobody on the ward knows of it" in shown
    assert "Close the review</button>" not in shown
    log = Person(server, AMELIA).get("/access-log?show=emergencies")
    assert "Reviewed the emergency access and found that it should not have happened" in log
    assert "Nobody on the ward" not in log


@pytest.mark.parametrize(
    "answers,said",
    [
        ({"note": "Seen"}, "Choose what you found"),
        ({"outcome": "splendid", "note": "Seen"}, "Choose what you found"),
        ({"outcome": "appropriate", "note": " "}, "Write down why"),
        ({"outcome": "appropriate", "note": "x" * 2001}, "Write 2,000 characters or less"),
    ],
)
def test_an_incomplete_verdict_closes_nothing(server: Server, answers: dict[str, str], said: str) -> None:
    broken(server)
    ruth = Person(server, PRIVACY)
    path = newest_review(ruth)
    answer = ruth.send(path, answers)
    assert answer.status_code == 400
    assert said in answer.text
    assert path in ruth.get("/privacy")


def test_a_review_is_overdue_after_three_days(server: Server) -> None:
    broken(server)
    ruth = Person(server, PRIVACY)
    path = newest_review(ruth)
    assert path not in ruth.get("/privacy?show=overdue")
    server.clock.advance(days=3, seconds=1)
    assert path in Person(server, PRIVACY).get("/privacy?show=overdue")


def test_signs_of_unusual_use_are_shown_to_the_officer_alone(server: Server) -> None:
    priya = broken(server)
    server.clock.advance(minutes=1)
    page = priya.follow(priya.send("/emergency-access", EMERGENCY))
    ruth = Person(server, PRIVACY)
    sign = "opened the same record in the 7 days before"
    assert sign in ruth.get(newest_review(ruth))
    assert sign not in page + priya.get("/patients") + Person(server, AMELIA).get("/access-log?show=emergencies")


def test_a_carer_chooses_to_be_told(server: Server) -> None:
    thomas = Person(server, THOMAS)
    assert chosen(thomas.get("/account/messages")) == {"news", "emergencies"}, "so the demo has it"
    saved = thomas.follow(thomas.send("/account/messages", {"news": "yes"}))
    assert "Your choice is saved" in saved
    assert chosen(saved) == {"news"}
    assert chosen(thomas.follow(thomas.send("/account/messages", {"emergencies": "yes"}))) == {"emergencies"}


def test_a_patient_chooses_not_to_be_told_of_what_is_new(server: Server) -> None:
    desmond = Person(server, DESMOND)
    page = desmond.get("/account/messages")
    assert chosen(page) == {"news"}, "told unless they say no"
    assert 'name="emergencies"' not in page, "of their own record they are told in any case"
    assert "Nothing about what is new" not in desmond.get("/account")
    assert chosen(desmond.follow(desmond.send("/account/messages", {}))) == set()
    assert "Nothing about what is new" in desmond.get("/account")
    assert Person(server, PRIVACY).open("/account/messages").status_code == 403


def chosen(page: str) -> set[str]:
    """Return the names of the boxes that are ticked."""
    boxes = re.findall(r'<input[^>]*type="checkbox"[^>]*>', page)
    return {box.partition('name="')[2].partition('"')[0] for box in boxes if "checked" in box}
