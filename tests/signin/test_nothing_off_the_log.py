"""What people do about signing in is done with its AuditEvent or not at all: each act fails where the log is full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fhir_server.identity import account_changes
from fhir_server.identity.agreements import SHIPPED
from fhir_server.store import accounts
from tests.full_log import full_log

from .conftest import PASSWORD, Browser, World

NEW = "glacier violin 88 thimble"


def _account(world: World) -> accounts.Account:
    """Return the account of a patient with a phone."""
    made = world.account()
    with world.store.write() as session:
        accounts.set_mobile(session, made.id, "+447700900123")
    return replace(made, mobile="+447700900123")


def _refused(world: World, act: Callable[[], int]) -> None:
    """Check that an act is refused while the log is full."""
    world.mail()
    with full_log(world.store):
        status = act()
    assert status in {409, 500, 503}
    assert status >= 409


def _email(world: World) -> str:
    with world.store.read() as session:
        [found] = accounts.by_reference(session, "Patient/1")
    return found.email


def test_nobody_is_signed_in_or_out_off_the_log(world: World, browser_of: Browser) -> None:
    world.account()
    _refused(world, lambda: browser_of.sign_in().status_code)
    assert not browser_of.is_signed_in()
    assert browser_of.sign_in().status_code == 303
    _refused(world, lambda: browser_of.post("/sign-out", {}, page="/sign-in/again").status_code)
    assert browser_of.is_signed_in()


def test_no_password_is_recovered_off_the_log_and_the_link_still_works(world: World, browser_of: Browser) -> None:
    _account(world)
    browser_of.post("/forgotten-password", {"email": "patient@example.org"})
    link = world.link("reset-password")
    browser_of.post(f"{link}/code", {}, page="/sign-in")
    form = {"way": "text", "code": world.newest("proof-code")["body"][:6], "answer": "", "password": NEW}
    _refused(world, lambda: browser_of.post(link, form).status_code)
    assert not [each for each in world.mail() if each["kind"] == "password-changed"]
    assert browser_of.post(link, form).location == "/reset-password/finished"


def test_no_link_and_no_code_is_sent_off_the_log_whoever_asks(world: World, browser_of: Browser) -> None:
    _account(world)
    known, unknown = {"email": "patient@example.org"}, {"email": "nobody@example.org"}
    _refused(world, lambda: browser_of.post("/forgotten-password", known).status_code)
    _refused(world, lambda: browser_of.post("/forgotten-password", unknown).status_code)
    assert not world.mail()
    browser_of.post("/forgotten-password", known)
    link = world.link("reset-password")
    _refused(world, lambda: browser_of.post(f"{link}/code", {}, page="/sign-in").status_code)
    assert [each["kind"] for each in world.mail()] == ["reset-password"]


def test_no_new_address_is_confirmed_off_the_log(world: World, browser_of: Browser) -> None:
    account = _account(world)
    with world.store.write() as session:
        account_changes.ask_new_email(session, account, "new@example.org", world.clock())
    link = world.link("confirm-new-email")
    _refused(world, lambda: browser_of.post(link, {}).status_code)
    assert _email(world) == account.email
    assert browser_of.post(link, {}).status_code == 200
    assert _email(world) == "new@example.org"


def test_no_wrong_try_of_an_invitation_is_counted_off_the_log(world: World, browser_of: Browser) -> None:
    """Or somebody who fills the disk could lock others out unseen, and guess unseen."""
    world.invite()
    link, code = world.link("invitation"), world.code()
    born = {"day": "15", "month": "3", "year": "1984"}
    for _ in range(6):
        _refused(world, lambda: browser_of.post(link, {"code": "AAAA-AAAA", **born}).status_code)
    assert browser_of.post(link, {"code": code, **born}).status_code == 303


def test_no_wrong_second_proof_is_counted_off_the_log(world: World, browser_of: Browser) -> None:
    account = _account(world)
    with world.store.write() as session:
        accounts.want_text_codes(session, account.id, world.clock())
    assert browser_of.sign_in(password=PASSWORD).location.startswith("/sign-in/proof")
    code = world.newest("proof-code")["body"][:6]
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(6):
        _refused(world, lambda: browser_of.post("/sign-in/proof", {"code": wrong, "way": "text"}).status_code)
    assert browser_of.post("/sign-in/proof", {"code": code, "way": "text"}).status_code == 303
    assert browser_of.is_signed_in()
    assert account.agreement_version == SHIPPED.agreement
