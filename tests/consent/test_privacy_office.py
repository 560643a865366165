"""What a patient asks the privacy office, and what that office may do: answer, close a record, open it again."""

from __future__ import annotations

from base64 import b64decode
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from fhir_server.store import accounts, messages
from fhir_server.store.accounts import Account, Secrets
from tests.consent.world import ANN, BOB, GP, Json, World, consent
from tests.server import START

_DENY = "https://profiles.ihe.net/ITI/PCF/Policy-deny"
_WHY = "She rang: her former husband may know her password"


def _account(world: World, name: str, role: str, reference: str = "", shown: str = "") -> Account:
    account = Account(
        id=name, email=f"{name}@example.org", name=shown or name.title(), role=role, reference=reference,
        organization="", may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
    )  # fmt: skip
    with world.server.store.write() as session:
        accounts.add(session, account, Secrets("", ""))
    return account


def _officer(world: World, name: str = "ruth", shown: str = "") -> str:
    _account(world, name, "privacy-officer", shown=shown)
    return world.server.token(f"account:{name}", account_id=name)


def _call(world: World, path: str, token: str, *parameters: Json) -> Any:
    return world.server.call("POST", path, token, {"resourceType": "Parameters", "parameter": list(parameters)})


def _event(world: World, token: str, query: str = "action=R") -> str:
    found = world.server.get(f"AuditEvent?{query}&_count=1", token)["entry"]
    return f"AuditEvent/{found[0]['resource']['id']}"


def _dispute(world: World, event: str, token: str, patient: str = ANN, text: str = "I know nobody there") -> Any:
    about = {"name": "event", "valueReference": {"reference": event}}
    return _call(world, f"{patient}/$dispute-access", token, about, {"name": "text", "valueString": text})


def _answer(world: World, task: str, token: str, outcome: str = "appropriate", text: str = "Your practice") -> Any:
    given = ({"name": "outcome", "valueCode": outcome}, {"name": "text", "valueString": text})
    return _call(world, f"{task}/$answer-dispute", token, *given)


def _parts(document: Json) -> list[Json]:
    return [
        {part["name"]: next(value for name, value in part.items() if name.startswith("value")) for part in each["part"]}
        for each in document.get("parameter", ())
    ]


def _mailed(world: World) -> list[str]:
    with world.server.store.write() as session:
        return [each.recipient for each in messages.lease(session, world.server.clock(), timedelta(days=1))]


def test_a_patient_asks_about_an_entry_and_somebody_else_answers(world: World) -> None:
    _account(world, "ann", "patient", ANN)
    ruth = _officer(world)
    assert world.server.call("GET", ANN, world.gp).status_code == 200
    event = _event(world, world.ann, f"agent={GP}")
    asked = _dispute(world, event, world.ann)
    assert asked.status_code == 201, asked.text
    assert _dispute(world, event, world.ann).status_code == 422, "an entry is asked about once"
    (entry,) = world.server.get("Task?code=review-disputed-access", ruth)["entry"]
    task = entry["resource"]
    assert (task["focus"]["reference"], task["description"]) == (event, "I know nobody there")
    for token in (world.ann, world.gp, world.practice, world.carer):
        assert world.server.get("Task?_summary=count", token)["total"] == 0, "a Task is for the privacy office"
    name = f"Task/{task['id']}"
    for token in (world.gp, world.ann, world.practice, world.operator, world.carer):
        assert _answer(world, name, token).status_code == 403
    for outcome, text in (("fine", "x"), ("appropriate", " "), ("appropriate", "x" * 2001)):
        assert _answer(world, name, ruth, outcome, text).status_code in {400, 422}
    assert _answer(world, "Task/nothing", ruth).status_code == 404
    assert _mailed(world) == []
    assert _answer(world, name, ruth, "enquiry", "We have asked them").status_code == 200
    assert _answer(world, name, ruth).status_code == 200, "an enquiry is answered once more"
    assert _answer(world, name, ruth, "inappropriate").status_code == 422, "an answer is final"
    assert _mailed(world) == ["ann@example.org"] * 2
    (told,) = _parts(world.server.get(f"{ANN}/$access-disputes", world.ann))
    assert (told["event"], told["outcome"], told["text"]) == (
        {"reference": event},
        "appropriate",
        "I know nobody there",
    )
    assert told["answer"] == "Your practice"
    log = world.server.call("GET", "AuditEvent?_count=500", world.ann).text
    assert "Ruth" in log
    assert "We have asked them" not in log


