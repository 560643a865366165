"""How long the answer takes for what is hidden and for what does not exist: paired requests and a rank test.

The server runs in this process and is asked directly, so that no network hides a difference. Pairs are interleaved and
their order is drawn, so that whatever else the machine does meets both alike.
"""

from __future__ import annotations

import gc
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.consent.pages import Visitor
from tests.consent.world import ANN, BOB, World, labelled, observation

IDS = 20
_WARM_UP = 10


class Question(NamedTuple):
    """One kind of request; `ask` sends it about an id."""

    name: str
    ask: Callable[[str], object]


class Measured(NamedTuple):
    """What a series of pairs gave: medians in microseconds, and how likely chance alone is to set them this far apart.

    Attributes:
        wall_p: For the time that passed, which is what a caller can measure.
        cpu_p: For the CPU time of the server's thread, which no other load blurs (on SQLite it is all the work).
    """

    name: str
    hidden_us: float
    absent_us: float
    wall_p: float
    hidden_cpu_us: float
    absent_cpu_us: float
    cpu_p: float

    def __str__(self) -> str:
        """Return a line of a table."""
        wall = f"hidden {self.hidden_us:7.0f} µs, absent {self.absent_us:7.0f} µs, p = {self.wall_p:.3f}"
        cpu = f"CPU {self.hidden_cpu_us:6.0f} and {self.absent_cpu_us:6.0f} µs, p = {self.cpu_p:.3f}"
        return f"{self.name:18} {wall}; {cpu}"


def questions(world: World) -> Sequence[Question]:
    """Fill a record with hidden rows named `x-00…` and return what to ask; `y-00…` do not exist.

    Half of the hidden rows are Ann's, who shares something else, half Bob's, who shares nothing.
    """
    server = world.server
    for number in range(IDS):
        patient = ANN if number % 2 else BOB
        world.server.put(observation(patient, f"x-{number:02d}", "mental-health"), world.trust)
        hidden = {"resourceType": "Patient", "id": f"x-{number:02d}", "meta": labelled("general"),
                  "name": [{"family": "Hidden"}], "birthDate": "1970-01-01"}  # fmt: skip
        world.server.put(hidden, world.trust)
    visitor = Visitor(world, "professional")

    def get(path: str) -> Callable[[str], object]:
        return lambda name: server.call("GET", path.format(name), world.practice)

    patch = b'[{"op":"replace","path":"/status","value":"amended"}]'
    json_patch = {"Content-Type": "application/json-patch+json"}
    return (
        Question("read", get("Observation/{}")),
        Question("vread", get("Observation/{}/_history/1")),
        Question("history", get("Observation/{}/_history")),
        Question("search by id", get("Observation?_id={}")),
        Question("search by patient", get("Observation?patient={}&_total=accurate")),
        Question("chained search", get("Observation?subject:Patient._id={}")),
        Question("read a patient", get("Patient/{}")),
        Question("patch", lambda name: server.call("PATCH", f"Observation/{name}", world.gp, patch, json_patch)),
        Question("delete", lambda name: server.call("DELETE", f"Observation/{name}", world.gp)),
        Question("portal page", lambda name: visitor.open(f"/patients/{name}")),
    )


def measure(question: Question, pairs: int, seed: int = 1) -> Measured:
    """Ask about something hidden and something absent, many times, and compare."""
    drawn = random.Random(seed)
    walls: dict[str, list[float]] = {"x": [], "y": []}
    cpus: dict[str, list[float]] = {"x": [], "y": []}
    gc.disable()
    try:
        for number in range(pairs + _WARM_UP):
            kinds = ["x", "y"]
            drawn.shuffle(kinds)
            name = f"-{drawn.randrange(IDS):02d}"
            for kind in kinds:
                wall, cpu = _timed(question.ask, kind + name)
                if number >= _WARM_UP:
                    walls[kind].append(wall)
                    cpus[kind].append(cpu)
            if number % 200 == 0:
                gc.collect()
    finally:
        gc.enable()
    return Measured(question.name, *_compared(walls["x"], walls["y"]), *_compared(cpus["x"], cpus["y"]))


def _timed(ask: Callable[[str], object], name: str) -> tuple[float, float]:
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    ask(name)
    return (time.perf_counter_ns() - wall) / 1_000, (time.thread_time_ns() - cpu) / 1_000


def _compared(hidden: Sequence[float], absent: Sequence[float]) -> tuple[float, float, float]:
    return statistics.median(hidden), statistics.median(absent), mann_whitney(hidden, absent)


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of the Mann-Whitney U test, by its normal approximation (ties share a rank)."""
    both = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    rank_sum, tied, start = 0.0, 0, 0
    while start < len(both):
        end = start
        while end < len(both) and both[end][0] == both[start][0]:
            end += 1
        shared = (start + 1 + end) / 2
        rank_sum += shared * sum(sample == 0 for _, sample in both[start:end])
        tied += (end - start) ** 3 - (end - start)
        start = end
    m, n = len(first), len(second)
    u = rank_sum - m * (m + 1) / 2
    total = m + n
    variance = m * n / 12 * (total + 1 - tied / (total * (total - 1)))
    if variance == 0:
        return 1.0
    return math.erfc(abs(u - m * n / 2) / math.sqrt(2 * variance))
