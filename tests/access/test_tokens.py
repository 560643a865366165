"""From a token, an account or a name to a principal: what each of them makes of whoever uses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fhir_server.access import scopes, tokens
from fhir_server.access.break_glass import REASON_SYSTEMS, Reason, start
from fhir_server.access.closure import compile_memberships
from fhir_server.access.principal import Caller, Principal
from fhir_server.access.tokens import PORTAL, TokenGrant
from fhir_server.spec.outcome import FhirError, Kind
from fhir_server.store import accounts, memberships, resources
from fhir_server.store.accounts import Account
from fhir_server.store.database import Session, Store
from fhir_server.store.keys import key_of_reference
from fhir_server.store.resources import NewVersion
from tests.databases import SqliteDatabases
from tests.server import START, create_schema

DR, LOCUM, TRUST, OTHER, CARER = (
    "Practitioner/dr", "Practitioner/locum", "Organization/trust", "Organization/other", "RelatedPerson/carer",
)  # fmt: skip
ROLES = {"r1": (DR, TRUST), "r2": (LOCUM, TRUST), "r3": (LOCUM, OTHER)}
STAFF = Account(
    id="desk", email="desk@example.org", name="Desk", role="service-desk", reference="", organization=TRUST,
    may_break_glass=False, active=True, created_at=START, email_confirmed_at=START,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store in which a doctor works for a trust, and a locum for two organisations."""
    folder: Path = tmp_path_factory.mktemp("tokens")
    made = Store(SqliteDatabases(folder, folder).prepared("schema", create_schema))
    with made.write() as session:
        for name in (TRUST, OTHER):
            _, _, logical_id = name.partition("/")
            resources.put(
                session,
                NewVersion(
                    key=key_of_reference(name), type="Organization", id=logical_id, version=1, updated_at=1,
                    content=b"{}", patients=(), label=0, confidentiality=3, author=0, context=0, released_at=0,
                    date_lo=None, date_hi=None, index={},
                ),
            )  # fmt: skip
        for name, (person, place) in ROLES.items():
            body: dict[str, Any] = {
                "resourceType": "PractitionerRole",
                "practitioner": {"reference": person},
                "organization": {"reference": place},
            }
            key = key_of_reference(f"PractitionerRole/{name}")
            memberships.replace(session, key, compile_memberships(body, key, ""))
        accounts.add(session, STAFF, accounts.Secrets("", ""))
    yield made
    made.close()


@pytest.fixture
def session(store: Store) -> Iterator[Session]:
    with store.write() as session:
        yield session


def _grant(subject: str = DR, **more: Any) -> TokenGrant:
    return TokenGrant(subject, "app", "user/*.rs", START - timedelta(minutes=1), 60, **more)


def _principal(session: Session, subject: str = DR, **more: Any) -> Principal:
    return tokens.resolve(session, tokens.issue(session, _grant(subject, **more), START), START)


def _keys(*names: str) -> tuple[int, ...]:
    return tuple(map(key_of_reference, names))


def _refused(session: Session, token: str, *, after_s: int = 0, **proven: str) -> None:
    with pytest.raises(FhirError) as refused:
        tokens.resolve(session, token, START + timedelta(seconds=after_s), **proven)
    assert refused.value.kind is Kind.UNAUTHENTICATED


def test_a_token_holds_for_its_time_until_it_or_its_grant_is_revoked(session: Session) -> None:
    first, second, other = (tokens.issue(session, _grant(grant_id=name), START) for name in ("one", "one", ""))
    assert len({first, second, other}) == 3
    assert first.startswith("fhs_")
    for token in (first, second, other):
        assert tokens.resolve(session, token, START + timedelta(seconds=59)).subject == DR
        _refused(session, token, after_s=60)
    _refused(session, first[:-1])
    tokens.revoke(session, first, START)
    _refused(session, first)
    assert tokens.resolve(session, second, START).session_id == "one"
    tokens.revoke_grant(session, "one", START)
    _refused(session, second)
    assert tokens.resolve(session, other, START).session_id not in {"", "one"}


