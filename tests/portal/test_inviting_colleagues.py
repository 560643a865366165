"""A coordinator lets a professional in: once, with the number that is theirs, and only into the own organisation."""

from __future__ import annotations

from fhir_server.identity import limits
from fhir_server.operations.inviting_staff import INVITE
from fhir_server.store import accounts
from tests.portal.conftest import COORDINATOR, Person
from tests.portal.test_carers import sent
from tests.server import Server

TEAM = "/organisation/team"
ADA = {"given": "Ada", "family": "Okoro", "email": "ada.okoro@example.org", "job": "Diabetes nurse",
       "number": "555 0219 35107"}  # fmt: skip


def test_a_colleague_gets_a_link_sets_up_an_account_and_is_in_the_team(server: Server) -> None:
    nadia, ada = Person(server, COORDINATOR), Person(server)
    for field, value in (("given", ""), ("family", "x" * 101), ("email", "ada"), ("job", " "), ("number", "12345")):
        answer = nadia.send(f"{TEAM}/invite", ADA | {field: value})
        assert answer.status_code == 422, field
        assert f'href="#{field}"' in answer.text, field
    assert "on its way" in nadia.follow(nadia.send(f"{TEAM}/invite", ADA))
    assert nadia.send(f"{TEAM}/invite", ADA).status_code == 409
    page = nadia.get(TEAM)
    resend = page.partition("Send again")[0].rpartition('action="')[2].partition('"')[0]
    first = sent(server, "professional-invited", ADA["email"])[0]["token"]
    assert "no longer works" in nadia.follow(nadia.send(resend, {}))
    (second,) = {each["token"] for each in sent(server, "professional-invited", ADA["email"])} - {first}
    ada.get(f"/set-up/{first}", 404)
    form = {"password": "walrus kettle orbit 41", "terms": "accepted"}
    done = ada.send(f"/set-up/{second}", form, page=f"/set-up/{second}")
    assert done.status_code in {200, 303}, done.text
    assert ADA["email"] in nadia.get(TEAM).partition("With an account")[2]
    assert nadia.send(resend, {}).status_code == 404
    with server.store.write() as session:
        account = accounts.by_email(session, COORDINATOR)
        assert account is not None
        limits.allow(session, server.clock(), *[(INVITE, account.id)] * INVITE.count)
    assert nadia.send(resend, {}).status_code == 429, "an e-mail that is sent again counts"
    server.clock.advance(minutes=61)
    nadia = Person(server, COORDINATOR)

    op = server.operator()
    (found,) = server.get("/Practitioner?identifier=https://fhir.nhs.uk/Id/sds-user-id|555021935107", op)["entry"]
    reference = f"Practitioner/{found['resource']['id']}"
    (role,) = server.get(f"/PractitionerRole?practitioner={reference}&active=true", op)["entry"]
    assert role["resource"]["code"] == [{"text": "Diabetes nurse"}]
    # Who has an account is not invited once more, under whichever address; nor somebody else by their number.
    again = nadia.send(f"{TEAM}/invite", ADA | {"email": "ada.second@example.org"})
    assert (again.status_code, "has an account already" in again.text) == (409, True)
    other = nadia.send(f"{TEAM}/invite", ADA | {"email": "bo@example.org", "family": "Berg"})
    assert (other.status_code, "somebody else by this number" in other.text) == (422, True)


def test_nobody_vouches_for_who_has_a_role_elsewhere(server: Server) -> None:
    """Number and name are in public registers: an account by them would see what is shared with the other practice."""
    op, nadia = server.operator(), Person(server, COORDINATOR)
    number = {"system": "https://fhir.hl7.org.uk/Id/gmc-number", "value": "7654321"}
    person = {"resourceType": "Practitioner", "identifier": [number], "name": [{"family": "Okoro"}]}
    who = f"Practitioner/{server.post('/Practitioner', op, person)['id']}"
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": who},
            "organization": {"reference": "Organization/elsewhere"}}  # fmt: skip
    made = server.post("/PractitionerRole", op, role)
    refused = nadia.send(f"{TEAM}/invite", ADA | {"number": "7654321"})
    assert (refused.status_code, "two people have to check" in refused.text.lower()) == (422, True)
    assert not sent(server, "professional-invited", ADA["email"])
    assert server.get(f"/PractitionerRole?practitioner={who}&_summary=count", op)["total"] == 1
    # Without a role anywhere it is nobody's to vouch for: a patient may share with the entry itself.
    gone = server.put({**made, "active": False}, op)
    refused = nadia.send(f"{TEAM}/invite", ADA | {"number": "7654321"})
    assert (refused.status_code, "two people have to check" in refused.text.lower()) == (422, True)
    with server.store.read() as session:
        account = accounts.by_email(session, COORDINATOR)
    assert account is not None
    server.put({**gone, "organization": {"reference": account.organization}}, op)
    assert "on its way" in nadia.follow(nadia.send(f"{TEAM}/invite", ADA | {"number": "7654321"})), (
        "who was here before"
    )
