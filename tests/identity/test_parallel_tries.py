"""Limits and locks hold when tries arrive side by side, as from several workers."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from fhir_server.identity import invitations, passwords, registration
from fhir_server.identity.accounts import create_account
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.limits import SIGN_IN_HERE
from fhir_server.identity.registration import Result
from fhir_server.identity.sign_in import Result as SignInResult
from fhir_server.identity.sign_in import prove_password
from fhir_server.store import accounts, messages
from fhir_server.store.database import Store

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PERSON = invitations.Person("Ann", "Example", "1984-03-15", "", "ann@example.org", "07700 900123", "Patient/1")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    made.create_all()
    yield made
    made.close()


def _invited(store: Store) -> tuple[str, str]:
    """Return link token and code of a new invitation, read from the outbox."""
    with store.write() as session:
        coordinator = create_account(
            session, role="coordinator", email="c@example.org", name="Cora", password="walrus kettle orbit", now=NOW
        )
        invitations.invite(session, coordinator, PERSON, NOW)
    with store.write() as session:
        queued = {item.kind: item.details for item in messages.lease(session, NOW, invitations.VALID_FOR)}
    return queued["invitation"]["token"], queued["invitation-code"]["code"]


def test_guesses_side_by_side_are_counted_one_by_one(store: Store) -> None:
    token, code = _invited(store)

    def guess(_number: int) -> Result:
        return registration.prove(store, token, "AAAAAAAA", PERSON.birth_date, address="", now=NOW).result

    with ThreadPoolExecutor(6) as pool:
        results = Counter(pool.map(guess, range(12)))
    assert results == {Result.WRONG: 4, Result.LOCKED: 8}
    right = registration.prove(store, token, code, PERSON.birth_date, address="", now=NOW)
    assert right.result is Result.LOCKED
    with store.write() as session:
        told = [item.kind for item in messages.lease(session, NOW, invitations.VALID_FOR)]
    assert told == ["invitation-locked"]


def test_finishing_twice_at_once_makes_one_account(store: Store) -> None:
    token, code = _invited(store)
    proof = registration.prove(store, token, code, PERSON.birth_date, address="", now=NOW).token
    with store.read() as session:
        invitation = registration.proved(session, token, proof, NOW)
    assert invitation
    assert registration.choose_password(store, invitation, "walrus kettle orbit") == ""
    registration.choose_memorable(store, invitation, "Which pet?", "Zoë")
    with ThreadPoolExecutor(4) as pool:
        results = Counter(pool.map(lambda _: registration.finish(store, token, proof, Acceptance(), NOW), range(4)))
    assert results == {Result.FINISHED: 1, Result.UNUSABLE: 3}
    with store.read() as session:
        [account] = accounts.by_reference(session, "Patient/1")
        assert passwords.matches(accounts.secrets_of(session, account.id).password_hash, "walrus kettle orbit")


def test_sign_in_limit_holds_across_threads(store: Store) -> None:
    def guess(number: int) -> SignInResult:
        return prove_password(store, "nobody@example.org", f"guess {number}", address="192.0.2.1", now=NOW).result

    with ThreadPoolExecutor(6) as pool:
        results = Counter(pool.map(guess, range(15)))
    assert results[SignInResult.REFUSED] == SIGN_IN_HERE.count
    assert results[SignInResult.THROTTLED] == 15 - SIGN_IN_HERE.count


def test_successful_sign_ins_use_up_no_tries(store: Store) -> None:
    with store.write() as session:
        create_account(
            session, role="admin", email="a@example.org", name="Ada", password="walrus kettle orbit", now=NOW
        )
    results = {
        prove_password(store, "a@example.org", "walrus kettle orbit", address="192.0.2.1", now=NOW).result
        for _ in range(SIGN_IN_HERE.count + 3)
    }
    assert results == {SignInResult.PROVED}
