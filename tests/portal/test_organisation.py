"""What coordinators do: files of people, letters, lists, and what nobody else can."""

from __future__ import annotations

import io
import re

import pytest
from pypdf import PdfReader

from fhir_server.identity import invitation_files
from fhir_server.operations import inviting_files
from fhir_server.store import accounts, invitations, messages
from fhir_server.store.invitations import Invitation
from tests.portal.conftest import AMELIA, BASE_URL, COORDINATOR, DESK, Person
from tests.server import Server

HEADING = "given,family,birth_date,nhs_number,email,mobile\n"
ANN = "Ann,Example,1980-02-01,943 476 5919,ann@example.org,07700 900982\n"
BEN = "Ben,Letter,1950-02-01,987 654 3210,,07700 900983\n"
INVITED = {
    "given": "Ann",
    "family": "Example",
    "born-day": "1",
    "born-month": "2",
    "born-year": "1980",
    "nhs-number": "943 476 5919",
    "email": "ann@example.org",
    "mobile": "07700 900982",
}


def upload(person: Person, content: str) -> str:
    """Upload a file; return the address of its page."""
    answer = person.send("/organisation/files", {"file": (io.BytesIO(content.encode()), "people.csv")})
    assert answer.status_code == 303, answer.text
    return str(answer.location).removeprefix(BASE_URL)


def work(server: Server) -> None:
    """Let the worker do all that is due."""
    while inviting_files.work(server.app.extensions["fhir"].base):
        pass


def invited(server: Server) -> tuple[Invitation, ...]:
    with server.store.read() as session:
        return invitations.of_organization(session, "*", server.clock())


def queued(server: Server) -> list[str]:
    with server.store.write() as session:
        found = messages.lease(session, server.clock(), invitation_files.KEPT_FOR)
    return sorted(item.kind for item in found if item.kind.startswith("invitation"))


def events(server: Server, action: str) -> int:
    return len(server.get(f"AuditEvent?subtype={action}", server.operator()).get("entry", []))


