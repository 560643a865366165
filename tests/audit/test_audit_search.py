"""AuditEvent over FHIR: who may read it, what can be asked, how it pages."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from fhir_server.access import scopes
from fhir_server.access.principal import Caller, Principal
from fhir_server.interactions import audit
from fhir_server.interactions.model import Code, Context, Interaction, Trace
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import events
from fhir_server.store.database import Store
from fhir_server.store.keys import key_of_reference, reference_key
from tests.audit.conftest import BASE, plain_event

MakePrincipal = Callable[..., Principal]


@pytest.fixture
def officer(make_principal: MakePrincipal) -> Principal:
    return make_principal(Caller.STAFF, "account:1", role="privacy-officer")


@pytest.fixture
def patient(make_principal: MakePrincipal) -> Principal:
    return make_principal(Caller.PATIENT, "Patient/p1", role="patient")


@pytest.fixture(autouse=True)
def log(store: Store) -> None:
    """Write seven events, an hour apart: five about p1, one about p2, one about nobody."""
    p2 = key_of_reference("Patient/p2")
    gp, trust = key_of_reference("Practitioner/gp"), key_of_reference("Organization/trust")
    listed = b'{"resourceType":"AuditEvent","id":"e4","entity":[{"what":{"reference":"Observation/o1/_history/2"}}]}'
    with store.write() as session:
        events.append(
            session,
            [
                plain_event(1, entity=reference_key("Observation", "o1")),
                plain_event(2, agent=gp, organization=trust),
                plain_event(3, action="U", kind="update", entity=reference_key("Observation", "o12")),
                plain_event(4, kind="search-type", action="E", content=listed),
                plain_event(5, kind="110127", action="E", purpose="BTG", outcome="4"),
                plain_event(6, patient=p2),
                plain_event(7, patient=0, kind="110122", action="E"),
            ],
        )


def search(principal: Principal, context: Context, *query: tuple[str, str], handling: str = "strict") -> dict[str, Any]:
    interaction = Interaction(Code.SEARCH, "AuditEvent", query=query, handling=handling)
    with context.store.read() as session:
        outcome = audit.search_interaction(session, interaction, principal, context, Trace())
    assert (outcome.status, outcome.type) == (200, "Bundle")
    bundle: dict[str, Any] = json.loads(outcome.content)
    assert bundle["type"] == "searchset"
    return bundle


def ids(bundle: dict[str, Any]) -> list[str]:
    found = [entry["resource"]["id"] for entry in bundle.get("entry", ())]
    assert [entry["fullUrl"] for entry in bundle.get("entry", ())] == [f"{BASE}/AuditEvent/{id_}" for id_ in found]
    return found


def next_query(bundle: dict[str, Any]) -> list[tuple[str, str]]:
    (url,) = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
    return parse_qsl(urlsplit(url).query)


def test_a_patient_sees_events_about_their_own_record_newest_first(patient: Principal, context: Context) -> None:
    bundle = search(patient, context)
    assert ids(bundle) == ["e5", "e4", "e3", "e2", "e1"]
    assert bundle["total"] == 5


def test_privacy_officer_and_trusted_operator_see_all(
    officer: Principal, make_principal: MakePrincipal, context: Context
) -> None:
    operator = make_principal(Caller.OPERATOR, "system", trusted=True)
    for principal in (officer, operator):
        assert search(principal, context)["total"] == 7


@pytest.mark.parametrize(
    "caller, subject, changes",
    [
        (Caller.PROFESSIONAL, "Practitioner/d1", {"may_break_glass": True}),
        (Caller.PROFESSIONAL, "Practitioner/d1", {"role": "privacy-officer"}),
        (Caller.RELATED, "RelatedPerson/r1", {"patient": "Patient/p1"}),
        (Caller.ORGANIZATION, "Organization/trust", {}),
        (Caller.OPERATOR, "system", {"trusted": False}),
        (Caller.STAFF, "account:2", {"role": "admin"}),
        (Caller.STAFF, "account:2", {"role": "service-desk"}),
        (Caller.PATIENT, "Patient/p3", {}),
        (Caller.PATIENT, "Patient/p1", {"scopes": scopes.parse("patient/AuditEvent.rs?action=R")}),
        (Caller.PATIENT, "Patient/p1", {"scopes": scopes.parse("patient/Observation.rs")}),
    ],
)
def test_nobody_else_sees_any(
    make_principal: MakePrincipal, context: Context, caller: Caller, subject: str, changes: dict[str, Any]
) -> None:
    principal = make_principal(caller, subject, **changes)
    for query in ((), (("patient", "Patient/p1"),), (("_id", "e1"),), (("_summary", "count"),)):
        bundle = search(principal, context, *query)
        assert (bundle["total"], bundle.get("entry")) == (0, None)
    with context.store.read() as session, pytest.raises(FhirError) as refused:
        audit.read_interaction(session, Interaction(Code.READ, "AuditEvent", "e1"), principal, context, Trace())
    assert refused.value.kind is Kind.NOT_FOUND


def test_an_app_with_a_plain_scope_sees_what_its_patient_sees(make_principal: MakePrincipal, context: Context) -> None:
    app = make_principal(
        Caller.PATIENT, "Patient/p1", scopes=scopes.parse("patient/AuditEvent.rs"), patient="Patient/p1"
    )
    assert search(app, context)["total"] == 5


def test_naming_another_patient_widens_nothing(patient: Principal, context: Context) -> None:
    assert search(patient, context, ("patient", "Patient/p2"))["total"] == 0
    assert ids(search(patient, context, ("patient", "Patient/p2,Patient/p1"))) == ["e5", "e4", "e3", "e2", "e1"]


def test_read_gives_the_stored_bytes(patient: Principal, context: Context) -> None:
    with context.store.read() as session:
        outcome = audit.read_interaction(session, Interaction(Code.READ, "AuditEvent", "e1"), patient, context, Trace())
    assert outcome.content == plain_event(1).content
    assert (outcome.id, outcome.version) == ("e1", 1)


def test_hidden_and_absent_read_the_same(patient: Principal, context: Context) -> None:
    said = []
    for logical_id in ("e6", "e999"):
        with context.store.read() as session, pytest.raises(FhirError) as refused:
            audit.read_interaction(session, Interaction(Code.READ, "AuditEvent", logical_id), patient, context, Trace())
        said.append((refused.value.kind, refused.value.diagnostics.replace(logical_id, "")))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "query, expected",
    [
        ((("patient", "p2"),), ["e6"]),
        ((("patient", f"{BASE}/Patient/p2"),), ["e6"]),
        ((("patient:Patient", "p2"),), ["e6"]),
        ((("agent", "Practitioner/gp"),), ["e2"]),
        ((("agent:Practitioner", "gp"),), ["e2"]),
        ((("agent", "Organization/trust"),), ["e2"]),
        ((("agent:not", "Practitioner/d1"),), ["e2"]),
        ((("agent:not", "Organization/trust"), ("action", "R")), ["e6", "e1"]),
        ((("agent:not", "Practitioner/d1,Practitioner/gp"),), []),
        ((("entity", "Observation/o1"),), ["e4", "e1"]),
        ((("entity", "Observation/o1"), ("entity", "Observation/o12")), []),
        ((("action", "U,E"),), ["e7", "e5", "e4", "e3"]),
        ((("action", "http://hl7.org/fhir/audit-event-action|U"),), ["e3"]),
        ((("action", "http://other|U"),), []),
        ((("action", "U"), ("action", "E")), []),
        ((("type", "110114"),), ["e7"]),
        ((("type", "http://terminology.hl7.org/CodeSystem/audit-event-type|rest"),), ["e6", "e4", "e3", "e2", "e1"]),
        ((("subtype", "110127"),), ["e5"]),
        ((("outcome", "4"),), ["e5"]),
        ((("purpose", "BTG"),), ["e5"]),
        ((("_id", "e2,e3"),), ["e3", "e2"]),
        ((("date", "ge2026-03-01T14:30:00Z"),), ["e7", "e6", "e5"]),
        ((("date", "gt2026-03-01"),), []),
        ((("date", "2026-03-01T10:30:00Z,2026-03-01T11:30:00Z"),), ["e2", "e1"]),
        ((("date", "gt2026-03-01T11:30:00Z"), ("date", "lt2026-03-01T13:30:00Z")), ["e3"]),
        ((("date", "ne2026-03-01"),), []),
        ((("date", "eb2026-03-01T11:30:00Z"),), ["e1"]),
        ((("_sort", "date"), ("_id", "e2,e3")), ["e2", "e3"]),
        ((("_format", "json"), ("_count", "1"), ("_sort", "-date")), ["e7"]),
    ],
)
def test_criteria(
    officer: Principal, context: Context, query: tuple[tuple[str, str], ...], expected: list[str]
) -> None:
    assert ids(search(officer, context, *query)) == expected


@pytest.mark.parametrize("order", ["-date", "date"])
def test_pages_hold_every_event_once(officer: Principal, context: Context, order: str) -> None:
    bundle = search(officer, context, ("_count", "3"), ("_sort", order))
    seen = ids(bundle)
    for _ in range(2):
        assert "total" not in bundle
        bundle = search(officer, context, *next_query(bundle))
        seen += ids(bundle)
    expected = [f"e{number}" for number in range(1, 8)]
    assert seen == (expected if order == "date" else expected[::-1])
    assert [link["relation"] for link in bundle["link"]] == ["self"]


def test_events_of_the_same_instant_are_paged_without_loss(patient: Principal, context: Context) -> None:
    with context.store.write() as session:
        same = [plain_event(number, recorded_at=1_000_000) for number in range(100, 107)]
        events.append(session, same)
    query: list[tuple[str, str]] = [("date", "lt2000"), ("_count", "2")]
    seen: list[str] = []
    while len(seen) < 7:
        bundle = search(patient, context, *query)
        seen += ids(bundle)
        query = next_query(bundle) if len(seen) < 7 else []
    assert seen == [f"e{number}" for number in range(106, 99, -1)]


def test_a_page_link_of_another_caller_or_query_is_refused(
    officer: Principal, patient: Principal, context: Context
) -> None:
    query = next_query(search(officer, context, ("_count", "3")))
    for principal, asked in (
        (patient, query),
        (officer, [("_count", "4"), *query[1:]]),
        (officer, [("_count", "3"), ("_cursor", "AAAA")]),
        (officer, [("_count", "3"), ("_cursor", "é")]),
    ):
        with pytest.raises(FhirError) as refused:
            search(principal, context, *asked)
        assert refused.value.kind is Kind.INVALID_VALUE
    with pytest.raises(FhirError):
        search(officer, replace(context, page_key=b"z" * 32), *query)


@pytest.mark.parametrize("query", [("_total", "accurate"), ("_summary", "count")])
def test_total_is_counted_when_asked_for(officer: Principal, context: Context, query: tuple[str, str]) -> None:
    assert search(officer, context, query, ("_count", "2"))["total"] == 7


@pytest.mark.parametrize("query", [("_summary", "count"), ("_count", "0")])
def test_a_count_alone_has_no_entries(officer: Principal, context: Context, query: tuple[str, str]) -> None:
    bundle = search(officer, context, query)
    assert (bundle["total"], bundle.get("entry"), len(bundle["link"])) == (7, None, 1)


@pytest.mark.parametrize(
    "name, value, kind",
    [
        ("colour", "red", Kind.NOT_SUPPORTED),
        ("patient:exact", "p1", Kind.NOT_SUPPORTED),
        ("patient:not", "p1", Kind.NOT_SUPPORTED),
        ("patient.name", "x", Kind.NOT_SUPPORTED),
        ("date:missing", "true", Kind.NOT_SUPPORTED),
        ("patient", "Observation/1", Kind.INVALID_VALUE),
        ("patient", "Patient/\x00", Kind.INVALID_VALUE),
        ("patient", "", Kind.INVALID_VALUE),
        ("agent", "gp", Kind.INVALID_VALUE),
        ("agent", "http://elsewhere.example/Practitioner/gp", Kind.INVALID_VALUE),
        ("action", "X", Kind.INVALID_VALUE),
        ("purpose", "\x00", Kind.INVALID_VALUE),
        ("date", "yesterday", Kind.INVALID_VALUE),
        ("date", "zz2026", Kind.INVALID_VALUE),
        ("_id", "," * 5, Kind.INVALID_VALUE),
        ("_id", ",".join(["a"] * 101), Kind.INVALID_VALUE),
        ("_count", "-1", Kind.INVALID_VALUE),
        ("_count", "9" * 30, Kind.INVALID_VALUE),
        ("_sort", "agent", Kind.INVALID_VALUE),
        ("_total", "maybe", Kind.INVALID_VALUE),
        ("_summary", "text", Kind.INVALID_VALUE),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    officer: Principal, context: Context, name: str, value: str, kind: Kind
) -> None:
    with pytest.raises(FhirError) as refused:
        search(officer, context, (name, value))
    assert (refused.value.kind, refused.value.status) == (kind, 400)
    assert name.partition(":")[0].partition(".")[0] in refused.value.diagnostics


def test_lenient_handling_leaves_out_what_is_unknown(officer: Principal, context: Context) -> None:
    bundle = search(officer, context, ("colour", "red"), ("action", "U"), handling="lenient")
    assert ids(bundle) == ["e3"]
    assert "colour" not in bundle["link"][0]["url"]


def test_an_id_with_characters_no_id_has_matches_nothing(officer: Principal, context: Context) -> None:
    assert search(officer, context, ("_id", "\x00"))["total"] == 0
