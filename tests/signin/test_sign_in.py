import pytest

from fhir_server.store import accounts
from tests.pages import said

from .conftest import PASSWORD, Browser, World


def test_right_password_opens_a_session(world: World, browser_of: Browser) -> None:
    world.account()
    answer = browser_of.sign_in()
    assert (answer.status_code, answer.location) == (303, "/")
    assert browser_of.is_signed_in()


def test_e_mail_address_is_taken_in_any_case(world: World, browser_of: Browser) -> None:
    world.account()
    assert browser_of.sign_in(email="  Patient@Example.ORG ").status_code == 303


def test_unknown_address_and_wrong_password_get_the_same_answer(world: World, browser_of: Browser) -> None:
    world.account()
    wrong = browser_of.sign_in(password="not the password at all")
    unknown = browser_of.sign_in(email="nobody@example.org", password="not the password at all")
    assert wrong.status_code == unknown.status_code == 403
    assert said(wrong.text) == said(unknown.text.replace("nobody@", "patient@"))
    assert not browser_of.is_signed_in()


def test_closed_account_gets_the_answer_of_a_wrong_password(world: World, browser_of: Browser) -> None:
    account = world.account()
    with world.store.write() as session:
        accounts.set_active(session, account.id, active=False, now=world.clock())
    assert browser_of.sign_in().status_code == 403


def test_closing_an_account_ends_its_open_sessions(world: World, browser_of: Browser) -> None:
    account = world.account()
    browser_of.sign_in()
    with world.store.write() as session:
        accounts.set_active(session, account.id, active=False, now=world.clock())
    assert not browser_of.is_signed_in()


def test_guessing_is_stopped_for_known_and_unknown_addresses_alike(world: World, browser_of: Browser) -> None:
    world.account()
    for email in ("patient@example.org", "nobody@example.org"):
        answers = [browser_of.sign_in(email=email, password=f"guess number {n}").status_code for n in range(11)]
        assert answers == [403] * 10 + [429]
    assert browser_of.sign_in().status_code == 429
    world.clock.pass_time(minutes=16)
    assert browser_of.sign_in().status_code == 303


def test_session_id_planted_before_sign_in_is_not_adopted(world: World, browser_of: Browser) -> None:
    world.account()
    browser_of.client.set_cookie("session", "planted-by-somebody-else", domain="localhost")
    browser_of.sign_in()
    assert browser_of.cookie() not in {"", "planted-by-somebody-else"}
    assert browser_of.is_signed_in()


def test_signing_in_anew_kills_the_session_before(world: World, browser_of: Browser) -> None:
    world.account()
    world.account("other@example.org", reference="Patient/2")
    browser_of.sign_in()
    first = browser_of.cookie()
    form = browser_of.get("/forgotten-password")
    token = form.text.split('name="csrf_token" value="')[1].split('"')[0]
    fields = {"email": "other@example.org", "password": PASSWORD, "csrf_token": token}
    browser_of.client.post("/sign-in", data=fields, base_url="http://localhost:18320")
    assert browser_of.get("/whoami").json["email"] == "other@example.org"  # type: ignore[index]
    browser_of.client.set_cookie("session", first, domain="localhost")
    assert not browser_of.is_signed_in()


def test_form_token_of_before_sign_in_is_worthless_after(world: World, browser_of: Browser) -> None:
    world.account()
    form = browser_of.get("/sign-in")
    token = form.text.split('name="csrf_token" value="')[1].split('"')[0]
    browser_of.sign_in()
    answer = browser_of.client.post("/sign-out", data={"csrf_token": token}, base_url="http://localhost:18320")
    assert answer.status_code == 400
    assert browser_of.is_signed_in()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/%0d\r\nSet-Cookie: a=b",
        "evil",
        "",
    ],
)
def test_next_leads_nowhere_else(world: World, browser_of: Browser, target: str) -> None:
    world.account()
    assert browser_of.sign_in(next=target).location == "/"


def test_next_of_this_site_is_followed(world: World, browser_of: Browser) -> None:
    world.account()
    asked = browser_of.get("/whoami?a=b&c=d")
    assert asked.location == "/sign-in?next=%2Fwhoami%3Fa%3Db%26c%3Dd"
    assert browser_of.sign_in(next="/whoami?a=b&c=d").location == "/whoami?a=b&c=d"