def test_a_token_that_never_ends_is_not_to_be_had(session: Session) -> None:
    for lifetime_s in (0, -1):
        with pytest.raises(ValueError, match=str(lifetime_s)):
            tokens.issue(session, replace(_grant(), expires_in_s=lifetime_s), START)
    token = tokens.issue(session, replace(_grant(), expires_in_s=1), START)
    assert tokens.resolve(session, token, START).subject == DR


def test_a_bound_token_needs_its_key_and_any_other_none(session: Session) -> None:
    bound, plain = (tokens.issue(session, _grant(key_thumbprint=key), START) for key in ("key", ""))
    assert tokens.resolve(session, bound, START, proven_key="key").subject == DR
    for token, proven in ((bound, ""), (bound, "other"), (plain, "key")):
        _refused(session, token, proven_key=proven)


def test_a_token_says_what_it_was_issued_for_and_no_more(session: Session) -> None:
    plain = _principal(session)
    assert (plain.trusted, plain.may_break_glass, plain.patient, plain.role, plain.name) == (False, False, "", "", DR)
    assert (plain.purpose, plain.client_id, plain.auth_time) == ("TREAT", "app", START - timedelta(minutes=1))
    assert plain.scopes == scopes.parse("user/*.rs")
    assert (plain.in_emergency, plain.has_rare) == (False, False)
    more = _principal(session, patient="Patient/ann", purpose="HRESCH", may_break_glass=True, account_id="desk")
    assert (more.patient, more.purpose, more.may_break_glass) == ("Patient/ann", "HRESCH", True)
    assert (more.role, more.name) == ("service-desk", "Desk")
    _refused(session, tokens.issue(session, _grant(account_id="nobody"), START))


def test_each_kind_of_subject_has_the_actors_and_organisations_of_what_is_stored(session: Session) -> None:
    role, roles = "PractitionerRole/r1", ("PractitionerRole/r2", "PractitionerRole/r3")
    rows: tuple[tuple[str, dict[str, Any], Caller, tuple[str, ...], tuple[str, ...], str], ...] = (
        (DR, {}, Caller.PROFESSIONAL, (DR, role, TRUST), (TRUST,), TRUST),
        (DR, {"organization": TRUST}, Caller.PROFESSIONAL, (DR, role, TRUST), (TRUST,), TRUST),
        (DR, {"organization": OTHER}, Caller.PROFESSIONAL, (DR, role, TRUST), (TRUST,), TRUST),
        (LOCUM, {}, Caller.PROFESSIONAL, (LOCUM, *roles, TRUST, OTHER), (TRUST, OTHER), ""),
        (LOCUM, {"organization": OTHER}, Caller.PROFESSIONAL, (LOCUM, *roles, TRUST, OTHER), (TRUST, OTHER), OTHER),
        (LOCUM, {"organization": "Organization/none"}, Caller.PROFESSIONAL, (LOCUM, *roles, TRUST, OTHER),
         (TRUST, OTHER), ""),
        ("Practitioner/new", {"organization": TRUST}, Caller.PROFESSIONAL, ("Practitioner/new",), (), ""),
        (TRUST, {}, Caller.ORGANIZATION, (TRUST,), (TRUST,), TRUST),
        (CARER, {}, Caller.RELATED, (CARER,), (), ""),
        ("Patient/ann", {}, Caller.PATIENT, ("Patient/ann",), (), ""),
        ("Device/d", {}, Caller.DEVICE, ("Device/d",), (), ""),
        ("account:desk", {}, Caller.STAFF, (), (), ""),
        ("account:desk", {"organization": TRUST}, Caller.STAFF, (), (TRUST,), TRUST),
        ("system", {"trusted": True}, Caller.OPERATOR, (), (), ""),
        (DR, {"trusted": True}, Caller.OPERATOR, (), (), ""),
        ("system", {}, Caller.STAFF, (), (), ""),
    )  # fmt: skip
    for subject, more, caller, actors, organizations, acting_for in rows:
        found = _principal(session, subject, **more)
        assert (found.caller, found.trusted, found.organization) == (caller, "trusted" in more, acting_for), subject
        assert sorted(found.actors) == sorted(_keys(*actors)), (subject, more)
        assert sorted(found.organizations) == sorted(_keys(*organizations)), (subject, more)


