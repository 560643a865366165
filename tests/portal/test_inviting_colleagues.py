"""A coordinator lets a professional in: once, with the number that is theirs, and only into the own organisation."""

from __future__ import annotations

import pytest

from fhir_server.identity import account_requests, leaving, limits
from fhir_server.identity.accounts import Role, create_account
from fhir_server.identity.agreements import Acceptance
from fhir_server.operations.inviting_staff import INVITE
from fhir_server.store import accounts
from fhir_server.store.accounts import Account
from tests.portal.conftest import CONSULTANT, COORDINATOR, GP, SEED, Person
from tests.portal.test_carers import sent
from tests.server import Server

TEAM = "/organisation/team"
NUMBER = "555021935107"
ADA = {"given": "Ada", "family": "Okoro", "email": "ada.okoro@example.org", "job": "Diabetes nurse",
       "number": "555 0219 35107"}  # fmt: skip


def test_a_colleague_gets_a_link_sets_up_an_account_and_is_in_the_team(server: Server) -> None:
    nadia, ada = Person(server, COORDINATOR), Person(server)
    for field, value in (
        ("given", ""),
        ("given", "win.example.org"),
        ("family", "\u041ekoro"),
        ("family", "x" * 101),
        ("email", "ada"),
        ("job", " "),
        ("number", "12345"),
    ):
        answer = nadia.send(f"{TEAM}/invite", ADA | {field: value})
        assert answer.status_code == 400, field
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
    assert (other.status_code, "somebody else by this number" in other.text) == (400, True)


TRUST = str(next(each.organization for each in SEED.accounts if each.email == COORDINATOR))
HELEN = {"given": "Helen", "family": "Ashworth", "email": "h.ashworth@new.example.org", "job": "Visiting doctor"}
NEW_ACCOUNT = {"password": "walrus kettle orbit 41", "terms": "accepted"}


def account(server: Server, email: str) -> Account:
    with server.store.read() as session:
        found = accounts.by_email(session, email)
    assert found is not None
    return found


@pytest.fixture
def helen(server: Server) -> dict[str, str]:
    """Return how a coordinator invites the doctor who works elsewhere, and has an account."""
    entry = server.get(f"/{account(server, GP).reference}", server.operator())
    numbers = [each["value"] for each in entry["identifier"] if each["system"].endswith("/sds-user-id")]
    return HELEN | {"number": numbers[0]}


def roles(server: Server, email: str) -> set[str]:
    """Return the organisations of the roles that somebody has now."""
    query = f"practitioner={account(server, email).reference}&active=true"
    found = server.get(f"/PractitionerRole?{query}", server.operator()).get("entry", ())
    return {each["resource"]["organization"]["reference"] for each in found}


def seen(server: Server, email: str) -> int:
    """Return how many measurements somebody sees."""
    theirs = account(server, email)
    token = server.token(theirs.reference, account_id=theirs.id)
    return int(server.get("/Observation?_summary=count", token)["total"])


def invited(server: Server, nadia: Person, whom: dict[str, str]) -> str:
    server.clock.advance(seconds=1)
    assert "on its way" in nadia.follow(nadia.send(f"{TEAM}/invite", whom))
    return f"/set-up/{sent(server, 'professional-invited', whom['email'])[-1]['token']}"


def test_who_works_elsewhere_says_yes_with_their_account_and_gains_nothing_before(
    server: Server, helen: dict[str, str]
) -> None:
    nadia, doctor, other, stranger = (
        Person(server, COORDINATOR),
        Person(server, GP),
        Person(server, CONSULTANT),
        Person(server),
    )
    practice, trust = account(server, GP).organization, account(server, COORDINATOR).organization
    before, link = seen(server, GP), invited(server, nadia, helen)
    assert (roles(server, GP), seen(server, GP)) == ({practice}, before)
    assert f": {HELEN['given']}" not in nadia.get(TEAM).partition("With an account")[2]

    for answer in (stranger.open(link), stranger.send(link, NEW_ACCOUNT)):
        assert (answer.status_code, answer.location) == (303, f"/sign-in?next={link}")
    other.get(link, 403)
    assert other.send(link, NEW_ACCOUNT).status_code == 403
    with server.store.read() as session:
        assert accounts.by_email(session, helen["email"]) is None, "no second account"
    assert roles(server, GP) == {practice}

    assert "Visiting doctor" in doctor.get(link)
    assert doctor.send(link, {}, page=link).status_code == 200
    assert roles(server, GP) == {practice, trust}
    assert seen(server, GP) > before
    assert "Helen Ashworth" in nadia.get(TEAM).partition("With an account")[2]
    assert GP in nadia.get(TEAM), "who said yes is a colleague"
    assert sent(server, "security-changed", GP), "told at the address of the account"
    assert doctor.send(link, {}, page="/contact").status_code == 404, "the link works once"
    assert nadia.send(f"{TEAM}/invite", helen).status_code == 409, "works here now"


