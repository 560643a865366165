import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter

import pytest

from fhir_server.identity.accounts import create_account
from fhir_server.language import catalogue
from fhir_server.notify.outbox import deliver_due, queue
from fhir_server.notify.rendering import Letterhead, parts, render
from fhir_server.notify.templates import Notice
from fhir_server.notify.transports import Delivery, FileTransport, UndeliverableError
from fhir_server.store import accounts, messages
from fhir_server.store.database import Store

LETTERHEAD = Letterhead("Care Information Exchange", "https://cie.example.org")
START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@dataclass
class Flaky:
    """A transport that fails as told, then keeps what it sends."""

    failures: list[Exception] = field(default_factory=list)
    sent: list[Delivery] = field(default_factory=list)

    def send(self, delivery: Delivery) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(delivery)


class CauseFailedError(Exception):
    """What undoes the transaction of a message's cause."""


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    made = Store(database_url)
    yield made
    made.close()


def _queue(store: Store, to: str = "a@example.org", notice: Notice = Notice.NEWS, **details: str) -> None:
    with store.write() as session:
        queue(session, notice, to, START, **details)


def _deliver(store: Store, transport: Flaky, after: timedelta = timedelta()) -> int:
    return deliver_due(store, {"email": transport, "text": transport}, LETTERHEAD, lambda: START + after)


def _waiting_count(store: Store) -> int:
    with store.read() as session:
        return messages.waiting_count(session)


def test_message_of_a_cause_that_was_undone_is_never_sent(store: Store) -> None:
    with suppress(CauseFailedError), store.write() as session:
        queue(session, Notice.NEWS, "a@example.org", START)
        raise CauseFailedError
    assert _deliver(store, Flaky()) == 0


def test_message_is_delivered_once(store: Store) -> None:
    _queue(store)
    transport = Flaky()
    assert [_deliver(store, transport) for _ in range(2)] == [1, 0]
    [sent] = transport.sent
    assert (sent.to, sent.subject) == ("a@example.org", "A message from Care Information Exchange")
    assert "https://cie.example.org/" in sent.body


def test_failed_try_waits_twice_as_long_each_time(store: Store) -> None:
    _queue(store)
    transport = Flaky([OSError("down"), OSError("down"), OSError("down")])
    seconds = [0, 1.9, 2, 5.9, 6, 13.9, 14]
    assert [_deliver(store, transport, timedelta(seconds=s)) for s in seconds] == [0, 0, 0, 0, 0, 0, 1]
    assert transport.failures == []


def test_one_undeliverable_message_does_not_hold_up_the_others(store: Store) -> None:
    _queue(store, "gone@example.org")
    _queue(store, "here@example.org")
    transport = Flaky([UndeliverableError("gone")])
    assert _deliver(store, transport) == 1
    assert _waiting_count(store) == 0


def test_worker_that_died_while_sending_loses_nothing(store: Store) -> None:
    _queue(store)
    with store.write() as session:
        assert len(messages.lease(session, START, timedelta(minutes=2))) == 1
    transport = Flaky()
    assert _deliver(store, transport, timedelta(seconds=119)) == 0
    assert _deliver(store, transport, timedelta(seconds=121)) == 1


def test_workers_side_by_side_send_each_message_once(store: Store) -> None:
    for number in range(40):
        _queue(store, f"p{number}@example.org")
    transports = [Flaky() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            list(pool.map(lambda transport: _deliver(store, transport), transports))
    receivers = [sent.to for transport in transports for sent in transport.sent]
    assert sorted(receivers) == sorted({f"p{number}@example.org" for number in range(40)})


def test_delivered_and_abandoned_messages_keep_no_secret(store: Store) -> None:
    _queue(store, notice=Notice.CONFIRM_EMAIL, token="very-secret-token")
    _queue(store, notice=Notice.CONFIRM_EMAIL, token="very-secret-token")
    _deliver(store, Flaky([UndeliverableError("gone")]))
    with store.read() as session:
        rows = session.connection.exec_driver_sql("SELECT * FROM message").all()
    assert len(rows) == 2
    assert "very-secret-token" not in str(rows)


def test_message_without_its_details_is_refused_at_once(store: Store) -> None:
    with pytest.raises(LookupError):
        _queue(store, notice=Notice.INVITATION, token="t")
    assert _waiting_count(store) == 0


def test_details_are_put_in_as_they_are_but_for_control_characters(store: Store, tmp_path: Path) -> None:
    _queue(store, notice=Notice.INVITATION, given="{brand}\r\nBcc: x", token="t")
    transport = FileTransport(tmp_path / "outbox")
    deliver_due(store, {"email": transport}, LETTERHEAD, lambda: START)
    [path] = (tmp_path / "outbox").iterdir()
    assert "Hello {brand}Bcc: x\n" in json.loads(path.read_text())["body"]


def test_every_message_is_written_in_the_language_its_receiver_chose_with_the_same_details(store: Store) -> None:
    for notice in Notice:
        for text in (notice.value[2], *parts(notice.value[3])):
            welsh = catalogue("cy").gettext(text) if text else ""
            assert not text or welsh != text, f"{notice} has no Welsh text for {text!r}"
            names = [{name for _, name, _, _ in Formatter().parse(said) if name} for said in (text, welsh)]
            assert names[0] == names[1], notice
    with store.write() as session:
        account = create_account(
            session, role="admin", email="nia@example.org", name="Nia", password="quiet canal boat", now=START
        )
        accounts.set_language(session, account.id, "cy")
        queue(session, Notice.SECURITY_CHANGED, account.email, START, what="A passkey was added to your account.")
        details = {"given": "Nia", "token": "t", "last_day": "2026-12-03"}
        queue(session, Notice.INVITATION_REMINDER, "else@example.org", START, language="cy", **details)
        queue(session, Notice.NEWS, "unknown@example.org", START)
    transport = Flaky()
    deliver_due(store, {"email": transport}, LETTERHEAD, lambda: START)
    subjects = {each.to: each.subject for each in transport.sent}
    assert subjects == {
        "nia@example.org": "Newid i'ch cyfrif",
        "else@example.org": "Mae eich gwahoddiad i Care Information Exchange yn dod i ben ar 3 Rhagfyr 2026",
        "unknown@example.org": "A message from Care Information Exchange",
    }
    body = next(each.body for each in transport.sent if each.to == "nia@example.org")
    assert body.startswith("Ychwanegwyd allwedd mynediad")


def test_no_subject_names_a_person_or_hints_at_health() -> None:
    hints = ("béatrice", "hospital", "result", "letter", "record", "emergency", "nhs", "health", "doctor")
    for notice in Notice:
        _, channel, subject, body = notice.value
        names = {name for _, name, _, _ in Formatter().parse(subject + body) if name}
        rendered = render(notice.kind, dict.fromkeys(names, "Béatrice") | {"last_day": "2026-12-03"}, LETTERHEAD)
        assert bool(rendered.subject) is (channel == "email"), notice
        assert not [hint for hint in hints if hint in rendered.subject.lower()], notice
