"""Two records of one person, and deaths: one proposes, another decides; what follows, and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from fhir_server.identity import codes
from fhir_server.identity.accounts import CONFIRM, confirm_email
from fhir_server.store import accounts, carers
from fhir_server.store.accounts import Secrets
from tests.portal.conftest import ADMIN, AMELIA, DESK, DESMOND, GP, PRIVACY, THOMAS, Person
from tests.portal.test_carers import sent
from tests.server import Server

MRN = "https://trust.example.org/Id/mrn"
EVIDENCE = "Passport seen, and the hospital's records office agrees"
Json = dict[str, Any]


def typed(patient: Json, name: str = "number", born: str = "born") -> dict[str, str]:
    year, month, day = patient["birthDate"].split("-")
    return {name: f"Patient/{patient['id']}", f"{born}-year": year, f"{born}-month": month, f"{born}-day": day}


def propose(desk: Person, kind: str, form: Mapping[str, str]) -> Any:
    return desk.send(f"/service-desk/cases/new/{kind}", {"evidence": EVIDENCE, **form})


def decided(who: Person, decision: str = "approve") -> Any:
    page = who.get("/service-desk/cases").partition("Waiting for")[2]
    path = page.partition('href="')[2].partition('"')[0]
    return who.send(path, {"decision": decision})


def duplicate(server: Server, of: Json) -> Json:
    """Store a second record of somebody, as a hospital that knows no NHS number makes one, with something in it."""
    op = server.operator()
    made: Json = server.post(
        "/Patient",
        op,
        {
            "resourceType": "Patient",
            "identifier": [{"system": MRN, "value": f"twin-of-{of['id']}"}],
            "name": of["name"],
            "birthDate": of["birthDate"],
        },
    )
    about = {"reference": f"Patient/{made['id']}"}
    weight = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}
    server.put({"resourceType": "Observation", "id": "twin-weight", "status": "final", "code": weight,
                "subject": about, "effectiveDateTime": "2026-10-01"}, op)  # fmt: skip
    server.put({"resourceType": "DocumentReference", "id": "twin-letter", "status": "current", "subject": about,
                "content": [{"attachment": {"url": "Binary/twin-file"}}]}, op)  # fmt: skip
    server.put({"resourceType": "Binary", "id": "twin-file", "contentType": "text/plain", "data": "aGVsbG8=",
                "securityContext": {"reference": "DocumentReference/twin-letter"}}, op)  # fmt: skip
    server.put({"resourceType": "Provenance", "id": "twin-origin", "target": [{"reference": "Observation/twin-weight"}],
                "recorded": "2026-10-01T10:00:00Z", "agent": [{"who": {"reference": "Practitioner/priya-raman"}}]},
               op)  # fmt: skip
    return made


def twin_account(server: Server, patient_id: str, email: str) -> None:
    """Give a record the account of another record's owner, under another address."""
    with server.store.write() as session:
        model = accounts.by_email(session, DESMOND)
        assert model is not None
        its = {name: getattr(model, name) for name in type(model).__dataclass_fields__}
        new = type(model)(**{**its, "id": f"of-{patient_id}", "email": email, "reference": f"Patient/{patient_id}"})
        accounts.add(session, new, Secrets("", ""))


def shared(server: Server) -> int:
    """Return how much of Amelia's record her practice sees, what it wrote itself included."""
    token = server.token("Practitioner/helen-ashworth", account_id=_id_of(server, GP))
    return int(server.get("/Observation?patient=amelia-hart&_summary=count", token)["total"])


