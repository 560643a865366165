import re

import pytest

from fhir_server.identity import invitations as coordinator_side
from fhir_server.identity.agreements import SHIPPED
from fhir_server.store import accounts, invitations
from tests.pages import said

from .conftest import PASSWORD, Browser, World

BIRTH = {"day": "15", "month": "3", "year": "1984"}
QUESTION = "What was the name of your first pet?"


def _prove(world: World, browser: Browser) -> str:
    link = world.link("invitation")
    browser.post(link, {"code": world.code(), **BIRTH})
    return link


def _register(world: World, browser: Browser) -> str:
    link = _prove(world, browser)
    browser.post(f"{link}/password", {"password": PASSWORD})
    browser.post(f"{link}/memorable", {"question": QUESTION, "answer": "Zoë"})
    browser.post(f"{link}/agreement", {"agreement": SHIPPED.agreement, "privacy": SHIPPED.privacy})
    return link


def test_invited_person_registers_step_by_step_and_signs_in_to_her_record(world: World, browser_of: Browser) -> None:
    world.invite()
    link = world.link("invitation")
    proved = browser_of.post(link, {"code": world.code(), **BIRTH})
    assert proved.location == f"{link}/password"
    assert browser_of.post(f"{link}/password", {"password": PASSWORD}).location == f"{link}/memorable"
    asked = browser_of.post(f"{link}/memorable", {"question": QUESTION, "answer": "Zoë"})
    assert asked.location == f"{link}/agreement"
    accepted = {"agreement": SHIPPED.agreement, "privacy": SHIPPED.privacy}
    assert browser_of.post(f"{link}/agreement", accepted).location == "/register/finished"
    assert browser_of.get(world.link("confirm-email")).status_code == 200
    assert browser_of.sign_in(email="bea@example.org").status_code == 303
    with world.store.read() as session:
        account = accounts.by_email(session, "bea@example.org")
    assert account
    assert (account.reference, account.role, account.name) == ("Patient/9", "patient", "Béatrice O'Neill-Smith")
    assert (account.agreement_version, account.privacy_version) == (SHIPPED.agreement, SHIPPED.privacy)
    assert account.accepted_at is not None


@pytest.mark.parametrize("typed", ["{code}", " {plain} ", "{lower}", "{spaced}", "{alike}"])
def test_code_is_taken_as_people_type_it(world: World, browser_of: Browser, typed: str) -> None:
    world.invite()
    code = world.code()
    plain = code.replace("-", "")
    shapes = {
        "code": code,
        "plain": plain,
        "lower": code.lower(),
        "spaced": " ".join(plain),
        "alike": code.replace("0", "O").replace("1", "l"),
    }
    answer = browser_of.post(world.link("invitation"), {"code": typed.format(**shapes), **BIRTH})
    assert answer.status_code == 303


def test_wrong_code_and_wrong_date_of_birth_get_the_same_answer(world: World, browser_of: Browser) -> None:
    world.invite()
    link, code = world.link("invitation"), world.code()
    wrong_code = browser_of.post(link, {"code": "AAAA-AAAA", **BIRTH})
    wrong_date = browser_of.post(link, {"code": code, **BIRTH, "year": "1985"})
    text = "The code or the date of birth is not right"
    assert wrong_code.status_code == wrong_date.status_code == 403
    assert text in wrong_code.text
    assert text in wrong_date.text


@pytest.mark.parametrize("year", ["", "84", "0", "-1984", "1984.0", "9" * 20, "9" * 5_000, "two"])
def test_a_date_that_is_none_is_named_at_its_field_and_is_no_try(world: World, browser_of: Browser, year: str) -> None:
    world.invite()
    link, code = world.link("invitation"), world.code()
    for _ in range(6):
        refused = browser_of.post(link, {"code": code, "day": "15", "month": "3", "year": year})
        assert refused.status_code == 400
        assert "Enter a real date of birth" in refused.text


def test_fifth_wrong_try_locks_even_the_right_code_and_tells_the_coordinator(world: World, browser_of: Browser) -> None:
    coordinator = world.invite()
    link, code = world.link("invitation"), world.code()
    wrong = {"code": "AAAA-AAAA", **BIRTH}
    assert [browser_of.post(link, wrong).status_code for _ in range(5)] == [403] * 4 + [429]
    locked = browser_of.post(link, {"code": code, **BIRTH})
    assert (locked.status_code, locked.headers["Retry-After"]) == (429, "900")
    told = world.newest("invitation-locked")
    assert told["to"] == coordinator.email
    for private in ("Béatrice", "Neill", "1984", "943", "bea@", "7700"):
        assert private not in told["subject"] + told["body"]
    world.clock.pass_time(minutes=15, seconds=1)
    assert browser_of.post(link, {"code": code, **BIRTH}).status_code == 303


