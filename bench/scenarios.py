"""What is measured: (name, who asks, requests); each request is another one, so that no cache of answers would help."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import data
from bench.client import Request, request


@dataclass(frozen=True)
class Scenario:
    """One measurement: the requests of one kind of one caller, and the status they answer."""

    name: str
    caller: str
    make: Request
    expected: int


def scenarios(tokens: dict[str, str], patients: int, observations: int) -> Iterator[Scenario]:
    """Yield the measurements; `tokens` by caller."""
    chance = random.Random(2)

    def patient() -> int:
        return chance.randrange(patients)

    def code() -> str:
        return f"http://loinc.org%7C{chance.choice(data.CODES)[0]}"

    paths: dict[str, Callable[[], str]] = {
        "read": lambda: f"Observation/bench-o{chance.randrange(observations)}",
        "read-patient": lambda: f"Patient/{data.patient_id(patient())}",
        "search-code": lambda: f"Observation?patient={data.patient_id(patient())}&code={code()}",
        "search-sorted": lambda: f"Observation?patient={data.patient_id(patient())}&_sort=-date&_count=20",
    }
    bodies: dict[str, tuple[str, int, Callable[[], dict[str, Any]]]] = {
        "create": ("Observation", 201, lambda: data.observation(patient(), chance)),
        "transaction-50": ("", 200, lambda: data.transaction(50, patient(), chance)),
    }
    for caller, token in tokens.items():
        for name, path in paths.items():
            yield Scenario(name, caller, partial(_get, path, token), 200)
        for name, (target, expected, body) in bodies.items():
            yield Scenario(name, caller, partial(_post, target, body, token), expected)


def _get(path: Callable[[], str], token: str) -> bytes:
    return request("GET", path(), token)


def _post(path: str, body: Callable[[], dict[str, Any]], token: str) -> bytes:
    return request("POST", path, token, json.dumps(body()).encode())
