"""What a patient does in their own record: what is new, find, add, ask, take along; and that nothing else shows."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import orjson
from icalendar import Calendar

from fhir_server.identity import limits
from fhir_server.spec.json import decode
from fhir_server.spec.validate import validate
from tests.portal.conftest import AMELIA, CONSULTANT, DESMOND, GP, THOMAS, Person
from tests.server import Server

CALENDAR = "/record/appointments/calendar"
TRUST = "Organization/brentmoor-hospitals"
SENSITIVE = ("Sertraline", "Depressive")
"""Words that only the mental-health entries of Amelia's record have."""


def new_result(server: Server, value: str = "61") -> None:
    """Let the hospital send one more result."""
    server.clock.advance(hours=3)
    body: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "brand-new",
        "status": "final",
        "category": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}
        ],
        "code": {"coding": [{"system": "http://loinc.org", "code": "59261-8", "display": "HbA1c"}], "text": "HbA1c"},
        "subject": {"reference": "Patient/amelia-hart"},
        "effectiveDateTime": server.clock().isoformat(),
        "performer": [{"reference": TRUST, "display": "=Brentmoor"}],
        "valueQuantity": {
            "value": int(value),
            "unit": "mmol/mol",
            "system": "http://unitsofmeasure.org",
            "code": "mmol/mol",
        },
        "referenceRange": [{"low": {"value": 20, "unit": "mmol/mol"}, "high": {"value": 41, "unit": "mmol/mol"}}],
    }
    server.put(body, server.token(TRUST))


def test_home_tells_what_is_new_since_the_visit_before_and_letters_stay_unread_until_they_are_opened(
    server: Server,
) -> None:
    amelia = Person(server, AMELIA)
    first = amelia.get("/")
    assert "16 unread letters" in first
    assert "You were here last" not in first
    new_result(server)
    page = Person(server, AMELIA).get("/")
    assert "You were here last on" in page
    assert "1 new test result<" in page
    assert "Above the expected range" in page
    amelia = Person(server, AMELIA)
    results = amelia.get("/record/results")
    assert results.count(">New<") == 1, "what was there before is not new"
    assert re.search(r"Up from \d+ mmol/mol on", results)
    assert "Where this comes from" in results
    amelia.get("/record/letters/amelia-hart-letter-16")
    assert "15 unread letters" in amelia.get("/")
    assert amelia.get("/record/letters").count(">Unread<") == 15
    assert ">Unread<" not in amelia.follow(amelia.send("/record/letters/read", {}))
    # A mark is the reader's own.
    assert ">Unread<" in Person(server, THOMAS).get("/record/letters")
    assert ">Unread<" not in Person(server, GP).get("/patients/amelia-hart/letters")


def test_searching_finds_words_of_every_kind_of_entry_and_only_what_the_reader_may_see(server: Server) -> None:
    amelia, doctor = Person(server, AMELIA), Person(server, GP)
    page = amelia.get("/record/search?q=diab")
    assert 'href="/record/conditions"' in page
    assert 'href="/record/letters/amelia-hart-letter-' in page
    assert 'href="/record/results/59261-8"' in amelia.get("/record/search?q=hba1c")
    # Only in the text inside of a letter, which no index knows.
    assert "letter" in amelia.get("/record/search?q=sincerely").lower().partition("found for")[2]
    for word in SENSITIVE:
        assert "Nothing was found" not in amelia.get(f"/record/search?q={word}")
        assert "Nothing was found" in doctor.get(f"/patients/amelia-hart/search?q={word}")
        assert "0 letters have" in doctor.get(f"/patients/amelia-hart/letters?q={word}")
    for odd in ("%22", "OR", "a" * 5_000, "*", "((", "-", "é"):
        amelia.get(f"/record/search?q={odd}")
        amelia.get(f"/record/letters?q={odd}")
    assert "<script>" not in amelia.get("/record/search?q=%3Cscript%3E")
    # Sections: the same gate, and each entry with where it comes from and when it came.
    assert "Sertraline" in amelia.get("/record/medicines")
    shared = doctor.get("/patients/amelia-hart/medicines")
    assert "Metformin" in shared
    assert "Sertraline" not in shared
    assert "Received <time" in shared


