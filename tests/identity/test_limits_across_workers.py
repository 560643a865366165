"""Limits hold when several worker processes share one database."""

import itertools
import multiprocessing
from collections import Counter
from datetime import UTC, datetime

from fhir_server.identity import second_proof
from fhir_server.identity.accounts import create_account
from fhir_server.identity.limits import SIGN_IN_HERE
from fhir_server.identity.second_proof import Purpose, Way
from fhir_server.identity.sign_in import prove_password
from fhir_server.identity.vault import Vault
from fhir_server.store.database import Store

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
KEY = "a secret key of at least 32 characters"


def _guess_passwords(url: str, count: int) -> list[str]:
    store = Store(url)
    try:
        found = [
            prove_password(store, "ada@example.org", f"guess {i}", address="192.0.2.1", now=NOW) for i in range(count)
        ]
        return [each.result.value for each in found]
    finally:
        store.close()


def _guess_codes(url: str, token: str, count: int) -> list[str]:
    store = Store(url)
    try:
        return [_guess_code(store, token, f"AAAA-AAAA-AAA{i}") for i in range(count)]
    finally:
        store.close()


def _guess_code(store: Store, token: str, typed: str) -> str:
    vault = Vault(KEY)
    with store.write() as session:
        found = second_proof.answer(session, vault, token, Purpose.SIGN_IN, way=Way.RECOVERY, typed=typed, now=NOW)
    return found.result.value


def _account(url: str) -> tuple[Store, str]:
    store = Store(url)
    with store.write() as session:
        made = create_account(
            session, role="admin", email="ada@example.org", name="Ada", password="walrus kettle orbit", now=NOW
        )
    return store, made.id


def test_two_workers_together_have_as_many_guesses_at_a_password_as_one(database_url: str) -> None:
    store, _ = _account(database_url)
    store.close()
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        results = workers.starmap(_guess_passwords, [(database_url, SIGN_IN_HERE.count)] * 2)
    counted = Counter(itertools.chain.from_iterable(results))
    assert counted == {"refused": SIGN_IN_HERE.count, "throttled": SIGN_IN_HERE.count}


def test_two_workers_together_have_as_many_guesses_at_a_code_as_one(database_url: str) -> None:
    store, account_id = _account(database_url)
    with store.write() as session:
        token = second_proof.begin(session, account_id, Purpose.SIGN_IN, NOW)
    store.close()
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        results = workers.starmap(_guess_codes, [(database_url, token, second_proof.TRIES)] * 2)
    counted = Counter(itertools.chain.from_iterable(results))
    assert counted == {"wrong": second_proof.TRIES - 1, "over": second_proof.TRIES + 1}