def test_two_records_are_joined_and_taken_apart_again(server: Server) -> None:  # noqa: PLR0915 - one long way
    op = server.operator()
    desk, admin, amelia = (Person(server, each) for each in (DESK, ADMIN, AMELIA))
    before = shared(server)
    survivor = server.get("/Patient/amelia-hart", op)
    twin = duplicate(server, survivor)
    twin_account(server, twin["id"], "amelia.second@example.org")

    # Somebody else has to decide, and until then nothing has happened.
    form = {**typed(twin), **typed(survivor, "other-number", "other-born")}
    assert "waits for somebody else" in desk.follow(propose(desk, "merge", form))
    assert decided(desk).status_code == 403
    assert propose(desk, "death", {**typed(survivor), "day-day": "1", "day-month": "1", "day-year": "2026"}
                   ).status_code == 409  # fmt: skip
    assert server.get("/Observation/twin-weight", op)["subject"] == {"reference": f"Patient/{twin['id']}"}
    assert "Done" in admin.follow(decided(admin))

    # What was the duplicate's is the survivor's: resources, what hangs on them, identifiers; nobody else sees it yet.
    own = server.token("Patient/amelia-hart")
    for path in ("Observation/twin-weight", "DocumentReference/twin-letter", "Binary/twin-file",
                 "Provenance/twin-origin", "Patient/amelia-hart"):  # fmt: skip
        server.get(f"/{path}", own)
    now = server.get("/Patient/amelia-hart", op)
    assert now["link"] == [{"other": {"reference": f"Patient/{twin['id']}"}, "type": "replaces"}]
    assert server.ids(f"/Patient?identifier={MRN}|twin-of-amelia-hart", op) == {"Patient/amelia-hart"}
    ended = server.get(f"/Patient/{twin['id']}", op)
    assert (ended["active"], "identifier" in ended) == (False, False)
    assert ended["link"] == [{"other": {"reference": "Patient/amelia-hart"}, "type": "replaced-by"}]
    assert shared(server) < before
    assert sent(server, "news", AMELIA)
    assert sent(server, "account-joined", "amelia.second@example.org")
    with server.store.read() as session:
        closed = accounts.by_email(session, "amelia.second@example.org")
    assert closed is not None
    assert not closed.active

    # A second join of the same, a chain and the two the other way round are refused, each in words.
    for kind, first, second, said in (
        ("merge", twin, survivor, "joined to another one already"),
        ("merge", survivor, survivor, "cannot be joined to itself"),
        ("merge", survivor, server.get("/Patient/desmond-clarke", op), "the other way round"),
        ("death", twin, None, "joined to another one"),
        ("alive", survivor, None, "No death is recorded"),
        ("unmerge", survivor, None, "was not joined"),
    ):
        form = typed(first) | (typed(second, "other-number", "other-born") if second else {})
        answer = propose(desk, kind, form | {"day-day": "1", "day-month": "1", "day-year": "2026"})
        assert answer.status_code == 400, (kind, said)
        assert said in answer.text

    # Only the person, having looked, ends the pause.
    assert "Sharing is paused" in amelia.get("/")
    assert "Sharing is paused" in amelia.get("/sharing")
    assert amelia.send("/sharing/paused", {}).status_code == 400
    assert shared(server) < before
    assert "Sharing is on again" in amelia.follow(amelia.send("/sharing/paused", {"looked": "yes"}))
    assert shared(server) >= before
    assert server.get("/AuditEvent?subtype=confirm-sharing&_summary=count", op)["total"] == 1
    log = amelia.get("/access-log")
    assert "Joined two records" in log

    # Back: what moved goes back, with the account; what is the survivor's stays.
    assert propose(desk, "unmerge", typed(ended)).status_code == 303
    assert decided(admin).status_code == 303
    server.get("/Observation/twin-weight", own, 404)
    server.get("/Binary/twin-file", own, 404)
    server.get("/Observation/twin-weight", server.token(f"Patient/{twin['id']}"))
    back = server.get(f"/Patient/{twin['id']}", op)
    assert (back["active"], back["identifier"], "link" in back) == (True, twin["identifier"], False)
    again = server.get("/Patient/amelia-hart", op)
    assert (again["identifier"], "link" in again) == (survivor["identifier"], False)
    with server.store.read() as session:
        opened = accounts.by_email(session, "amelia.second@example.org")
    assert opened is not None
    assert opened.active