def test_a_note_is_the_patients_own_has_the_label_they_chose_and_is_no_letter(server: Server) -> None:
    amelia, doctor = Person(server, AMELIA), Person(server, GP)
    for wrong, said in (
        ({"text": " "}, "Write your note"),
        ({"text": "x" * 5_001}, "5000 characters or fewer"),
        ({"text": "x", "title": "x" * 101}, "100 characters or fewer"),
        ({"text": "x", "label": "none"}, "Choose what kind"),
    ):
        answer = amelia.send("/record/notes/add", wrong)
        assert (answer.status_code, said in answer.text) == (400, True), wrong
    form = {"title": "Knee", "text": "Hurts <b>at night</b>\n\nWorse in the cold", "label": "general"}
    page = amelia.follow(amelia.send("/record/notes/add", form))
    assert "Entered by you" in page
    assert "Hurts &lt;b&gt;at night&lt;/b&gt;\n\nWorse" in page
    hidden = {"text": "Sleepless and low", "label": "mental-health"}
    assert "Note of 22 November 2026" in amelia.follow(amelia.send("/record/notes/add", hidden))
    shown = doctor.get("/patients/amelia-hart/notes")
    assert "Entered by Amelia Hart" in shown
    assert "Sleepless" not in shown
    assert "Knee" not in amelia.get("/record/letters")
    assert "Sleepless" in amelia.get("/record/search?q=low") or "Note of" in amelia.get("/record/search?q=low")
    # Family that may add writes in their own name.
    thomas = Person(server, THOMAS)
    assert "Entered by Thomas Hart" in thomas.follow(thomas.send("/record/notes/add", form))
    assert "Entered by Thomas Hart" in amelia.get("/record/notes")


def test_an_appointment_is_asked_to_be_changed_and_whoever_holds_it_is_told_no_more_than_that(server: Server) -> None:
    amelia = Person(server, AMELIA)
    listed = amelia.get("/record/appointments")
    ahead = re.findall(r'href="(/record/appointments/[^"]+/ask)"', listed)
    assert ahead
    past = "/record/appointments/amelia-hart-appointment-1/ask"
    assert (past in ahead) == ("Coming up" in listed.partition("amelia-hart-appointment-1.ics")[0])
    assert amelia.send(ahead[0], {"kind": "dance"}).status_code == 400
    assert amelia.send(ahead[0], {"kind": "cancel", "message": "x" * 501}).status_code == 400
    page = amelia.follow(amelia.send(ahead[0], {"kind": "cancel", "message": "I am abroad\nuntil May"}))
    assert "Asked to cancel" in page
    assert "I am abroad" in page
    found = server.get("Communication?patient=Patient/amelia-hart", server.operator())["entry"][0]["resource"]
    booked = server.get(found["about"][0]["reference"], server.operator())
    assert found["sender"]["reference"] == "Patient/amelia-hart"
    labels = [{tag["code"] for tag in each["meta"]["security"]} for each in (found, booked)]
    assert labels[0] == labels[1] != set(), "nobody may learn of an appointment from a request about it"
    assert booked["status"] == "booked", "only who booked it changes it"
    amelia.follow(amelia.send(ahead[0], {"kind": "cancel"}))
    assert server.get("Communication?patient=Patient/amelia-hart&_summary=count", server.operator())["total"] == 1
    back = amelia.follow(amelia.send(ahead[0], {"step": "back"}))
    assert "Your request is taken back" in back
    assert "Asked to cancel" not in back
    assert Person(server, DESMOND).open(ahead[0]).status_code == 404


def test_who_may_see_an_appointment_answers_what_was_asked_and_nobody_else_knows(server: Server) -> None:
    amelia, gp, other = Person(server, AMELIA), Person(server, GP), Person(server, CONSULTANT)
    for ask in re.findall(r'href="(/record/appointments/[^"]+/ask)"', amelia.get("/record/appointments")):
        amelia.follow(amelia.send(ask, {"kind": "change", "message": "Mornings only"}))
    asked = server.get("Communication?patient=Patient/amelia-hart", server.operator())["entry"]
    places = {f"/patients/appointment-requests/{entry['resource']['id']}" for entry in asked}
    shown = set(re.findall(r'href="(/patients/appointment-requests/[^"]+)"', gp.get("/patients/appointment-requests")))
    assert shown
    assert shown < places, "one of them is about what is hidden from the practice"
    assert other.get("/patients/appointment-requests").count("No request waits") == 1
    assert {(other.open(place).status_code, gp.open(place).status_code) for place in places - shown} == {(404, 404)}
    place = min(shown)
    assert "Mornings only" in gp.get(place)
    assert gp.send(place, {"message": "Yes"}).status_code == 400
    assert other.send(place, {"verdict": "accepted"}).status_code == 404
    page = gp.follow(gp.send(place, {"verdict": "declined", "message": "Call us on Monday"}))
    assert place not in page
    assert "answered this already" in gp.follow(gp.send(place, {"verdict": "accepted"}))
    answered = amelia.get("/record/appointments")
    assert "Call us on Monday" in answered
    assert "Not possible" in answered
    assert len(re.findall(r'href="(/record/appointments/[^"]+/ask)"', answered)) == 1, "and may ask once more"


