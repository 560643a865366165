"""What people do on the pages, and what it changes: share, stop, add, invite, break the glass, remove an app."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest

from fhir_server.portal import road
from fhir_server.store import oauth, oauth_clients
from tests.pages import said
from tests.portal.conftest import AMELIA, CONSULTANT, COORDINATOR, DESMOND, GP, THOMAS, Person
from tests.server import Server

WITH_PRIYA = "/sharing/with/Practitioner/priya-raman"
CHOICE = {
    "labels": ["general", "sexual-health"],
    "ends": "on",
    "until-day": "31",
    "until-month": "dec",
    "until-year": "2027",
}
RECORD = "/patients/amelia-hart"
EMERGENCY = {
    "step": "open",
    "nhs-number": "999 002 4685",
    "born-day": "14",
    "born-month": "3",
    "born-year": "1976",
    "reason-code": "ETREAT",
    "reason": "Collapsed in the clinic, cannot speak",
    "declaration": "yes",
}


def stop_link(page: str, name: str) -> str:
    """Return where "Stop sharing with …" leads."""
    return page.partition(f" with {name}</span>")[0].rpartition('href="')[2].partition('"')[0]


def test_sharing_works_at_once_and_stops_at_once(server: Server) -> None:
    amelia, priya = Person(server, AMELIA), Person(server, CONSULTANT)
    priya.get(RECORD, 404)
    check = amelia.send(WITH_PRIYA, CHOICE)
    assert "Check before you share" in check.text
    assert "31 December 2027" in check.text
    priya.get(RECORD, 404)
    page = amelia.follow(amelia.send(WITH_PRIYA, CHOICE | {"confirm": "yes"}))
    assert "Your choice is saved" in page
    shown = priya.get(RECORD)
    assert "Metformin" in shown
    assert "Sertraline" not in shown
    stop = stop_link(page, "Dr Priya Raman")
    assert "Stop sharing with Dr Priya Raman?" in amelia.get(stop)
    assert "You have stopped sharing" in amelia.follow(amelia.send(stop, {}))
    priya.get(RECORD, 404)


def test_changing_a_share_makes_no_second_one(server: Server) -> None:
    amelia = Person(server, AMELIA)
    amelia.send(WITH_PRIYA, CHOICE | {"confirm": "yes"})
    edit = amelia.get(WITH_PRIYA)
    assert "You share with them already" in edit
    page = amelia.follow(
        amelia.send(WITH_PRIYA, {"labels": ["general", "mental-health"], "ends": "never", "confirm": "yes"})
    )
    assert page.count("with Dr Priya Raman</span>") == 1
    assert "Sertraline" in Person(server, CONSULTANT).get(RECORD)


@pytest.mark.parametrize(
    "form,said",
    [
        ({}, "Choose at least one kind of information"),
        ({"labels": "general"}, "Choose how long they can see it"),
        ({"labels": "everything", "ends": "never"}, "Choose at least one kind of information"),
        ({"labels": "general", "ends": "on"}, "Enter the last day"),
        (
            {"labels": "general", "ends": "on", "until-day": "1", "until-month": "1", "until-year": "2020"},
            "The last day must be today or in the future",
        ),
    ],
)
def test_an_incomplete_choice_saves_nothing(server: Server, form: dict[str, Any], said: str) -> None:
    amelia = Person(server, AMELIA)
    answer = amelia.send(WITH_PRIYA, {**form, "confirm": "yes"})
    assert answer.status_code == 400
    assert said in answer.text
    assert "<title>Error: " in answer.text
    assert "Dr Priya Raman" not in amelia.get("/sharing")


def test_answers_survive_going_back_from_the_check(server: Server) -> None:
    page = Person(server, AMELIA).send(WITH_PRIYA, CHOICE | {"confirm": "no"}).text
    assert 'value="sexual-health" aria-describedby="labels-sexual-health-item-hint" checked' in page
    assert 'value="2027"' in page


def test_an_organisation_is_found_by_a_part_of_its_name(server: Server) -> None:
    amelia = Person(server, AMELIA)
    assert "/sharing/with/Organization/brentmoor-hospitals" in amelia.get("/sharing/add?q=brentmoor")
    assert "/sharing/with/Practitioner/priya-raman" in amelia.get("/sharing/add?q=Dr+Raman")
    assert "Nobody in the directory has this name" in amelia.get("/sharing/add?q=zzzz")
    assert "Kenbourne Road Surgery" in amelia.get("/sharing/add")


@pytest.mark.parametrize("who", ["Patient/desmond-clarke", "Practitioner/nobody", "Observation/1"])
def test_nobody_outside_the_directory_can_be_chosen(server: Server, who: str) -> None:
    assert Person(server, AMELIA).open(f"/sharing/with/{who}").status_code == 404


def test_another_patients_consent_cannot_be_stopped(server: Server) -> None:
    assert Person(server, DESMOND).send("/sharing/consent-amelia-hart-practice/stop", {}).status_code == 404
    assert "Metformin" in Person(server, GP).get(RECORD)


def test_switching_all_sharing_off_closes_the_record_also_in_an_emergency(server: Server) -> None:
    amelia, thomas, priya = Person(server, AMELIA), Person(server, THOMAS), Person(server, CONSULTANT)
    thomas.get("/record")
    assert amelia.send("/sharing/switch-off", {}).status_code == 400
    assert "All sharing is off" in amelia.follow(amelia.send("/sharing/switch-off", {"understood": "yes"}))
    assert "No record is shared with you now" in thomas.client.get("/record", follow_redirects=True).text
    assert priya.send("/emergency-access", EMERGENCY).status_code == 403
    assert "Sharing is on again" in amelia.follow(amelia.send("/sharing/switch-on", {}))
    thomas.get("/record")


def test_an_emergency_access_opens_shows_its_end_and_closes(server: Server) -> None:
    priya = Person(server, CONSULTANT)
    page = priya.follow(priya.send("/emergency-access", EMERGENCY))
    assert "<strong>Emergency access.</strong> Ends at" in page
    assert "Sertraline" in page
    assert page.index("Allergies") < page.index("Recent results")
    assert "Emergency access has ended" in priya.follow(priya.send(f"{RECORD}/end-emergency", {}))
    priya.get(RECORD, 404)


def test_an_emergency_access_ends_by_itself(server: Server) -> None:
    priya = Person(server, CONSULTANT)
    priya.send("/emergency-access", EMERGENCY)
    for _ in range(4):
        server.clock.advance(minutes=14)
        priya.get(RECORD)
    server.clock.advance(minutes=5)
    priya.get(RECORD, 404)


def test_the_patient_sees_the_emergency_with_who_and_why(server: Server) -> None:
    priya = Person(server, CONSULTANT)
    priya.follow(priya.send("/emergency-access", EMERGENCY))
    page = Person(server, AMELIA).get("/access-log?show=emergencies")
    assert "Collapsed in the clinic, cannot speak" in page
    assert "Dr Priya Raman" in page
    assert "Started emergency access" in page
    assert "Looked at" in page


@pytest.mark.parametrize(
    "wrong,status,said",
    [
        ({"reason": "short"}, 400, "Describe the reason in at least 20 characters"),
        ({"reason": " " * 40}, 400, "Describe the reason in at least 20 characters"),
        ({"declaration": ""}, 400, "Tick the box to make the declaration"),
        ({"reason-code": "FUN"}, 400, "Choose why you need emergency access"),
        ({"nhs-number": "999 002 4686"}, 400, "Enter a real NHS number"),
        ({"born-year": "1977"}, 404, "No record can be opened for this NHS number and date of birth"),
        ({"nhs-number": "943 476 5919"}, 404, "No record can be opened for this NHS number and date of birth"),
    ],
)
def test_an_incomplete_emergency_opens_nothing(server: Server, wrong: dict[str, str], status: int, said: str) -> None:
    priya = Person(server, CONSULTANT)
    answer = priya.send("/emergency-access", EMERGENCY | wrong)
    assert answer.status_code == status
    assert said in answer.text
    priya.get(RECORD, 404)


def test_an_emergency_asks_for_the_password_again_after_five_minutes(server: Server) -> None:
    priya = Person(server, CONSULTANT)
    server.clock.advance(minutes=6)
    answer = priya.send("/emergency-access", EMERGENCY)
    assert answer.location == "/sign-in/again?next=/emergency-access"
    priya.get(RECORD, 404)


def test_a_forged_note_in_the_browser_opens_nothing(server: Server) -> None:
    priya = Person(server, CONSULTANT)
    priya.client.set_cookie("emergency", f"amelia-hart|{(server.clock() + timedelta(hours=1)).isoformat()}")
    priya.get(RECORD, 404)


def test_a_look_up_says_the_same_of_known_and_unknown_people(server: Server) -> None:
    priya = Person(server, CONSULTANT)
    born = {"born-day": "14", "born-month": "3", "born-year": "1976"}
    known = priya.send("/patients/find", {"nhs-number": "9990024685", **born}).text
    unknown = priya.send("/patients/find", {"nhs-number": "9434765919", **born}).text
    assert "Amelia" not in known
    assert said(known, "9990024685", "999 002 4685") == said(unknown, "9434765919", "943 476 5919")


def test_a_look_up_of_somebody_who_shares_opens_the_record(server: Server) -> None:
    gp = Person(server, GP)
    answer = gp.send(
        "/patients/find", {"nhs-number": "9990024685", "born-day": "14", "born-month": "3", "born-year": "1976"}
    )
    assert "Amelia Hart" in gp.follow(answer)


def test_a_measurement_is_saved_as_entered_by_the_patient_and_shared(server: Server) -> None:
    amelia = Person(server, AMELIA)
    form = {"systolic": "128", "diastolic": "81", "when": "now"}
    page = amelia.follow(amelia.send("/record/measurements/add/blood-pressure", form))
    assert "Your measurement is saved" in page
    assert "128/81 mmHg" in page
    assert "Entered by you" in page
    assert "128/81 mmHg" in Person(server, GP).get(f"{RECORD}/measurements")


@pytest.mark.parametrize(
    "form,said",
    [
        ({"systolic": "80", "diastolic": "120"}, "The top number must be higher than the bottom number"),
        ({"systolic": "x", "diastolic": "80"}, "Enter top number (systolic) as a number"),
        ({"systolic": "120", "diastolic": "80", "when": "earlier"}, "Enter the day you measured it"),
        (
            {
                "systolic": "120",
                "diastolic": "80",
                "when": "earlier",
                "taken-day": "1",
                "taken-month": "1",
                "taken-year": "2030",
            },
            "The day you measured it must be today or in the past",
        ),
    ],
)
def test_an_impossible_measurement_is_refused(server: Server, form: dict[str, str], said: str) -> None:
    answer = Person(server, AMELIA).send("/record/measurements/add/blood-pressure", form)
    assert answer.status_code == 400
    assert said in answer.text


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


def test_a_coordinator_invites_sends_again_and_cancels(server: Server) -> None:
    nadia = Person(server, COORDINATOR)
    page = nadia.follow(nadia.send("/organisation/invite", INVITED))
    assert "Ann Example" in page
    resend = page.partition("/resend")[0].rpartition('action="')[2] + "/resend"
    assert "A new link and a new code are on their way" in nadia.follow(nadia.send(resend, {}))
    assert "Cancelled" in nadia.follow(nadia.send(resend.replace("/resend", "/cancel"), {}))


def test_everything_wrong_with_an_invitation_is_said_at_once(server: Server) -> None:
    answer = Person(server, COORDINATOR).send("/organisation/invite", {"email": "x"})
    assert answer.status_code == 400
    for field in ("first name", "last name", "date of birth", "NHS number", "e-mail address", "mobile phone number"):
        assert field in answer.text.partition('<form method="post" novalidate')[0]


def test_a_person_with_an_account_is_not_invited_again(server: Server) -> None:
    known = {"family": "Hart", "nhs-number": "9990024685", "born-day": "14", "born-month": "3", "born-year": "1976"}
    answer = Person(server, COORDINATOR).send("/organisation/invite", INVITED | known)
    assert answer.status_code == 400
    assert "already has an account" in answer.text


def connect_app(server: Server, email: str) -> None:
    """Store an app's permission as the authorization server does, with a live token."""
    now = server.clock()
    client = oauth_clients.Client(
        client_id="diary",
        name="Heart Diary",
        kind="public",
        redirect_uris=("http://localhost/x",),
        scope="patient/*.rs",
        created_at=now,
    )
    grant = oauth.Authorization(
        id="grant-1",
        client_id=client.client_id,
        account_id=_account_id(server, email),
        subject="Patient/amelia-hart",
        patient="Patient/amelia-hart",
        scope="patient/Observation.rs",
        purpose="TREAT",
        organization="",
        may_break_glass=False,
        auth_time=now,
        granted_at=now,
    )
    with server.store.write() as session:
        oauth_clients.add_client(session, client)
        oauth.add_authorization(session, grant)
    server.token(grant.subject, grant.scope, client_id=grant.client_id, grant_id=grant.id, account_id=grant.account_id)


