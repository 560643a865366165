"""How a message leaves: into a folder (demo, tests), to a mail server, or by GOV.UK Notify."""

from __future__ import annotations

import json
import os
import smtplib
import ssl
from dataclasses import dataclass
from datetime import UTC
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from fhir_server.notify import govuk_notify
from fhir_server.notify.delivery import Delivery, UndeliverableError

__all__ = ["Delivery", "FileTransport", "SmtpTransport", "Transport", "UndeliverableError", "transport"]

_TIMEOUT_S = 20
_PERMANENT = range(500, 600)


class Transport(Protocol):
    """Something that delivers."""

    def send(self, delivery: Delivery) -> None:
        """Deliver, or raise; `UndeliverableError` when another try is pointless."""
        ...


@dataclass(frozen=True, slots=True)
class FileTransport:
    """Write each message as one JSON file `{to, subject?, body, sent_at, kind}`; a repetition replaces the first."""

    folder: Path

    def send(self, delivery: Delivery) -> None:
        """Write the file under a temporary name, then rename it, so that a reader never sees half of it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {"to": delivery.to, "subject": delivery.subject, "body": delivery.body}
        content |= {"sent_at": delivery.sent_at.astimezone(UTC).isoformat(), "kind": delivery.kind}
        if not delivery.subject:
            del content["subject"]
        temporary = self.folder / f".{delivery.id}.part"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.folder / f"{delivery.id}.json")


@dataclass(frozen=True, slots=True)
class SmtpTransport:
    """Hand each message to a mail server.

    Attributes:
        host: Name of the mail server.
        port: 25, 587, …
        sender: Address in `From`.
        user: Name to log in with, "" for none; only ever sent over TLS.
        password: Its password.
        starttls: Insist on TLS with a verified certificate.
    """

    host: str
    port: int
    sender: str
    user: str = ""
    password: str = ""
    starttls: bool = False

    def send(self, delivery: Delivery) -> None:
        """Send one e-mail.

        Raises:
            UndeliverableError: The server refused receiver or content for good (5xx), or the address is malformed.
        """
        message = self._message(delivery)
        try:
            with smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S) as server:
                if self.starttls:
                    server.starttls(context=ssl.create_default_context())
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            if all(code in _PERMANENT for code in codes):
                raise UndeliverableError("recipient refused") from error
            raise
        except smtplib.SMTPDataError as error:
            if error.smtp_code in _PERMANENT:
                raise UndeliverableError("content refused") from error
            raise

    def _message(self, delivery: Delivery) -> EmailMessage:
        message = EmailMessage()
        try:
            message["From"] = Address(addr_spec=self.sender)
            message["To"] = Address(addr_spec=delivery.to)
            message["Subject"] = delivery.subject
        except (ValueError, IndexError) as error:
            raise UndeliverableError("malformed address or subject") from error
        message["Date"] = format_datetime(delivery.sent_at)
        message["Message-ID"] = f"<{delivery.id}@{self.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(delivery.body)
        return message


def transport(url: str, *, sender_host: str = "localhost") -> Transport:
    """Return the transport of a URL.

    Args:
        url: `file://folder` (relative or absolute), `smtp://[user:password@]host[:port][?from=address][&starttls=1]` or
            `govuk-notify://host?key=…&template=…`.
        sender_host: Host of the default sender `no-reply@…`.

    Raises:
        ValueError: For another scheme, or where a password would travel in clear.
    """
    if url.startswith("file://"):
        return FileTransport(Path(url.removeprefix("file://")))
    if url.startswith(govuk_notify.SCHEMES):
        return govuk_notify.transport(url)
    parts = urlsplit(url)
    if parts.scheme != "smtp" or not parts.hostname:
        raise ValueError("a transport starts with file://, smtp://host or govuk-notify://host")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    found = SmtpTransport(
        host=parts.hostname,
        port=parts.port or 25,
        sender=options.get("from", f"no-reply@{sender_host}"),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        starttls=options.get("starttls") == "1",
    )
    if found.user and not found.starttls:
        raise ValueError("smtp:// with a user needs starttls=1")
    return found