def test_a_calendar_sees_what_its_person_would_see_says_what_they_chose_and_stops_at_once(server: Server) -> None:
    amelia, stranger = Person(server, AMELIA), Person(server)

    def made(who: Person, detail: str) -> str:
        page = who.send(CALENDAR, {"step": "make", "detail": detail}).text
        return str(re.findall(r"http://localhost(/calendar/[^<\s]+)", page)[0])

    assert amelia.send(CALENDAR, {"step": "make"}).status_code == 400
    first = made(amelia, "time")
    answer = stranger.open(first)
    assert answer.mimetype == "text/calendar"
    assert answer.headers["Cache-Control"] == "private, no-store"
    events = Calendar.from_ical(answer.data).walk("VEVENT")
    assert events
    assert {str(event["summary"]) for event in events} == {"Appointment"}
    for hint in ("LOCATION", "DESCRIPTION", "amelia", "clinic", "hospital", "practice"):
        assert hint.casefold() not in answer.text.casefold(), hint
    token = first.split("/")[2]
    assert token not in amelia.get(CALENDAR), "shown once"
    everything = made(amelia, "all")
    assert stranger.open(first).status_code == 404, "a new address takes the place of the old one"
    assert len(Calendar.from_ical(stranger.open(everything).data).walk("VEVENT")) == len(events)
    assert "LOCATION" in stranger.open(everything).text
    # A carer's calendar has what is shared with the carer, and nothing once that has ended.
    carer = made(Person(server, THOMAS), "all")
    shared = Calendar.from_ical(stranger.open(carer).data).walk("VEVENT")
    assert 0 < len(shared) < len(events)
    assert "calendar" in amelia.get("/access-log").casefold()
    assert "no longer works" in amelia.follow(amelia.send(CALENDAR, {"step": "stop"}))
    assert stranger.open(everything).status_code == 404
    with server.store.write() as session:
        session.connection.exec_driver_sql("UPDATE account SET active = 0 WHERE email = ?", (THOMAS,))
    assert stranger.open(carer).status_code == 404, "somebody who may not sign in has no calendar either"
    unused = made(amelia, "all")
    with server.store.write() as session:
        limits.prune(session, server.clock() + timedelta(days=399))
    assert stranger.open(unused).status_code == 200
    with server.store.write() as session:
        limits.prune(session, server.clock() + timedelta(days=401))
    assert stranger.open(unused).status_code == 404, "an address that no calendar asks is forgotten"


def test_a_record_is_taken_along_as_valid_fhir_as_a_summary_as_a_pdf_and_as_a_table(server: Server) -> None:
    new_result(server)
    amelia, thomas = Person(server, AMELIA), Person(server, THOMAS)
    files = ("health-record.json", "patient-summary.json", "health-record.pdf", "results.csv")
    whole, brief, printed, table = (amelia.open(f"/record/download/{name}") for name in files)
    for answer in (whole, brief, printed, table):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename=")
    entries = orjson.loads(whole.data)["entry"]
    known = {f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in entries}
    asked = server.get("Patient/amelia-hart/$everything?_count=1000", server.token("Patient/amelia-hart"))
    assert known == {f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in asked["entry"]}
    document = json.loads(brief.data)
    validate(server.app.extensions["fhir"].base.definitions, decode(brief.data, 10**7))
    assert document["type"] == "document"
    composition = document["entry"][0]["resource"]
    assert [each["code"]["coding"][0]["code"] for each in composition["section"][:3]] == [
        "48765-2",
        "10160-0",
        "11450-4",
    ]
    places = {each["fullUrl"] for each in document["entry"]}
    references = {entry["reference"] for part in composition["section"] for entry in part.get("entry", ())}
    assert references | {composition["subject"]["reference"], composition["author"][0]["reference"]} <= places
    assert printed.data.startswith(b"%PDF-")
    rows = list(csv.DictReader(io.StringIO(table.data.decode("utf-8-sig"))))
    new = next(row for row in rows if row["Source"].endswith("=Brentmoor"))
    assert (new["Value"], new["Unit"], new["What it means"]) == ("61", "mmol/mol", "Above the expected range")
    assert new["Source"] == "'=Brentmoor", "no spreadsheet may take it for a formula"
    assert {row["Test"] for row in rows} >= {"Blood pressure: Systolic blood pressure"}
    # A carer takes along what is shared with the carer, whichever file it is.
    for name in files[:2]:
        text = thomas.open(f"/record/download/{name}").text
        assert "Metformin" in text, name
        assert not any(word in text for word in SENSITIVE), name