def test_nobody_gains_by_a_join(server: Server) -> None:
    """What the duplicate's owner shared less of, or denied, is shared less of afterwards."""
    op = server.operator()
    survivor = server.get("/Patient/amelia-hart", op)
    twin = duplicate(server, survivor)
    shares = server.get("/Consent?patient=amelia-hart&status=active", op)
    share = next(
        each["resource"] for each in shares["entry"] if each["resource"]["id"] == "consent-amelia-hart-practice"
    )
    labels = share["provision"]["securityLabel"]
    assert len(labels) > 1
    less = {**share, "id": "twin-share", "patient": {"reference": f"Patient/{twin['id']}"}}
    less["provision"] = {**share["provision"], "securityLabel": labels[:1]}
    server.put(less, op)
    nobody = {**less, "id": "twin-nobody", "provision": {"type": "deny", "actor": share["provision"]["actor"]}}
    nobody["provision"]["actor"] = [
        {**each, "reference": {"reference": "Organization/elsewhere"}} for each in share["provision"]["actor"]
    ]
    server.put(nobody, op)
    _put_pairs(server, share, twin["id"])
    twin_account(server, twin["id"], "amelia.second@example.org")
    with server.store.write() as session:
        old = accounts.by_email(session, AMELIA)
        assert old is not None
        accounts.set_active(session, old.id, active=False, now=server.clock())
    desk, admin = Person(server, DESK), Person(server, ADMIN)
    propose(desk, "merge", {**typed(twin), **typed(survivor, "other-number", "other-born")})
    assert decided(admin).status_code == 303
    found = {name: server.get(f"/Consent/{name}", op) for name in (share["id"], "twin-share", "twin-nobody")}
    assert found[share["id"]]["provision"]["securityLabel"] == labels[:1]
    assert [found[name]["status"] for name in found] == ["active", "inactive", "active"]
    assert {each["patient"]["reference"] for each in found.values()} == {"Patient/amelia-hart"}
    for name, *_, status in _PAIRS:
        assert server.get(f"/Consent/stays-{name}", op)["status"] == status, name
        assert server.get(f"/Consent/twin-{name}", op)["status"] == "inactive", name
    # Where the record that stays has no open account, the duplicate's is the person's from now on.
    with server.store.read() as session:
        moved = accounts.by_email(session, "amelia.second@example.org")
    assert moved is not None
    assert (moved.reference, moved.active) == ("Patient/amelia-hart", True)


def test_a_death_ends_accounts_and_carers_at_once_and_a_correction_opens_them(server: Server) -> None:
    op = server.operator()
    patient = server.get("/Patient/amelia-hart", op)
    desk, admin, amelia, thomas, gp = (Person(server, each) for each in (DESK, ADMIN, AMELIA, THOMAS, GP))
    own = server.token("Patient/amelia-hart", account_id=_id_of(server, AMELIA))
    day = {"day-day": "3", "day-month": "11", "day-year": "2026"}
    assert propose(desk, "death", {**typed(patient), **day, "day-year": "1950"}).status_code == 400
    assert propose(desk, "death", {**typed(patient), **day}).status_code == 303
    assert decided(admin, "refuse").status_code == 303
    amelia.get("/record")
    assert propose(desk, "death", {**typed(patient), **day}).status_code == 303
    assert decided(admin).status_code == 303

    assert server.get("/Patient/amelia-hart", op)["deceasedDateTime"] == "2026-11-03"
    assert amelia.open("/record").status_code == 303
    assert thomas.open("/record").status_code == 303
    server.get("/Observation?patient=amelia-hart", own, 401)
    related = next(iter(_links(server, THOMAS)))
    assert server.ids("/Observation?patient=amelia-hart", server.token(related)) == set()
    gp.get("/patients/amelia-hart")
    log = "/AuditEvent?patient=Patient/amelia-hart&_summary=count"
    officer = server.token(f"account:{_id_of(server, PRIVACY)}", account_id=_id_of(server, PRIVACY))
    assert server.get(log, officer)["total"] > 0
    invited = Person(server, "nadia.lowe@example.org").send("/organisation/invite", _invitation(patient))
    assert invited.status_code == 400

    assert propose(desk, "alive", typed(patient)).status_code == 303
    assert decided(admin).status_code == 303
    assert "deceasedDateTime" not in server.get("/Patient/amelia-hart", op)
    Person(server, AMELIA).get("/record")
    Person(server, THOMAS).get("/record")
    # The old token stays dead: whoever held it asks anew.
    server.get("/Observation?patient=amelia-hart", own)


