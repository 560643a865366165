"""Help for who has lost everything: two people, two roads."""

import re
from pathlib import Path

import pytest

from tests.server import Server
from tests.signin.visitor import PASSWORD, Visitor, account

NEW = "glacier violin 88 thimble"
PATH = "/service-desk/account-resets"
ASKED = {"email": "ada@example.org", "reason": "Came to the desk with her passport, number checked"}


@pytest.fixture
def lost(server: Server, tmp_path: Path) -> Visitor:
    account(server)
    made = Visitor(server, tmp_path)
    made.sign_in()
    made.set_up_app()
    return made


def _staff(lost: Visitor, role: str, email: str = "") -> Visitor:
    address = email or f"{role}@example.org"
    account(lost.server, address, role)
    made = Visitor(lost.server, lost.folder.parent)
    made.sign_in(address)
    return made


def _ask(desk: Visitor, **changes: str) -> str:
    page = desk.post(PATH, ASKED | changes).text
    found = re.search(r'class="app-secret">([0-9A-Z-]{9})<', page)
    assert found, page
    return found[1]


def _decide(administrator: Visitor, decision: str = "approve") -> int:
    found = re.search(r'name="id" value="([0-9a-f-]{36})"', administrator.get(PATH))
    assert found
    return administrator.post(PATH, {"id": found[1], "decision": decision}).status_code


def test_two_people_let_somebody_in_again_who_sets_up_anew(lost: Visitor) -> None:
    desk, administrator = _staff(lost, "service-desk"), _staff(lost, "admin")
    code = _ask(desk, **{"new-email": "new@example.org"})
    assert lost.mail("reset-asked")[-1]["to"] == "ada@example.org"
    assert not lost.mail("reset-approved")
    assert _decide(administrator) == 303
    assert lost.mail("reset-approved")[-1]["to"] == "new@example.org"
    link, helped = lost.link("reset-approved"), Visitor(lost.server, lost.folder.parent)
    assert helped.post(link, {"code": "AAAA-AAAA", "password": NEW}, page=link).status_code == 403
    assert lost.is_in()
    assert helped.post(link, {"code": code.lower(), "password": NEW}, page=link).location == "/account-reset/finished"
    assert not lost.is_in()
    assert lost.mail("reset-done")[-1]["to"] == "ada@example.org", "the old address learns of it"
    assert helped.sign_in("ada@example.org", PASSWORD).status_code == 403
    assert helped.sign_in("new@example.org", NEW).location == "/", "the lost app is asked for no more"
    assert helped.client.get(link).status_code == 404


def test_link_alone_and_five_wrong_codes_open_nothing(lost: Visitor) -> None:
    desk, administrator = _staff(lost, "service-desk"), _staff(lost, "admin")
    code = _ask(desk)
    _decide(administrator)
    link, thief = lost.link("reset-approved"), Visitor(lost.server, lost.folder.parent)
    assert [thief.post(link, {"code": f"AAAA-AAA{i}", "password": NEW}, page=link).status_code for i in range(5)] == [
        403
    ] * 5
    assert thief.post(link, {"code": code, "password": NEW}).status_code == 404
    assert lost.is_in()


@pytest.mark.parametrize("hours", [24, 24 * 3])
def test_link_and_request_end(lost: Visitor, hours: int) -> None:
    desk, administrator = _staff(lost, "service-desk"), _staff(lost, "admin")
    _ask(desk)
    _decide(administrator)
    link = lost.link("reset-approved")
    lost.server.clock.advance(hours=hours)
    assert lost.client.get(link).status_code == 404


def test_nobody_decides_alone(lost: Visitor) -> None:
    desk, administrator = _staff(lost, "service-desk"), _staff(lost, "admin")
    _ask(desk)
    found = re.search(r"<dd>Ada Byron,", desk.get(PATH))
    assert found
    assert 'value="approve"' not in desk.get(PATH), "who asks does not decide"
    assert _decide(administrator, "refuse") == 303
    assert not lost.mail("reset-approved")
    assert "No request is waiting" in administrator.get(PATH)
    _ask(desk, email="admin@example.org")
    assert 'value="approve"' not in administrator.get(PATH), "nobody decides about their own account"
    assert administrator.post(PATH, {"id": "unknown", "decision": "approve"}).status_code == 404
    assert administrator.post(PATH, {"id": "unknown", "decision": "perhaps"}).status_code == 400


@pytest.mark.parametrize("change,field", [
    ({"email": "nobody@example.org"}, "email"),
    ({"email": "service-desk@example.org"}, "email"),
    ({"new-email": "no address"}, "new-email"),
    ({"new-email": "service-desk@example.org"}, "new-email"),
    ({"reason": "short"}, "reason"),
])  # fmt: skip
def test_wrong_request_is_named_at_its_field(lost: Visitor, change: dict[str, str], field: str) -> None:
    desk = _staff(lost, "service-desk")
    answer = desk.post(PATH, ASKED | change)
    assert answer.status_code == 400
    assert f'href="#{field}"' in answer.text
    assert not lost.mail("reset-asked")


def test_who_asks_too_often_is_stopped_and_every_request_is_on_the_log(lost: Visitor) -> None:
    desk = _staff(lost, "service-desk")
    statuses = [desk.post(PATH, ASKED | {"email": f"guess-{i}@example.org"}).status_code for i in range(31)]
    assert statuses == [400] * 30 + [429]
    assert desk.post(PATH, ASKED).status_code == 429
    with lost.server.store.read() as session:
        log = str([tuple(row) for row in session.connection.exec_driver_sql("SELECT * FROM audit_event")])
    assert log.count('"code":"ask-account-reset"') == 32
    assert "guess-1" not in log
