"""Two hundred readers while a Consent is switched off and on: no answer shows what was at no moment of it in force."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.consent.world import ANN, PRACTICE, World, consent
from tests.databases import Databases
from tests.http.live import LiveServer, send
from tests.server import Clock, build, create_schema

pytestmark = pytest.mark.slow

READERS = 200
READS_EACH = 4
_SHARED = 2
"""Observations of Ann that the practice may see while she shares."""
_TOO_MUCH = 503
_PAUSE_S = 0.05


class Flip(NamedTuple):
    """A change of the Consent: somewhere between these two moments it took effect."""

    shared: bool
    sent_at: float
    answered_at: float


class Seen(NamedTuple):
    """An answer, and the moments between which it was made."""

    shared: bool
    asked_at: float
    answered_at: float


@dataclass
class Run:
    """One live server, its readers and whoever changes the Consent."""

    live: LiveServer
    world: World
    flips: list[Flip] = field(default_factory=lambda: [Flip(True, 0.0, 0.0)])
    seen: list[Seen] = field(default_factory=list)
    wrong: list[Any] = field(default_factory=list)
    start: threading.Barrier = field(default_factory=lambda: threading.Barrier(READERS + 1))
    enough: threading.Event = field(default_factory=threading.Event)

    def read(self, number: int) -> None:
        """Ask again and again; note what each answer shows."""
        with contextlib.closing(self.live.connection()) as connection:
            self.start.wait()
            for turn in range(READS_EACH):
                if (number + turn) % 2:
                    asked_at, status, _ = _admitted(connection, "GET", "Observation/a-1", self.world.practice)
                    shared = status == 200
                    whole = status in {200, 404}
                else:
                    path = "Observation?_count=1&_total=accurate&_include=Observation:subject"
                    asked_at, status, bundle = _admitted(connection, "GET", path, self.world.practice)
                    total, entries = bundle["total"], len(bundle.get("entry", ()))
                    shared = total > 0
                    # One match and its patient, or nothing at all: never half of a state.
                    whole = status == 200 and (total, entries) in {(_SHARED, 2), (0, 0)}
                answered_at = time.monotonic()
                self.seen.append(Seen(shared, asked_at, answered_at))
                if not whole:
                    self.wrong.append((status, asked_at))

    def flip(self) -> None:
        """Stop and start sharing until the readers are done."""
        body = consent(ANN, PRACTICE) | {"id": self.world.consents[0]}
        path = f"Consent/{self.world.consents[0]}"
        with contextlib.closing(self.live.connection()) as connection:
            shared = True
            while not self.enough.is_set():
                shared = not shared
                changed = body | {"status": "active" if shared else "inactive"}
                sent_at, status, _ = _admitted(connection, "PUT", path, self.world.ann, changed)
                assert status == 200
                self.flips.append(Flip(shared, sent_at, time.monotonic()))

    def was_in_force(self, seen: Seen) -> bool:
        """Return whether what an answer shows held at some moment while it was made."""
        ends = [flip.answered_at for flip in self.flips[1:]] + [float("inf")]
        return any(
            flip.shared is seen.shared and flip.sent_at <= seen.answered_at and end >= seen.asked_at
            for flip, end in zip(self.flips, ends, strict=True)
        )


def _admitted(
    connection: HTTPConnection, method: str, path: str, token: str, body: dict[str, Any] | None = None
) -> tuple[float, int, Any]:
    """Ask until the server, which answers so many at once, takes it on; return when that was, and the answer.

    A connection whose request was refused with its body unread is closed. What was sent on one that broke may have
    been done: it was asked for when it was sent first.
    """
    asked_at = time.monotonic()
    while True:
        try:
            status, answer = send(connection, method, path, token, body)
        except ConnectionError:
            connection.close()
            continue
        if status != _TOO_MUCH:
            return asked_at, status, answer
        time.sleep(_PAUSE_S)
        asked_at = time.monotonic()


@pytest.fixture
def run(databases: Databases, tmp_path: Path) -> Iterator[Run]:
    url = databases.prepared("schema", create_schema)
    made = build(url, tmp_path, Clock(datetime.now(UTC)))
    world = World(made).build()
    made.close()
    live = LiveServer(url, tmp_path)
    yield Run(live, world)
    live.stop()


def test_no_answer_shows_a_state_that_was_not_in_force_while_it_was_made(run: Run) -> None:
    readers = [threading.Thread(target=run.read, args=(number,)) for number in range(READERS)]
    changing = threading.Thread(target=run.flip)
    for thread in readers:
        thread.start()
    run.start.wait()
    changing.start()
    for thread in readers:
        thread.join()
    run.enough.set()
    changing.join()
    assert not run.wrong
    assert len(run.seen) == READERS * READS_EACH
    assert {seen.shared for seen in run.seen} == {True, False}
    assert [seen for seen in run.seen if not run.was_in_force(seen)] == []