def test_a_death_that_a_hospital_writes_has_the_same_effect(server: Server) -> None:
    op = server.operator()
    amelia = Person(server, AMELIA)
    patient = server.get("/Patient/amelia-hart", op)
    # Whom a Consent names from a later day on is family too: that day must not open what the death closed.
    about = {"reference": "Patient/amelia-hart"}
    server.put({"resourceType": "RelatedPerson", "id": "later", "patient": about}, op)
    share = server.get("/Consent/consent-amelia-hart-practice", op)
    actor = [{**share["provision"]["actor"][0], "reference": {"reference": "RelatedPerson/later"}}]
    provision = {**share["provision"], "actor": actor, "period": {"start": "2027-01-01"}}
    server.put({**share, "id": "consent-later", "provision": provision}, op)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"resource": {**patient, "deceasedBoolean": True}, "request": {"method": "PUT", "url": "Patient/amelia-hart"}}
    ]}  # fmt: skip
    server.post("", op, bundle, 200)
    assert amelia.open("/record").status_code == 303
    (paused,) = server.get("/Consent?patient=amelia-hart&identifier=death&status=active", op)["entry"]
    assert "RelatedPerson/later" in str(paused["resource"]["provision"]["actor"])
    server.put({**server.get("/Patient/amelia-hart", op), "deceasedBoolean": False}, op)
    Person(server, AMELIA).get("/record")


def test_numbers_are_not_for_trying_and_a_decision_is_made_once(server: Server) -> None:
    op = server.operator()
    desk, admin = Person(server, DESK), Person(server, ADMIN)
    patient = server.get("/Patient/amelia-hart", op)
    wrong = {**typed(patient), "born-day": "28"}
    unknown = {**typed(patient), "number": "Patient/nobody-at-all"}
    answers = [propose(desk, "alive", form) for form in (wrong, unknown)]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert all("No record has this number" in answer.text for answer in answers)
    statuses = [propose(desk, "alive", wrong).status_code for _ in range(20)]
    assert statuses[-1] == 429
    server.clock.advance(hours=2)
    desk, admin = Person(server, DESK), Person(server, ADMIN)
    form = {**typed(patient), "day-day": "3", "day-month": "11", "day-year": "2026"}
    assert propose(desk, "death", form).status_code == 303
    page = admin.get("/service-desk/cases").partition("Waiting for")[2]
    path = page.partition('href="')[2].partition('"')[0]
    others = [Person(server, ADMIN) for _ in range(2)]
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda who=who: found.append(who.send(path, {"decision": "approve"}).status_code))
        for who in others
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [303, 404]
    assert admin.send(path, {"decision": "maybe"}).status_code == 400


@pytest.mark.parametrize("field", ["number", "evidence", "born-day", "day-day"])
def test_a_proposal_names_what_is_missing(server: Server, field: str) -> None:
    form = {"number": "Patient/x", "born-day": "1", "born-month": "1", "born-year": "1970", "day-day": "1",
            "day-month": "1", "day-year": "2026", field: ""}  # fmt: skip
    answer = Person(server, DESK).send("/service-desk/cases/new/death", {"evidence": EVIDENCE, **form})
    assert answer.status_code == 400
    assert f'href="#{field}"' in answer.text


