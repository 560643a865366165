"""One bounded question to a provider: https, no redirects, little time, little data.

Plain http is for this machine only (a stand-in for demo and tests). A proxy of the environment is honoured.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from fhir_server.identity.openid import OpenIdError, Problem

TIMEOUT_S = 5.0
"""Of a whole answer, however slowly it drips, after the connection stands; and of making the connection."""
MAX_BYTES = 131_072
_OK = 200
_JSON = {"application/json", "application/jwk-set+json", "application/fhir+json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: HTTP status, bytes, media type without parameters."""

    status: int
    content: bytes
    media_type: str

    def json(self) -> dict[str, Any]:
        """Return the JSON object of the answer.

        Raises:
            OpenIdError: UNAVAILABLE when it is none.
        """
        if self.media_type not in _JSON:
            raise _failure("answered something that is not JSON")
        try:
            found = orjson.loads(self.content)
        except orjson.JSONDecodeError as error:
            raise _failure("answered JSON that cannot be read") from error
        if not isinstance(found, dict):
            raise _failure("answered JSON that is not an object")
        return found


def is_safe(url: object) -> bool:
    """Return whether a provider may be asked at this address: https, or http on this machine; no user, no fragment."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    host = parts.hostname or ""
    if not host or parts.username is not None or parts.password is not None or "#" in url:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def ask(url: str, *, form: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send a GET, or a POST where there is a form, and return the answer, whatever its status below 300 or above 399.

    Raises:
        OpenIdError: UNAVAILABLE when no answer comes in time, it is too large, or it leads elsewhere.
    """
    if not is_safe(url):
        raise _failure("names an address that is not https")
    sent = {"Accept": "application/json", "User-Agent": "fhir-server", "Connection": "close", **(headers or {})}
    parts = urlsplit(url)
    is_late = threading.Event()
    connection = _connection(parts)
    try:
        connection.connect()
        timer = threading.Timer(TIMEOUT_S, _cut, (connection.sock, is_late))
        timer.start()
        try:
            connection.request("POST" if form is not None else "GET", _target(parts), form, sent)
            response = connection.getresponse()
            content = response.read(MAX_BYTES + 1)
        finally:
            timer.cancel()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failure("does not answer in time" if is_late.is_set() else "cannot be reached") from error
    finally:
        connection.close()
    if is_late.is_set():
        raise _failure("does not answer in time")
    if len(content) > MAX_BYTES:
        raise _failure("answers too much")
    if 300 <= response.status < 400:  # noqa: PLR2004 - HTTP's own
        raise _failure("answers with a redirect")
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return Answer(response.status, content, media_type)


def document(url: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object at an address.

    Raises:
        OpenIdError: UNAVAILABLE as `ask`, or for another status than 200.
    """
    answer = ask(url, headers=headers)
    if answer.status != _OK:
        raise _failure("answers with an error")
    return answer.json()


def _connection(parts: SplitResult) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    context = ssl.create_default_context()
    proxy = urlsplit(getproxies().get("https", ""))
    if not proxy.hostname or is_loopback(host) or proxy_bypass(host):
        return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    through = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=TIMEOUT_S, context=context)
    through.set_tunnel(host, port)
    return through


def _target(parts: SplitResult) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _cut(connected: socket.socket, is_late: threading.Event) -> None:
    """End an answer that takes too long; whoever waits for it wakes up."""
    is_late.set()
    try:
        connected.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _failure(what: str) -> OpenIdError:
    return OpenIdError(Problem.UNAVAILABLE, f"The provider {what}")
