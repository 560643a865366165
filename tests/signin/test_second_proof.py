"""Signing in with a second proof: authenticator app, text message, recovery code, remembered device."""

from pathlib import Path

import pyotp
import pytest

from tests.databases import Databases
from tests.server import Server, build, create_schema
from tests.signin.visitor import MOBILE, PASSWORD, Visitor, account


@pytest.fixture
def visitor(server: Server, tmp_path: Path) -> Visitor:
    account(server)
    made = Visitor(server, tmp_path)
    assert made.sign_in().location == "/"
    return made


def _other(visitor: Visitor) -> Visitor:
    return Visitor(visitor.server, visitor.folder.parent)


def test_password_alone_opens_nothing_once_an_app_is_set_up(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    other = _other(visitor)
    assert other.sign_in().location == "/sign-in/proof?next=%2F"
    assert not other.is_in()
    assert "authenticator app" in other.get("/sign-in/proof")
    wrong = other.post("/sign-in/proof", {"code": "000000"})
    assert wrong.status_code == 403
    assert "The code is not right" in wrong.text
    assert not other.is_in()
    right = other.post("/sign-in/proof", {"code": visitor.shown(app), "next": "/account"})
    assert right.location == "/account"
    assert other.is_in()
    assert visitor.mail("security-changed")[-1]["to"] == "ada@example.org"


def test_code_of_an_app_is_taken_once_and_none_before_it(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    earlier, code = app.at(visitor.server.clock()), visitor.shown(app)
    for typed, status in ((code, 303), (code, 403), (earlier, 403)):
        other = _other(visitor)
        other.sign_in()
        assert other.post("/sign-in/proof", {"code": typed}).status_code == status


@pytest.mark.parametrize("drift_s,is_taken", [(-90, False), (-29, True), (29, True), (90, False)])
def test_clock_of_the_phone_may_be_one_step_off(visitor: Visitor, drift_s: int, *, is_taken: bool) -> None:
    app = visitor.set_up_app()
    visitor.server.clock.advance(minutes=5)
    other = _other(visitor)
    other.sign_in()
    code = app.at(int(visitor.server.clock().timestamp()) + drift_s)
    assert (other.post("/sign-in/proof", {"code": code}).status_code == 303) is is_taken


def test_five_wrong_codes_end_the_attempt_and_the_person_is_told(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    other = _other(visitor)
    other.sign_in()
    statuses = [other.post("/sign-in/proof", {"code": f"00000{digit}"}).status_code for digit in range(5)]
    assert statuses == [403] * 5
    assert "Sign in once more" in other.post("/sign-in/proof", {"code": visitor.shown(app)}).text
    assert not other.is_in()
    assert len(visitor.mail("second-proof-failed")) == 1


def test_wrong_codes_are_limited_over_many_attempts(visitor: Visitor) -> None:
    app, other = visitor.set_up_app(), _other(visitor)
    for _ in range(4):
        other.sign_in()
        for digit in range(5):
            other.post("/sign-in/proof", {"code": f"00000{digit}"})
    other.sign_in()
    assert "Sign in once more" in other.post("/sign-in/proof", {"code": visitor.shown(app)}).text
    visitor.server.clock.advance(hours=1)
    other.sign_in()
    assert other.post("/sign-in/proof", {"code": visitor.shown(app)}).status_code == 303


def test_attempt_ends_after_a_quarter_of_an_hour(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    other = _other(visitor)
    other.sign_in()
    visitor.server.clock.advance(minutes=15)
    assert other.client.get("/sign-in/proof").status_code == 403
    assert "Sign in once more" in other.post("/sign-in/proof", {"code": visitor.shown(app)}).text


def test_recovery_code_works_once_however_it_is_typed(visitor: Visitor) -> None:
    visitor.set_up_app()
    codes = visitor.recovery_codes()
    assert len(set(codes)) == 10
    typed = codes[3].lower().replace("-", " ")
    for status in (303, 403):
        other = _other(visitor)
        other.sign_in()
        assert other.post("/sign-in/proof", {"way": "recovery", "code": typed}).status_code == status
    assert "<strong>9</strong> left" in visitor.get("/account/recovery-codes")
    visitor.recovery_codes()
    other = _other(visitor)
    other.sign_in()
    assert other.post("/sign-in/proof", {"way": "recovery", "code": codes[4]}).status_code == 403


def test_text_code_is_no_way_in_beside_an_app_unless_its_person_wants_it(server: Server, tmp_path: Path) -> None:
    account(server, mobile=MOBILE)
    visitor = Visitor(server, tmp_path)
    visitor.sign_in()
    visitor.set_up_app()
    other = _other(visitor)
    other.sign_in()
    assert other.post("/sign-in/proof/code").status_code == 403
    assert not visitor.mail("proof-code")
    visitor.post("/account/text-codes", {"wanted": "yes"})
    other.sign_in()
    other.post("/sign-in/proof/code")
    assert other.post("/sign-in/proof", {"way": "text", "code": visitor.code()}).status_code == 303


def test_text_code_lasts_ten_minutes_and_a_new_one_ends_it(server: Server, tmp_path: Path) -> None:
    account(server, mobile=MOBILE)
    visitor = Visitor(server, tmp_path)
    visitor.sign_in()
    visitor.post("/account/text-codes", {"wanted": "yes"})
    other = _other(visitor)
    assert other.sign_in().location == "/sign-in/proof?next=%2F"
    first = visitor.code()
    assert visitor.mail("proof-code")[-1]["to"] == MOBILE
    assert other.post("/sign-in/proof/code").status_code == 303
    second = visitor.code()
    assert other.post("/sign-in/proof", {"code": first}).status_code == 403
    server.clock.advance(minutes=10)
    assert other.post("/sign-in/proof", {"code": second}).status_code == 403
    assert other.post("/sign-in/proof/code").status_code == 303
    third = visitor.code()
    # Three messages for one attempt: the fourth request is answered alike and sends nothing.
    assert other.post("/sign-in/proof/code").status_code == 303
    assert len(visitor.mail("proof-code")) == 3
    assert other.post("/sign-in/proof", {"code": third}).status_code == 303
    assert not [each for each in visitor.mail("proof-code") if "nhs" in each["body"].lower()]


def test_carer_is_not_asked_on_a_remembered_device_until_it_is_forgotten(server: Server, tmp_path: Path) -> None:
    account(server, role="carer")
    visitor = Visitor(server, tmp_path)
    visitor.sign_in()
    app = visitor.set_up_app()
    home, elsewhere = _other(visitor), _other(visitor)
    home.sign_in()
    home.post("/sign-in/proof", {"code": visitor.shown(app), "remember": "yes"})
    cookie = home.client.get_cookie("device")
    assert cookie is not None
    assert cookie.http_only
    home.post("/sign-out")
    assert home.sign_in().location == "/"
    assert elsewhere.sign_in().location.startswith("/sign-in/proof")
    page = visitor.get("/account/devices")
    assert "No code is asked there until" in page
    device = page.split('value="forget"><input type="hidden" name="id" value="')[1].split('"')[0]
    visitor.post("/account/devices", {"action": "forget", "id": device})
    home.post("/sign-out")
    assert home.sign_in().location.startswith("/sign-in/proof")


def test_device_is_remembered_for_thirty_days_and_for_one_account(server: Server, tmp_path: Path) -> None:
    ada, bea = Visitor(server, tmp_path), Visitor(server, tmp_path)
    for email, person in (("ada@example.org", ada), ("bea@example.org", bea)):
        account(server, email, role="carer")
        person.sign_in(email)
    ada.set_up_app()
    visitor, app = bea, bea.set_up_app()
    home = _other(visitor)
    home.sign_in("bea@example.org")
    home.post("/sign-in/proof", {"code": visitor.shown(app), "remember": "yes"})
    home.post("/sign-out")
    assert home.sign_in("ada@example.org").location.startswith("/sign-in/proof")
    server.clock.advance(days=29)
    assert home.sign_in("bea@example.org").location == "/"
    server.clock.advance(days=1)
    home.post("/sign-out")
    assert home.sign_in("bea@example.org").location.startswith("/sign-in/proof")


def test_staff_are_never_remembered(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    other = _other(visitor)
    other.sign_in()
    assert "30 days" not in other.get("/sign-in/proof")
    other.post("/sign-in/proof", {"code": visitor.shown(app), "remember": "yes"})
    assert other.client.get_cookie("device") is None


def test_fresh_proof_needs_the_second_part_too(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    visitor.server.clock.advance(minutes=11)
    assert visitor.client.get("/account/password").location == "/sign-in/again?next=%2Faccount%2Fpassword"
    answer = visitor.again()
    assert answer.location == "/sign-in/proof?next=%2Faccount"
    assert visitor.client.get("/account/password").status_code == 303
    before = visitor.client.get_cookie("session")
    assert visitor.post("/sign-in/proof", {"code": visitor.shown(app), "next": "/account"}).location == "/account"
    after = visitor.client.get_cookie("session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert visitor.get("/account/password")


def test_proof_of_one_browser_is_worth_nothing_in_another(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    other, thief = _other(visitor), _other(visitor)
    other.sign_in()
    assert "Sign in once more" in thief.post("/sign-in/proof", {"code": visitor.shown(app)}).text
    assert not thief.is_in()


@pytest.mark.parametrize("demand,role,is_asked", [
    ("staff", "carer", False),
    ("staff", "privacy-officer", True),
    ("everybody", "carer", True),
    ("when-set-up", "privacy-officer", False),
])  # fmt: skip
def test_of_whom_a_second_proof_is_demanded(
    databases: Databases, tmp_path: Path, demand: str, role: str, *, is_asked: bool
) -> None:
    server = build(databases.prepared("schema", create_schema), tmp_path, second_factor=demand)
    account(server, role=role)
    visitor = Visitor(server, tmp_path)
    answer = visitor.sign_in()
    assert answer.location == ("/sign-in/set-up?next=%2F" if is_asked else "/")
    assert visitor.is_in() is not is_asked
    if is_asked:
        app: pyotp.TOTP = visitor.key_on(visitor.get("/sign-in/set-up"))
        assert visitor.post("/sign-in/set-up", {"code": "000000"}).status_code == 403
        assert not visitor.is_in()
        done = visitor.post("/sign-in/set-up", {"code": visitor.shown(app)})
        assert done.location == "/account/recovery-codes?next=%2F"
        assert visitor.is_in()
        other = _other(visitor)
        assert other.sign_in(password=PASSWORD).location == "/sign-in/proof?next=%2F"
        assert other.client.get("/sign-in/set-up").status_code == 403, "what is set up is not set up anew by a password"
    server.close()


def test_every_part_is_on_the_log_and_no_code_or_key_is(visitor: Visitor) -> None:
    app = visitor.set_up_app()
    code = visitor.shown(app)
    other = _other(visitor)
    other.sign_in()
    other.post("/sign-in/proof", {"code": "000000"})
    other.post("/sign-in/proof", {"code": code})
    with visitor.server.store.read() as session:
        rows = str([tuple(row) for row in session.connection.exec_driver_sql("SELECT * FROM audit_event")])
        kept = str([tuple(row) for row in session.connection.exec_driver_sql("SELECT * FROM authenticator")])
    for said in ("add-authenticator", "the second proof is missing", "The second proof was wrong"):
        assert said in rows, said
    assert app.secret not in rows + kept
    assert f'"{code}"' not in rows


def test_lost_password_needs_the_app_or_a_recovery_code_beside_the_link(server: Server, tmp_path: Path) -> None:
    account(server, mobile=MOBILE)
    visitor = Visitor(server, tmp_path)
    visitor.sign_in()
    app = visitor.set_up_app()
    codes = visitor.recovery_codes()
    helped, new = _other(visitor), "glacier violin 88 thimble"
    for proof, status in (
        ({"way": "authenticator", "code": "000000"}, 403),
        ({"way": "text", "code": "000000"}, 403),
        ({"way": "passkey", "code": "000000"}, 403),
        ({"way": "authenticator", "code": ""}, 303),
        ({"way": "recovery", "code": codes[0]}, 303),
    ):
        helped.post("/forgotten-password", {"email": "ada@example.org"}, page="/forgotten-password")
        server.clock.advance(minutes=20)
        link = visitor.link("reset-password")
        code = visitor.shown(app) if (proof["way"], status) == ("authenticator", 303) else proof["code"]
        answer = helped.post(link, proof | {"code": code, "password": new}, page=link)
        assert answer.status_code == status, proof
    assert not visitor.mail("proof-code"), "a text message is no way in where there is an app"
    assert len(visitor.mail("password-changed")) == 2
    assert helped.sign_in(password=new).location.startswith("/sign-in/proof"), "the second proof stays"
