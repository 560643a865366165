from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from fhir_server.identity import invitations
from fhir_server.identity.accounts import create_account, plain_email
from fhir_server.identity.invitations import Person, checked
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import messages
from fhir_server.store.accounts import Account
from fhir_server.store.database import Store

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PERSON = Person("Ann", "Example", "1984-03-15", "9434765919", "ann@example.org", "07700 900123", "Patient/1")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    yield made
    made.close()


def _coordinator(store: Store, organization: str = "Organization/1") -> Account:
    with store.write() as session:
        return create_account(
            session,
            role="coordinator",
            email=f"c{organization[-1]}@example.org",
            name="Cora",
            password="walrus kettle orbit",
            organization=organization,
            now=NOW,
        )


def test_details_are_stored_in_one_form() -> None:
    typed = replace(
        PERSON, given="  Ann   Marie ", nhs_number="943 476-5919", email=" Ann@Example.ORG", mobile="+44 7700 900123"
    )
    assert checked(typed, NOW.date()) == replace(PERSON, given="Ann Marie", mobile="+447700900123")


@pytest.mark.parametrize(
    "name,value",
    [
        ("given", " "),
        ("family", "x" * 101),
        ("family", "A\x00B"),
        ("birth_date", "15/03/1984"),
        ("birth_date", "2026-11-23"),
        ("birth_date", "1889-12-31"),
        ("birth_date", "1984-02-30"),
        ("nhs_number", "9434765918"),
        ("nhs_number", "123"),
        ("email", "ann"),
        ("email", "ann@example.org\nBcc: x@example.org"),
        ("email", "\u0430nn@example.org"),
        ("mobile", "twelve"),
        ("mobile", "123"),
        ("patient", "Practitioner/1"),
    ],
)
def test_wrong_detail_is_named(name: str, value: str) -> None:
    with pytest.raises(FhirError) as caught:
        checked(replace(PERSON, **{name: value}), NOW.date())
    assert caught.value.kind is Kind.INVALID_VALUE
    assert [issue.expression for issue in caught.value.issues] == [(name,)]


def test_all_wrong_details_are_named_at_once() -> None:
    with pytest.raises(FhirError) as caught:
        checked(Person("", "", "", "1", "", "", ""), date(2026, 1, 1))
    assert {issue.expression[0] for issue in caught.value.issues} == set(Person.__dataclass_fields__) - {"email"}


def test_person_without_nhs_number_can_be_invited(store: Store) -> None:
    coordinator = _coordinator(store)
    with store.write() as session:
        made = invitations.invite(session, coordinator, replace(PERSON, nhs_number=""), NOW)
    assert made.nhs_number == ""


def test_person_with_an_account_is_not_invited_again(store: Store) -> None:
    coordinator = _coordinator(store)
    with store.write() as session:
        create_account(
            session,
            role="patient",
            email="ann@example.org",
            name="Ann",
            password="walrus kettle orbit",
            reference="Patient/1",
            now=NOW,
        )
    for change, named in (
        ({}, "patient"),
        ({"patient": "Patient/2"}, "email"),
        ({"email": "b@example.org"}, "patient"),
    ):
        with store.write() as session, pytest.raises(FhirError) as caught:
            invitations.invite(session, coordinator, replace(PERSON, **change), NOW)
        assert caught.value.kind is Kind.DUPLICATE
        assert caught.value.issues[0].expression == (named,)


def test_invitation_queues_one_e_mail_and_one_text(store: Store) -> None:
    coordinator = _coordinator(store)
    with store.write() as session:
        invitations.invite(session, coordinator, PERSON, NOW)
    with store.write() as session:
        queued = messages.lease(session, NOW, timedelta(minutes=1))
    assert sorted((item.channel, item.recipient, item.kind) for item in queued) == [
        ("email", "ann@example.org", "invitation"),
        ("text", "+447700900123", "invitation-code"),
    ]


def test_coordinator_sees_only_the_invitations_of_her_organisation(store: Store) -> None:
    one, two = _coordinator(store), _coordinator(store, "Organization/2")
    with store.write() as session:
        made = invitations.invite(session, one, PERSON, NOW)
    with store.read() as session:
        assert [found.id for found in invitations.listed(session, one.organization, NOW)] == [made.id]
        assert invitations.listed(session, two.organization, NOW) == ()
        assert invitations.found(session, one.organization, made.id).id == made.id
        with pytest.raises(FhirError) as caught:
            invitations.found(session, two.organization, made.id)
    assert caught.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize("typed", ["a@b", "a b@example.org", "", "a@localhost", "a@example.org, b@example.org"])
def test_what_is_no_address_is_no_account_name(typed: str) -> None:
    assert plain_email(typed) == ""