def test_form_without_its_token_is_refused_with_a_page(world: World, browser_of: Browser) -> None:
    world.account()
    fields = {"email": "patient@example.org", "password": PASSWORD}
    answer = browser_of.client.post("/sign-in", data=fields, base_url="http://localhost:18320")
    assert answer.status_code == 400
    assert "<h1" in answer.text
    assert not browser_of.is_signed_in()


def test_empty_fields_are_named(world: World, browser_of: Browser) -> None:
    answer = browser_of.sign_in(email="", password="")
    assert answer.status_code == 400
    assert '<a href="#email">Enter your e-mail address</a>' in answer.text
    assert '<a href="#password">Enter your password</a>' in answer.text
    assert "<title>Error: Sign in" in answer.text


def test_sign_out_ends_the_session_and_calls_the_hook(world: World, browser_of: Browser) -> None:
    world.account()
    browser_of.sign_in()
    session_id = browser_of.get("/whoami").json["session"]  # type: ignore[index]
    cookie = browser_of.cookie()
    assert browser_of.post("/sign-out", {}, page="/forgotten-password").location == "/signed-out"
    assert world.signed_out == [session_id]
    browser_of.client.set_cookie("session", cookie, domain="localhost")
    assert not browser_of.is_signed_in()


def test_session_ends_after_thirty_idle_minutes(world: World, browser_of: Browser) -> None:
    world.account()
    browser_of.sign_in()
    for _ in range(3):
        world.clock.pass_time(minutes=29)
        assert browser_of.is_signed_in()
    world.clock.pass_time(minutes=30)
    assert not browser_of.is_signed_in()


def test_session_ends_after_twelve_hours_in_any_case(world: World, browser_of: Browser) -> None:
    world.account()
    browser_of.sign_in()
    for _ in range(28):
        world.clock.pass_time(minutes=25)
        assert browser_of.is_signed_in()
    world.clock.pass_time(minutes=20)
    assert not browser_of.is_signed_in()


def test_page_of_another_role_is_refused(world: World, browser_of: Browser) -> None:
    world.account()
    browser_of.sign_in()
    assert browser_of.get("/desk").status_code == 403


def test_signing_in_again_renews_the_proof_and_keeps_the_session(world: World, browser_of: Browser) -> None:
    world.account()
    browser_of.sign_in()
    before, cookie = browser_of.get("/whoami").json, browser_of.cookie()
    world.clock.pass_time(minutes=10)
    wrong = browser_of.post("/sign-in/again", {"password": "wrong wrong wrong"})
    assert wrong.status_code == 403
    assert browser_of.get("/whoami").json == before
    answer = browser_of.post("/sign-in/again", {"password": PASSWORD, "next": "/whoami"})
    assert answer.location == "/whoami"
    after = browser_of.get("/whoami").json
    assert before
    assert after
    assert after["session"] == before["session"]
    assert after["auth"] > before["auth"]
    assert browser_of.cookie() != cookie
    browser_of.client.set_cookie("session", cookie, domain="localhost")
    assert not browser_of.is_signed_in()


def test_cookie_is_closed_to_scripts_and_other_sites(world: World, browser_of: Browser) -> None:
    world.account()
    headers = browser_of.sign_in().headers.getlist("Set-Cookie")
    assert any("session=" in h and "HttpOnly" in h and "SameSite=Lax" in h and "Path=/" in h for h in headers)


def test_every_sign_in_failed_one_and_sign_out_is_audited(world: World, browser_of: Browser) -> None:
    world.account()
    browser_of.sign_in(password="wrong wrong wrong")
    browser_of.sign_in(email="nobody@example.org")
    browser_of.sign_in()
    browser_of.post("/sign-out", {}, page="/forgotten-password")
    with world.store.read() as session:
        rows = [tuple(row) for row in session.connection.exec_driver_sql("SELECT * FROM audit_event")]
    assert len(rows) == 4
    assert "nobody@example.org" not in str(rows)
    assert "wrong wrong" not in str(rows)
