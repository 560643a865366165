"""A coordinator lets a parent into a child's record: by a Consent that ends with childhood, and by nothing else."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from fhir_server.interactions.audit_parts import ADMINISTRATION
from fhir_server.store import accounts, closures
from fhir_server.store import carers as rows
from fhir_server.store.accounts import Account
from fhir_server.store.carers import CarerInvitation
from fhir_server.store.database import Session
from tests.portal.conftest import AMELIA, COORDINATOR, PASSWORDS, Person
from tests.portal.test_carers import sent
from tests.server import Server

LIST = "/organisation/parents"
INVITE = f"{LIST}/invite"
NUMBER = "9000000025"
MARY = "mary.lund@example.org"
FORM = {
    "given": "Tom", "family": "Lund", "born-day": "2", "born-month": "6", "born-year": "2019", "nhs-number": NUMBER,
    "name": "Mary Lund", "email": MARY, "mobile": "07700 900 321", "evidence": "birth-certificate", "right": "view",
}  # fmt: skip
BORN = {"born-day": "2", "born-month": "6", "born-year": "2019"}
PASSWORD = "walrus kettle orbit 41"


def link(server: Server, to: str = MARY) -> str:
    return f"/carer/{sent(server, 'parent-invitation', to)[-1]['token']}"


def opened(server: Server, **more: str) -> int:
    """Let the parent try link, code, date of birth and password; return the status."""
    code = sent(server, "carer-code", "+447700900321")[-1]["code"]
    form = BORN | {"code": code, "password": PASSWORD, "agreement": "yes"} | more
    return Person(server).send(link(server), form, page=link(server)).status_code


def account_of(session: Session) -> Account:
    found = accounts.by_email(session, COORDINATOR)
    assert found is not None
    return found


def label(code: str) -> dict[str, object]:
    return {"security": [{"system": "https://fhir-server.example.org/CodeSystem/privacy-label", "code": code}]}


@pytest.fixture
def nadia(server: Server) -> Person:
    return Person(server, COORDINATOR)


def test_a_parent_sees_the_child_until_the_birthday_and_as_long_as_nobody_ends_it(
    server: Server, nadia: Person
) -> None:
    assert "on its way" in nadia.follow(nadia.send(INVITE, FORM))
    op = server.operator()
    (child,) = server.get(f"/Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{NUMBER}", op)["entry"]
    patient = {"reference": f"Patient/{child['resource']['id']}"}
    (consent,) = (each["resource"] for each in server.get(f"/Consent?patient={patient['reference']}", op)["entry"])
    assert consent["provision"]["period"]["end"] == "2035-06-01"
    assert [each["code"] for each in consent["provision"]["securityLabel"]] == ["general"]
    for text, kind in (("Chickenpox", "general"), ("Low mood", "mental-health")):
        server.post("/Condition", op, {"resourceType": "Condition", "subject": patient, "code": {"text": text},
                                       "meta": label(kind)})  # fmt: skip
    # Neither link and code alone, nor another day; and a person who has the link learns no name.
    assert "Tom" not in Person(server).get(link(server))
    assert opened(server, **{"born-year": "2018"}) == 403
    assert opened(server, **{"born-day": "x"}) == 400
    assert opened(server) == 200
    assert opened_again_is_dead(server)
    PASSWORDS[MARY] = PASSWORD
    mary = Person(server, MARY)
    page = mary.get("/record/conditions")
    assert "Chickenpox" in page
    assert "Low mood" not in page
    assert mary.send("/record/measurements/add/weight", {"weight": "20", "when": "now"}).status_code == 403

    # Who is in already is told of another parent, who is a case of their own.
    form = FORM | {"name": "Ole Lund", "email": "ole@example.org", "right": "act"}
    assert "on its way" in nadia.follow(nadia.send(INVITE, form))
    assert sent(server, "news", MARY)
    assert nadia.send(INVITE, FORM).status_code == 409
    ole = re.search(rf'action="({LIST}/[0-9a-f-]+/resend)"', nadia.get(LIST))
    assert ole is not None

    now = server.clock.at
    server.clock.at = now.replace(year=2035, month=6, day=1, hour=20)
    assert "Chickenpox" in Person(server, MARY).get("/record/conditions")
    server.clock.at = now.replace(year=2035, month=6, day=2, hour=1)
    assert "No record is shared with you now" in Person(server, MARY).get("/choose-record")
    grown = Person(server, COORDINATOR)
    assert "Ended by age" in grown.get(LIST)
    assert grown.send(ole[1], {}).status_code == 404, "whoever decides alone invites family themselves"
    server.clock.at = now + timedelta(minutes=1)

    nadia = Person(server, COORDINATOR)
    end = re.findall(rf'href="({LIST}/[0-9a-f-]+/end)"[^>]*>End it<span[^>]*> for Mary', nadia.get(LIST))
    assert nadia.get(end[0])
    assert "It has ended" in nadia.follow(nadia.send(end[0], {}))
    assert "No record is shared with you now" in Person(server, MARY).get("/choose-record")
    assert server.get(f"/Consent/{consent['id']}", op)["status"] == "inactive"
    for act in ("invite-parent", "take-up-carer-invitation", "end-parent-access"):
        assert server.get(f"/AuditEvent?subtype={ADMINISTRATION}|{act}&_summary=count", op)["total"], act


def opened_again_is_dead(server: Server) -> bool:
    return Person(server).open(link(server)).status_code == 410


def test_nobody_is_let_in_on_doubt(server: Server, nadia: Person) -> None:
    """Each wrong detail is refused beside its field, and nothing is made of it: no Patient, no message."""
    wrong = (
        ({"born-year": "2009"}, 400, 'href="#born-day"'),
        ({"born-year": "2010", "born-month": "11", "born-day": "22"}, 400, 'href="#born-day"'),
        ({"born-day": "31"}, 400, 'href="#born-day"'),
        ({"nhs-number": "9000000026"}, 400, 'href="#nhs-number"'),
        ({"nhs-number": ""}, 400, 'href="#nhs-number"'),
        ({"family": "=Lund"}, 400, 'href="#family"'),
        ({"name": "www.example.org Mary"}, 400, 'href="#name"'),
        ({"name": "Mary\r\nBcc: x@example.org"}, 400, 'href="#name"'),
        ({"email": "mary"}, 400, 'href="#email"'),
        ({"mobile": "12"}, 400, 'href="#mobile"'),
        ({"evidence": "their word"}, 400, 'href="#evidence"'),
        ({"right": "all"}, 400, 'href="#right"'),
    )
    for change, status, said in wrong:
        answer = nadia.send(INVITE, FORM | change)
        assert (answer.status_code, said in answer.text) == (status, True), change
    empty = nadia.send(INVITE, {}).text
    assert all(
        f'href="#{field}"' in empty for field in ("given", "born-day", "nhs-number", "name", "evidence", "right")
    )
    op = server.operator()
    assert (
        server.get(f"/Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|{NUMBER}&_summary=count", op)["total"] == 0
    )
    assert not sent(server, "parent-invitation", MARY)

    # Somebody who decides alone: an account of their own.
    amelia = server.get("/Patient/amelia-hart", op)
    number = next(each["value"] for each in amelia["identifier"] if each["system"].endswith("nhs-number"))
    server.put({**amelia, "birthDate": "2019-06-02"}, op)
    theirs = FORM | {"given": "Amelia", "family": "Hart", "nhs-number": number}
    answer = nadia.send(INVITE, theirs)
    assert (answer.status_code, "They invite family themselves" in answer.text) == (409, True)
    assert nadia.send(INVITE, theirs | {"family": "Lund"}).status_code == 400, "a number and another name"

    assert "on its way" in nadia.follow(nadia.send(INVITE, FORM))
    resend = re.search(rf'action="({LIST}/[0-9a-f-]+/resend)"', nadia.get(LIST))
    assert resend is not None
    old = link(server)
    assert "no longer work" in nadia.follow(nadia.send(resend[1], {}))
    new = {f"/carer/{each['token']}" for each in sent(server, "parent-invitation", MARY)} - {old}
    assert Person(server).open(old).status_code == 410
    with server.store.write() as session:
        (account,) = accounts.by_reference(session, "Patient/amelia-hart")
        child = rows.of_organization(session, account_of(session).organization, limit=1)[0].patient
        closures.move(session, account.id, child)
    assert nadia.send(resend[1], {}).status_code == 404, "the child has an account by now"
    assert "It has ended" in nadia.follow(nadia.send(resend[1].replace("resend", "end"), {}))
    assert Person(server).open(new.pop()).status_code == 410
    assert nadia.send(resend[1], {}).status_code == 404
    server.clock.advance(minutes=11)
    assert "/sign-in/again" in nadia.send(INVITE, FORM).location
    Person(server, AMELIA).get(LIST, 403)


def test_every_invitation_is_found_page_by_page_however_many_there_are(server: Server, nadia: Person) -> None:
    with server.store.write() as session:
        coordinator = account_of(session)
        for number in range(102):
            here = number < 101
            rows.add(
                session,
                CarerInvitation(
                    id=f"i{number:03}", patient="Patient/x", reference=f"RelatedPerson/{number}", consent_id="c",
                    name=f"Parent {number:03}", email=MARY, mobile="+447700900321", invited_by=coordinator.id,
                    created_at=server.clock(), expires_at=server.clock() + timedelta(days=1),
                    organization=coordinator.organization if here else "Organization/other", birth_date="2019-06-02",
                ),
                token_hash=f"t{number}",
                code_hash="h",
            )  # fmt: skip
    seen: list[str] = []
    place = LIST
    while place:
        page = nadia.get(place)
        seen += re.findall(r"<span>(Parent [0-9]{3})<", page)
        older = re.search(rf'href="({LIST}\?after=[^"]+)" rel="next"', page)
        place = older[1] if older else ""
    assert seen == [f"Parent {number:03}" for number in reversed(range(101))], "each once, none of another organisation"
    for unknown in ("i101", "nobody"):
        assert "Parent 100" in nadia.get(f"{LIST}?after={unknown}"), "the id of another's says nothing"
