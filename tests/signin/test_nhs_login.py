"""Signing in with NHS login: whose record it opens, how an account is made, linked and unlinked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_server.store import accounts, logins
from tests.databases import Databases
from tests.pages import said
from tests.server import create_schema
from tests.signin.nhs_login_world import NhsWorld, heading, running_world

COULD_NOT = "We could not link your NHS login"


@pytest.fixture
def nhs(databases: Databases, tmp_path: Path) -> Iterator[NhsWorld]:
    with running_world(databases.prepared("schema", create_schema), tmp_path) as made:
        yield made


def test_somebody_with_a_record_and_no_account_accepts_the_agreement_and_is_in(nhs: NhsWorld) -> None:
    nhs.patient()
    browser = nhs.browser()
    assert browser.nhs_login().location == "/nhs-login/agreement"
    assert not browser.is_signed_in()
    refused = browser.post("/nhs-login/agreement")
    assert refused.status_code == 400
    assert not browser.is_signed_in()
    assert browser.accept().location == "/"
    assert browser.is_signed_in()
    assert nhs.mail() == [("account-ready", "bea@example.org")]
    assert nhs.events() == [("0", "Account opened with NHS login; agreement and policy accepted"), ("0", "")]


def test_the_second_time_signs_in_at_once_and_goes_on_to_where_the_person_wanted(nhs: NhsWorld) -> None:
    nhs.patient()
    first = nhs.browser()
    first.nhs_login()
    first.accept()
    again = nhs.browser()
    assert again.nhs_login("/nhs-login?next=/record/letters").location == "/record/letters"
    assert again.is_signed_in()


def test_an_account_keeps_the_versions_that_its_owner_accepted(nhs: NhsWorld) -> None:
    reference = nhs.patient()
    browser = nhs.browser()
    browser.nhs_login()
    browser.accept()

    with nhs.server.store.read() as session:
        (account,) = accounts.by_reference(session, reference)
    assert (account.agreement_version, account.privacy_version) == ("2026-11", "2026-11")
    assert account.accepted_at is not None


@pytest.mark.parametrize("family", ["ONEILL SMITH", "o’neill-smith", "O'Néill Smith"])
def test_case_accents_hyphens_and_spaces_of_a_surname_do_not_count(nhs: NhsWorld, family: str) -> None:
    nhs.patient()
    nhs.issuer.claims = nhs.issuer.userinfo = {"family_name": family}
    assert nhs.browser().nhs_login().location == "/nhs-login/agreement"


@pytest.mark.parametrize(
    "record",
    [
        {"birthDate": "1984-03-16"},
        {"birthDate": "1984"},
        {"name": [{"family": "Smith"}]},
        {"name": [{"family": "O'Neill-Smith", "use": "old"}, {"family": "Jones"}]},
        {"number": "9000000009"},
        {"status": "02"},
        {"active": False},
        {"deceasedDateTime": "2025-01-01"},
    ],
    ids=[
        "another birthday",
        "birth year only",
        "another surname",
        "old surname",
        "no record",
        "untraced",
        "merged",
        "dead",
    ],
)
def test_who_does_not_match_gets_one_answer_and_the_service_desk_is_told_once(
    nhs: NhsWorld, record: dict[str, object]
) -> None:
    nhs.patient(**record)  # type: ignore[arg-type]
    nhs.account("", "desk@example.org", "service-desk")
    answers = [nhs.browser().nhs_login() for _ in range(2)]
    assert [(answer.status_code, heading(answer)) for answer in answers] == [(409, COULD_NOT)] * 2
    assert nhs.mail() == [("login-conflict", "desk@example.org")]


def test_a_stranger_with_no_record_reads_the_same_page_as_one_whose_record_has_an_account_in_the_way(
    nhs: NhsWorld,
) -> None:
    stranger = nhs.browser().nhs_login()
    nhs.patient()
    first = nhs.browser()
    first.nhs_login()
    first.accept()
    nhs.issuer.claims = nhs.issuer.userinfo = {"sub": "person-2"}
    other = nhs.browser().nhs_login()
    assert (other.status_code, said(other.text)) == (stranger.status_code, said(stranger.text))


def test_the_owner_of_an_account_signs_in_the_old_way_and_links_it(nhs: NhsWorld) -> None:
    nhs.account(nhs.patient())
    browser = nhs.browser()
    assert browser.nhs_login().location == "/nhs-login/link"
    assert heading(browser.get("/nhs-login/link")) == "You have an account already"
    assert not browser.is_signed_in()
    assert browser.sign_in("bea@example.org", next="/nhs-login/link").location == "/nhs-login/link"
    assert browser.post("/nhs-login/link").location == "/account/nhs-login?linked=yes"
    assert nhs.mail() == [("login-linked", "bea@example.org")]
    other = nhs.browser()
    assert other.nhs_login().location == "/"
    assert other.is_signed_in()


def test_somebody_elses_account_is_not_linked(nhs: NhsWorld) -> None:
    nhs.account(nhs.patient())
    nhs.account(nhs.patient("ann", number="9000000009"), "ann@example.org")
    browser = nhs.browser()
    browser.nhs_login()
    browser.sign_in("ann@example.org")
    assert heading(browser.post("/nhs-login/link")) == COULD_NOT
    assert nhs.browser().nhs_login().location == "/nhs-login/link"


def test_an_account_is_linked_from_its_page_and_unlinked_while_it_has_a_password(nhs: NhsWorld) -> None:
    nhs.account(nhs.patient())
    browser = nhs.browser()
    browser.sign_in("bea@example.org")
    assert "Link NHS login" in browser.get("/account/nhs-login").text
    assert browser.nhs_login("/nhs-login?next=/account/nhs-login").location == "/nhs-login/link"
    browser.post("/nhs-login/link")
    assert "Remove NHS login" in browser.get("/account/nhs-login").text
    assert browser.post("/account/nhs-login").location == "/account/nhs-login?unlinked=yes"
    assert nhs.mail() == [("login-linked", "bea@example.org"), ("login-unlinked", "bea@example.org")]
    for action in ("link-nhs-login", "unlink-nhs-login"):
        bundle = nhs.server.get(f"AuditEvent?subtype={action}", nhs.server.operator())
        assert [entry["resource"]["outcome"] for entry in bundle["entry"]] == ["0"]
    assert nhs.browser().nhs_login().location == "/nhs-login/link"


def test_an_account_without_a_password_keeps_its_nhs_login(nhs: NhsWorld) -> None:
    nhs.patient()
    browser = nhs.browser()
    browser.nhs_login()
    browser.accept()
    answer = browser.post("/account/nhs-login")
    assert answer.status_code == 400
    assert "could not sign in any more" in answer.text
    assert nhs.browser().nhs_login().location == "/"


def test_unlinking_asks_for_a_fresh_proof(nhs: NhsWorld) -> None:
    nhs.account(nhs.patient())
    browser = nhs.browser()
    browser.sign_in("bea@example.org")
    browser.nhs_login()
    browser.post("/nhs-login/link")
    nhs.server.clock.advance(minutes=11)
    assert browser.post("/account/nhs-login").location.startswith("/sign-in/again")
    assert nhs.browser().nhs_login().location == "/"


def test_an_account_of_the_record_with_another_nhs_login_is_left_alone(nhs: NhsWorld) -> None:
    nhs.patient()
    first = nhs.browser()
    first.nhs_login()
    first.accept()
    nhs.issuer.claims = nhs.issuer.userinfo = {"sub": "person-2"}
    assert heading(nhs.browser().nhs_login()) == COULD_NOT


def test_an_email_address_never_links_and_says_where_to_go_on(nhs: NhsWorld) -> None:
    nhs.patient()
    nhs.account(nhs.patient("ann", number="9000000009"), "bea@example.org")
    answer = nhs.browser().nhs_login()
    assert (answer.status_code, heading(answer)) == (409, "Your e-mail address has an account already")


@pytest.mark.parametrize("changed", [{"email": None}, {"email_verified": False}])
def test_no_account_is_made_on_an_address_that_nobody_confirmed(nhs: NhsWorld, changed: dict[str, object]) -> None:
    nhs.patient()
    nhs.issuer.userinfo = changed
    assert heading(nhs.browser().nhs_login()) == "We need your e-mail address"


def test_a_link_does_not_follow_the_nhs_number_to_another_record(nhs: NhsWorld) -> None:
    nhs.patient()
    first = nhs.browser()
    first.nhs_login()
    first.accept()
    nhs.patient("ann", number="9000000009")
    nhs.issuer.claims = nhs.issuer.userinfo = {"nhs_number": "9000000009"}
    browser = nhs.browser()
    assert heading(browser.nhs_login()) == COULD_NOT
    assert not browser.is_signed_in()


def test_a_closed_account_stays_closed(nhs: NhsWorld) -> None:
    reference = nhs.patient()
    first = nhs.browser()
    first.nhs_login()
    first.accept()

    with nhs.server.store.write() as session:
        (account,) = accounts.by_reference(session, reference)
        accounts.set_active(session, account.id, active=False, now=nhs.server.clock())
    browser = nhs.browser()
    assert heading(browser.nhs_login()) == COULD_NOT
    assert not browser.is_signed_in()
    assert not first.is_signed_in()


def test_an_open_invitation_ends_with_the_account(nhs: NhsWorld) -> None:
    link = nhs.invite(nhs.patient())
    browser = nhs.browser()
    assert browser.get(link).status_code == 200
    browser.nhs_login()
    browser.accept()
    assert nhs.browser().get(link).status_code == 404


def test_two_browsers_of_one_person_make_one_account(nhs: NhsWorld) -> None:
    nhs.patient()
    one, other = nhs.browser(), nhs.browser()
    one.nhs_login()
    other.nhs_login()
    assert one.accept().location == "/"
    assert other.accept().status_code == 410
    assert not other.is_signed_in()


def test_the_step_after_nhs_login_is_of_one_browser_and_ends_after_half_an_hour(nhs: NhsWorld) -> None:
    nhs.patient()
    browser = nhs.browser()
    browser.nhs_login()
    assert nhs.browser().get("/nhs-login/agreement").status_code == 410
    nhs.server.clock.advance(minutes=31)
    assert browser.get("/nhs-login/agreement").status_code == 410


def test_linking_another_persons_nhs_login_from_the_account_page_does_not_change_who_is_signed_in(
    nhs: NhsWorld,
) -> None:
    nhs.patient()
    first = nhs.browser()
    first.nhs_login()
    first.accept()
    nhs.account(nhs.patient("ann", number="9000000009"), "ann@example.org")
    ann = nhs.browser()
    ann.sign_in("ann@example.org")
    assert heading(ann.nhs_login("/nhs-login?next=/account/nhs-login")) == COULD_NOT
    assert "ann@example.org" in ann.get("/account").text


def test_a_new_proof_is_asked_of_nhs_login_and_goes_on_with_the_session(nhs: NhsWorld) -> None:
    nhs.patient()
    browser = nhs.browser()
    browser.nhs_login()
    browser.accept()
    assert browser.nhs_login("/nhs-login?again=1&next=/account").location == "/account"
    assert (nhs.issuer.asked["prompt"], nhs.issuer.asked["max_age"]) == ("login", "0")
    assert browser.is_signed_in()


def test_a_session_counts_a_fresh_proof_from_when_nhs_login_had_it(nhs: NhsWorld) -> None:
    nhs.account(nhs.patient())
    browser = nhs.browser()
    browser.sign_in("bea@example.org")
    browser.nhs_login()
    browser.post("/nhs-login/link")
    later = nhs.browser()
    nhs.issuer.claims = {"auth_time": int(nhs.server.clock().timestamp()) - 3_000}
    later.nhs_login()
    assert later.is_signed_in()
    assert later.post("/account/nhs-login").location.startswith("/sign-in/again")


def test_p5_is_asked_to_prove_who_they_are_and_is_in_afterwards(nhs: NhsWorld) -> None:
    nhs.patient()
    nhs.issuer.claims = {"vot": "P5.Cp.Cd", "identity_proofing_level": "P5"}
    browser = nhs.browser()
    answer = browser.nhs_login()
    assert (answer.status_code, heading(answer)) == (403, "Prove who you are")
    assert 'href="/nhs-login?level=P9"' in answer.text
    nhs.issuer.claims = {}
    assert browser.nhs_login("/nhs-login?level=P9").location == "/nhs-login/agreement"
    assert nhs.issuer.asked["vtr"] == '["P9.Cp.Cd","P9.Cp.Ck","P9.Cm"]'


def test_the_request_is_the_documented_one(nhs: NhsWorld) -> None:
    nhs.browser().nhs_login()
    asked = nhs.issuer.asked
    assert asked | {"state": "", "nonce": "", "code_challenge": ""} == {
        "client_id": "client-1",
        "redirect_uri": "http://localhost/nhs-login/callback",
        "response_type": "code",
        "scope": "openid profile profile_extended email phone",
        "vtr": '["P9.Cp.Cd","P9.Cp.Ck","P9.Cm"]',
        "code_challenge_method": "S256",
        "state": "",
        "nonce": "",
        "code_challenge": "",
    }
    assert [len(asked[name]) for name in ("state", "nonce", "code_challenge")] == [43, 43, 43]


def test_the_service_desk_sees_what_was_in_the_way_and_closes_it(nhs: NhsWorld) -> None:
    nhs.account("", "desk@example.org", "service-desk")
    nhs.browser().nhs_login()
    desk = nhs.browser()
    desk.sign_in("desk@example.org")
    shown = desk.get("/service-desk/sign-in-problems").text
    assert "No record has this NHS number, date of birth and surname" in shown
    with nhs.server.store.read() as session:
        (conflict,) = logins.open_conflicts(session, 10)
    assert desk.post("/service-desk/sign-in-problems", conflict=conflict.id).status_code == 303
    assert "There are none" in desk.get("/service-desk/sign-in-problems").text
    log = nhs.server.get("/AuditEvent?subtype=close-sign-in-problem&_summary=count", nhs.server.operator())
    assert log["total"] == 1


def test_nobody_else_sees_the_service_desks_list(nhs: NhsWorld) -> None:
    nhs.account(nhs.patient())
    browser = nhs.browser()
    browser.sign_in("bea@example.org")
    assert browser.get("/service-desk/sign-in-problems").status_code == 403


@pytest.mark.parametrize("target", ["https://evil.example.org/", "//evil.example.org", "/\\evil.example.org"])
def test_nobody_is_led_elsewhere_afterwards(nhs: NhsWorld, target: str) -> None:
    nhs.patient()
    browser = nhs.browser()
    browser.nhs_login(f"/nhs-login?next={target}")
    assert browser.accept().location == "/"
    assert browser.nhs_login(f"/nhs-login?next={target}").location == "/"
