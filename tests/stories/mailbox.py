"""A real mail server for a story, that keeps what it gets."""

import email
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.policy import default

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

_WAIT_S = 20


class Mailbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str, str]] = []

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        message = email.message_from_bytes(envelope.original_content or b"", policy=default)
        self.messages.append((envelope.rcpt_tos[0], str(message["Subject"]), str(message.get_content())))
        return "250 OK"

    def link(self, to: str, pattern: str) -> str:
        """Return what matches a pattern in an e-mail to somebody; waits until the server has sent it."""
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            for recipient, _, body in self.messages:
                found = re.search(pattern, body)
                if recipient == to and found:
                    return found[0]
            time.sleep(0.1)
        raise AssertionError(f"no e-mail to {to} has {pattern}")


@contextmanager
def running_mailbox() -> Iterator[tuple[Mailbox, str]]:
    """Serve a mailbox on a free port of this machine; yield it and its URL for the server's settings."""
    mailbox = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, f"smtp://127.0.0.1:{port}"
    controller.stop()