def test_a_file_is_worked_through_line_by_line_and_reported(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    known = "Amelia,Hart,1976-03-14,999 002 4685,a@example.org,07700 900984\n"
    other_person = "Amelia,Hart,1976-03-15,999 002 4685,b@example.org,07700 900985\n"
    page = upload(nadia, HEADING + ANN + ANN.replace("Ann", "=Ann") + known + other_person + BEN)
    assert "under way" in nadia.get(page)
    work(server)
    assert "The file is done" in nadia.get(page)
    report = nadia.get(f"{page}/report.csv").lstrip("\ufeff").splitlines()
    assert [line.split(",")[3].strip('"') for line in report[1:]] == [
        "invited", "refused", "duplicate", "refused", "invited",
    ]  # fmt: skip
    assert "already has an account" in report[3]
    assert "does not belong" in report[4]
    assert sorted(one.given for one in invited(server)) == ["Ann", "Ben"]
    assert queued(server) == ["invitation", "invitation-code", "invitations-done"]
    assert events(server, "invite") == 2
    assert events(server, "upload-invitations") == 1


def test_a_short_file_does_not_wait_for_a_long_one(server: Server) -> None:
    nadia, base = Person(server, COORDINATOR), server.app.extensions["fhir"].base
    long = upload(nadia, HEADING + BEN.replace("Ben", "=Ben") * 30 + ANN.replace("943 476 5919", "1") * 60)
    server.clock.advance(seconds=1)
    short = upload(nadia, HEADING + ANN)
    for _ in range(2):
        server.clock.advance(seconds=1)
        inviting_files.work(base)
    assert "1 of 1" in nadia.get(short)
    assert "55 of 90" in nadia.get(long)


def test_a_file_uploaded_twice_invites_nobody_twice(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    page = upload(nadia, HEADING + ANN)
    assert "known" not in page
    assert upload(nadia, HEADING + ANN) == f"{page}?known=yes", "a second click"
    work(server)
    server.clock.advance(minutes=1)
    assert upload(nadia, HEADING + ANN) == f"{page}?known=yes"
    assert "uploaded before" in nadia.get(f"{page}?known=yes")
    changed = upload(nadia, HEADING + ANN + "\n")
    work(server)
    assert "invited already" in nadia.get(f"{changed}/report.csv")
    assert len(invited(server)) == 1


def test_a_file_of_a_coordinator_who_left_invites_nobody(server: Server) -> None:
    upload(Person(server, COORDINATOR), HEADING + ANN)
    with server.store.write() as session:
        account = accounts.by_email(session, COORDINATOR)
        assert account
        accounts.set_active(session, account.id, active=False, now=server.clock())
    work(server)
    assert invited(server) == ()


@pytest.mark.parametrize("who", [AMELIA, DESK])
def test_files_are_the_coordinators_alone(server: Server, who: str) -> None:
    page = upload(Person(server, COORDINATOR), HEADING + ANN)
    for path in ("/organisation/files", page, f"{page}/report.csv"):
        assert Person(server, who).open(path).status_code == 403


def test_a_foreign_file_is_not_there(server: Server) -> None:
    page = upload(Person(server, COORDINATOR), HEADING + ANN)
    with server.store.write() as session:
        session.connection.exec_driver_sql("UPDATE invitation_batch SET organization = 'Organization/other'")
    for path in (page, f"{page}/report.csv"):
        assert Person(server, COORDINATOR).open(path).status_code == 404


def test_what_is_no_file_is_said_beside_the_field(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    answer = nadia.send("/organisation/files", {"file": (io.BytesIO(b"PK"), "x.xlsx")})
    assert (answer.status_code, "This is no CSV file" in answer.text) == (400, True)
    assert "Choose a CSV file" in nadia.send("/organisation/files", {}).text


def test_a_person_invited_already_is_said_and_not_invited_again(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    nadia.follow(nadia.send("/organisation/invite", INVITED))
    assert "invited already" in nadia.send("/organisation/invite", INVITED).text
    other = {**INVITED, "nhs-number": "987 654 3210", "family": "Other"}
    assert "Somebody else is invited at this e-mail address" in nadia.send("/organisation/invite", other).text
    assert len(invited(server)) == 1


def test_guessing_whose_number_it_is_ends_after_five_tries(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    wrong = INVITED | {"nhs-number": "999 002 4685"}
    for _ in range(5):
        assert "does not belong" in nadia.send("/organisation/invite", wrong).text
    right = wrong | {"family": "Hart", "born-day": "14", "born-month": "3", "born-year": "1976"}
    assert "Too many wrong details" in nadia.send("/organisation/invite", right).text


def test_the_list_is_narrowed_by_state_and_name(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    nadia.send("/organisation/invite", INVITED)
    assert "Ann Example" in nadia.get("/organisation?state=waiting&q=exam")
    assert "Ann Example" not in nadia.get("/organisation?state=cancelled")
    assert "No invitation is like this" in nadia.get("/organisation?q=%25")
    server.clock.advance(days=15)
    assert "Ann Example" in Person(server, COORDINATOR).get("/organisation?state=expired")


def test_a_letter_is_made_once_and_its_code_opens_the_invitation(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    nadia.follow(nadia.send("/organisation/invite", INVITED | {"email": "", "given": "Łukasz", "family": "Żółć"}))
    (made,) = invited(server)
    assert queued(server) == []
    answer = nadia.send(f"/organisation/invitations/{made.id}/letter", {})
    assert (answer.status_code, answer.content_type) == (200, "application/pdf")
    [sheet] = PdfReader(io.BytesIO(answer.data)).pages
    assert "Łukasz Żółć" in " ".join(sheet.extract_text().split())
    assert answer.headers["Cache-Control"] == "no-store"
    assert queued(server) == ["invitation-letter-code"]
    assert nadia.send(f"/organisation/invitations/{made.id}/letter", {}).status_code == 400
    nadia.send(f"/organisation/invitations/{made.id}/resend", {})
    assert nadia.send(f"/organisation/invitations/{made.id}/letter", {}).status_code == 200
    assert events(server, "print-invitation") >= 2


def test_reminders_have_a_link_of_their_own_and_go_out_once(server: Server) -> None:
    base = server.app.extensions["fhir"].base
    nadia = Person(server, COORDINATOR)
    nadia.send("/organisation/invite", INVITED)
    assert inviting_files.upkeep(base) == 0
    server.clock.advance(days=8)
    assert inviting_files.upkeep(base) == 1
    assert inviting_files.upkeep(base) == 0
    assert queued(server) == ["invitation", "invitation-code", "invitation-reminder"]
    with server.store.read() as session:
        text = str(session.connection.exec_driver_sql("SELECT details FROM message").fetchall())
    tokens = re.findall(r'"token": ?"([^"]{43})"', text)
    for token in tokens:
        assert Person(server).open(f"/register/{token}").status_code == 200
    assert len(set(tokens)) == 2