def test_a_page_of_one_record_shows_nothing_of_another_to_somebody_who_may_see_both(server: Server) -> None:
    helen = Person(server, GP)
    known = set(re.findall(r'href="/patients/([a-z]+-[a-z]+)"', helen.get("/patients"))) - {
        "amelia-hart",
        "appointment-requests",
    }
    shown: dict[str, str] = {}
    for patient in sorted(known):
        for kind in ("letters", "appointments"):
            for name in re.findall(
                rf'href="/patients/{patient}/{kind}/([^"?]+)"', helen.get(f"/patients/{patient}/{kind}")
            ):
                shown.setdefault(kind, f"{patient}/{kind}/{name}")
    assert set(shown) == {"letters", "appointments"}
    for path in shown.values():
        assert helen.open(f"/patients/{path}").status_code == 200
        other = f"/patients/amelia-hart/{path.partition('/')[2]}"
        unknown = other.replace(path.rpartition("/")[2].removesuffix(".ics"), "nobodys")
        assert helen.open(other).status_code == helen.open(unknown).status_code == 404, path
    assert helen.open("/patients/amelia-hart/letters/amelia-hart-letter-16").status_code == 200


def test_two_people_of_one_appointment_are_each_answered_and_nobody_is_by_what_another_sends(server: Server) -> None:
    gp, op = Person(server, GP), server.operator()
    system = "https://fhir-server.example.org/CodeSystem/appointment-request"
    general = {"security": [{"system": "https://fhir-server.example.org/CodeSystem/privacy-label", "code": "general"}]}
    people = [{"reference": f"Patient/{name}"} for name in ("amelia-hart", "kwame-boateng")]
    start = server.clock() + timedelta(days=3)
    both = {
        "resourceType": "Appointment",
        "meta": general,
        "status": "booked",
        "start": start.isoformat(),
        "end": (start + timedelta(hours=1)).isoformat(),
        "participant": [{"actor": each, "status": "accepted"} for each in people],
    }
    about = [{"reference": f"Appointment/{server.post('Appointment', op, both)['id']}"}]

    def sent(subject: dict[str, str], code: str, **more: object) -> str:
        body = {
            "resourceType": "Communication", "meta": general, "status": "completed", "subject": subject,
            "category": [{"coding": [{"system": system, "code": code}]}], "about": about,
            "sent": server.clock().isoformat(), **more,
        }  # fmt: skip
        return str(server.post("Communication", op, body)["id"])

    mine, theirs = (sent(each, "change") for each in people)
    # An answer of another person's record says nothing of mine.
    sent(people[1], "accepted", inResponseTo=[{"reference": f"Communication/{mine}"}])
    listed = gp.get("/patients/appointment-requests")
    assert [f"/patients/appointment-requests/{each}" in listed for each in (mine, theirs)] == [True, True]
    assert "is in the person" in gp.follow(gp.send(f"/patients/appointment-requests/{mine}", {"verdict": "declined"}))
    listed = gp.get("/patients/appointment-requests")
    assert [f"/patients/appointment-requests/{each}" in listed for each in (mine, theirs)] == [False, True]

    # Who answers at the same moment as a colleague is not told that theirs is in the record.
    sent(people[1], "declined", identifier=[{"system": system, "value": f"urn:appointment-request:{theirs}:1"}])
    late = gp.send(f"/patients/appointment-requests/{theirs}", {"verdict": "accepted"})
    assert "answered this already" in gp.follow(late)
