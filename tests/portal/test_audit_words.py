"""AuditEvents, as the server itself writes them, in plain words."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from fhir_server.access.principal import Caller, Principal
from fhir_server.access.scopes import EVERYTHING
from fhir_server.interactions import audit
from fhir_server.interactions.audit_parts import Entity
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.portal.models.accesses import parties
from fhir_server.portal.models.audit import Log, log
from fhir_server.spec.outcome import FhirError, Kind

Json = dict[str, Any]
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
NAMES = {"Organization/o": "Example Hospital", "portal": "this website"}
LETTER = Interaction(Code.READ, type="DocumentReference", id="d")


def context(minutes: float = 0) -> Context:
    at = NOW + timedelta(minutes=minutes)
    return Context(
        store=cast("Any", None),
        definitions=cast("Any", None),
        now=lambda: at,
        new_id=lambda: str(uuid.uuid4()),
        fhir_base="http://localhost/fhir",
        request_id="r",
        address="127.0.0.1",
    )


def principal(subject: str = "Practitioner/p", name: str = "Dr Ray", organization: str = "Organization/o") -> Principal:
    return Principal(
        caller=Caller.PATIENT if subject.startswith("Patient/") else Caller.PROFESSIONAL,
        subject=subject,
        actors=(),
        organizations=(),
        organization=organization,
        scopes=EVERYTHING,
        patient="",
        purpose="TREAT",
        client_id="portal",
        role="",
        name=name,
        trusted=False,
        may_break_glass=True,
        auth_time=NOW,
        session_id="s",
    )


def looked(interaction: Interaction, minutes: float = 0, who: Principal | None = None, **more: Any) -> Json:
    kind = (Entity(interaction.type, interaction.id or "x", 1, (5,)),)
    made = audit.disclosure_events(
        interaction,
        who or principal(),
        context(minutes),
        status=more.pop("status", 200),
        patients={5: "1"},
        entities=more.pop("entities", kind),
        **more,
    )
    return cast("Json", orjson.loads(made[0].content))


def logged(*events: Json) -> Log:
    return log(sorted(events, key=lambda event: str(event["recorded"]), reverse=True), "Patient/1", NAMES)


def test_one_visit_says_who_from_where_what_why_and_through_what() -> None:
    (visit,) = logged(looked(LETTER), looked(Interaction(Code.READ, type="Patient", id="1"), 5)).others
    assert (visit.who, visit.organization, visit.app) == ("Dr Ray", "Example Hospital", "this website")
    assert visit.lines == ("Looked at letters",)
    assert visit.why == "For your care"
    assert visit.hours == "9am to 9:05am"
    assert (visit.weekday, visit.day) == ("Sunday", "22 November 2026")


def test_a_search_counts_as_looking_even_when_it_found_nothing() -> None:
    search = Interaction(Code.SEARCH, type="Observation", query=(("patient", "Patient/1"),))
    (visit,) = logged(looked(search, entities=())).others
    assert visit.lines == ("Looked at test results and measurements",)


def test_a_refused_try_is_told_as_one() -> None:
    error = FhirError(Kind.NOT_FOUND, "no")
    (visit,) = logged(looked(LETTER, status=404, error=error)).others
    assert visit.lines == ("Tried to see letters and was refused",)
    assert visit.refused


def test_what_the_patient_did_is_kept_apart() -> None:
    found = logged(looked(LETTER, who=principal("Patient/1", "Ann", "")))
    assert (len(found.own), found.others, found.emergencies) == (1, (), ())


def test_an_emergency_is_one_visit_with_its_reason() -> None:
    emergency = audit.Emergency("g", 5, "1", "v3", "ETREAT", "Collapsed at home, cannot speak")
    agent = audit.agent_of(principal(), context())
    start = orjson.loads(audit.emergency_event(emergency, agent, context(), started=True).content)
    end = orjson.loads(audit.emergency_event(emergency, agent, context(9), started=False).content)
    (visit,) = logged(start, looked(LETTER, 3, break_glass_grant_id="g"), end).emergencies
    assert visit.lines == ("Started emergency access", "Looked at letters", "Ended emergency access")
    assert visit.reasons == ("Collapsed at home, cannot speak",)


def test_a_refused_emergency_access_is_an_emergency_and_says_so() -> None:
    asked = Interaction(Code.OPERATION, type="Patient", id="1", operation="break-glass")
    event = looked(asked, status=403, error=FhirError(Kind.FORBIDDEN, "no"), entities=())
    (visit,) = logged(event).emergencies
    assert visit.lines == ("Asked for emergency access and was refused",)


def test_two_people_or_two_days_are_two_visits() -> None:
    events = (looked(LETTER), looked(LETTER, 1, principal("Practitioner/q", "Dr Quinn")), looked(LETTER, 60 * 24))
    assert len(logged(*events).others) == 3


def test_names_that_events_leave_out_are_asked_for() -> None:
    nameless = looked(LETTER, who=principal(name="Practitioner/p"))
    assert parties([nameless]) == {"Practitioner/p", "Organization/o", "portal"}
    (visit,) = log([nameless], "Patient/1", NAMES | {"Practitioner/p": "Dr Found"}).others
    assert visit.who == "Dr Found"


def test_a_malformed_event_is_shown_rather_than_lost() -> None:
    found = log([{"resourceType": "AuditEvent", "entity": "?", "agent": [{"who": 5}]}], "Patient/1", {})
    assert found.others[0].who == "Not known"
