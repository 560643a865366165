"""Where an app may be sent back to (RFC 6749 §3.1.2, RFC 8252 §7)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from fhir_server.identity.bounded_http import is_loopback
from fhir_server.identity.guarded_fetch import LONGEST_URL_CHARS, parts_of

_PRIVATE_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def is_redirect_address(uri: str) -> bool:
    """Return whether an app may register this: https, http on its user's machine, or a scheme of its own.

    Addresses are compared to the letter, so there is no placeholder, and no fragment (RFC 6749 §3.1.2).
    """
    if len(uri) > LONGEST_URL_CHARS or not uri.isascii() or any(c <= " " or c in '#*\\"<>\x7f' for c in uri):
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if parts.scheme in {"https", "http"}:
        found = parts_of(uri)
        return found is not None and (parts.scheme == "https" or is_loopback(found.hostname or ""))
    # RFC 8252 §7.1: a private-use scheme is a domain name of the app's maker, turned round; `javascript:` has no dot.
    return bool(_PRIVATE_SCHEME.fullmatch(parts.scheme)) and uri != f"{parts.scheme}:"
