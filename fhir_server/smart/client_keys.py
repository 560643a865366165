"""Public keys of clients: given at registration, or fetched from the registered `jwks_uri`.

INVARIANT: only a registered address is ever asked: never one from a JWT header (`jku`, `x5u`), never a redirect's.
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from ipaddress import ip_address
from typing import IO, Any
from urllib.parse import urlsplit

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from fhir_server.store.oauth_clients import Client

_TIMEOUT_S = 3
_MAX_BYTES = 65_536
_KEPT_S = 300
_RETRY_S = 10
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
_MIN_RSA_CHARS = 342  # base64url of 2048 bits
_UNREADABLE = "The JWK Set cannot be read: an object with a list of usable public keys is expected"
_NO_USABLE_KEY = "The JWK Set holds no EC key and no RSA key of at least 2048 bits"


class KeysUnavailable(Exception):  # noqa: N818 - a state of the client, told as invalid_client
    """A client's keys cannot be had or are not usable; the text may be told to the client."""


def parse(content: bytes | str) -> KeySet:
    """Read a JWK Set that holds public RSA or EC keys only (RFC 7517 §5).

    Raises:
        KeysUnavailable: Saying what is wrong with it.
    """
    try:
        listed = orjson.loads(content)["keys"]
        if any(_PRIVATE & set(item) for item in listed):
            raise KeysUnavailable("The JWK Set holds private or symmetric keys; it must hold public ones only")
        keys = KeySet.import_key_set({"keys": [item for item in listed if not _is_weak(item)]})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, JoseError) as error:
        raise KeysUnavailable(_UNREADABLE) from error
    usable: list[Key] = [key for key in keys.keys if isinstance(key, (ECKey, RSAKey))]
    if not usable:
        raise KeysUnavailable(_NO_USABLE_KEY)
    return KeySet(usable)


def is_safe_address(url: str) -> bool:
    """Return whether keys may be fetched from here: https, or http on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return False
    if parts.username or parts.password or parts.fragment or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class ClientKeys:
    """Keys of clients, fetched ones kept for five minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nothing kept; `clock` counts seconds."""
        self._clock = clock
        self._kept: dict[str, tuple[float, KeySet]] = {}
        self._lock = threading.Lock()

    def of(self, client: Client, kid: str) -> KeySet:
        """Return a client's keys; an unknown `kid` fetches them anew, at most every ten seconds (key rotation).

        Raises:
            KeysUnavailable: When they cannot be had; the text may be told to the client.
        """
        if client.jwks:
            return parse(client.jwks)
        with self._lock:
            kept = self._kept.get(client.jwks_uri)
        if kept is not None:
            age_s = self._clock() - kept[0]
            if age_s < (_KEPT_S if any(key.kid == kid for key in kept[1].keys) else _RETRY_S):
                return kept[1]
        keys = parse(fetch(client.jwks_uri))
        with self._lock:
            self._kept[client.jwks_uri] = (self._clock(), keys)
        return keys


def fetch(url: str) -> bytes:
    """Read a small document from a registered address, within three seconds and without following redirects.

    Raises:
        KeysUnavailable: When it cannot be had.
    """
    if not is_safe_address(url):
        raise KeysUnavailable("The registered jwks_uri is not an https address")
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 - checked above
    deadline = time.monotonic() + _TIMEOUT_S
    content = bytearray()
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_S) as response:
            while chunk := response.read1(_MAX_BYTES):
                content += chunk
                if len(content) > _MAX_BYTES or time.monotonic() > deadline:
                    raise KeysUnavailable("The registered jwks_uri answers too much or too slowly")
    except (urllib.error.URLError, HTTPException, OSError, ValueError) as error:
        raise KeysUnavailable("The registered jwks_uri cannot be read") from error
    return bytes(content)


def _is_weak(item: dict[str, str]) -> bool:
    return item.get("kty") == "RSA" and len(item["n"]) < _MIN_RSA_CHARS


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Any:
        del fp, msg, headers, newurl
        raise urllib.error.HTTPError(req.full_url, code, "redirects are not followed", HTTPMessage(), None)
