import asyncio
import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from fhir_server.notify.transports import Delivery, FileTransport, SmtpTransport, UndeliverableError, transport

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EMAIL = Delivery("m-1", "bea@example.org", "Your invitation", "Grüße\n\nhttp://localhost/x\n", "invitation", AT)
TEXT = Delivery("m-2", "+447700900123", "", "Your code is 7KQM-2X0P.", "invitation-code", AT)


class Mailbox:
    """A mail server's handler that keeps what it gets and refuses one receiver for good, another for now."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        await asyncio.sleep(0)
        if address.startswith("gone"):
            return "550 no such mailbox"
        if address.startswith("busy"):
            return "451 try later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(0)
        assert isinstance(envelope.content, bytes)
        self.got.append(message_from_bytes(envelope.content, EmailMessage, policy=policy.default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    handler = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(handler, hostname="127.0.0.1", port=port)
    controller.start()
    yield handler, f"smtp://127.0.0.1:{port}?from=no-reply@cie.example.org"
    controller.stop()


def test_file_holds_one_message_with_the_promised_names(tmp_path: Path) -> None:
    FileTransport(tmp_path / "outbox").send(EMAIL)
    [path] = (tmp_path / "outbox").iterdir()
    assert path.suffix == ".json"
    assert json.loads(path.read_text()) == {
        "to": "bea@example.org",
        "subject": "Your invitation",
        "body": EMAIL.body,
        "sent_at": "2026-11-22T09:30:00+00:00",
        "kind": "invitation",
    }


def test_file_of_a_text_message_has_no_subject(tmp_path: Path) -> None:
    FileTransport(tmp_path).send(TEXT)
    [path] = tmp_path.iterdir()
    assert "subject" not in json.loads(path.read_text())


def test_sending_a_message_twice_leaves_one_file(tmp_path: Path) -> None:
    FileTransport(tmp_path).send(EMAIL)
    FileTransport(tmp_path).send(EMAIL)
    assert len(list(tmp_path.iterdir())) == 1


def test_file_url_may_be_relative_or_absolute(tmp_path: Path) -> None:
    assert transport("file://var/outbox") == FileTransport(Path("var/outbox"))
    assert transport(f"file://{tmp_path}") == FileTransport(tmp_path)


def test_mail_server_gets_the_message_as_written(mailbox: tuple[Mailbox, str]) -> None:
    handler, url = mailbox
    transport(url).send(EMAIL)
    [got] = handler.got
    assert (got["From"], got["To"], got["Subject"]) == ("no-reply@cie.example.org", EMAIL.to, EMAIL.subject)
    assert got["Message-ID"] == "<m-1@cie.example.org>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got.get_content().replace("\r\n", "\n") == EMAIL.body


def test_receiver_refused_for_good_is_undeliverable(mailbox: tuple[Mailbox, str]) -> None:
    with pytest.raises(UndeliverableError):
        transport(mailbox[1]).send(Delivery("m", "gone@example.org", "s", "b", "news", AT))


def test_receiver_refused_for_now_may_be_tried_again(mailbox: tuple[Mailbox, str]) -> None:
    with pytest.raises(Exception, match="451") as caught:
        transport(mailbox[1]).send(Delivery("m", "busy@example.org", "s", "b", "news", AT))
    assert not isinstance(caught.value, UndeliverableError)


@pytest.mark.parametrize("to", ["a@example.org\r\nBcc: b@example.org", "a@example.org, b@example.org", "", "nobody"])
def test_address_that_is_no_single_address_is_never_sent(mailbox: tuple[Mailbox, str], to: str) -> None:
    handler, url = mailbox
    with pytest.raises(UndeliverableError):
        transport(url).send(Delivery("m", to, "s", "b", "news", AT))
    assert handler.got == []


def test_subject_cannot_add_a_header(mailbox: tuple[Mailbox, str]) -> None:
    with pytest.raises(UndeliverableError):
        transport(mailbox[1]).send(Delivery("m", "a@example.org", "s\r\nBcc: b@example.org", "b", "news", AT))


def test_mail_password_is_never_sent_in_clear() -> None:
    with pytest.raises(ValueError, match="starttls"):
        transport("smtp://user:secret@mail.example.org:587")
    secure = transport("smtp://user:s%40cret@mail.example.org:587?starttls=1")
    assert isinstance(secure, SmtpTransport)
    assert (secure.user, secure.password, secure.starttls) == ("user", "s@cret", True)


def test_other_schemes_are_refused() -> None:
    with pytest.raises(ValueError, match="file://"):
        transport("ftp://example.org")