def test_who_leaves_and_still_works_elsewhere_keeps_that_and_can_be_asked_back(
    server: Server, helen: dict[str, str]
) -> None:
    nadia, doctor = Person(server, COORDINATOR), Person(server, GP)
    practice, before = account(server, GP).organization, seen(server, GP)
    for _ in range(2):
        link = invited(server, nadia, helen)
        assert doctor.send(link, {}, page=link).status_code == 200
        assert seen(server, GP) > before
        leave = f"{TEAM}/{account(server, GP).id}/leave"
        assert "Their access has ended" in nadia.follow(nadia.send(leave, {"understood": "yes"}))
        assert doctor.open("/patients").status_code == 303, "signed out"
        assert (roles(server, GP), seen(server, GP)) == ({practice}, before)
        assert account(server, GP).organization == practice
        nadia.get(leave, 404)
        doctor = Person(server, GP)


def test_a_cancelled_invitation_is_over_at_once_and_only_its_own_organisation_cancels_it(
    server: Server, helen: dict[str, str]
) -> None:
    nadia, doctor, practice = Person(server, COORDINATOR), Person(server, GP), account(server, GP).organization
    for whom, who in ((helen, doctor), (ADA, Person(server))):
        link = invited(server, nadia, whom)
        path = nadia.get(TEAM).partition(">Cancel<")[0].rpartition('href="')[2].partition('"')[0]
        assert whom["email"] in nadia.get(path), "asked once more"
        who.get(link)
        with server.store.write() as session:
            accounts.set_organization(session, account(server, COORDINATOR).id, practice)
        nadia.get(path, 404)
        assert nadia.send(path, {}, page=TEAM).status_code == 404
        with server.store.write() as session:
            accounts.set_organization(session, account(server, COORDINATOR).id, TRUST)
        assert "The invitation is cancelled" in nadia.follow(nadia.send(path, {}))
        who.get(link, 404)
        assert who.send(link, NEW_ACCOUNT, page="/contact").status_code == 404
        assert nadia.send(path, {}, page=TEAM).status_code == 404
        assert whom["email"] not in nadia.get(TEAM)
    assert roles(server, GP) == {practice}
    current = f"/PractitionerRole?practitioner.identifier={NUMBER}&active=true&_summary=count"
    assert server.get(current, server.operator())["total"] == 0


def test_an_invitation_replaces_those_to_other_addresses(server: Server, helen: dict[str, str]) -> None:
    nadia, doctor = Person(server, COORDINATOR), Person(server, GP)
    for whom, who in ((helen, doctor), (ADA, Person(server))):
        mistyped = invited(server, nadia, whom | {"email": "somebody.else@example.org"})
        link = invited(server, nadia, whom)
        who.get(mistyped, 404)
        assert who.send(mistyped, NEW_ACCOUNT, page="/contact").status_code == 404
        assert who.send(link, NEW_ACCOUNT, page=link).status_code in {200, 303}
    assert "somebody.else@example.org" not in nadia.get(TEAM)