def _account_id(server: Server, email: str) -> str:
    from fhir_server.store import accounts  # noqa: PLC0415 - beside its only use

    with server.store.read() as session:
        account = accounts.by_email(session, email)
    assert account
    return account.id


def test_an_app_is_shown_and_removed(server: Server) -> None:
    connect_app(server, AMELIA)
    amelia = Person(server, AMELIA)
    page = amelia.get("/apps")
    assert "Heart Diary" in page
    assert "your test results and measurements" in page
    assert "Remove Heart Diary?" in amelia.get("/apps/grant-1/remove")
    assert "The app is removed" in amelia.follow(amelia.send("/apps/grant-1/remove", {}))
    assert server.get("/AuditEvent?subtype=disconnect-app&_summary=count", server.operator())["total"] == 1
    assert "Heart Diary" not in amelia.get("/apps")


def test_nobody_removes_another_persons_app(server: Server) -> None:
    connect_app(server, AMELIA)
    Person(server, DESMOND).send("/apps/grant-1/remove", {})
    assert "Heart Diary" in Person(server, AMELIA).get("/apps")


def test_a_carer_chooses_only_among_shared_records(server: Server) -> None:
    thomas = Person(server, THOMAS)
    assert thomas.send("/choose-record", {"record": "desmond-clarke"}).status_code == 400
    assert "Amelia Hart" in thomas.follow(thomas.send("/choose-record", {"record": "amelia-hart"}))
    thomas.client.set_cookie("record", "desmond-clarke")
    assert "Desmond" not in thomas.client.get("/record", follow_redirects=True).text


