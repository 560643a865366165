"""A professional leaves: sessions, emergency access and requests end at once, and only their organisation can do it."""

from __future__ import annotations

import re

import pytest

import seed_data
from fhir_server.identity import second_proof
from fhir_server.identity.second_proof import Demand
from fhir_server.store import accounts, logins
from tests.portal.conftest import AMELIA, COORDINATOR, GP, SEED, Person
from tests.portal.test_carers import sent
from tests.server import Server

COLLEAGUES = {
    account.email: account
    for account in SEED.accounts
    if account.role == "professional"
    and account.organization == next(each.organization for each in SEED.accounts if each.email == COORDINATOR)
}


def leave_link(page: str, name: str) -> str:
    return page.partition(f": {name}</span>")[0].rpartition('href="')[2].partition('"')[0]


@pytest.fixture
def colleague() -> seed_data.Account:
    return next(iter(COLLEAGUES.values()))


def test_who_leaves_is_out_at_once_and_cannot_come_back(server: Server, colleague: seed_data.Account) -> None:
    nadia, leaver = Person(server, COORDINATOR), Person(server, colleague.email)
    leaver.get("/patients")
    path = leave_link(nadia.get("/organisation/team"), colleague.name)
    assert nadia.send(path, {}).status_code == 400
    leaver.get("/patients")
    assert "Their access has ended" in nadia.follow(nadia.send(path, {"understood": "yes"}))
    assert leaver.open("/patients").status_code == 303
    again = leaver.send("/sign-in", {"email": colleague.email, "password": colleague.password}, page="/sign-in")
    assert again.status_code in {400, 401, 403}
    assert colleague.name not in nadia.get("/organisation/team").partition("<main")[2]
    nadia.get(path, 404)
    assert sent(server, "security-changed", colleague.email)


def test_the_role_of_who_left_is_ended_in_the_directory(server: Server, colleague: seed_data.Account) -> None:
    nadia = Person(server, COORDINATOR)
    nadia.send(leave_link(nadia.get("/organisation/team"), colleague.name), {"understood": "yes"})
    found = server.get(f"/PractitionerRole?practitioner={colleague.reference}", server.operator())
    roles = [entry["resource"] for entry in found["entry"]]
    assert [role["active"] for role in roles] == [False] * len(roles)
    assert all(role["period"]["end"] for role in roles)


def test_a_role_that_does_not_say_that_it_is_active_ends_too(server: Server, colleague: seed_data.Account) -> None:
    op = server.operator()
    for entry in server.get(f"/PractitionerRole?practitioner={colleague.reference}", op)["entry"]:
        server.put({name: value for name, value in entry["resource"].items() if name != "active"}, op)
    nadia = Person(server, COORDINATOR)
    nadia.send(leave_link(nadia.get("/organisation/team"), colleague.name), {"understood": "yes"})
    found = server.get(f"/PractitionerRole?practitioner={colleague.reference}", op)
    assert [entry["resource"]["active"] for entry in found["entry"]] == [False] * len(found["entry"])
    with server.store.read() as session:
        account = accounts.by_email(session, colleague.email)
    assert account is not None
    assert not account.active


def test_tokens_of_who_left_are_dead_at_once(server: Server, colleague: seed_data.Account) -> None:
    with server.store.read() as session:
        account = accounts.by_email(session, colleague.email)
    assert account is not None
    token = server.token(str(colleague.reference), account_id=account.id)
    server.get("/Patient?_count=1", token)
    nadia = Person(server, COORDINATOR)
    nadia.send(leave_link(nadia.get("/organisation/team"), colleague.name), {"understood": "yes"})
    server.get("/Patient?_count=1", token, 401)


def test_another_organisations_professional_is_out_of_reach(server: Server) -> None:
    page = Person(server, COORDINATOR).get("/organisation/team")
    assert "Helen Ashworth" not in page
    with server.store.read() as session:
        gp = accounts.by_email(session, GP)
    assert gp is not None
    nadia = Person(server, COORDINATOR)
    assert nadia.send(f"/organisation/team/{gp.id}/leave", {"understood": "yes"}).status_code == 404
    Person(server, GP).get("/patients")
    Person(server, AMELIA).get(f"/organisation/team/{gp.id}/leave", 403)
    assert re.search(r'href="/organisation/team/[^"]+/leave"', page)


