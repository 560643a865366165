"""A small HTTP/1.1 client with keep-alive that costs little CPU, since it shares the machine with the server."""

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from time import perf_counter
from urllib.parse import urlsplit

Request = Callable[[], bytes]


@dataclass(frozen=True)
class Target:
    """A FHIR server: where it listens, and the path of its base URL."""

    host: str = "127.0.0.1"
    port: int = 80
    base: str = "/fhir"
    tls: bool = False

    @classmethod
    def of(cls, url: str) -> "Target":
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        return cls(parts.hostname or "127.0.0.1", parts.port or (443 if tls else 80), parts.path.rstrip("/"), tls)


class Connection:
    """One connection that sends a request and waits for its answer."""

    def __init__(self, target: Target | int) -> None:
        """Connect to a server, or to one of ours on a port of this machine."""
        self._target = Target(port=target) if isinstance(target, int) else target
        plain = socket.create_connection((self._target.host, self._target.port), timeout=60)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        context = ssl.create_default_context()
        self._socket = context.wrap_socket(plain, server_hostname=self._target.host) if self._target.tls else plain

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body."""
        if self._target.base != "/fhir":
            request = request.replace(b" /fhir/", f" {self._target.base}/".encode(), 1)
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head, rest = received[:end].lower(), received[end + 4 :]
        status = int(head[9:12])
        start = head.find(b"content-length:")
        if start >= 0:
            length = int(head[start + 15 :].split(b"\r\n", 1)[0])
            return status, self._exactly(rest, length)[0]
        if b"transfer-encoding: chunked" in head:
            return status, self._chunks(rest)
        assert status in {204, 304}, head
        return status, b""

    def _exactly(self, rest: bytes, length: int) -> tuple[bytes, bytes]:
        parts, missing = [rest], length - len(rest)
        while missing > 0:
            part = self._more()
            parts.append(part)
            missing -= len(part)
        whole = b"".join(parts)
        return whole[:length], whole[length:]

    def _chunks(self, rest: bytes) -> bytes:
        body = b""
        while True:
            while b"\r\n" not in rest:
                rest += self._more()
            size, _, rest = rest.partition(b"\r\n")
            length = int(size.partition(b";")[0], 16)
            part, rest = self._exactly(rest, length + 2)
            if not length:
                return body
            body += part[:length]

    def close(self) -> None:
        self._socket.close()

    def _more(self) -> bytes:
        part = self._socket.recv(262_144)
        assert part, "the server closed the connection"
        return part


def request(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """Return a request as bytes."""
    head = (
        f"{method} /fhir/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Accept: application/fhir+json\r\n"
    )
    if body:
        head += f"Content-Type: application/fhir+json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def drive(
    target: Target | int, make: Request, *, expected: Sequence[int], connections: int, seconds: float
) -> list[float]:
    """Send requests for a while over several connections; return the seconds each took."""
    stop = Event()
    taken: list[float] = []
    wrong: list[str] = []
    note: Callable[[int, bytes], None] | None = getattr(make, "answered", None)

    def work() -> None:
        connection = Connection(target)
        try:
            while not stop.is_set():
                text = make()
                started = perf_counter()
                status, body = connection.send(text)
                taken.append(perf_counter() - started)
                if note:
                    note(status, body)
                if status not in expected:
                    wrong.append(f"{status}: {body[:300]!r}")
                    return
        except (AssertionError, OSError) as error:
            wrong.append(repr(error))
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]
    return taken