def test_no_invitation_from_before_brings_back_who_left(server: Server) -> None:
    nadia, trust = Person(server, COORDINATOR), account(server, COORDINATOR).organization
    link = invited(server, nadia, ADA)
    entry = server.get(f"/Practitioner?identifier=https://fhir.nhs.uk/Id/sds-user-id|{NUMBER}", server.operator())
    who = f"Practitioner/{entry['entry'][0]['resource']['id']}"
    with server.store.write() as session:
        # She came in another way, and never used the link.
        made = create_account(
            session, role=Role.PROFESSIONAL, email="okoro@example.org", name="Ada Okoro",
            password=NEW_ACCOUNT["password"], now=server.clock(), reference=who, organization=trust,
        )  # fmt: skip
    server.clock.advance(seconds=1)
    leave = f"{TEAM}/{made.id}/leave"
    assert "Their access has ended" in nadia.follow(nadia.send(leave, {"understood": "yes"}))
    assert ADA["email"] not in nadia.get(TEAM)
    stranger = Person(server)
    stranger.get(link, 404)
    assert stranger.send(link, NEW_ACCOUNT, page="/contact").status_code == 404
    with server.store.read() as session:
        assert [each.active for each in accounts.by_reference(session, who)] == [False]


def test_who_leaves_the_first_of_two_organisations_acts_for_the_other_without_emergency_access(
    server: Server, helen: dict[str, str]
) -> None:
    nadia, doctor = Person(server, COORDINATOR), Person(server, GP)
    link = invited(server, nadia, helen)
    assert doctor.send(link, {}, page=link).status_code == 200
    theirs, trust = account(server, GP), account(server, COORDINATOR).organization
    assert theirs.may_break_glass
    op = server.operator()
    for entry in server.get(f"/PractitionerRole?practitioner={theirs.reference}&active=true", op)["entry"]:
        if entry["resource"]["organization"]["reference"] != trust:
            server.put({**entry["resource"], "active": False}, op)
    with server.store.write() as session:
        leaving.end_access(session, theirs, theirs.organization, server.clock())
    now = account(server, GP)
    assert (now.active, now.organization, now.may_break_glass) == (True, trust, False)


def test_a_link_for_the_owner_of_an_account_opens_no_other_when_that_is_closed(
    server: Server, helen: dict[str, str]
) -> None:
    link = invited(server, Person(server, COORDINATOR), helen)
    with server.store.write() as session:
        accounts.set_active(session, account(server, GP).id, active=False, now=server.clock())
    answer = Person(server).send(link, NEW_ACCOUNT)
    assert (answer.status_code, answer.location) == (303, f"/sign-in?next={link}")
    found = account_requests.set_up(
        server.store, link.rpartition("/")[2], NEW_ACCOUNT["password"], Acceptance(), server.clock(), lambda *_: None
    )
    assert found == "", "a dead link"
    with server.store.read() as session:
        assert accounts.by_email(session, helen["email"]) is None


def test_only_a_professional_is_asked_and_at_no_address_of_somebody_else(server: Server, helen: dict[str, str]) -> None:
    nadia = Person(server, COORDINATOR)
    for taken in (CONSULTANT, COORDINATOR):
        refused = nadia.send(f"{TEAM}/invite", helen | {"email": taken})
        assert (refused.status_code, "has an account already" in refused.text) == (409, True), taken
    wrong = nadia.send(f"{TEAM}/invite", helen | {"family": "Berg"})
    assert (wrong.status_code, "somebody else by this number" in wrong.text) == (400, True)
    assert not sent(server, "professional-invited", helen["email"])


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
    assert (refused.status_code, "two people have to check" in refused.text.lower()) == (400, True)
    assert not sent(server, "professional-invited", ADA["email"])
    assert server.get(f"/PractitionerRole?practitioner={who}&_summary=count", op)["total"] == 1
    # Without a role anywhere it is nobody's to vouch for: a patient may share with the entry itself.
    gone = server.put({**made, "active": False}, op)
    refused = nadia.send(f"{TEAM}/invite", ADA | {"number": "7654321"})
    assert (refused.status_code, "two people have to check" in refused.text.lower()) == (400, True)
    with server.store.read() as session:
        account = accounts.by_email(session, COORDINATOR)
    assert account is not None
    server.put({**gone, "organization": {"reference": account.organization}}, op)
    assert "on its way" in nadia.follow(nadia.send(f"{TEAM}/invite", ADA | {"number": "7654321"})), (
        "who was here before"
    )