def test_expired_used_and_unknown_links_get_the_same_page(world: World, browser_of: Browser) -> None:
    world.invite()
    used = _register(world, browser_of)
    world.invite(patient="Patient/10", email="ten@example.org")
    expired = world.link("invitation")
    world.clock.pass_time(days=14, seconds=1)
    pages = [browser_of.get(link) for link in (used, expired, "/register/unknown")]
    assert [shown.status_code for shown in pages] == [404] * 3
    texts = {"\n".join(line for line in said(shown.text).splitlines() if "/new-link" not in line) for shown in pages}
    assert len(texts) == 1


def test_expired_link_can_be_renewed_and_the_new_one_works(world: World, browser_of: Browser) -> None:
    world.invite()
    old = world.link("invitation")
    world.clock.pass_time(days=15)
    answer = browser_of.post(f"{old}/new-link", {}, page=old)
    nothing = browser_of.post("/register/unknown/new-link", {}, page="/register/unknown")
    assert answer.status_code == nothing.status_code == 200
    assert said(answer.text) == said(nothing.text)
    fresh = world.link("invitation")
    assert fresh != old
    assert browser_of.post(fresh, {"code": world.code(), **BIRTH}).status_code == 303


def test_completed_invitation_cannot_be_renewed(world: World, browser_of: Browser) -> None:
    world.invite()
    used = _register(world, browser_of)
    world.clock.pass_time(days=15)
    before = len(world.mail())
    browser_of.post(f"{used}/new-link", {}, page=used)
    assert len(world.mail()) == before


def test_link_without_code_opens_no_step(world: World, browser_of: Browser) -> None:
    world.invite()
    link = world.link("invitation")
    for step in ("password", "memorable", "agreement"):
        assert browser_of.get(f"{link}/{step}").location == link
        assert browser_of.post(f"{link}/{step}", {"password": PASSWORD}, page=link).location == link


def test_steps_cannot_be_skipped(world: World, browser_of: Browser) -> None:
    world.invite()
    link = _prove(world, browser_of)
    assert browser_of.get(f"{link}/agreement").location == f"{link}/password"
    accepted = {"agreement": SHIPPED.agreement, "privacy": SHIPPED.privacy}
    assert browser_of.post(f"{link}/agreement", accepted, page=f"{link}/password").location == f"{link}/password"
    with world.store.read() as session:
        assert accounts.by_email(session, "bea@example.org") is None


def test_registration_goes_on_where_it_stopped_in_another_browser(world: World, browser_of: Browser) -> None:
    world.invite()
    link = _prove(world, browser_of)
    browser_of.post(f"{link}/password", {"password": PASSWORD})
    other = Browser(world.app.test_client())
    assert other.get(f"{link}/memorable").location == link
    assert other.post(link, {"code": world.code(), **BIRTH}).location == f"{link}/memorable"
    assert browser_of.get(f"{link}/memorable").location == link


@pytest.mark.parametrize(
    "password,reason",
    [
        ("short pass", "12 characters or more"),
        ("password1234", "too easy to guess"),
        ("qwertyuiop123", "too easy to guess"),
        ("beatrice1984", "too easy to guess"),
        ("x" * 257, "256 characters or fewer"),
    ],
)
def test_guessable_passwords_are_refused_in_plain_words(
    world: World, browser_of: Browser, password: str, reason: str
) -> None:
    world.invite()
    link = _prove(world, browser_of)
    answer = browser_of.post(f"{link}/password", {"password": password})
    assert answer.status_code == 400
    assert reason in answer.text
    assert password not in answer.text.replace("256 characters", "")


def test_agreement_and_policy_must_both_be_accepted(world: World, browser_of: Browser) -> None:
    world.invite()
    link = _prove(world, browser_of)
    browser_of.post(f"{link}/password", {"password": PASSWORD})
    browser_of.post(f"{link}/memorable", {"question": QUESTION, "answer": "Zoë"})
    answer = browser_of.post(f"{link}/agreement", {"agreement": SHIPPED.agreement})
    assert answer.status_code == 400
    assert "accept the privacy policy" in answer.text


def test_made_up_question_and_short_answer_are_refused(world: World, browser_of: Browser) -> None:
    world.invite()
    link = _prove(world, browser_of)
    browser_of.post(f"{link}/password", {"password": PASSWORD})
    answer = browser_of.post(f"{link}/memorable", {"question": "<b>Mine</b>", "answer": "x"})
    assert answer.status_code == 400
    assert 'href="#question"' in answer.text
    assert 'href="#answer"' in answer.text


