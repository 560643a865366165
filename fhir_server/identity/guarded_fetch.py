"""Read a small document from an address that somebody else gave us, without being led into our own network (SSRF).

https only, no redirects, little time, little data. The name is resolved once, every address it has must be public, and
the connection goes to the very address that was checked: a name server that answers differently the second time
changes nothing. Hosts that the operator names may lead to private addresses; http is for those on this machine.

INVARIANT: nothing that comes back is shown to whoever gave the address, nor how far the connection got.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

from fhir_server.identity.bounded_http import NoAnswer, exchange, is_loopback

TIMEOUT_S = 3.0
"""Of a whole answer, however slowly it drips, after the name is resolved."""
MAX_BYTES = 65_536
LONGEST_URL_CHARS = 2_000
_OK = 200
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_OURS = frozenset({"localhost", "local", "internal", "lan", "home", "corp", "intranet", "arpa"})
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOW_32_BITS = 0xFFFF_FFFF
_HTTPS_PORT, _HTTP_PORT = 443, 80


class CannotFetch(Exception):  # noqa: N818 - a state of the other side, told in the words of the caller
    """The document cannot be had; says nothing of why beyond what the address itself shows."""


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the public internet, in whatever form it is wrapped."""
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _wrapped(found) if isinstance(found, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def parts_of(url: str) -> SplitResult | None:
    """Return an absolute URL that names a host and nobody's password, None for anything else."""
    if len(url) > LONGEST_URL_CHARS or not url.isascii() or any(c <= " " or c in '\\"<>^`{|}\x7f' for c in url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc or "#" in url:
        return None
    return parts


def is_https(url: str) -> bool:
    """Return whether a URL is an absolute https address without user and fragment."""
    parts = parts_of(url)
    return parts is not None and parts.scheme == "https"


def is_safe(url: object) -> bool:
    """Return whether the operator may name an address: https, or http on this machine; no user, no fragment."""
    parts = parts_of(url) if isinstance(url, str) else None
    if parts is None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def names_public_host(url: str) -> bool:
    """Return whether an address is neither this machine's nor an IP address of a private network, by its spelling."""
    parts = parts_of(url)
    if parts is None:
        return False
    host = (parts.hostname or "").rstrip(".")
    try:
        ip_address(host)
    except ValueError:
        # INVARIANT: 0x7f.1 and 127.1 are loopback to a resolver, so the last label must not be a number.
        last = host.rpartition(".")[2]
        return "." in host and last not in _OURS and not _NUMBER.fullmatch(last)
    return is_public(host)


def fetch(url: str, private_hosts: Container[str] = (), *, accept: str = "application/json") -> bytes:
    """Return the content at an address that answers 200.

    Args:
        url: https, or http of this machine where `private_hosts` names it.
        private_hosts: Names that may lead to addresses of private networks.
        accept: The Accept header.

    Raises:
        CannotFetch: When it cannot be had, or must not be asked for.
    """
    parts = parts_of(url)
    if parts is None or parts.scheme not in {"https", "http"}:
        raise CannotFetch
    host, is_plain = parts.hostname or "", parts.scheme == "http"
    if is_plain and not (host in private_hosts and is_loopback(host)):
        raise CannotFetch
    connection = http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT_S)
    sent = {"Host": parts.netloc, "Accept": accept, "User-Agent": "fhir-server", "Connection": "close"}
    try:
        connection.sock = _connected(parts, host, any_address=host in private_hosts)
        answer = exchange(connection, parts, sent, within_s=TIMEOUT_S, most_bytes=MAX_BYTES)
    except (OSError, http.client.HTTPException, ValueError, NoAnswer) as error:
        raise CannotFetch from error
    if answer.status != _OK:
        raise CannotFetch
    return answer.content


def _connected(parts: SplitResult, host: str, *, any_address: bool) -> socket.socket:
    port = parts.port or (_HTTP_PORT if parts.scheme == "http" else _HTTPS_PORT)
    proxy = urlsplit(getproxies().get("https", ""))
    if proxy.hostname and parts.scheme == "https" and not is_loopback(host) and not proxy_bypass(host):
        # A proxy resolves the name itself, so it has to keep out of private networks itself, too.
        if not any_address and not names_public_host(parts.geturl()):
            raise CannotFetch
        through = http.client.HTTPConnection(proxy.hostname, proxy.port, timeout=TIMEOUT_S)
        through.set_tunnel(host, port)
        through.connect()
        return _secured(through.sock, host)
    found = [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    if not found or not (any_address or all(is_public(address) for address in found)):
        raise CannotFetch
    plain = socket.create_connection((found[0], port), timeout=TIMEOUT_S)
    return plain if parts.scheme == "http" else _secured(plain, host)


def _secured(plain: socket.socket, host: str) -> socket.socket:
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to, None where it is one of its own."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _NAT64):
        return IPv4Address(int(address) & _LOW_32_BITS)
    return None
