"""What is measured: (name, who asks, requests); each request is another one, so that no cache of answers would help."""

import json
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench import data
from bench.client import Request, request

_MIX = {"create": 10, "read": 60, "update": 25, "delete": 5}
"""Of a hundred requests of `mixed`."""


@dataclass(frozen=True)
class Scenario:
    """One measurement: the requests of one kind of one caller, and the statuses they answer."""

    name: str
    caller: str
    make: Request
    expected: Sequence[int]


def scenarios(tokens: dict[str, str], patients: int, observations: int) -> Iterator[Scenario]:
    """Yield the measurements; `tokens` by caller."""
    chance = random.Random(2)

    def patient() -> int:
        return chance.randrange(patients)

    def code() -> str:
        return f"http://loinc.org%7C{chance.choice(data.CODES)[0]}"

    def valued() -> str:
        name, _, _, usual = chance.choice(data.CODES)
        return f"Observation?code=http://loinc.org%7C{name}&value-quantity=gt{usual * 1.19:.4g}&_count=20"

    paths: dict[str, Callable[[], str]] = {
        "read": lambda: f"Observation/bench-o{chance.randrange(observations)}",
        "read-patient": lambda: f"Patient/{data.patient_id(patient())}",
        "search-code": lambda: f"Observation?patient={data.patient_id(patient())}&code={code()}",
        "search-sorted": lambda: f"Observation?patient={data.patient_id(patient())}&_sort=-date&_count=20",
        "search-date": lambda: (
            f"Observation?patient={data.patient_id(patient())}&category=laboratory&date=ge2024-06-01"
        ),
        "search-identifier": lambda: f"Patient?identifier=https://example.org/mrn%7C{patient():08d}",
        "search-name": lambda: f"Patient?name={chance.choice(data.FAMILIES)[:3]}&_count=20",
        "cross-patient": valued,
        "everything": lambda: f"Patient/{data.patient_id(patient())}/$everything?_count=100",
    }
    bodies: dict[str, tuple[str, str, int, Callable[[], tuple[str, dict[str, Any]]]]] = {
        "create": ("POST", "Observation", 201, lambda: ("", data.observation(patient(), chance))),
        "update": ("PUT", "Observation/", 200, lambda: _next_version(chance, patients, observations)),
        "transaction-50": ("POST", "", 200, lambda: ("", data.transaction(50, patient(), chance))),
        "transaction-100": ("POST", "", 200, lambda: ("", data.transaction(100, patient(), chance))),
    }
    for caller, token in tokens.items():
        for name, path in paths.items():
            yield Scenario(name, caller, partial(_get, path, token), (200,))
        for name, (method, target, expected, body) in bodies.items():
            # A professional changes what somebody of the same organisation wrote, not what was loaded.
            if name != "update" or caller != "professional":
                yield Scenario(name, caller, partial(_send, method, target, body, token), (expected,))
        yield Scenario("mixed", caller, Mixed(token, patients, observations, chance), (200, 201, 204))


class Mixed:
    """Requests of which ten in a hundred create, sixty read, twenty-five update and five delete.

    What is updated and deleted was created here, so every caller may.
    """

    def __init__(self, token: str, patients: int, observations: int, chance: random.Random) -> None:
        self._token, self._patients, self._observations, self._chance = token, patients, observations, chance
        self._own: deque[tuple[str, str]] = deque()

    def __call__(self) -> bytes:
        chance = self._chance
        (kind,) = chance.choices(list(_MIX), list(_MIX.values()))
        if kind == "read":
            return request("GET", f"Observation/bench-o{chance.randrange(self._observations)}", self._token)
        logical_id, subject = "", ""
        with suppress(IndexError):
            logical_id, subject = self._own.popleft() if kind != "create" else ("", "")
        if logical_id and kind == "delete":
            return request("DELETE", f"Observation/{logical_id}", self._token)
        body = data.observation(chance.randrange(self._patients), chance)
        if not logical_id:
            return request("POST", "Observation", self._token, json.dumps(body).encode())
        body |= {"id": logical_id, "subject": {"reference": subject}}
        return request("PUT", f"Observation/{logical_id}", self._token, json.dumps(body).encode())

    def answered(self, status: int, body: bytes) -> None:
        """Take note of what was created or updated."""
        if status in {200, 201} and b'"id":"bench-o' not in body[:80]:
            found = json.loads(body)
            self._own.append((found["id"], found["subject"]["reference"]))


def _next_version(chance: random.Random, patients: int, observations: int) -> tuple[str, dict[str, Any]]:
    """Return an Observation that is there, changed; whose it is stays."""
    number = chance.randrange(observations)
    logical_id = f"bench-o{number}"
    return logical_id, {**data.observation(number % patients, chance), "id": logical_id}


def _get(path: Callable[[], str], token: str) -> bytes:
    return request("GET", path(), token)


def _send(method: str, path: str, body: Callable[[], tuple[str, dict[str, Any]]], token: str) -> bytes:
    logical_id, resource = body()
    return request(method, path + logical_id, token, json.dumps(resource).encode())
