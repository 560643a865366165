from fhir_server.identity import passwords
from fhir_server.store import accounts
from fhir_server.store.accounts import Account, Secrets

from .conftest import PASSWORD, Browser, World

NEW = "glacier violin 88 thimble"


def _person(world: World) -> None:
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
        memorable_question="What was the name of your first pet?",
    )
    secrets = Secrets(passwords.hashed(PASSWORD), passwords.hashed(passwords.plain_answer("Zoë")))
    with world.store.write() as session:
        accounts.add(session, account, secrets)


def _ask(browser: Browser, email: str = "patient@example.org") -> str:
    return browser.post("/forgotten-password", {"email": email}).text


def test_link_and_memorable_answer_change_the_password_and_end_every_session(world: World, browser_of: Browser) -> None:
    _person(world)
    elsewhere = Browser(world.app.test_client())
    elsewhere.sign_in()
    _ask(browser_of)
    answer = browser_of.post(world.link("reset-password"), {"answer": " ZOE! ", "password": NEW})
    assert answer.location == "/reset-password/finished"
    assert not elsewhere.is_signed_in()
    assert world.newest("password-changed")["to"] == "patient@example.org"
    assert browser_of.sign_in().status_code == 403
    assert browser_of.sign_in(password=NEW).status_code == 303


def test_unknown_address_gets_the_same_answer_and_no_message(world: World, browser_of: Browser) -> None:
    _person(world)
    assert _ask(browser_of) == _ask(browser_of, "nobody@example.org")
    assert [message["to"] for message in world.mail()] == ["patient@example.org"]


def test_five_wrong_answers_use_the_link_up(world: World, browser_of: Browser) -> None:
    _person(world)
    _ask(browser_of)
    link = world.link("reset-password")
    wrong = {"answer": "Rex", "password": NEW}
    assert [browser_of.post(link, wrong).status_code for _ in range(5)] == [403] * 5
    right = {"answer": "Zoë", "password": NEW}
    assert browser_of.post(link, right, page="/forgotten-password").status_code == 404
    assert browser_of.sign_in().status_code == 303


def test_link_works_once_and_for_an_hour(world: World, browser_of: Browser) -> None:
    _person(world)
    _ask(browser_of)
    link = world.link("reset-password")
    browser_of.post(link, {"answer": "Zoë", "password": NEW})
    assert browser_of.get(link).status_code == 404
    world.clock.pass_time(hours=1)
    _ask(browser_of)
    late = world.link("reset-password")
    world.clock.pass_time(hours=1)
    assert browser_of.get(late).status_code == 404


def test_account_without_memorable_question_is_shown_a_human_way(world: World, browser_of: Browser) -> None:
    world.account()
    _ask(browser_of)
    link = world.link("reset-password")
    shown = browser_of.get(link)
    assert "Contact us" in shown.text
    assert 'name="password"' not in shown.text


def test_fourth_request_in_an_hour_sends_nothing(world: World, browser_of: Browser) -> None:
    _person(world)
    for _ in range(5):
        _ask(browser_of)
    assert len(world.mail()) == 3
