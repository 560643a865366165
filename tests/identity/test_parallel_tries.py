"""Limits and locks hold when tries arrive side by side, as from several workers."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from fhir_server.identity import carers, codes, invitations, parents, passwords, registration
from fhir_server.identity.accounts import CONFIRM, confirm_email, create_account
from fhir_server.identity.agreements import Acceptance
from fhir_server.identity.limits import SIGN_IN_HERE
from fhir_server.identity.registration import Proof, Result
from fhir_server.identity.sign_in import Result as SignInResult
from fhir_server.identity.sign_in import prove_password
from fhir_server.store import accounts, messages
from fhir_server.store import carers as rows_of_carers
from fhir_server.store import invitations as rows
from fhir_server.store.accounts import Account, Secrets
from fhir_server.store.database import Session, Store

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
PERSON = invitations.Person("Ann", "Example", "1984-03-15", "", "ann@example.org", "07700 900123", "Patient/1")


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
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


def _prove(store: Store, token: str, code: str) -> Proof:
    with store.write() as session:
        return registration.prove(session, token, code, PERSON.birth_date, address="", now=NOW)


def test_guesses_side_by_side_are_counted_one_by_one(store: Store) -> None:
    token, code = _invited(store)

    def guess(_number: int) -> Result:
        return _prove(store, token, "AAAAAAAA").result

    with ThreadPoolExecutor(6) as pool:
        results = Counter(pool.map(guess, range(12)))
    assert results == {Result.WRONG: 4, Result.LOCKED: 8}
    right = _prove(store, token, code)
    assert right.result is Result.LOCKED
    with store.write() as session:
        told = [item.kind for item in messages.lease(session, NOW, invitations.VALID_FOR)]
    assert told == ["invitation-locked"]


def _ready(store: Store) -> tuple[str, str]:
    """Return link token and browser's proof of somebody who has done every step but the last."""
    token, code = _invited(store)
    proof = _prove(store, token, code).token
    with store.read() as session:
        invitation = registration.proved(session, token, proof, NOW)
    assert invitation
    assert registration.choose_password(store, invitation, "walrus kettle orbit") == ""
    registration.choose_memorable(store, invitation, "Which pet?", "Zoë")
    return token, proof


def _finish(store: Store, token: str, proof: str, noted: list[bool]) -> Result:
    def note(_session: Session, account: Account | None) -> None:
        noted.append(account is not None)

    return registration.finish(store, token, proof, Acceptance(), NOW, note)


def test_finishing_twice_at_once_makes_one_account_and_two_confirmations_one_active_account(store: Store) -> None:
    token, proof = _ready(store)
    noted: list[bool] = []
    with ThreadPoolExecutor(4) as pool:
        results = Counter(pool.map(lambda _: _finish(store, token, proof, noted), range(4)))
    assert results == {Result.FINISHED: 1, Result.UNUSABLE: 3}
    assert noted == [True]
    with store.read() as session:
        [account] = accounts.by_reference(session, "Patient/1")
        assert passwords.matches(accounts.secrets_of(session, account.id).password_hash, "walrus kettle orbit")

    # A second one, as the join of two records of one person can leave: whoever confirms first has the record.
    links = ["first-link", "second-link"]
    with store.write() as session:
        other = replace(account, id="other", email="other@example.org")
        accounts.add(session, other, Secrets("", ""))
        for link, each in zip(links, (account, other), strict=True):
            accounts.add_link(session, codes.token_hash(link), account_id=each.id, purpose=CONFIRM, now=NOW,
                              expires_at=NOW + timedelta(days=1))  # fmt: skip
    active: list[str] = []

    def confirm(link: str) -> bool:
        return confirm_email(store, link, NOW, lambda _session, each: active.append(each.id))

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(confirm, links))
    assert sorted(done) == [False, True]
    with store.read() as session:
        assert [each.id for each in accounts.by_reference(session, "Patient/1") if each.active] == active


def test_a_confirmation_that_a_mail_program_opens_at_the_same_time_works_for_its_person_too(store: Store) -> None:
    token, proof = _ready(store)
    assert _finish(store, token, proof, []) is Result.FINISHED
    with store.write() as session:
        sent = {item.kind: item.details for item in messages.lease(session, NOW, invitations.VALID_FOR)}
    noted: list[str] = []

    def confirm(_number: int) -> bool:
        return confirm_email(store, sent["confirm-email"]["token"], NOW, lambda _session, each: noted.append(each.id))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(confirm, range(6))) == [True] * 6
    assert len(noted) == 1


