"""What people change about their account: each with a fresh proof, a message where one is due, and an AuditEvent."""

import re
from pathlib import Path

import pytest

from tests.server import Server
from tests.signin.visitor import MOBILE, PASSWORD, Visitor, account

NEW = "glacier violin 88 thimble"
PAGES = ("password", "email", "mobile", "memorable", "authenticator", "text-codes", "recovery-codes", "passkeys")


@pytest.fixture
def visitor(server: Server, tmp_path: Path) -> Visitor:
    account(server, mobile=MOBILE)
    made = Visitor(server, tmp_path)
    made.sign_in()
    return made


def _log(visitor: Visitor) -> str:
    with visitor.server.store.read() as session:
        return str([tuple(row) for row in session.connection.exec_driver_sql("SELECT * FROM audit_event")])


def test_what_changes_an_account_needs_a_proof_of_the_last_ten_minutes(visitor: Visitor) -> None:
    visitor.server.clock.advance(minutes=10)
    for page in PAGES:
        assert visitor.get(f"/account/{page}")
    visitor.server.clock.advance(seconds=1)
    for page in PAGES:
        back = f"/sign-in/again?next=%2Faccount%2F{page}"
        assert visitor.client.get(f"/account/{page}").location == back
        assert visitor.post(f"/account/{page}", {"password": NEW}).location == back
    other = Visitor(visitor.server, visitor.folder.parent)
    assert other.sign_in().status_code == 303, "nothing was changed"


def test_new_password_signs_every_other_device_out(visitor: Visitor) -> None:
    other = Visitor(visitor.server, visitor.folder.parent)
    other.sign_in()
    assert "too easy to guess" in visitor.post("/account/password", {"password": "Password123!"}).text
    assert visitor.post("/account/password", {"password": NEW}).location == "/account?done=password"
    assert not other.is_in()
    assert visitor.is_in()
    assert other.sign_in(password=PASSWORD).status_code == 403
    assert other.sign_in(password=NEW).status_code == 303
    assert len(visitor.mail("password-changed")) == 1
    assert "change-password" in _log(visitor)
    assert NEW not in _log(visitor)


def test_new_address_is_used_once_it_is_confirmed_and_the_old_one_is_told(visitor: Visitor) -> None:
    assert visitor.post("/account/email", {"new-email": "Ada.New@example.org"}).location == "/account?done=email-asked"
    assert visitor.mail("email-change-asked")[-1]["to"] == "ada@example.org"
    assert visitor.mail("confirm-new-email")[-1]["to"] == "ada.new@example.org"
    link = visitor.link("confirm-new-email")
    reader = Visitor(visitor.server, visitor.folder.parent)
    assert "ada.new@example.org" in reader.get(link)
    assert "ada@example.org" in visitor.get("/account"), "a program that opens links changes nothing"
    assert reader.post(link, page=link).status_code == 200
    assert reader.post(link).status_code == 404
    assert visitor.mail("email-changed")[-1]["to"] == "ada@example.org"
    assert reader.sign_in("ada@example.org").status_code == 403
    assert reader.sign_in("ada.new@example.org").status_code == 303


def test_address_of_somebody_else_is_answered_alike_and_never_taken(visitor: Visitor) -> None:
    account(visitor.server, "bea@example.org")
    answers = [visitor.post("/account/email", {"new-email": each}) for each in ("free@example.org", "bea@example.org")]
    assert answers[0].location == answers[1].location
    assert [each["to"] for each in visitor.mail("confirm-new-email")] == ["free@example.org"]
    link = visitor.link("confirm-new-email")
    assert visitor.client.get(link).status_code == 404, "the newer request put the older one out of use"


@pytest.mark.parametrize("typed", ["", "ada", "ada@example.org", "a@example.org\nBcc: b@example.org", "x" * 400])
def test_wrong_address_is_named_at_its_field(visitor: Visitor, typed: str) -> None:
    answer = visitor.post("/account/email", {"new-email": typed})
    assert answer.status_code == 400
    assert 'href="#new-email"' in answer.text
    assert not visitor.mail("confirm-new-email")


def test_link_to_a_new_address_ends_after_a_day_and_with_a_new_password(visitor: Visitor) -> None:
    visitor.post("/account/email", {"new-email": "one@example.org"})
    link = visitor.link("confirm-new-email")
    visitor.post("/account/password", {"password": NEW})
    assert visitor.client.get(link).status_code == 404
    visitor.post("/account/email", {"new-email": "two@example.org"})
    link = visitor.link("confirm-new-email")
    assert visitor.get(link)
    visitor.server.clock.advance(hours=24)
    assert visitor.client.get(link).status_code == 404


def test_new_number_is_used_once_its_code_is_typed(visitor: Visitor) -> None:
    assert visitor.post("/account/mobile", {"mobile": "07700 900982"}).location == "/account/mobile/code"
    assert visitor.mail("proof-code")[-1]["to"] == "+447700900982"
    assert "Ends in 123" in visitor.get("/account")
    assert visitor.post("/account/mobile/code", {"code": "000000"}).status_code == 403
    assert visitor.post("/account/mobile/code", {"code": visitor.code()}).location == "/account?done=mobile"
    assert "Ends in 982" in visitor.get("/account")
    assert "change-mobile" in _log(visitor)
    assert visitor.post("/account/mobile", {"mobile": "twelve"}).status_code == 400


def test_memorable_question_is_changed(visitor: Visitor) -> None:
    question = "What was your first job?"
    assert visitor.post("/account/memorable", {"question": "Who?", "answer": "x"}).status_code == 400
    answer = visitor.post("/account/memorable", {"question": question, "answer": "Lamplighter"})
    assert answer.location == "/account?done=memorable"
    assert question in visitor.get("/account")
    assert "Lamplighter" not in _log(visitor)


def test_key_of_an_app_is_the_same_until_it_is_confirmed(visitor: Visitor) -> None:
    first = visitor.key_on(visitor.get("/account/authenticator"))
    assert visitor.post("/account/authenticator", {"code": "000000"}).status_code == 403
    page = visitor.get("/account/authenticator")
    assert visitor.key_on(page).secret == first.secret
    assert re.search(r'<img class="app-qr" src="data:image/svg\+xml', page)
    visitor.post("/account/authenticator", {"code": visitor.shown(first)})
    assert visitor.key_on(visitor.get("/account/authenticator")).secret != first.secret
    visitor.post("/account/authenticator", {"action": "remove"})
    other = Visitor(visitor.server, visitor.folder.parent)
    assert other.sign_in().location == "/"
