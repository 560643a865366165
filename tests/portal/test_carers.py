"""Family and carers: invited by the patient, let in by link and code, shown what is shared and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from werkzeug.test import TestResponse

from fhir_server.identity.ages import last_day_of_childhood
from fhir_server.store import messages
from tests.portal.conftest import AMELIA, DESMOND, GP, PASSWORDS, THOMAS, Person
from tests.server import Server

INVITE = "/sharing/carers/invite"
JOAN = {
    "name": "Joan Hart",
    "email": "joan.hart@example.org",
    "mobile": "07700 900 456",
    "relation": "SIB",
    "right": "view",
    "labels": ["general"],
    "ends": "never",
}
MOBILE = "+447700900456"
PASSWORD = "walrus kettle orbit 41"
RECORD_OF_AMELIA = "Amelia Hart"


def sent(server: Server, kind: str, to: str) -> list[dict[str, str]]:
    """Return the details of what waits to be sent to somebody, oldest first."""
    with server.store.write() as session:
        found = messages.lease(session, server.clock(), timedelta(0), limit=100)
    return [dict(each.details) for each in found if (each.kind, each.recipient) == (kind, to)]


def invited(server: Server, patient: Person, **more: Any) -> str:
    """Invite Joan; return the path of her link."""
    answer = patient.send(INVITE, JOAN | more | {"confirm": "yes"})
    assert answer.status_code == 303, answer.text
    return link(server, str(more.get("email", JOAN["email"])))


def link(server: Server, email: str) -> str:
    return f"/carer/{sent(server, 'carer-invitation', email)[-1]['token']}"


def code(server: Server) -> str:
    return sent(server, "carer-code", MOBILE)[-1]["code"]


def open_account(person: Person, path: str, typed: str, **more: str) -> TestResponse:
    return person.send(path, {"code": typed, "password": PASSWORD, "agreement": "yes"} | more, page=path)


def joan(server: Server, patient: Person, **more: Any) -> Person:
    """Invite Joan and let her open an account and sign in."""
    path, person = invited(server, patient, **more), Person(server)
    assert "Your account is open" in open_account(person, path, code(server)).text
    PASSWORDS[str(JOAN["email"])] = PASSWORD
    return Person(server, str(JOAN["email"]))


def test_a_carer_sees_exactly_what_is_shared_until_it_is_stopped(server: Server) -> None:
    amelia = Person(server, AMELIA)
    check = amelia.send(INVITE, JOAN).text
    assert "Check before you invite" in check
    assert "They would see" in check
    carer = joan(server, amelia)
    page = carer.get("/record")
    assert RECORD_OF_AMELIA in page
    assert "Metformin" in page
    assert "Sertraline" not in page
    assert 'aria-label="Whose record this is"' in carer.get("/record/letters")
    carer.get("/sharing", 403)
    assert sent(server, "news", AMELIA), "the patient is told that the invitation was taken up"
    overview = amelia.get("/sharing")
    assert "View only" in overview
    assert "Invitations that wait" not in overview
    stop = overview.partition(" with Joan Hart</span>")[0].rpartition('href="')[2].partition('"')[0]
    amelia.send(stop, {})
    assert sent(server, "news", str(JOAN["email"])), "the carer is told"
    assert carer.open("/record").status_code == 302
    assert "No record is shared with you now" in carer.get("/choose-record")


def test_only_a_carer_who_may_act_adds_to_the_record(server: Server) -> None:
    amelia = Person(server, AMELIA)
    weight = {"weight": "70", "when": "now"}
    viewer = joan(server, amelia)
    assert viewer.send("/record/measurements/add/weight", weight).status_code == 403
    grantee = re.search(r"/sharing/with/(RelatedPerson/[0-9a-f-]{36})", amelia.get("/sharing"))
    assert grantee is not None
    change = {"labels": ["general"], "ends": "never", "right": "act", "confirm": "yes"}
    amelia.follow(amelia.send(f"/sharing/with/{grantee[1]}", change))
    assert viewer.send("/record/measurements/add/weight", weight).status_code == 303


def test_the_code_is_needed_and_five_wrong_ones_lock(server: Server) -> None:
    path, stranger = invited(server, Person(server, AMELIA)), Person(server)
    for _ in range(4):
        assert open_account(stranger, path, "AAAA-AAAA").status_code == 403
    assert open_account(stranger, path, "AAAA-AAAA").status_code == 429
    right = code(server)
    assert open_account(stranger, path, right).status_code == 429
    server.clock.advance(minutes=16)
    assert open_account(stranger, path, right).status_code == 200
    stranger.get(path, 410)


@pytest.mark.parametrize(
    "token, statuses", [("x", {404, 410}), ("../sign-in", {404, 410}), ("%01", {400}), ("a" * 500, {404, 410})]
)
def test_an_unknown_link_says_what_to_do(server: Server, token: str, statuses: set[int]) -> None:
    assert Person(server).open(f"/carer/{token}").status_code in statuses


def test_a_link_ends_after_its_days_and_when_it_is_sent_again(server: Server) -> None:
    amelia = Person(server, AMELIA)
    old = invited(server, amelia)
    again = re.search(r'action="(/sharing/carers/[^"]+/resend)"', amelia.get("/sharing"))
    assert again is not None
    server.clock.advance(seconds=1)
    amelia.follow(amelia.send(again[1], {}))
    new = link(server, str(JOAN["email"]))
    assert new != old
    Person(server).get(old, 410)
    Person(server).get(new)
    server.clock.advance(days=15)
    Person(server).get(new, 410)


def test_an_invitation_is_nobody_who_sees_the_record_and_withdrawn_it_lets_nobody_in(server: Server) -> None:
    amelia = Person(server, AMELIA)
    path = invited(server, amelia)
    waiting, _, seeing = amelia.get("/sharing").partition("Can see it now")
    assert "These people see nothing yet" in waiting
    assert "Will see: General health." in waiting
    assert "Joan Hart" in waiting
    assert "Joan Hart" not in seeing
    stop = waiting.partition(" with Joan Hart</span>")[0].rpartition('href="')[2].partition('"')[0]
    amelia.send(stop, {})
    Person(server).get(path, 410)


@pytest.mark.parametrize(
    "wrong,said",
    [
        ({"name": ""}, "Enter their full name"),
        ({"email": "joan\r\nBcc: all@example.org"}, "Enter an e-mail address"),
        ({"email": AMELIA}, "Enter their e-mail address, not yours"),
        ({"mobile": "1"}, "Enter a mobile phone number"),
        ({"relation": "BOSS"}, "Choose who they are to you"),
        ({"right": ""}, "Choose what they can do"),
        ({"labels": []}, "Choose at least one kind"),
    ],
)
def test_an_incomplete_invitation_makes_nothing(server: Server, wrong: dict[str, Any], said: str) -> None:
    amelia = Person(server, AMELIA)
    answer = amelia.send(INVITE, JOAN | wrong | {"confirm": "yes"})
    assert answer.status_code == 400
    assert said in answer.text
    assert "Joan Hart" not in amelia.get("/sharing")


def test_a_patient_who_cares_for_somebody_has_both_records_and_never_both_at_once(server: Server) -> None:
    amelia, desmond = Person(server, AMELIA), Person(server, DESMOND)
    path = invited(server, amelia, email=DESMOND)
    assert "Sign in first" in Person(server).get(path)
    assert desmond.send(path, {"code": code(server)}, page=path).status_code == 303
    page = desmond.get("/record")
    assert RECORD_OF_AMELIA in page
    assert "Change record" in page
    desmond.get("/sharing", 403)
    choices = dict(re.findall(r'value="([^"]+~[^"]+)">\s*<label[^>]+>([^<]+),', desmond.get("/choose-record")))
    own = next(value for value, name in choices.items() if "(you)" in name)
    desmond.follow(desmond.send("/choose-record", {"record": own}))
    assert RECORD_OF_AMELIA not in desmond.get("/record")
    desmond.get("/sharing")


def test_a_carer_leaves_and_the_patient_is_told(server: Server) -> None:
    amelia = Person(server, AMELIA)
    carer = joan(server, amelia)
    told = len(sent(server, "news", AMELIA))
    leave = re.search(r'href="(/choose-record/leave/[^"]+)"', carer.get("/choose-record"))
    assert leave is not None
    assert "Stop seeing Amelia Hart's record?" in carer.get(leave[1])
    assert "You no longer see that record" in carer.follow(carer.send(leave[1], {}))
    assert carer.open("/record").status_code == 302
    assert len(sent(server, "news", AMELIA)) == told + 1
    assert "Joan Hart</span>" in amelia.get("/sharing").partition("Can no longer see it")[2]


def test_a_choice_of_somebody_elses_part_changes_nothing(server: Server) -> None:
    amelia = Person(server, AMELIA)
    joan(server, amelia)
    grantee = re.search(r"/sharing/with/RelatedPerson/([0-9a-f-]{36})", amelia.get("/sharing"))
    assert grantee is not None
    desmond = Person(server, DESMOND)
    before = desmond.get("/record")
    desmond.client.set_cookie("acting-as", grantee[1])
    assert RECORD_OF_AMELIA not in desmond.get("/record")
    assert "Desmond Clarke" in before
    assert Person(server, THOMAS).open("/choose-record/leave/x~y").status_code == 404


def test_an_account_for_work_takes_no_invitation_up(server: Server) -> None:
    path = invited(server, Person(server, AMELIA))
    assert "Use another account" in Person(server, GP).get(path)


def test_inviting_needs_a_fresh_proof(server: Server) -> None:
    amelia = Person(server, AMELIA)
    server.clock.advance(minutes=11)
    assert "/sign-in/again" in amelia.send(INVITE, JOAN | {"confirm": "yes"}).location


def test_the_invitations_of_a_day_are_limited(server: Server) -> None:
    amelia = Person(server, AMELIA)
    for _ in range(10):
        invited(server, amelia)
    assert amelia.send(INVITE, JOAN | {"confirm": "yes"}).status_code == 429


def test_a_parents_view_of_a_child_ends_at_the_birthday_by_the_clock(server: Server) -> None:
    # Amelia was born on 14 March 1976; a limit of 51 years makes her a child until then.
    server.app.extensions["fhir"] = replace(server.app.extensions["fhir"], child_until_years=51)
    amelia = Person(server, AMELIA)
    check = amelia.send(INVITE, JOAN | {"relation": "PRN"}).text
    assert "13 March 2027: from your birthday on you decide anew" in check
    parent = joan(server, amelia, relation="PRN")
    grantee = re.search(r"/sharing/with/(RelatedPerson/[0-9a-f-]{36})", amelia.get("/sharing"))
    assert grantee is not None
    longer = {"labels": ["general"], "ends": "never", "right": "view", "confirm": "yes"}
    amelia.follow(amelia.send(f"/sharing/with/{grantee[1]}", longer))
    parent.get("/record")
    server.clock.at = server.clock.at.replace(year=2027, month=3, day=13, hour=12)
    Person(server, str(JOAN["email"])).get("/record")
    server.clock.at = server.clock.at.replace(day=14, hour=1)
    assert Person(server, str(JOAN["email"])).open("/record").status_code == 302


@pytest.mark.parametrize(
    "born,expected",
    [
        ("2012-06-01", date(2028, 5, 31)),
        ("2012-02-29", date(2028, 2, 28)),
        ("2010-11-22", None),
        ("2010-11-23", date(2026, 11, 22)),
        ("2012", None),
        (None, None),
    ],
)
def test_childhood_lasts_until_the_day_before_the_birthday(born: object, expected: date | None) -> None:
    assert last_day_of_childhood(born, 16, date(2026, 11, 22)) == expected
