"""Send a request, follow its pages, take a write back, and say what of the answer has to be the same each time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from werkzeug.test import TestResponse

from tests.consent.asking import Request
from tests.consent.callers import FEEDS
from tests.consent.removal import put_back, saved
from tests.consent.world import World

_UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_RANDOM: Final = re.compile(rb"((?:_cursor|[?&;]page)=|nonce-|nonce=\"|\bform=|Expires=)[A-Za-z0-9_%., :-]+")
"""Page positions, and what a page draws anew: the nonce of its scripts and the cookie of its forms."""
_VARYING: Final = frozenset({"X-Request-Id", "Date", "Content-Length"})
"""Headers that differ between equal answers; the length follows from the body, whose random parts differ in length."""
_PAGES: Final = 20
_CHANCES: Final = 60
_OWN_LOG: Final = ("AuditEvent", "access-log-proof")


class Plain(NamedTuple):
    """What a caller can tell of an answer, without what is random each time: ids just made and page positions."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def is_stated_exception(caller: str, request: Request) -> bool:
    """Return whether the threat model says that this answer may depend on what is hidden.

    A feed's PUT to an id, its registration of a person by NHS number, emergency access itself; and what shows a
    caller's own access log, to which each request adds.
    """
    if any(name in request.path for name in _OWN_LOG):
        return True
    if isinstance(request.body, dict) and request.body.get("resourceType") == "Bundle":
        entries = request.body.get("entry", ())
        parts = [
            Request(entry["request"]["method"], entry["request"]["url"], entry.get("resource")) for entry in entries
        ]
        return any(is_stated_exception(caller, part) for part in parts)
    if "$break-glass" in request.path:
        return caller not in {"ann", "bob", "carer", "practice", "app"}
    if caller not in FEEDS:
        return False
    has_id = isinstance(request.body, dict) and "id" in request.body
    is_person = isinstance(request.body, dict) and request.body.get("resourceType") == "Patient"
    return (request.method == "PUT" and has_id) or is_person


def answers(world: World, token: str, request: Request) -> list[Plain]:
    """Return the answer, and each page that follows a search's; the record is then as it was before."""
    if not request.writes:
        return _pages(world, token, request)
    with world.server.store.read() as session:
        before = saved(session)
    # Later than all that is there: of what was written at one instant, ids decide the order, and a new one is random.
    clock = world.server.clock
    at = clock.at
    clock.advance(minutes=1)
    try:
        return [plain(_send(world, token, request))]
    finally:
        clock.at = at
        with world.server.store.write() as session:
            put_back(session, before)


def answers_again(world: World, token: str, request: Request, expected: Sequence[Plain]) -> Sequence[Plain]:
    """Return the answer to a request that was sent before; of a Bundle the expected one if chance can bring it about.

    A Bundle may search among what it makes, and random ids decide the place of that among equals: on which page it
    is, and whether it is told at all. What hidden rows change stays changed, however often it is asked.
    """
    found = answers(world, token, request)
    if found == expected or request.path:
        return found
    return next((each for each in (answers(world, token, request) for _ in range(_CHANCES)) if each == expected), found)


def plain(answer: TestResponse, *, body: bytes | None = None) -> Plain:
    """Return what a caller can tell of an answer."""
    headers = tuple(
        (name, without_random(value.encode()).decode()) for name, value in answer.headers if name not in _VARYING
    )
    return Plain(answer.status_code, headers, without_random(answer.data if body is None else body))


def without_random(text: bytes) -> bytes:
    """Return a text without ids just made, page positions and what a page draws anew."""
    return _RANDOM.sub(rb"\1X", _UUID.sub(b"ID", text))


def _pages(world: World, token: str, request: Request) -> list[Plain]:
    found = []
    for _ in range(_PAGES):
        answer = _send(world, token, request)
        found.append(plain(answer))
        link = re.search(rb'"relation":"next","url":"([^"]+)"', answer.data)
        if link is None:
            break
        request = Request("GET", link.group(1).decode())
    return found


def _send(world: World, token: str, request: Request) -> TestResponse:
    path = request.path.replace("Consent/first", f"Consent/{world.consents[0]}")
    return world.server.call(request.method, path, token, request.body, dict(request.headers))
