"""A lost password: e-mail link and a second proof; the memorable answer is never enough."""

import re
from typing import Any

import orjson
import pytest
from sqlalchemy import text

from fhir_server.identity import passwords
from fhir_server.identity.agreements import SHIPPED
from fhir_server.store import accounts
from fhir_server.store.accounts import Account, Secrets
from tests.pages import said

from .conftest import PASSWORD, Browser, World

NEW = "glacier violin 88 thimble"
QUESTION = "What was the name of your first pet?"


def _person(world: World, *, mobile: str = "+447700900123", question: str = QUESTION) -> None:
    account = Account(
        id="a-1",
        email="patient@example.org",
        name="Ann Example",
        role="patient",
        reference="Patient/1",
        organization="",
        may_break_glass=False,
        active=True,
        created_at=world.clock(),
        email_confirmed_at=world.clock(),
        mobile=mobile,
        memorable_question=question,
        agreement_version=SHIPPED.agreement,
        privacy_version=SHIPPED.privacy,
    )
    secrets = Secrets(passwords.hashed(PASSWORD), passwords.hashed(passwords.plain_answer("Zoë")) if question else "")
    with world.store.write() as session:
        accounts.add(session, account, secrets)


def _events(world: World) -> list[Any]:
    with world.store.read() as session:
        rows = session.connection.execute(text("SELECT content FROM audit_event ORDER BY seq")).all()
    return [orjson.loads(bytes(content)) for (content,) in rows]


def _ask(browser: Browser, email: str = "patient@example.org") -> str:
    return browser.post("/forgotten-password", {"email": email}).text


def _code(world: World, browser: Browser, link: str) -> str:
    """Ask for a code by text message and return it."""
    browser.post(f"{link}/code", {}, page="/sign-in")
    found = re.match(r"(\d{6}) is your", world.newest("proof-code")["body"])
    assert found
    return found[1]


def _answer(code: str, answer: str = " ZOE! ") -> dict[str, str]:
    return {"way": "text", "code": code, "answer": answer, "password": NEW}


def test_link_code_and_answer_change_the_password_and_end_every_session(world: World, browser_of: Browser) -> None:
    _person(world)
    elsewhere = Browser(world.app.test_client())
    elsewhere.sign_in()
    _ask(browser_of)
    link = world.link("reset-password")
    answer = browser_of.post(link, _answer(_code(world, browser_of, link)))
    assert answer.location == "/reset-password/finished"
    assert not elsewhere.is_signed_in()
    assert world.newest("password-changed")["to"] == "patient@example.org"
    assert browser_of.sign_in().status_code == 403
    assert browser_of.sign_in(password=NEW).status_code == 303


@pytest.mark.parametrize("wrong", [{"code": "000000"}, {"answer": "Rex"}, {"code": ""}, {"answer": ""}])
def test_neither_code_nor_answer_is_enough_and_nobody_learns_which_was_wrong(
    world: World, browser_of: Browser, wrong: dict[str, str]
) -> None:
    _person(world)
    _ask(browser_of)
    link = world.link("reset-password")
    code = _code(world, browser_of, link)
    refused = browser_of.post(link, _answer(code) | wrong)
    assert refused.status_code in {400, 403}
    assert ("The code or the answer is not right" in refused.text) is (refused.status_code == 403)
    assert browser_of.sign_in().status_code == 303
    assert browser_of.post(link, _answer(code)).status_code == 303


def test_unknown_address_gets_the_same_answer_and_no_message(world: World, browser_of: Browser) -> None:
    _person(world)
    assert said(_ask(browser_of)) == said(_ask(browser_of, "nobody@example.org"))
    assert [message["to"] for message in world.mail()] == ["patient@example.org"]


def test_each_request_is_on_the_log_whoever_it_is_for_and_in_nobodys_own_log(world: World, browser_of: Browser) -> None:
    """A stranger who knows an address must not write into its owner's access log, nor learn whether it has one."""
    _person(world)
    before = _events(world)
    for email in ("patient@example.org", "nobody@example.org"):
        _ask(browser_of, email)
    link = world.link("reset-password")
    for _ in range(4):
        _code(world, browser_of, link)
    acts = [(event["subtype"][0]["code"], event["entity"][0]["name"]) for event in _events(world)[len(before) :]]
    assert acts[:2] == [("ask-new-password", "account a-1"), ("ask-new-password", "an address without an account")]
    assert acts[2:] == [("send-proof-code", "account a-1 recover")] * 3, "the fourth was not sent"
    named = [event["agent"] for event in _events(world)[len(before) :]]
    assert all("Patient/1" not in str(agents) for agents in named)


def test_five_wrong_answers_use_the_link_up(world: World, browser_of: Browser) -> None:
    _person(world)
    _ask(browser_of)
    link = world.link("reset-password")
    code = _code(world, browser_of, link)
    results = [browser_of.post(link, _answer(code, "Rex")).status_code for _ in range(5)]
    assert results == [403, 403, 403, 403, 404]
    assert browser_of.post(link, _answer(code), page="/forgotten-password").status_code == 404
    assert browser_of.sign_in().status_code == 303


def test_link_works_once_and_for_an_hour(world: World, browser_of: Browser) -> None:
    _person(world)
    _ask(browser_of)
    link = world.link("reset-password")
    assert browser_of.post(link, _answer(_code(world, browser_of, link))).status_code == 303
    assert browser_of.get(link).status_code == 404
    world.clock.pass_time(hours=1)
    _ask(browser_of)
    late = world.link("reset-password")
    world.clock.pass_time(hours=1)
    assert browser_of.get(late).status_code == 404


@pytest.mark.parametrize("question", ["", QUESTION])
def test_account_without_a_second_proof_is_shown_a_human_way(world: World, browser_of: Browser, question: str) -> None:
    _person(world, mobile="", question=question)
    _ask(browser_of)
    link = world.link("reset-password")
    shown = browser_of.get(link)
    assert "Contact us" in shown.text
    assert 'name="password"' not in shown.text
    sent = browser_of.post(link, {"way": "recovery", "code": "", "answer": "Zoë", "password": NEW}, page="/sign-in")
    assert "Contact us" in sent.text
    assert browser_of.sign_in().status_code == 303


def test_fourth_request_in_an_hour_sends_nothing(world: World, browser_of: Browser) -> None:
    _person(world)
    for _ in range(5):
        _ask(browser_of)
    assert len(world.mail()) == 3