def test_a_link_to_confirm_opens_no_account_of_who_died_or_of_a_record_that_is_no_more(server: Server) -> None:
    """Whoever registered and had not confirmed yet: nothing was open, and nothing may open meanwhile."""
    op, token = server.operator(), "a-link-of-" + "x" * 33
    patient = server.get("/Patient/amelia-hart", op)
    twin = duplicate(server, patient)
    desk, admin = Person(server, DESK), Person(server, ADMIN)
    new = server.post("/Patient", op, {"resourceType": "Patient", "birthDate": "1970-02-01"})
    day = {"day-day": "3", "day-month": "11", "day-year": "2026"}
    to_survivor = typed(patient, "other-number", "other-born")
    for number, (person, ends, opens) in enumerate(
        (
            (twin, ("merge", typed(twin) | to_survivor), ("unmerge", typed(twin))),
            (new, ("death", typed(new) | day), ("alive", typed(new))),
        )
    ):
        email, link = f"new.{number}@example.org", f"{token}{number}"
        twin_account(server, person["id"], email)
        with server.store.write() as session:
            made = accounts.by_email(session, email)
            assert made is not None
            session.connection.execute(
                text("UPDATE account SET active = false, email_confirmed_at = NULL WHERE id = :id"), {"id": made.id}
            )
            accounts.add_link(
                session,
                codes.token_hash(link),
                account_id=made.id,
                purpose=CONFIRM,
                now=server.clock(),
                expires_at=server.clock() + timedelta(days=14),
            )
        assert propose(desk, *ends).status_code == 303, ends
        assert decided(admin).status_code == 303, ends
        assert not confirm_email(server.store, link, server.clock(), lambda _session, _account: None), ends
        assert propose(desk, *opens).status_code == 303, opens
        assert decided(admin).status_code == 303, opens
        with server.store.read() as session:
            assert [each.active for each in accounts.by_reference(session, f"Patient/{person['id']}")] == [False], opens
        assert confirm_email(server.store, link, server.clock(), lambda _session, _account: None), opens


def _id_of(server: Server, email: str) -> str:
    with server.store.read() as session:
        found = accounts.by_email(session, email)
    assert found is not None
    return found.id


def _links(server: Server, email: str) -> tuple[str, ...]:
    with server.store.read() as session:
        return carers.links(session, _id_of(server, email)) or (accounts.by_email(session, email).reference,)  # type: ignore[union-attr]


_CONFIDENTIALITY = {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}
_TREATMENT = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"}
_PAIRS: tuple[tuple[str, Json, Json, str], ...] = (
    # What each of the two says besides the same actor and labels, and what becomes of the one of the record that stays.
    ("same", {}, {}, "active"),
    ("deep", {}, {"nested": True}, "inactive"),
    ("purpose", {}, {"purpose": [_TREATMENT]}, "inactive"),
    ("action", {}, {"action": [{"coding": [{"code": "access"}]}]}, "inactive"),
    ("later", {}, {"period": {"start": "2031-01-01"}}, "inactive"),
    ("axis", {"more": _CONFIDENTIALITY}, {}, "inactive"),
)


def _put_pairs(server: Server, share: Json, twin_id: str) -> None:
    """Store a Consent of each of two records for one grantee per row of `_PAIRS`."""
    plain = {name: share["provision"][name] for name in ("type", "actor", "securityLabel")}
    for name, stays, ends, _ in _PAIRS:
        actor = [{**each, "reference": {"reference": f"Organization/{name}"}} for each in plain["actor"]]
        for prefix, patient, own in (("stays", "amelia-hart", stays), ("twin", twin_id, ends)):
            labels = [*plain["securityLabel"], *([own["more"]] if "more" in own else ())]
            said = {each: value for each, value in own.items() if each not in {"nested", "more"}}
            provision = {**plain, "actor": actor, "securityLabel": labels, **said}
            if "nested" in own:
                provision = {"type": "deny", "actor": actor, "provision": [{**provision, "actor": actor}]}
            body = {**share, "id": f"{prefix}-{name}", "patient": {"reference": f"Patient/{patient}"}}
            server.put({**body, "provision": provision}, server.operator())


def _invitation(patient: Json) -> dict[str, str]:
    year, month, day = patient["birthDate"].split("-")
    number = json.loads(json.dumps(patient["identifier"]))[0]["value"]
    return {"given": "Amelia", "family": "Hart", "born-day": day, "born-month": month, "born-year": year,
            "nhs-number": number, "email": "amelia.third@example.org", "mobile": "07700900123"}  # fmt: skip
