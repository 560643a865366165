"""What an AuditEvent says, checked against the FHIR model and IHE BALP's rules; and what it never says."""

import json
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.access.principal import Caller, Principal
from fhir_server.interactions import audit, audit_parts
from fhir_server.interactions.audit import Emergency, Entity
from fhir_server.interactions.model import Code, Context, Interaction
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store.events import Event
from fhir_server.store.keys import key_of_reference, reference_key
from tests.audit.conftest import BASE, NOW, NOW_US

P1, P2 = reference_key("Patient", "p1"), reference_key("Patient", "p2")
BALP = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."
MakePrincipal = Callable[..., Principal]


@pytest.fixture
def doctor(make_principal: MakePrincipal) -> Principal:
    return make_principal(
        Caller.PROFESSIONAL, "Practitioner/d1", organization="Organization/trust", role="professional"
    )


def body(event: Event) -> dict[str, Any]:
    """Return the event's JSON after the FHIR model accepted it."""
    AuditEvent.model_validate_json(event.content)
    loaded: dict[str, Any] = json.loads(event.content)
    return loaded


def coded(items: list[dict[str, Any]]) -> list[str]:
    return [item["type"]["coding"][0]["code"] for item in items]


def entities_by_role(event: Mapping[str, Any], role: str) -> list[dict[str, Any]]:
    return [entity for entity in event["entity"] if entity.get("role", {}).get("code") == role]


