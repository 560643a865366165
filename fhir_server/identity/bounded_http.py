"""One exchange over HTTP that ends: little time for the whole of it, little data, no redirect followed."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, bytes, media type without parameters."""

    status: int
    content: bytes
    media_type: str


class NoAnswer(Exception):  # noqa: N818 - a state of the other side; the text goes on from its name
    """There is none that can be used; the text says what the other side did."""


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def exchange(
    connection: http.client.HTTPConnection,
    parts: SplitResult,
    headers: Mapping[str, str],
    *,
    form: str | None = None,
    within_s: float,
    most_bytes: int,
) -> Answer:
    """Send a GET, or a POST where there is a form; the connection is closed afterwards.

    Args:
        connection: To whom; it is made where it does not stand yet.
        parts: The address, of which path and query are asked for.
        headers: Everything but what http.client adds.
        form: Encoded form.
        within_s: Time for request and answer once the connection stands, however slowly they drip.
        most_bytes: Longest content.

    Raises:
        NoAnswer: When no answer comes in time, or it is longer.
    """
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_late = threading.Event()
    try:
        if connection.sock is None:
            connection.connect()
        timer = threading.Timer(within_s, _cut, (connection.sock, is_late))
        timer.start()
        try:
            connection.request("POST" if form is not None else "GET", target, form, dict(headers))
            response = connection.getresponse()
            content = response.read(most_bytes + 1)
        finally:
            timer.cancel()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer("does not answer in time" if is_late.is_set() else "cannot be reached") from error
    finally:
        connection.close()
    if is_late.is_set():
        raise NoAnswer("does not answer in time")
    if len(content) > most_bytes:
        raise NoAnswer("answers too much")
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Answer(response.status, content, media_type)


def _cut(connected: socket.socket, is_late: threading.Event) -> None:
    """End an answer that takes too long; whoever waits for it wakes up."""
    is_late.set()
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