def test_nobody_asks_about_another_log_or_answers_for_themselves(world: World) -> None:
    assert world.server.call("GET", ANN, world.gp).status_code == 200
    event = _event(world, world.ann, f"agent={GP}")
    officer = _officer(world)
    bodies = set()
    for patient, token, sought in (
        (ANN, world.bob, event),
        ("Patient/nowhere", world.bob, event),
        (BOB, world.bob, event),
        (BOB, world.bob, "AuditEvent/nowhere"),
    ):
        refused = _dispute(world, sought, token, patient)
        assert refused.status_code == 404, (patient, sought)
        bodies.add(refused.get_json()["issue"][0]["code"])
        assert world.server.call("GET", f"{patient}/$access-disputes", token).status_code == (404, 200)[patient == BOB]
    assert bodies == {"not-found"}
    for token in (world.gp, world.carer, world.practice, officer, world.operator):
        assert _dispute(world, event, token).status_code == 403
        assert world.server.call("GET", f"{ANN}/$access-disputes", token).status_code == 403
    narrow = world.server.token(ANN, "patient/AuditEvent.rs", client_id="app")
    assert _dispute(world, event, narrow).status_code == 403, "an app needs to be let create Tasks"
    assert _dispute(world, event, world.ann, text="x" * 2001).status_code == 400
    assert _dispute(world, "Observation/1", world.ann).status_code == 400
    assert _dispute(world, event, world.ann).status_code == 201
    (entry,) = world.server.get("Task?code=review-disputed-access", officer)["entry"]
    who = next(agent for agent in world.server.get(event, world.ann)["agent"] if agent["requestor"])
    same = _officer(world, "double", shown=who["name"].upper())
    assert _answer(world, f"Task/{entry['resource']['id']}", same).status_code == 403


def test_the_privacy_office_closes_a_record_and_opens_only_what_it_closed(world: World) -> None:
    _account(world, "ann", "patient", ANN)
    ruth = _officer(world)
    reason = {"name": "reason", "valueString": _WHY}
    for token in (world.gp, world.ann, world.practice, world.carer, world.operator):
        assert _call(world, f"{ANN}/$disable-sharing", token, reason).status_code == 403
    assert _call(world, f"{ANN}/$disable-sharing", ruth, {"name": "reason", "valueString": "no"}).status_code == 400
    assert _call(world, "Patient/nowhere/$disable-sharing", ruth, reason).status_code == 404
    assert _call(world, f"{ANN}/$enable-sharing", ruth, reason).status_code == 422
    assert world.server.call("GET", ANN, world.gp).status_code == 200
    closed = _call(world, f"{ANN}/$disable-sharing", ruth, reason)
    assert closed.status_code == 200, closed.text
    assert closed.get_json()["performer"][0]["display"] == "Ruth"
    assert world.server.call("GET", ANN, world.gp).status_code == 404
    assert world.server.call("GET", ANN, world.ann).status_code == 200
    assert _call(world, f"{ANN}/$disable-sharing", ruth, reason).status_code == 422
    assert _mailed(world) == ["ann@example.org"]
    (told,) = [
        entry["resource"]
        for entry in world.server.get("AuditEvent?subtype=operation&_count=50", world.ann)["entry"]
        if "Ruth" in str(entry) and entry["resource"]["outcome"] == "0"
    ]
    (query,) = [entity["query"] for entity in told["entity"] if "query" in entity]
    assert unquote(b64decode(query).decode()).endswith(f"?reason={_WHY}")
    assert _call(world, f"{ANN}/$enable-sharing", ruth, reason).status_code == 200
    assert world.server.call("GET", ANN, world.gp).status_code == 200
    world.share(consent(ANN, GP, type="deny", labels=(), policy=_DENY), world.ann)
    assert _call(world, f"{ANN}/$enable-sharing", ruth, reason).status_code == 422, "what the patient closed stays so"
    assert world.server.call("GET", ANN, world.gp).status_code == 404
    # A full proxy decides as the patient does, and the policy may stand in another place.
    (own,) = [
        entry["resource"]
        for entry in world.server.get(f"Consent?patient={ANN}&status=active", world.ann)["entry"]
        if entry["resource"].get("policy") == [{"uri": _DENY}]
    ]
    world.server.put({**own, "status": "inactive"}, world.ann)
    by_proxy = {**own, "id": "by-proxy", "performer": [{"reference": "RelatedPerson/proxy"}]}
    elsewhere = {name: value for name, value in own.items() if name != "policy"} | {"policyRule": {"text": _DENY}}
    for body, token in ((by_proxy, world.operator), (elsewhere, world.ann)):
        world.server.put(body, token)
        assert _call(world, f"{ANN}/$disable-sharing", ruth, reason).status_code == 422, body
        refused = _call(world, f"{ANN}/$enable-sharing", ruth, reason)
        assert refused.status_code == 422, body
        assert "patient switched sharing off" in refused.text, body
        world.server.put({**body, "status": "inactive"}, token)
