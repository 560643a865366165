"""One bounded question to a provider: https, no redirects, little time, little data.

Plain http is for this machine only (a stand-in for demo and tests). A proxy of the environment is honoured.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from fhir_server.identity.bounded_http import Answer, NoAnswer, exchange, is_loopback
from fhir_server.identity.guarded_fetch import is_safe
from fhir_server.identity.openid import OpenIdError, Problem

TIMEOUT_S = 5.0
"""Of a whole answer, however slowly it drips, after the connection stands; and of making the connection."""
MAX_BYTES = 131_072
_OK = 200
_JSON = {"application/json", "application/jwk-set+json", "application/fhir+json"}


def ask(url: str, *, form: str | None = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Send a GET, or a POST where there is a form, and return the answer, whatever its status below 300 or above 399.

    Raises:
        OpenIdError: UNAVAILABLE when no answer comes in time, it is too large, or it leads elsewhere.
    """
    if not is_safe(url):
        raise _failure("names an address that is not https")
    sent = {"Accept": "application/json", "User-Agent": "fhir-server", "Connection": "close", **(headers or {})}
    parts = urlsplit(url)
    try:
        answer = exchange(_connection(parts), parts, sent, form=form, within_s=TIMEOUT_S, most_bytes=MAX_BYTES)
    except NoAnswer as error:
        raise _failure(str(error)) from error
    if 300 <= answer.status < 400:  # noqa: PLR2004 - HTTP's own
        raise _failure("answers with a redirect")
    return answer


def document(url: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the JSON object at an address.

    Raises:
        OpenIdError: UNAVAILABLE as `ask`, or for another status than 200.
    """
    answer = ask(url, headers=headers)
    if answer.status != _OK:
        raise _failure("answers with an error")
    return json_of(answer)


def json_of(answer: Answer) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Raises:
        OpenIdError: UNAVAILABLE when it is none.
    """
    if answer.media_type not in _JSON:
        raise _failure("answered something that is not JSON")
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise _failure("answered JSON that cannot be read") from error
    if not isinstance(found, dict):
        raise _failure("answered JSON that is not an object")
    return found


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


def _failure(what: str) -> OpenIdError:
    return OpenIdError(Problem.UNAVAILABLE, f"The provider {what}")
