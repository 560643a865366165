"""How long a session lasts, the warning, and where else somebody is signed in."""

from pathlib import Path

import pytest

from tests.server import Server
from tests.signin.visitor import Visitor, account


@pytest.fixture
def visitor(server: Server, tmp_path: Path) -> Visitor:
    account(server)
    made = Visitor(server, tmp_path)
    made.sign_in()
    return made


def _left_s(visitor: Visitor) -> int:
    return int((visitor.client.get("/session/left").json or {})["left_s"])


def test_asking_how_long_is_left_extends_nothing(visitor: Visitor) -> None:
    visitor.server.clock.advance(minutes=20)
    assert _left_s(visitor) == 600
    assert _left_s(visitor) == 600
    visitor.server.clock.advance(minutes=10)
    assert _left_s(visitor) == 0
    assert not visitor.is_in()


def test_staying_extends_with_and_without_scripts(visitor: Visitor) -> None:
    visitor.server.clock.advance(minutes=28)
    assert visitor.post("/session/stay").json == {"left_s": 1800, "final": False}
    visitor.server.clock.advance(minutes=29)
    page = visitor.client.get("/stay-signed-in", headers={"Referer": "http://localhost/account?done=mobile"}).text
    assert "You are still signed in" in page
    assert 'href="/account?done=mobile"' in page
    elsewhere = visitor.client.get("/stay-signed-in", headers={"Referer": "https://evil.example/account"}).text
    assert "evil" not in elsewhere
    assert 'href="/account?' not in elsewhere
    visitor.server.clock.advance(minutes=29)
    assert visitor.is_in()


def test_every_page_says_when_it_ends_and_how_to_stay(visitor: Visitor) -> None:
    page = visitor.get("/account")
    assert "signed out if you do nothing until 9:30am" in page
    assert 'href="/stay-signed-in"' in page
    assert 'data-session-left="1800" data-session-warn="120"' in page
    assert "signed out" not in Visitor(visitor.server, visitor.folder.parent).get("/contact")


def test_after_twelve_hours_only_a_new_proof_goes_on(visitor: Visitor) -> None:
    for _ in range(27):
        visitor.server.clock.advance(minutes=26)
        assert visitor.is_in()
    page = visitor.get("/account")
    assert "Prove that it is you to stay longer" in page
    assert visitor.post("/session/stay").json == {"left_s": 18 * 60, "final": True}
    assert "/sign-in/again" in visitor.get("/stay-signed-in")
    assert visitor.again().location == "/account"
    visitor.server.clock.advance(minutes=29)
    assert visitor.is_in()


def test_sessions_are_listed_and_ended_one_by_one_or_all(visitor: Visitor) -> None:
    phone, other = (Visitor(visitor.server, visitor.folder.parent) for _ in range(2))
    phone.client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (iPhone) AppleWebKit/605 Version/17 Safari/604.1"
    phone.sign_in()
    other.sign_in()
    page = visitor.get("/account/devices")
    assert page.count('value="end"') == 2
    assert "Safari on iPhone" in page
    name = page.split("Safari on iPhone")[1].split('name="id" value="')[1].split('"')[0]
    stranger = Visitor(visitor.server, visitor.folder.parent)
    account(visitor.server, "bea@example.org")
    stranger.sign_in("bea@example.org")
    stranger.post("/account/devices", {"action": "end", "id": name})
    assert phone.is_in(), "nobody ends somebody else's session"
    visitor.post("/account/devices", {"action": "end", "id": name})
    assert not phone.is_in()
    assert other.is_in()
    assert visitor.post("/account/devices", {"action": "everywhere"}).location == "/signed-out"
    assert not other.is_in()
    assert not visitor.is_in()
    assert stranger.is_in()