def test_an_organisation_that_is_not_stored_is_acted_for_where_the_token_names_it_only(session: Session) -> None:
    key = key_of_reference("PractitionerRole/ghost")
    body = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/ghost"},
            "organization": {"reference": "Organization/ghost"}}  # fmt: skip
    memberships.replace(session, key, compile_memberships(body, key, ""))
    for named in ("", "Organization/ghost"):
        found = _principal(session, "Practitioner/ghost", organization=named)
        assert (found.organization, found.organizations) == (named, _keys("Organization/ghost"))


def test_an_account_at_the_portal_has_all_of_its_user(session: Session) -> None:
    rows = (
        (STAFF, "account:desk", Caller.STAFF, "PATADMIN", TRUST),
        (replace(STAFF, organization=""), "account:desk", Caller.STAFF, "PATADMIN", ""),
        (replace(STAFF, role="privacy-officer"), "account:desk", Caller.STAFF, "HCOMPL", TRUST),
        (replace(STAFF, reference="Patient/ann"), "Patient/ann", Caller.PATIENT, "PATRQT", TRUST),
        (replace(STAFF, reference=DR, may_break_glass=True), DR, Caller.PROFESSIONAL, "TREAT", TRUST),
    )
    for account, subject, caller, purpose, organization in rows:
        found = tokens.for_account(session, account, START, "session", START)
        assert (found.subject, found.caller, found.purpose, found.organization) == (
            subject, caller, purpose, organization,
        )  # fmt: skip
        assert (found.scopes, found.patient, found.client_id, found.trusted) == (scopes.EVERYTHING, "", PORTAL, False)
        assert (found.role, found.name, found.session_id) == (account.role, "Desk", "session")
        assert found.may_break_glass is account.may_break_glass
    doctor = tokens.for_account(session, replace(STAFF, reference=DR), START, "session", START)
    assert set(_keys(DR, TRUST)) <= set(doctor.actors)


def test_those_who_come_without_a_token_are_what_they_are_called(session: Session) -> None:
    operator = tokens.operator(START, "Ada")
    assert (operator.caller, operator.trusted, operator.may_break_glass, operator.name) == (
        Caller.OPERATOR, True, False, "Ada",
    )  # fmt: skip
    feed = tokens.feed(session, TRUST, START, "loader")
    assert (feed.caller, feed.trusted, feed.actors, feed.organizations, feed.organization) == (
        Caller.ORGANIZATION, False, _keys(TRUST), _keys(TRUST), TRUST,
    )  # fmt: skip
    doctor = tokens.professional(session, LOCUM, OTHER, START, "s")
    assert (doctor.caller, doctor.trusted, doctor.may_break_glass, doctor.organization) == (
        Caller.PROFESSIONAL, False, True, OTHER,
    )  # fmt: skip
    late = replace(doctor, actors=(), organizations=(), organization=TRUST)
    assert tokens.renewed(session, late, START) == replace(doctor, organization=TRUST)


def test_a_running_emergency_is_looked_up_unless_none_can_be_running(session: Session) -> None:
    """At the portal it may begin within the request."""
    assert not _principal(session).in_emergency
    assert tokens.professional(session, DR, TRUST, START, "s").in_emergency
    doctor = replace(tokens.professional(session, DR, TRUST, START, "s"), auth_time=START)
    reason = Reason(REASON_SYSTEMS[0], "BTG", "Unconscious in the street", declared=True)
    start(session, doctor, "ann", reason, now=START, lifetime=timedelta(hours=1))
    assert _principal(session).in_emergency
    assert not _principal(session, LOCUM).in_emergency
