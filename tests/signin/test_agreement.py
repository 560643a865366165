"""A new version of the agreement or the privacy policy: asked before anything else opens, kept, or signed out."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fhir_server import web
from fhir_server.identity.agreements import Terms
from fhir_server.store import accounts
from fhir_server.web.extension import EXTENSION
from tests.server import Server
from tests.signin.visitor import Visitor, account

NEW = Terms("2027-01", "2027-02")
OPEN = {"/accessibility", "/agreement", "/contact", "/contact/message", "/privacy-policy", "/session/left", "/terms"}
OPEN |= {"/signed-out", "/stay-signed-in"}


@pytest.fixture
def visitor(server: Server, tmp_path: Path) -> Visitor:
    account(server)
    made = Visitor(server, tmp_path)
    assert made.sign_in().location == "/"
    extension: web.Web = server.app.extensions[EXTENSION]
    server.app.extensions[EXTENSION] = replace(extension, terms=NEW)
    return made


def test_no_page_opens_before_a_new_version_is_accepted_and_then_the_wanted_one_does(visitor: Visitor) -> None:
    # By whichever way the session began: it is the session that is asked.
    for rule in visitor.server.app.url_map.iter_rules():
        path = str(rule)
        if "GET" not in (rule.methods or ()) or rule.arguments or path in OPEN:
            continue
        if path.startswith(("/fhir", "/api", "/oauth", "/.well-known", "/health", "/metrics")):
            continue
        answer = visitor.client.get(path)
        assert (answer.location or "").startswith("/agreement?next="), path
    sheet = re.search(r'href="(/assets/[^"]+portal.css)"', visitor.get("/agreement"))
    assert sheet
    assert visitor.client.get(sheet[1]).status_code == 200, "the page that asks looks as the others do"
    assert visitor.client.get("/oauth/launch?x=1").location == "/agreement?next=%2Foauth%2Flaunch%3Fx%3D1"
    assert visitor.post("/account/devices", {"all": "yes"}).location == "/agreement?next=%2F"
    for path in OPEN - {"/signed-out"}:
        assert visitor.client.get(path).status_code == 200, path
    page = visitor.get("/agreement?next=/account")
    assert "They have changed since you accepted them" in page
    assert f'value="{NEW.privacy}"' in page
    for half in ({"agreement": NEW.agreement}, {"agreement": NEW.agreement, "privacy": "2026-11"}):
        refused = visitor.post("/agreement", half)
        assert (refused.status_code, "Tick the box to accept the privacy policy" in refused.text) == (400, True)
        assert not visitor.is_in()
    visitor.server.clock.advance(minutes=1)
    both = {"agreement": NEW.agreement, "privacy": NEW.privacy, "next": "/account"}
    assert visitor.post("/agreement", both).location == "/account"
    assert visitor.is_in()
    with visitor.server.store.read() as session:
        kept = accounts.by_email(session, "ada@example.org")
    assert kept is not None
    assert (kept.agreement_version, kept.privacy_version) == (NEW.agreement, NEW.privacy)
    assert kept.accepted_at == visitor.server.clock()
    found = visitor.server.get("AuditEvent?subtype=accept-agreement", visitor.server.operator())
    assert found["total"] == 1
    assert "agreement 2027-01, privacy policy 2027-02" in str(found)
    assert visitor.client.get("/agreement?next=/account").location == "/account"


def test_who_does_not_accept_is_signed_out_and_asked_again_at_the_next_sign_in(visitor: Visitor) -> None:
    assert "I do not accept: sign me out" in visitor.get("/agreement")
    assert visitor.post("/sign-out").location == "/signed-out"
    assert not visitor.is_in()
    assert visitor.sign_in().location == "/"
    assert (visitor.client.get("/").location or "").startswith("/agreement")


def test_pages_speak_the_language_of_the_person_then_of_the_browser_then_of_its_wish(
    server: Server, tmp_path: Path
) -> None:
    account(server)
    visitor = Visitor(server, tmp_path)
    asked = {"Accept-Language": "fr, cy;q=0.8, en;q=0.5"}
    for headers, language in (({}, "en"), (asked, "cy"), ({"Accept-Language": "de"}, "en")):
        page = visitor.client.get("/sign-in", headers=headers).text
        assert f'<html lang="{language}">' in page, headers
        assert ("Mewngofnodi" in page, "Cymraeg" in page) == (language == "cy", language == "en")
    # The browser's choice goes before its wish, and comes back to the page it was made on.
    came_from = {"Referer": "http://localhost/contact?x=1"}
    form = {"language": "en", "csrf_token": visitor.form_token("/sign-in")}
    chosen = visitor.client.post("/language", data=form, headers=came_from)
    assert (chosen.status_code, chosen.location) == (303, "/contact?x=1")
    assert '<html lang="en">' in visitor.client.get("/sign-in", headers=asked).text
    assert visitor.post("/language", {"language": "xx"}).status_code == 400
    foreign = {"Referer": "https://evil.example.org/x"}
    assert visitor.client.post("/language", data=form, headers=foreign).location == "/"
    # The person's choice goes before both, in every browser of theirs, and their messages follow it.
    visitor.sign_in()
    visitor.post("/language", {"language": "cy"})
    other = Visitor(server, tmp_path)
    assert '<html lang="en">' in other.get("/sign-in")
    other.sign_in()
    assert '<html lang="cy">' in other.get("/account")
    with server.store.read() as session:
        assert accounts.language_at(session, "ada@example.org") == "cy"