def test_ids_are_uuids_in_the_order_of_time(doctor: Principal, context: Context) -> None:
    def ids(at: datetime) -> list[UUID]:
        found = audit.disclosure_events(
            Interaction(Code.SEARCH, "Patient"), doctor, replace(context, now=lambda: at), status=200,
            patients={number: f"p{number}" for number in range(1, 60)},
        )  # fmt: skip
        return [UUID(event.id) for event in found]

    first, later = ids(NOW), ids(NOW + timedelta(milliseconds=1))
    assert {(each.version, each.variant) for each in (*first, *later)} == {(7, RFC_4122)}
    assert {each.int >> 80 for each in first} == {NOW_US // 1_000}
    assert max(first) < min(later)
    assert len({*first, *later}) == 118


def test_a_read_says_who_what_whose_why_and_when(doctor: Principal, context: Context) -> None:
    (event,) = audit.disclosure_events(
        Interaction(Code.READ, "Observation", "o1"),
        doctor,
        context,
        status=200,
        patients={P1: "p1"},
        entities=[Entity("Observation", "o1", 3, (P1,))],
        consents=["c1"],
    )
    assert event == replace(
        event,
        recorded_at=NOW_US,
        patient=P1,
        agent=key_of_reference("Practitioner/d1"),
        organization=key_of_reference("Organization/trust"),
        entity=reference_key("Observation", "o1"),
        kind="read",
        action="R",
        outcome="0",
        purpose="TREAT",
    )
    said = body(event)
    assert said["meta"]["profile"] == [BALP + "PatientRead"]
    assert said["recorded"] == said["meta"]["lastUpdated"] == "2026-03-01T09:30:00.000000Z"
    assert said["purposeOfEvent"][0]["coding"][0]["code"] == "TREAT"
    assert said["source"]["observer"]["display"] == BASE
    server, client, person, organization = said["agent"]
    assert server["network"]["address"] == BASE
    assert client["who"]["identifier"]["value"] == "portal"
    assert client["network"] == {"address": "192.0.2.7", "type": "2"}
    assert person["who"] == {"reference": "Practitioner/d1", "display": "Dr Ann O'Hara"}
    assert [agent["requestor"] for agent in said["agent"]] == [False, False, True, False]
    assert organization["who"]["reference"] == "Organization/trust"
    patient, data, request, consent = said["entity"]
    assert (patient["what"]["reference"], patient["role"]["code"]) == ("Patient/p1", "1")
    assert (data["what"]["reference"], data["role"]["code"]) == ("Observation/o1/_history/3", "4")
    assert request["what"]["identifier"]["value"] == "req-7"
    assert consent["what"]["reference"] == "Consent/c1"


@pytest.mark.parametrize(
    "code, action, profile, roles",
    [
        (Code.READ, "R", "PatientRead", ["110153", "110152", "IRCP"]),
        (Code.VREAD, "R", "PatientRead", ["110153", "110152", "IRCP"]),
        (Code.CREATE, "C", "PatientCreate", ["110152", "110153", "AUT"]),
        (Code.UPDATE, "U", "PatientUpdate", ["110152", "110153", "AUT"]),
        (Code.PATCH, "U", "PatientUpdate", ["110152", "110153", "AUT"]),
        (Code.DELETE, "D", "PatientDelete", ["custodian", "110150", "AUT"]),
        (Code.SEARCH, "E", "PatientQuery", ["110152", "110153", "IRCP"]),
    ],
)
def test_action_profile_and_agent_roles_are_balps(
    make_principal: MakePrincipal, context: Context, code: Code, action: str, profile: str, roles: list[str]
) -> None:
    (event,) = audit.disclosure_events(
        Interaction(code, "Observation", "o1"),
        make_principal(Caller.PROFESSIONAL, "Practitioner/d1"),
        context,
        status=200,
        patients={P1: "p1"},
        entities=[("Observation", "o1", 1)],
    )
    said = body(event)
    assert (said["action"], said["subtype"][0]["code"]) == (action, code.value)
    assert said["meta"]["profile"] == [BALP + profile]
    assert coded(said["agent"]) == roles


def test_every_interaction_has_a_valid_event(doctor: Principal, context: Context) -> None:
    for code in Code:
        for event in audit.disclosure_events(
            Interaction(code, "Patient", "p1", operation="everything"), doctor, context, status=200, patients={P1: "p1"}
        ):
            assert body(event)["subtype"][0]["code"] == event.kind == code.value


def test_a_search_writes_one_event_per_patient_naming_that_patients_resources_only(
    doctor: Principal, context: Context
) -> None:
    found = [
        Entity("Observation", "o1", 1, (P1,)),
        Entity("Observation", "o2", 4, (P2,)),
        Entity("Observation", "o3", 1, (P1, P2)),
        Entity("Practitioner", "d9", 1),
    ]
    first, second = audit.disclosure_events(
        Interaction(Code.SEARCH, "Observation", query=(("code", "x|1"), ("_count", "5"))),
        doctor,
        context,
        status=200,
        patients={P1: "p1", P2: "p2"},
        entities=found,
    )
    named = [[e["what"]["reference"] for e in entities_by_role(body(event), "4")] for event in (first, second)]
    assert named == [
        ["Observation/o1/_history/1", "Observation/o3/_history/1"],
        ["Observation/o2/_history/4", "Observation/o3/_history/1"],
    ]
    assert (first.patient, second.patient) == (P1, P2)
    assert first.id != second.id
    (query,) = entities_by_role(body(first), "24")
    assert b64decode(query["query"]) == b"Observation?code=x%7C1&_count=5"


def test_a_search_about_nobody_writes_one_event(doctor: Principal, context: Context) -> None:
    (event,) = audit.disclosure_events(
        Interaction(Code.SEARCH, "Organization"), doctor, context, status=200, patients={}, entities=[]
    )
    assert event.patient == 0
    assert body(event)["meta"]["profile"] == [BALP + "Query"]
    assert entities_by_role(body(event), "1") == []


@pytest.mark.parametrize("kind, outcome", [(Kind.NOT_FOUND, "4"), (Kind.FORBIDDEN, "4"), (Kind.BUG, "8")])
def test_a_refusal_names_the_patient_aimed_at_and_no_diagnostics(
    doctor: Principal, context: Context, kind: Kind, outcome: str
) -> None:
    error = FhirError(kind, "secret diagnostics")
    (event,) = audit.disclosure_events(
        Interaction(Code.READ, "Observation", "o1"),
        doctor,
        context,
        status=error.status,
        error=error,
        patients={P1: "p1"},
    )
    said = body(event)
    assert (event.patient, event.outcome, said["outcome"]) == (P1, outcome, outcome)
    assert said["outcomeDesc"] == f"{error.status} {kind.issue_code}"
    assert "profile" not in said["meta"]
    assert entities_by_role(said, "4")[0]["what"]["reference"] == "Observation/o1"
    assert b"secret" not in event.content


def test_a_refused_create_names_the_type_and_nothing_of_the_body(doctor: Principal, context: Context) -> None:
    (event,) = audit.disclosure_events(
        Interaction(Code.CREATE, "Observation", resource={"resourceType": "Observation", "note": "HIV positive"}),
        doctor,
        context,
        status=422,
        patients={},
    )
    assert entities_by_role(body(event), "4")[0]["name"] == "Observation"
    assert b"HIV" not in event.content


def test_an_access_under_break_glass_says_so(doctor: Principal, context: Context) -> None:
    (event,) = audit.disclosure_events(
        Interaction(Code.READ, "Patient", "p1"),
        doctor,
        context,
        status=200,
        patients={P1: "p1"},
        break_glass_grant_id="g1",
    )
    said = body(event)
    assert event.purpose == said["purposeOfEvent"][0]["coding"][0]["code"] == "BTG"
    (grant,) = entities_by_role(said, "13")
    assert grant["what"]["identifier"]["value"] == "g1"


def test_an_organisations_system_is_the_requestor_itself(make_principal: MakePrincipal, context: Context) -> None:
    feed = make_principal(Caller.ORGANIZATION, "Organization/trust", client_id="epr", name="")
    (event,) = audit.disclosure_events(
        Interaction(Code.CREATE, "Observation"), feed, context, status=201, patients={P1: "p1"}
    )
    agents = body(event)["agent"]
    assert coded(agents) == ["110152", "110153", "PROV"]
    assert event.organization == event.agent == key_of_reference("Organization/trust")


def test_an_account_without_a_resource_is_an_identifier(make_principal: MakePrincipal, context: Context) -> None:
    staff = make_principal(Caller.STAFF, "account:7", role="privacy-officer")
    (event,) = audit.disclosure_events(
        Interaction(Code.SEARCH, "AuditEvent"), staff, context, status=200, patients={P1: "p1"}
    )
    person = body(event)["agent"][2]
    assert person["who"]["identifier"]["value"] == "account:7"
    assert person["role"] == [{"text": "privacy-officer"}]


def test_without_a_network_address_no_profile_is_claimed(doctor: Principal, context: Context) -> None:
    (event,) = audit.disclosure_events(
        Interaction(Code.READ, "Patient", "p1"), doctor, replace(context, address=""), status=200, patients={P1: "p1"}
    )
    assert "profile" not in body(event)["meta"]


def test_a_conditional_write_records_its_criteria(doctor: Principal, context: Context) -> None:
    (event,) = audit.disclosure_events(
        Interaction(Code.UPDATE, "Patient", conditional=(("identifier", "a|b c"),)),
        doctor,
        context,
        status=412,
        patients={},
    )
    (query,) = entities_by_role(body(event), "24")
    assert b64decode(query["query"]) == b"Patient?identifier=a%7Cb%20c"


def test_a_very_long_query_is_cut_and_named_by_its_hash(doctor: Principal, context: Context) -> None:
    (event,) = audit.disclosure_events(
        Interaction(Code.SEARCH, "Observation", query=(("code", "x" * 100_000),)),
        doctor,
        context,
        status=200,
        patients={},
    )
    assert len(event.content) < 30_000
    assert "SHA-256" in entities_by_role(body(event), "24")[0]["description"]


@pytest.mark.parametrize("kind, named", [("Observation", "Patient/p1/Observation"), ("", "Patient/p1/*")])
def test_a_search_in_a_compartment_is_named_with_the_compartment(
    doctor: Principal, context: Context, kind: str, named: str
) -> None:
    code = Code.SEARCH if kind else Code.SEARCH_SYSTEM
    interaction = Interaction(code, kind, query=(("_count", "5"),), compartment=("Patient", "p1"))
    (event,) = audit.disclosure_events(interaction, doctor, context, status=200, patients={P1: "p1"})
    (query,) = entities_by_role(body(event), "24")
    assert b64decode(query["query"]).decode() == f"{named}?_count=5"


@given(text=st.text(st.characters(), min_size=1, max_size=40))
def test_no_text_from_outside_breaks_or_escapes_the_event(text: str) -> None:
    for fragment in (
        audit_parts.quote(text),
        audit_parts.data_entity(Entity(text, text)),
        audit_parts.request_entity(text),
        audit_parts.query_entity(Interaction(Code.OPERATION, text, query=((text, text),), operation=text)),
        audit_parts.agents(audit_parts.Agent(text, text, text, text, text, text), "R", BASE),
        audit_parts.emergency_entity(text, text, text),
    ):
        json.loads(fragment)
    assert json.loads(audit_parts.quote(text)) == text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("started, kind", [(True, "110127"), (False, "110138")])
def test_start_and_end_of_an_emergency_access(doctor: Principal, context: Context, kind: str, *, started: bool) -> None:
    emergency = Emergency("g1", P1, "p1", "http://snomed.info/sct", "1", "Unconscious, needs allergies now")
    event = audit.emergency_event(emergency, audit.agent_of(doctor, context), context, started=started)
    said = body(event)
    assert (said["type"]["code"], said["subtype"][0]["code"]) == ("110113", kind)
    assert (event.kind, event.purpose, event.patient) == (kind, "BTG", P1)
    (grant,) = entities_by_role(said, "13")
    assert grant["description"] == "Unconscious, needs allergies now"
    assert grant["detail"][0]["valueString"] == "http://snomed.info/sct|1"


def test_sign_in_and_sign_out(context: Context) -> None:
    patient = audit.Agent("Patient/p1", "Sam Patient", client_id="portal", address="192.0.2.9")
    event = audit.login_event(patient, context, succeeded=True, patient_id="p1")
    assert (event.kind, event.outcome, event.patient) == ("110122", "0", P1)
    assert body(event)["type"]["code"] == "110114"
    assert audit.login_event(patient, context, succeeded=True, started=False).kind == "110123"


def test_a_failed_sign_in_of_somebody_unknown(context: Context) -> None:
    event = audit.login_event(audit.Agent(""), context, succeeded=False, reason="Unknown account or wrong password")
    said = body(event)
    assert (event.outcome, event.agent, event.patient) == ("4", 0, 0)
    assert said["outcomeDesc"] == "Unknown account or wrong password"
    assert said["agent"][-1]["who"] == {"display": "unknown"}


@pytest.mark.parametrize("permitted, outcome", [(True, "0"), (False, "8")])
def test_a_decision_by_consent(doctor: Principal, context: Context, outcome: str, *, permitted: bool) -> None:
    event = audit.decision_event(doctor, context, patient_id="p1", permitted=permitted, consents=["c1"])
    said = body(event)
    assert (said["outcome"], said["subtype"][0]["code"], event.patient) == (outcome, "AuthZ-Consent", P1)
    assert said["entity"][1]["what"]["reference"] == "Consent/c1"
