"""Public keys of clients: given at registration, or fetched from the registered `jwks_uri`.

INVARIANT: only a registered address is ever asked: never one from a JWT header (`jku`, `x5u`), never a redirect's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, RSAKey

from fhir_server.identity import guarded_fetch
from fhir_server.store.oauth_clients import Client

_KEPT_S = 300
_RETRY_S = 10
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "k"})
_MIN_RSA_CHARS = 342  # base64url of 2048 bits
_UNREADABLE = "The JWK Set cannot be read: an object with a list of usable public keys is expected"
_UNREACHABLE = "The registered jwks_uri cannot be read: a small document at a public https address is expected"
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


def summary(keys: KeySet) -> tuple[tuple[str, str], ...]:
    """Return name and kind of each key, as its owner is shown them."""
    return tuple((key.kid or "no kid", f"{key.key_type} {key.get('crv', '')}".strip()) for key in keys.keys)


class ClientKeys:
    """Keys of clients, fetched ones kept for five minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, private_hosts: Container[str] = ()) -> None:
        """Start with nothing kept; `clock` counts seconds, `private_hosts` may lead into private networks."""
        self._clock = clock
        self._private_hosts = private_hosts
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
        keys = parse(fetch(client.jwks_uri, self._private_hosts))
        with self._lock:
            self._kept[client.jwks_uri] = (self._clock(), keys)
        return keys


def fetch(url: str, private_hosts: Container[str] = ()) -> bytes:
    """Read a small document from a registered address, see `identity.guarded_fetch`.

    Raises:
        KeysUnavailable: When it cannot be had.
    """
    try:
        return guarded_fetch.fetch(url, private_hosts)
    except guarded_fetch.CannotFetch as error:
        raise KeysUnavailable(_UNREACHABLE) from error


def _is_weak(item: dict[str, str]) -> bool:
    return item.get("kty") == "RSA" and len(item["n"]) < _MIN_RSA_CHARS