def test_whom_a_feed_only_names_shows_no_address_and_loses_that_role_alone(server: Server) -> None:
    """A trust's system writes a role for a doctor of a practice, who knows nothing of it."""
    with server.store.read() as session:
        doctor, nadia = accounts.by_email(session, GP), accounts.by_email(session, COORDINATOR)
    assert doctor is not None
    assert nadia is not None
    feed, here = server.token(nadia.organization), Person(server, COORDINATOR)
    own = server.token(f"account:{nadia.id}", "user/*.cruds", account_id=nadia.id, organization=nadia.organization)
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": doctor.reference},
            "organization": {"reference": nadia.organization}, "active": True}  # fmt: skip
    made = server.post("/PractitionerRole", feed, role)
    page, bearer = here.get("/organisation/team"), {"Authorization": f"Bearer {own}"}
    listed = server.app.test_client().get("/api/v1/professionals", headers=bearer).get_json()["professionals"]
    [shown] = [each for each in listed if each["id"] == doctor.id]
    assert (doctor.name in page, GP in page, shown["email"]) == (True, False, "")
    assert all(each["email"] for each in listed if each["id"] != doctor.id)

    signed_in, path = Person(server, GP), leave_link(page, doctor.name)
    asked = here.get(path)
    assert (GP in asked, "their account is not touched" in asked) == (False, True)
    assert "Their access has ended" in here.follow(here.send(path, {"understood": "yes"}))
    assert server.get(f"/PractitionerRole/{made['id']}", server.operator())["active"] is False
    signed_in.get("/patients")
    with server.store.read() as session:
        assert accounts.by_id(session, doctor.id) == doctor, "home, emergency access and account are theirs"
    assert sent(server, "security-changed", GP)


def test_who_left_comes_back_at_the_same_address_as_somebody_new(server: Server, colleague: seed_data.Account) -> None:
    nadia, op = Person(server, COORDINATOR), server.operator()
    entry = server.get(f"/{colleague.reference}", op)
    [number] = [each["value"] for each in entry["identifier"] if each["system"].endswith("/sds-user-id")]
    family = entry["name"][0]["family"]
    invited = {"given": "Kim", "family": family, "email": colleague.email, "job": "Nurse", "number": number}
    with server.store.write() as session:
        before = accounts.by_email(session, colleague.email)
        assert before is not None
        accounts.allow_emergencies(session, before.id, allowed=True)
        accounts.set_mobile(session, before.id, "+447700900999")
        logins.add_link(session, "https://am.example.org", "555", before.id, server.clock())
    refused = nadia.send("/organisation/team/invite", invited)
    assert (refused.status_code, "has an account already" in refused.text) == (409, True), "has not left"

    nadia.send(leave_link(nadia.get("/organisation/team"), colleague.name), {"understood": "yes"})
    stranger = nadia.send("/organisation/team/invite", invited | {"number": "555021935107"})
    assert (stranger.status_code, "has an account already" in stranger.text) == (409, True), "somebody else's address"
    assert server.get("/Practitioner?identifier=555021935107&_summary=count", op)["total"] == 0
    assert "on its way" in nadia.follow(nadia.send("/organisation/team/invite", invited))
    [link] = sent(server, "professional-invited", colleague.email)
    path = f"/set-up/{link['token']}"
    done = Person(server).send(path, {"password": "walrus kettle orbit 41", "terms": "accepted"}, page=path)
    assert done.status_code == 303, done.text

    with server.store.read() as session:
        old, new = accounts.by_id(session, before.id), accounts.by_email(session, colleague.email)
        assert old is not None
        assert new is not None
        assert not old.active
        assert (new.active, new.id == old.id, new.reference) == (True, False, colleague.reference)
        assert not new.may_break_glass
        assert second_proof.need(session, new, Demand.EVERYBODY).ways == ()
        assert logins.link_of(session, "https://am.example.org", "555") is None
    for password, status in ((colleague.password, 403), ("walrus kettle orbit 41", 303)):
        answer = Person(server).send("/sign-in", {"email": colleague.email, "password": password}, page="/sign-in")
        assert answer.status_code == status, password
    once_more = Person(server).send(path, {"password": "walrus kettle orbit 42", "terms": "accepted"})
    assert once_more.status_code == 404, "the link works once"
