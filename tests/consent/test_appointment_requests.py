"""What a patient asks about an appointment is the own data of who booked it: theirs to answer, and nobody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fhir_server.store import accounts, messages
from fhir_server.store.accounts import Account, Secrets
from tests.consent.world import ANN, BOB, GP, PRACTICE, TRUST, Json, World, consent, labelled, ref
from tests.server import START

_SYSTEM = "https://fhir-server.example.org/CodeSystem/appointment-request"


def _coordinator(world: World, organization: str, role: str = "coordinator") -> str:
    name = f"{role}-{organization.partition('/')[2]}"
    account = Account(
        id=name, email=f"{name}@example.org", name=name, role=role, reference="", organization=organization,
        may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
    )  # fmt: skip
    with world.server.store.write() as session:
        accounts.add(session, account, Secrets("", ""))
    return world.server.token(f"account:{name}", account_id=name, organization=organization)


def _booked(world: World, logical_id: str = "visit", patient: str = ANN, token: str = "", **more: Any) -> str:
    """Book an appointment of mental health ten days ahead, as the trust; return its reference."""
    start = world.server.clock() + timedelta(days=more.pop("days", 10))
    body = {
        "resourceType": "Appointment",
        "id": logical_id,
        "meta": labelled(more.pop("label", "mental-health")),
        "identifier": [{"system": "https://trust.example.org/bookings", "value": "B-17"}],
        "status": "booked",
        "description": "Talking therapy",
        "reasonCode": [{"text": "Low mood"}],
        "start": start.isoformat(timespec="seconds"),
        "end": (start + timedelta(hours=1)).isoformat(timespec="seconds"),
        "participant": [
            {"actor": ref(patient), "status": "accepted"},
            {"actor": {"reference": "Location/room", "display": "Room 4"}, "status": "accepted"},
        ],
        **more,
    }
    world.server.put(body, token or world.trust)
    return f"Appointment/{logical_id}"


def _request(appointment: str, patient: str = ANN, code: str = "change", **more: Any) -> Json:
    return {
        "resourceType": "Communication",
        "meta": labelled(more.pop("label", "mental-health")),
        "status": "completed",
        "category": [{"coding": [{"system": _SYSTEM, "code": code}]}],
        "subject": ref(patient),
        "about": [ref(appointment)],
        "payload": [{"contentString": "Not on Tuesdays, please"}],
        **more,
    }


def _ask(world: World, appointment: str, token: str = "", **more: Any) -> Json:
    return dict(world.server.post("Communication", token or world.ann, _request(appointment, **more)))


def _tasks(world: World, token: str, status: str = "requested") -> list[Json]:
    found = world.server.get(f"Task?status={status}", token)
    return [entry["resource"] for entry in found.get("entry", ())]


def _answer(world: World, task: str, token: str, answer: str = "accepted", text: str = "") -> Any:
    given: list[Json] = [{"name": "answer", "valueCode": answer}]
    given += [{"name": "text", "valueString": text}] if text else []
    body = {"resourceType": "Parameters", "parameter": given}
    return world.server.call("POST", f"Task/{task}/$answer-appointment-request", token, body)


def test_the_organisation_that_booked_hears_of_the_request_and_nothing_else_of_the_record(world: World) -> None:
    nadia = _coordinator(world, TRUST)
    asked = _ask(world, _booked(world))
    (task,) = _tasks(world, nadia)
    assert (task["for"]["reference"], task["for"]["display"]) == (ANN, "Ann")
    assert task["basedOn"] == [ref(f"Communication/{asked['id']}")]
    told = {
        each["type"]["coding"][0]["code"]: next(value for name, value in each.items() if name.startswith("value"))
        for each in task["input"]
    }
    assert told.pop("start")
    assert told.pop("booking")["value"] == "B-17"
    assert told == {"with": "Room 4", "birth-date": "1980-04-01", "message": "Not on Tuesdays, please"}
    for hidden in ("Talking therapy", "Low mood", "9990000001"):
        assert hidden not in str(task), "what it is for, and numbers of the person, are not for a booking desk"
    for kind in ("Communication", "Appointment", "Observation", "Encounter", "Consent", "Provenance"):
        assert world.server.get(f"{kind}?_summary=count", nadia)["total"] == 0, kind
    assert len(world.server.get("Task?_include=Task:focus&_include=Task:based-on", nadia)["entry"]) == 1
    assert [each["id"] for each in _tasks(world, world.trust)] == [task["id"]], "its system hears of it, too"
    assert [each["id"] for each in _tasks(world, world.ann)] == [task["id"]], "and the patient sees what was told"


def test_to_anybody_else_a_request_and_none_are_the_same(world: World) -> None:
    asked = _ask(world, _booked(world, label="general"), label="general")
    (task,) = _tasks(world, world.trust)
    world.share(consent(ANN, "RelatedPerson/carer"))
    others = {
        "coordinator of another organisation": _coordinator(world, PRACTICE),
        "service desk of the same": _coordinator(world, TRUST, "service-desk"),
        "privacy officer of the same": _coordinator(world, TRUST, "privacy-officer"),
        "practice": world.practice,
        "gp who sees the appointment": world.gp,
        "carer": world.carer,
        "another patient": world.bob,
    }
    for who, token in others.items():
        assert world.server.get("Task?_summary=count", token)["total"] == 0, who
        queries = (
            f"Task?_id={task['id']}",
            f"Task?focus=Appointment/visit&patient={ANN}",
            "Task?_has:Task:part-of:status=x",
        )
        for query in queries:
            assert "entry" not in world.server.call("GET", query, token).get_json(), (who, query)
        for path in ("Task/{}", "Task/{}/_history", "Task/{}/_history/1"):
            seen, absent = (world.server.call("GET", path.format(name), token) for name in (task["id"], "x" * 36))
            said = seen.text.replace(task["id"], "x" * 36)
            assert (seen.status_code, said) == (404, absent.text), (who, path)
        seen, absent = (_answer(world, name, token) for name in (task["id"], "x" * 36))
        assert seen.status_code == (404 if who.startswith("coordinator") else 403), who
        assert seen.text.replace(task["id"], "x" * 36) == absent.text, who
    assert _tasks(world, world.trust) == [task]
    assert asked["id"] not in str(world.server.get("Communication", others["coordinator of another organisation"]))


def test_an_answer_goes_into_the_record_under_the_labels_of_the_request_and_closes_it(world: World) -> None:
    nadia = _coordinator(world, TRUST)
    with world.server.store.write() as session:
        ann = Account(
            id="ann", email="ann@example.org", name="Ann", role="patient", reference=ANN, organization="",
            may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
        )  # fmt: skip
        accounts.add(session, ann, Secrets("", ""))
    asked = _ask(world, _booked(world))
    (task,) = _tasks(world, nadia)
    closed = _answer(world, task["id"], nadia, "another-time", "Thursday at 10 or Friday at 2")
    assert closed.status_code == 200, closed.text
    assert (closed.get_json()["status"], closed.get_json()["for"]) == ("completed", task["for"])
    found = world.server.get(f"Communication?identifier=urn:appointment-request:{asked['id']}:1", world.ann)["entry"]
    (answer,) = (entry["resource"] for entry in found)
    assert answer["payload"] == [{"contentString": "Thursday at 10 or Friday at 2"}]
    assert answer["sender"]["reference"] == TRUST, "the organisation answers, not a name"
    labels = {tag["code"] for tag in answer["meta"]["security"] if "privacy-label" in tag["system"]}
    assert labels == {"mental-health"}
    for token in (world.gp, world.practice, nadia, _coordinator(world, PRACTICE)):
        assert world.server.get("Communication?_summary=count", token)["total"] == 0
    with world.server.store.write() as session:
        mailed = [each.recipient for each in messages.lease(session, world.server.clock(), timedelta(days=1))]
    assert sorted(mailed) == ["ann@example.org", "coordinator-trust@example.org"], "who has to answer, and who asked"
    assert _answer(world, task["id"], nadia).status_code == 422, "a request is answered once"
    log = world.server.get("AuditEvent?_count=50", world.ann)["entry"]
    deeds = [entry["resource"] for entry in log if "coordinator-trust" in str(entry["resource"]["agent"])]
    codes = {coding["code"] for event in deeds for coding in event["subtype"]}
    assert codes == {"search-type", "operation"}, "the patient sees who looked, and who answered"


def test_what_is_no_answer_is_refused_naming_it_and_changes_nothing(world: World) -> None:
    nadia = _coordinator(world, TRUST)
    _ask(world, _booked(world))
    (task,) = _tasks(world, nadia)
    for answer, text, named in (("yes", "", "answer"), ("another-time", "", "text"), ("declined", "x" * 501, "text")):
        refused = _answer(world, task["id"], nadia, answer, text)
        assert refused.status_code == 400, (answer, refused.text)
        assert refused.get_json()["issue"][0]["expression"] == [f"Parameters.parameter.where(name = '{named}')"]
    assert _tasks(world, nadia) == [task]


def test_only_a_request_of_family_about_a_visible_booking_ahead_of_that_patient_is_told(world: World) -> None:
    visit, theirs = _booked(world), _booked(world, "theirs", BOB)
    late, off = _booked(world, "late", days=-2), _booked(world, "off", status="cancelled")
    nobodys = _booked(world, "nobodys", token=world.operator)
    for token, appointment, more in (
        (world.ann, theirs, {}),
        (world.ann, "Appointment/nowhere", {}),
        (world.ann, late, {}),
        (world.ann, off, {}),
        (world.ann, nobodys, {}),
        (world.ann, visit, {"status": "stopped"}),
        (world.ann, visit, {"code": "accepted"}),
        (world.trust, visit, {}),
        (world.operator, visit, {}),
    ):
        _ask(world, appointment, token, **more)
        assert _tasks(world, world.operator) == [], (appointment, more)
    _ask(world, visit)
    assert len(_tasks(world, world.operator)) == 1


def test_the_newest_request_stands_and_one_taken_back_is_over(world: World) -> None:
    nadia, visit = _coordinator(world, TRUST), _booked(world)
    _ask(world, visit)
    asked = _ask(world, visit, code="cancel")
    (task,) = _tasks(world, nadia)
    assert task["code"]["coding"][0]["code"] == "cancel"
    assert len(_tasks(world, nadia, "cancelled")) == 1
    stopped = world.server.call("PUT", f"Communication/{asked['id']}", world.ann, {**asked, "status": "stopped"})
    assert stopped.status_code == 200, stopped.text
    assert _tasks(world, nadia) == []
    assert _answer(world, task["id"], nadia).status_code == 422


def test_a_booking_that_is_moved_or_called_off_needs_no_answer_and_one_that_stays_does(world: World) -> None:
    nadia, visit = _coordinator(world, TRUST), _booked(world)
    steps: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
        ({}, {"days": 12}),
        ({"days": 12}, {"days": 12, "status": "cancelled"}),
    )
    for same, changed in steps:
        _ask(world, visit)
        _booked(world, comment="Bring your glasses", **same)
        assert len(_tasks(world, nadia)) == 1, "another word in the booking is no answer"
        _booked(world, **changed)
        assert _tasks(world, nadia) == [], changed


def test_a_request_that_is_deleted_is_over(world: World) -> None:
    nadia = _coordinator(world, TRUST)
    asked = _ask(world, _booked(world))
    assert len(_tasks(world, nadia)) == 1
    assert world.server.call("DELETE", f"Communication/{asked['id']}", world.ann).status_code == 204
    assert _tasks(world, nadia) == []
    assert len(_tasks(world, nadia, "cancelled")) == 1


def test_a_request_that_comes_to_ask_for_something_else_asks_for_nothing_it_asked_before(world: World) -> None:
    nadia, visit, other = _coordinator(world, TRUST), _booked(world), _booked(world, "other")
    asked = _ask(world, visit)
    elsewhere = {**asked, "about": [ref(other)]}
    assert world.server.call("PUT", f"Communication/{asked['id']}", world.ann, elsewhere).status_code == 200
    assert [task["focus"]["reference"] for task in _tasks(world, nadia)] == [other]
    nothing = {name: value for name, value in asked.items() if name != "category"}
    assert world.server.call("PUT", f"Communication/{asked['id']}", world.ann, nothing).status_code == 200
    assert _tasks(world, nadia) == []


def test_a_booking_that_is_deleted_or_turns_out_to_be_somebody_elses_needs_no_answer(world: World) -> None:
    nadia, visit = _coordinator(world, TRUST), _booked(world)
    _ask(world, visit)
    _booked(world, patient=BOB)
    assert _tasks(world, nadia) == []
    _ask(world, _booked(world, "other"))
    assert len(_tasks(world, nadia)) == 1
    assert world.server.call("DELETE", "Appointment/other", world.trust).status_code == 204
    assert _tasks(world, nadia) == []


def test_an_app_that_may_write_messages_only_asks_as_its_person_does(world: World) -> None:
    nadia, visit = _coordinator(world, TRUST), _booked(world)
    _ask(world, visit, world.server.token(ANN, "patient/Communication.crus patient/Appointment.rs"))
    assert len(_tasks(world, nadia)) == 1


def test_whoever_sees_the_request_may_answer_and_who_does_not_closes_nothing(world: World) -> None:
    nadia = _coordinator(world, TRUST)
    asked = _ask(world, _booked(world))
    reply = _request("Appointment/visit", code="declined", inResponseTo=[ref(f"Communication/{asked['id']}")])
    guessed = {**reply, "meta": labelled("general")}
    assert world.server.call("POST", "Communication", world.gp, guessed).status_code == 201
    for patient, token in ((BOB, world.trust), (ANN, world.ann)):
        # Of another patient's, or by the one who asked.
        _ = world.server.call("POST", "Communication", token, {**reply, "subject": ref(patient)})
        assert len(_tasks(world, nadia)) == 1, (patient, token)
    stored = world.server.get("Consent?patient=Patient/ann", world.ann)["entry"][0]["resource"]
    wider = consent(ANN, PRACTICE, labels=("general", "mental-health"))
    world.server.put({**wider, "id": stored["id"]}, world.ann)
    assert world.server.call("POST", "Communication", world.gp, reply).status_code == 201
    (task,) = _tasks(world, nadia, "completed")
    assert task["businessStatus"]["coding"][0]["code"] == "declined"


def test_nobody_writes_the_task_but_by_asking_and_answering(world: World) -> None:
    nadia = _coordinator(world, TRUST)
    _ask(world, _booked(world))
    (task,) = _tasks(world, nadia)
    forged = {**task, "owner": ref(PRACTICE), "status": "completed"}
    for token in (nadia, world.trust, world.ann, world.gp, world.consultant):
        assert world.server.call("PUT", f"Task/{task['id']}", token, forged).status_code in {403, 404}
        assert world.server.call("DELETE", f"Task/{task['id']}", token).status_code == 403
        assert world.server.call("POST", "Task", token, {**forged, "for": ref(ANN)}).status_code == 403
    assert _tasks(world, nadia) == [task]
    assert GP not in str(task)
