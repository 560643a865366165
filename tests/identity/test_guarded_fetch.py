"""Addresses that strangers give us lead to public hosts only, whatever a name server says."""

import http.server
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_server.identity import guarded_fetch
from fhir_server.identity.guarded_fetch import CannotFetch, fetch, is_public, names_public_host
from tests.answering import answering

PRIVATE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0",  # noqa: S104 - refused, not bound to
    "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.0.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd12:3456::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "not an address",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")


def test_only_public_addresses_are_public_however_they_are_wrapped() -> None:
    assert [address for address in PRIVATE if is_public(address)] == []
    assert [address for address in PUBLIC if not is_public(address)] == []


def test_names_that_cannot_be_public_are_refused_by_their_spelling() -> None:
    refused = (
        "https://localhost/", "https://a.localhost/", "https://metadata.google.internal/", "https://nas.local/x",
        "https://intranet/", "https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://0x7f000001/",
        "https://[::1]/", "https://10.0.0.1/", "https://u:p@app.example/", "https://app.example/#x", "https://localhost./",
    )  # fmt: skip
    assert [url for url in refused if names_public_host(url)] == []
    assert names_public_host("https://app.example:8443/jwks.json?x=1")


class _Counting(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers["Host"])
        self.send_response(302 if self.path == "/redirect" else 200)
        if self.path == "/redirect":
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(b"{}" if self.path != "/large" else b" " * (guarded_fetch.MAX_BYTES + 1))

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def listener() -> Iterator[Any]:
    handler = type("Handler", (_Counting,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with answering(server):
        yield server


def test_a_public_name_that_resolves_to_this_machine_is_never_connected_to(
    listener: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver is outside; it alone is replaced, by one that an attacker controls."""
    port = listener.server_port
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for addresses in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]):
        rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", lambda *_, rows=rows, **__: rows)
            with pytest.raises(CannotFetch):
                fetch(f"https://keys.example:{port}/jwks.json")
    assert listener.RequestHandlerClass.asked == []


def test_hosts_of_the_operator_may_be_private_but_redirects_and_floods_end_nowhere(listener: Any) -> None:
    base, ours = f"http://127.0.0.1:{listener.server_port}", {"127.0.0.1"}
    assert fetch(f"{base}/ok", ours) == b"{}"
    for path in ("/redirect", "/large"):
        with pytest.raises(CannotFetch):
            fetch(f"{base}{path}", ours)
    with pytest.raises(CannotFetch):
        fetch(f"{base}/ok")
    assert len(listener.RequestHandlerClass.asked) == 3