def test_what_is_cancelled_opens_no_account_and_what_opened_one_is_not_cancelled(store: Store) -> None:
    """Whichever of the two comes first at the database, its answer stays true."""
    token, proof = _ready(store)
    with store.read() as session:
        invitation = registration.usable(session, token, NOW)
    assert invitation

    def cancel() -> None:
        with store.write() as session:
            invitations.cancel(session, invitation, NOW)

    noted: list[bool] = []
    with ThreadPoolExecutor(2) as pool:
        finishing, cancelling = pool.submit(_finish, store, token, proof, noted), pool.submit(cancel)
        result, _ = finishing.result(), cancelling.result()
    with store.read() as session:
        found = invitations.found(session, "*", invitation.id)
        is_open = bool(accounts.by_reference(session, "Patient/1"))
    expected = (False, True) if result is Result.FINISHED else (True, False)
    assert (found.cancelled_at is not None, is_open) == expected
    # Held still between the look and the deed: the coordinator was told that the link is dead.
    with store.write() as session:
        assert not rows.complete(session, invitation.id, "late", NOW)


def test_a_carer_who_answers_twice_at_once_gets_one_account(store: Store) -> None:
    with store.write() as session:
        patient = create_account(
            session, role="patient", email="p@example.org", name="Ann", password="walrus kettle orbit", now=NOW,
            reference="Patient/1",
        )  # fmt: skip
        about = carers.About("Patient/1", "RelatedPerson/1", "c")
        carers.invite(session, patient, carers.Carer("Joan Hart", "joan@example.org", "+447700900456"), about, NOW)
    with store.write() as session:
        sent = {item.kind: item.details for item in messages.lease(session, NOW, invitations.VALID_FOR)}
    arrival = carers.Arrival(sent["carer-invitation"]["token"], sent["carer-code"]["code"], "", "", NOW)

    def answer(_number: int) -> carers.Result:
        return carers.register(store, arrival, "walrus kettle orbit", Acceptance(), lambda _, __: None).result

    with ThreadPoolExecutor(4) as pool:
        results = Counter(pool.map(answer, range(4)))
    assert results == {carers.Result.JOINED: 1, carers.Result.UNUSABLE: 3}
    with store.read() as session:
        [account] = accounts.by_reference(session, "RelatedPerson/1")
        assert account.email == "joan@example.org"


def test_who_takes_up_what_is_ended_at_the_same_time_stands_for_nobody(store: Store) -> None:
    """The end waits for a take-up that is under way, and finds whom it let in."""
    with store.write() as session:
        coordinator = create_account(
            session, role="coordinator", email="c@example.org", name="Cora", password="walrus kettle orbit", now=NOW
        )
        about = carers.About("Patient/1", "RelatedPerson/1", "c", "2019-05-01")
        parent = carers.Carer("Joan Hart", "joan@example.org", "+447700900456")
        invitation = carers.invite(session, coordinator, parent, about, NOW)
    with store.write() as session:
        sent = {item.kind: item.details for item in messages.lease(session, NOW, invitations.VALID_FOR)}
    token, code = sent["parent-invitation"]["token"], sent["carer-code"]["code"]
    arrival = carers.Arrival(token, code, "2019-05-01", "", NOW)
    taken, ended = Event(), Event()

    def hold(_session: Session, _joined: carers.Joined) -> None:
        taken.set()
        ended.wait(0.5)  # it does not come: whoever ends waits for this transaction

    def end() -> bool:
        taken.wait()
        with store.write() as session:
            is_ended = parents.end(session, invitation, NOW)
        ended.set()
        return is_ended

    with ThreadPoolExecutor(2) as pool:
        ending = pool.submit(end)
        joined = carers.register(store, arrival, "walrus kettle orbit", Acceptance(), hold)
        assert ending.result()
    assert joined.account is not None
    with store.write() as session:
        assert [each.reference for each in carers.identities(session, joined.account.id)] == ["RelatedPerson/1"]
        assert rows_of_carers.links(session, joined.account.id) == ()
        assert not parents.end(session, invitation, NOW), "ended once"


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
