"""A small HTTP/1.1 client with keep-alive that costs little CPU, since it shares the machine with the server."""

import socket
from collections.abc import Callable
from threading import Event, Thread
from time import perf_counter

Request = Callable[[], bytes]


class Connection:
    """One connection that sends a request and waits for its answer."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, request: bytes) -> tuple[int, bytes]:
        """Return status and body."""
        self._socket.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._more()
        head = received[:end].lower()
        start = head.find(b"content-length:")
        assert start >= 0, head
        length = int(head[start + 15 :].split(b"\r\n", 1)[0])
        parts, missing = [received[end + 4 :]], length - (len(received) - end - 4)
        while missing > 0:
            part = self._more()
            parts.append(part)
            missing -= len(part)
        return int(head[9:12]), b"".join(parts)

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


def drive(port: int, make: Request, *, expected: int, connections: int, seconds: float) -> list[float]:
    """Send requests for a while over several connections; return the seconds each took."""
    stop = Event()
    taken: list[float] = []
    wrong: list[str] = []

    def work() -> None:
        connection = Connection(port)
        try:
            while not stop.is_set():
                text = make()
                started = perf_counter()
                status, body = connection.send(text)
                taken.append(perf_counter() - started)
                if status != expected:
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
