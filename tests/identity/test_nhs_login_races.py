"""What happens at once with NHS login happens once: one state, one account, one link."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from fhir_server.identity import codes, nhs_login
from fhir_server.identity.accounts import create_account
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.nhs_login import Result
from fhir_server.spec.outcome import FhirError
from fhir_server.store import accounts, logins
from fhir_server.store.accounts import Account
from fhir_server.store.database import Store
from fhir_server.store.logins import LoginAttempt, PendingLink
from tests.databases import Databases
from tests.server import create_schema

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ISSUER = "https://auth.example.org"


@pytest.fixture
def store(databases: Databases) -> Store:
    return Store(databases.prepared("schema", create_schema))


def _waiting(store: Store, subject: str, email: str = "bea@example.org") -> str:
    token = codes.new_token()
    new = PendingLink(ISSUER, subject, "Patient/bea", "Bea", email, "", "/", NOW + nhs_login.PENDING_FOR)
    with store.write() as session:
        logins.keep_pending(session, codes.token_hash(token), new)
    return token


def _register(store: Store, token: str) -> Result:
    try:
        with store.write() as session:
            return nhs_login.register(session, token, Acceptance(), NOW).result
    except FhirError:
        return Result.GONE


@pytest.mark.parametrize("subjects", [["one"] * 4, ["one", "two", "three", "four"]])
def test_one_record_gets_one_account_however_many_browsers_accept_at_once(store: Store, subjects: list[str]) -> None:
    tokens = [_waiting(store, subject, f"{number}@example.org") for number, subject in enumerate(subjects)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda token: _register(store, token), tokens))
    assert results.count(Result.SIGNED_IN) == 1
    assert results.count(Result.GONE) == 3
    with store.read() as session:
        assert len(accounts.by_reference(session, "Patient/bea")) == 1
    store.close()


def test_one_step_is_taken_once_however_often_its_form_is_sent(store: Store) -> None:
    token = _waiting(store, "one")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: _register(store, token), range(4)))
    assert sorted(result.value for result in results) == ["gone", "gone", "gone", "signed-in"]
    store.close()


def test_one_state_is_taken_once_however_often_the_browser_comes_back(store: Store) -> None:
    with store.write() as session:
        logins.start(session, "state", LoginAttempt("browser", "nhs-login", "", False, "/", NOW))

    def take(_: int) -> bool:
        with store.write() as session:
            return logins.take(session, "state", "browser", NOW) is not None

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(take, range(4))) == [False, False, False, True]
    store.close()


def test_an_account_takes_one_nhs_login_and_an_nhs_login_one_account(store: Store) -> None:
    with store.write() as session:
        owner = create_account(
            session,
            role="patient",
            email="bea@example.org",
            name="Bea",
            password="walrus kettle orbit 41",
            now=NOW,
            reference="Patient/bea",
        )
    tokens = [_waiting(store, subject) for subject in ("one", "two", "three", "four")]

    def link(token: str) -> Result:
        with store.write() as session:
            return nhs_login.link(session, token, owner, NOW).result

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(link, tokens))
    assert results.count(Result.LINKED) == 1
    assert results.count(Result.CONFLICT) == 3
    _unlinks_once(store, owner)
    store.close()


def _unlinks_once(store: Store, owner: Account) -> None:
    with store.write() as session:
        assert nhs_login.unlink(session, ISSUER, owner, NOW)
    with store.write() as session:
        assert not nhs_login.unlink(session, ISSUER, owner, NOW)


def test_old_attempts_and_steps_are_forgotten(store: Store) -> None:
    _waiting(store, "one")
    with store.write() as session:
        logins.start(session, "state", LoginAttempt("browser", "nhs-login", "", False, "/", NOW))
        assert logins.forget_before(session, NOW) == 0
        assert logins.forget_before(session, datetime(2026, 11, 24, 9, 0, tzinfo=UTC)) == 2
    store.close()