def test_the_access_log_is_a_bundle_to_keep(server: Server) -> None:
    amelia = Person(server, AMELIA)
    Person(server, GP).get(RECORD)
    bundle = amelia.open("/access-log.json")
    assert bundle.mimetype == "application/fhir+json"
    events = [entry["resource"] for entry in bundle.get_json(force=True)["entry"]]
    assert {event["resourceType"] for event in events} == {"AuditEvent"}
    assert any("Dr Helen Ashworth" in str(event) for event in events)
    # What is wrong with a filter is said on its page: the file is not the whole log instead.
    assert amelia.open("/access-log.json?from-day=40").location == "/access-log?from-day=40"


def test_a_file_that_would_be_cut_short_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    amelia = Person(server, AMELIA)
    files = ("/access-log.json", "/record/download/results.csv", "/record/download/health-record.json")
    assert [amelia.open(path).status_code for path in files] == [200] * 3
    for name in ("_PAGE_COUNT", "_WHOLE_PAGE_COUNT", "_MOST_WHOLE_PAGES"):
        monkeypatch.setattr(road, name, 2)
    assert [amelia.open(path).status_code for path in files] == [413] * 3


def test_the_access_log_is_filtered_by_day(server: Server) -> None:
    amelia = Person(server, AMELIA)
    Person(server, GP).get(RECORD)
    today = {"from-day": "22", "from-month": "11", "from-year": "2026"}
    before = {"to-day": "21", "to-month": "11", "to-year": "2026"}
    shown = [amelia.client.get("/access-log", query_string=days).text for days in (today, before)]
    # Whom the filter offers is said on every page of the log.
    logs = [re.sub(r"<select.*?</select>", "", page, flags=re.DOTALL) for page in shown]
    assert ["Dr Helen Ashworth" in log for log in logs] == [True, False]
    wrong = amelia.client.get("/access-log", query_string={"from-day": "41"})
    assert "must include a month" in wrong.text


def test_a_form_without_its_token_changes_nothing(server: Server) -> None:
    amelia = Person(server, AMELIA)
    assert amelia.client.post("/sharing/switch-off", data={"understood": "yes"}).status_code == 400
    assert "All sharing is off" not in amelia.get("/sharing")