def test_account_cannot_sign_in_before_its_address_is_confirmed(world: World, browser_of: Browser) -> None:
    world.invite()
    _register(world, browser_of)
    first = world.link("confirm-email")
    answer = browser_of.sign_in(email="bea@example.org")
    assert answer.status_code == 200
    assert "Confirm your e-mail address" in answer.text
    assert not browser_of.is_signed_in()
    assert browser_of.get(first).status_code == 404
    assert browser_of.get(world.link("confirm-email")).status_code == 200
    assert browser_of.sign_in(email="bea@example.org").status_code == 303


def test_confirmation_link_may_be_opened_twice_but_does_not_revive_a_closed_account(
    world: World, browser_of: Browser
) -> None:
    world.invite()
    _register(world, browser_of)
    link = world.link("confirm-email")
    assert [browser_of.get(link).status_code for _ in range(2)] == [200, 200]
    with world.store.write() as session:
        account = accounts.by_email(session, "bea@example.org")
        assert account
        accounts.set_active(session, account.id, active=False, now=world.clock())
    browser_of.get(link)
    assert browser_of.sign_in(email="bea@example.org").status_code == 403


def test_two_invitations_of_one_record_never_make_two_accounts(world: World, browser_of: Browser) -> None:
    world.invite()
    first = world.link("invitation")
    world.invite(email="second@example.org", organization="Organization/2")
    assert browser_of.get(first).status_code == 404
    _register(world, browser_of)
    with world.store.read() as session:
        assert len(accounts.by_reference(session, "Patient/9")) == 1


def test_a_person_invited_by_letter_types_its_code_and_says_an_e_mail_address(
    world: World, browser_of: Browser
) -> None:
    coordinator = world.invite(email="")
    with world.store.write() as session:
        [invitation] = coordinator_side.listed(session, coordinator.organization, world.clock())
        link_code = coordinator_side.letter(session, invitation, world.clock())
    text = world.newest("invitation-letter-code")["body"]
    code = text.partition("code is ")[2].partition(".")[0]
    link = browser_of.post("/register", {"link-code": link_code.lower().replace("-", " ")}).location
    assert browser_of.post(link, {"code": code, **BIRTH}).location == f"{link}/email"
    assert browser_of.post(f"{link}/email", {"email": "=x"}).status_code == 400
    assert browser_of.post(f"{link}/email", {"email": "Letter@example.org"}).location == f"{link}/password"
    browser_of.post(f"{link}/password", {"password": PASSWORD})
    browser_of.post(f"{link}/memorable", {"question": QUESTION, "answer": "Zoë"})
    browser_of.post(f"{link}/agreement", {"agreement": SHIPPED.agreement, "privacy": SHIPPED.privacy})
    assert browser_of.get(world.link("confirm-email")).status_code == 200
    assert browser_of.sign_in(email="letter@example.org").status_code == 303


def test_unknown_codes_of_letters_end_like_dead_links_and_are_limited(world: World, browser_of: Browser) -> None:
    statuses = set()
    for number in range(20):
        answer = browser_of.post("/register", {"link-code": f"7KQM-2X0P-{number:04}"})
        statuses.add(browser_of.get(answer.location).status_code)
    assert statuses == {404}
    assert browser_of.post("/register", {"link-code": "7KQM-2X0P-9AHT"}).status_code == 429


def test_cancelled_invitation_is_dead(world: World, browser_of: Browser) -> None:
    coordinator = world.invite()
    link = world.link("invitation")
    with world.store.write() as session:
        [invitation] = coordinator_side.listed(session, coordinator.organization, world.clock())
        coordinator_side.cancel(session, invitation, world.clock())
    assert browser_of.get(link).status_code == 404


def test_neither_link_nor_code_nor_password_is_readable_in_the_database(world: World, browser_of: Browser) -> None:
    world.invite()
    link, code = world.link("invitation"), world.code()
    token = link.rpartition("/")[2]
    browser_of.post(link, {"code": code, **BIRTH})
    browser_of.post(f"{link}/password", {"password": PASSWORD})
    with world.store.read() as session:
        rows = [
            str(tuple(row))
            for table in ("account", "invitation", "message", "account_link", "portal_session", "rate_limit")
            for row in session.connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608 - names of ours
        ]
        [invitation] = [found for found in [invitations.by_id(session, _only_id(rows))] if found]
    assert invitation.has_password
    for private in (token, code, code.replace("-", ""), PASSWORD):
        assert not [row for row in rows if private in row]


def test_messages_tell_nothing_about_health(world: World, browser_of: Browser) -> None:
    world.invite()
    _register(world, browser_of)
    for sent in world.mail():
        # A random token may spell anything.
        text = re.sub(r"[\w-]{43}", "", (sent.get("subject", "") + sent["body"]).lower())
        for hint in ("hospital", "record", "nhs", "health", "patient", "943", "1984", "o'neill"):
            assert hint not in text.replace("care information exchange", "")


def _only_id(rows: list[str]) -> str:
    return next(row for row in rows if "Patient/9" in row).split("'")[1]
