"""Let so many requests run at once, a few more wait, and refuse the rest at once: a saturated server answers, too.

Threads beyond those that work wait here, without a database connection. INVARIANT: there are more threads than may run
and wait together, so that one is always free to refuse.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request

from fhir_server.language import CODES, DEFAULT, catalogue, known
from fhir_server.spec import json
from fhir_server.spec.outcome import Issue, operation_outcome

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LANGUAGE_COOKIE = "language"
RETRY_AFTER_S = 2
_ALWAYS = frozenset({"/health/live"})
_TEXT = "The server has more requests than it can answer; ask again after the seconds of Retry-After"
_OUTCOME = json.encode(operation_outcome((Issue("error", "throttled", _TEXT),)))
_PAGE = """<!DOCTYPE html>
<html lang="{language}">
<head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>{title}</h1>
<p>{wait}</p>
<p>{emergency}</p></main></body>
</html>
"""
"""For people: it asks for nothing else, as a style sheet would have to wait, too."""


@dataclass(frozen=True, slots=True)
class Room:
    """How much a process takes on.

    Attributes:
        at_once: Requests that run; more only contend for the interpreter.
        waiting: Requests that wait for one of those to end.
        patience_s: How long one waits before it is refused.
    """

    at_once: int = min(8, 2 * (os.cpu_count() or 1) + 1)
    waiting: int = 64
    patience_s: float = 4.0


class Admission:
    """A WSGI application that lets another one answer, or refuses with 503 and `Retry-After`."""

    def __init__(self, app: WSGIApplication, room: Room, refused: Callable[[], None], language: str = DEFAULT) -> None:
        """Guard an application.

        Args:
            app: The application.
            room: How much it takes on.
            refused: Called with each request that is not let in.
            language: Of the page for people whose browser asks for none that we speak.
        """
        self._app = app
        self._language = language
        self._room = room
        self._refused = refused
        self._lock = threading.Lock()
        self._running_count = 0
        # Each waits for a lock of its own, so that turns are taken in order: one semaphore for all lets whoever comes
        # just then go first, and under load somebody always does.
        self._waiting: deque[threading.Lock] = deque()

    @property
    def waiting_count(self) -> int:
        """Return how many requests wait for their turn."""
        return len(self._waiting)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO") in _ALWAYS:
            return self._app(environ, start_response)
        if not self._enter():
            return self._refuse(environ, start_response)
        try:
            # What is streamed afterwards is no work of the record's any more.
            return self._app(environ, start_response)
        finally:
            self._leave()

    def _enter(self) -> bool:
        """Take a place, at once or in turn; return False where there is none in time."""
        with self._lock:
            if self._running_count < self._room.at_once:
                self._running_count += 1
                return True
            if len(self._waiting) >= self._room.waiting:
                return False
            turn = threading.Lock()
            turn.acquire()
            self._waiting.append(turn)
        if turn.acquire(timeout=self._room.patience_s):
            return True
        with self._lock:
            if turn not in self._waiting:
                # Its turn came while it gave up.
                return True
            self._waiting.remove(turn)
            return False

    def _leave(self) -> None:
        """Give the place to who has waited longest, or free it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._running_count -= 1

    def _refuse(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self._refused()
        content_type, body = _face(environ, self._language)
        start_response(
            "503 Service Unavailable",
            [
                ("Content-Type", content_type),
                ("Content-Length", str(len(body))),
                ("Retry-After", str(RETRY_AFTER_S)),
                ("Cache-Control", "no-store"),
                ("Access-Control-Allow-Origin", "*"),
                ("Content-Security-Policy", "default-src 'none'"),
                ("X-Content-Type-Options", "nosniff"),
            ],
        )
        return [body]


def _language(environ: WSGIEnvironment) -> str:
    """Return the language that this browser was told to use, or asks for; whose it is would be a question too many."""
    asked = Request(environ)
    return known(asked.cookies.get(LANGUAGE_COOKIE)) or known(asked.accept_languages.best_match(CODES))


@functools.cache
def _page(language: str) -> bytes:
    say = catalogue(language).gettext
    page = _PAGE.format(
        language=language,
        title=say("The service is busy"),
        wait=say(
            "Too many people use it just now. Wait a few seconds and load this page again. Nothing that you saved "
            "before is lost."
        ),
        emergency=say(
            "In an emergency call 999. For urgent medical help call 111. This website is not watched by a doctor."
        ),
    )
    return page.encode()


def _face(environ: WSGIEnvironment, language: str) -> tuple[str, bytes]:
    """Return the media type and the words of a refusal, for the door that was knocked at."""
    if str(environ.get("PATH_INFO", "")).startswith("/fhir"):
        return "application/fhir+json", _OUTCOME
    if "text/html" in str(environ.get("HTTP_ACCEPT", "")):
        return "text/html; charset=utf-8", _page(_language(environ) or language)
    return "text/plain; charset=utf-8", _TEXT.encode()
