"""`python -m bench gate`: what the consent gate costs, as the ratio of a professional's request to the operator's.

The same requests are made for both in turns, so that what else the machine does hurts both alike. *road* is token
check, decision, statement and AuditEvent in this process, in milliseconds of CPU of this process and of the caller's
own database connection; *http* is a request to a server of its own, in milliseconds until the answer. `write-consent`
has no counterpart without a gate.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench import data, gate_load, gate_record
from bench.client import Connection, request
from bench.road import Road
from bench.system import Record, System, running
from fhir_server.access import tokens
from fhir_server.assembly import make_context
from fhir_server.interactions.model import Code, Interaction
from fhir_server.interactions.perform import perform
from fhir_server.settings import load
from fhir_server.store.database import Store

_WARM = 4
COLUMNS = ("database", "level", "request", "gated_ms", "open_ms", "ratio", "target")


@dataclass(frozen=True)
class Case:
    """One kind of request: how to make one (each another), how much dearer the gate may make it."""

    name: str
    make: Callable[[], Interaction]
    target: float
    repeats: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the gate and print a table."""
    options = _options(arguments)
    for database in options.database or ["sqlite", "postgresql"]:
        record = Record(f"gate_{options.patients}_{options.observations}", filler(options))
        with running(options.folder, database, record, workers=1) as system:
            rows = list(_measure(database, system, options))
        print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for row in rows:
            print(f"| {' | '.join(str(row[name]) for name in COLUMNS)} |")


def cases(options: argparse.Namespace) -> list[Case]:
    """Return what is measured."""
    chance = random.Random(options.seed)

    def patient() -> str:
        return data.patient_id(chance.randrange(options.patients))

    def code() -> tuple[str, float]:
        code, _, _, usual = chance.choice(data.CODES)
        return f"http://loinc.org|{code}", usual

    def bare() -> str:
        return code()[0].partition("|")[2]

    def search(resource_type: str, **query: str) -> Interaction:
        return Interaction(Code.SEARCH, resource_type, query=(*query.items(), ("_count", "20")))

    def valued() -> Interaction:
        name, usual = code()
        return search("Observation", code=name, **{"value-quantity": f"gt{usual * 1.19:.4g}"})

    many, few = options.repeats, max(options.repeats // 10, 10)
    return [
        Case("read", lambda: Interaction(Code.READ, "Observation", f"bench-o{chance.randrange(options.observations)}"),
             1.15, many),
        Case("read-patient", lambda: Interaction(Code.READ, "Patient", patient()), 1.15, many),
        Case("patient-code", lambda: search("Observation", patient=patient(), code=code()[0]), 1.15, many),
        Case("patient-sorted", lambda: search("Observation", patient=patient(), _sort="-date"), 1.15, many),
        Case("code-value", valued, 1.3, many // 2),
        Case("name-prefix", lambda: search("Patient", name=chance.choice(data.FAMILIES)[:3]), 1.3, many),
        Case("code-sorted", lambda: search("Observation", code=code()[0], _sort="-date"), 1.3, many // 2),
        Case("count-code", lambda: search("Observation", code=code()[0], _summary="count"), 5.0, few),
        Case("count-any-system", lambda: search("Observation", code=bare(), _summary="count"), 5.0, few),
        Case("count-patients", lambda: search("Patient", gender="female", _summary="count"), 5.0, few),
    ]  # fmt: skip


def _measure(database: str, system: System, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    roads = {caller: Road(system.environment, caller) for caller in ("gated", "open")}
    for case in cases(options):
        if options.only and case.name not in options.only:
            continue
        asked = [case.make() for _ in range(case.repeats + _WARM)]
        levels = options.level or ("road", "http")
        if "road" in levels:
            yield _row(database, "road", case, _interleaved(roads, asked))
        if "http" in levels:
            # New connections: the server closes the ones that were idle while the road was measured.
            doors = {caller: _Door(system.port, road.token) for caller, road in roads.items()}
            yield _row(database, "http", case, _interleaved(doors, asked))
    if not options.only or "write-consent" in options.only:
        yield _write_consents(database, roads["open"], options)
    for road in roads.values():
        road.context.store.close()


class _Door:
    """One caller over HTTP; only the time until the answer is there can be told apart by caller."""

    def __init__(self, port: int, token: str) -> None:
        self._connection, self._token = Connection(port), token

    def send(self, interaction: Interaction) -> None:
        path = interaction.type + (f"/{interaction.id}" if interaction.id else "")
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in interaction.query)
        status, body = self._connection.send(request("GET", f"{path}?{query}" if query else path, self._token))
        assert status in {200, 404}, body[:300]

    def spent_s(self) -> float:
        return time.perf_counter()

    def database_s(self) -> float:
        return 0.0


def _interleaved(ways: Mapping[str, Road | _Door], asked: Sequence[Interaction]) -> dict[str, float]:
    """Return the milliseconds a request takes, by caller: the lower quartile, which is what a quiet machine takes."""
    taken: dict[str, list[float]] = {caller: [] for caller in ways}
    for each in asked[:_WARM]:
        for way in ways.values():
            way.send(each)
    before = {caller: way.database_s() for caller, way in ways.items()}
    for number, each in enumerate(asked[_WARM:]):
        # Whoever comes second finds the pages in memory: take turns.
        for caller in sorted(ways, reverse=number % 2 == 0):
            started = ways[caller].spent_s()
            ways[caller].send(each)
            taken[caller].append((ways[caller].spent_s() - started) * 1000)
    count = len(asked) - _WARM
    return {
        caller: statistics.quantiles(taken[caller], n=4)[0] + (way.database_s() - before[caller]) * 1000 / count
        for caller, way in ways.items()
    }


def _write_consents(database: str, road: Road, options: argparse.Namespace) -> dict[str, Any]:
    """Replace Consents as their patients do."""
    chance, context = random.Random(options.seed), road.context
    asked = []
    for _ in range(options.repeats + _WARM):
        number = chance.randrange(options.patients)
        token = road.issue(f"Patient/{data.patient_id(number)}")
        with context.store.read() as session:
            asked.append((tokens.resolve(session, token, context.now()), gate_record.consent(number)))
    taken, before = [], 0.0
    for index, (principal, body) in enumerate(asked):
        before = road.database_s() if index == _WARM else before
        started = time.thread_time()
        perform(Interaction(Code.UPDATE, "Consent", body["id"], resource=body), principal, context)
        taken.append((time.thread_time() - started) * 1000)
    cost = statistics.quantiles(taken[_WARM:], n=4)[0] + (road.database_s() - before) * 1000 / options.repeats
    case = Case("write-consent", lambda: Interaction(Code.UPDATE), 0.0, options.repeats)
    row = _row(database, "road", case, {"gated": cost, "open": cost})
    return {**row, "open_ms": "", "ratio": "", "target": "3 ms"}


def _row(database: str, level: str, case: Case, taken: dict[str, float]) -> dict[str, Any]:
    row = {
        "database": database,
        "level": level,
        "request": case.name,
        "gated_ms": f"{taken['gated']:.2f}",
        "open_ms": f"{taken['open']:.2f}",
        "ratio": f"{taken['gated'] / taken['open']:.2f}",
        "target": case.target,
    }
    print(" ".join(str(value) for value in row.values()), file=sys.stderr)
    return row


def filler(options: argparse.Namespace) -> Callable[[Path, dict[str, str]], None]:
    def fill(_folder: Path, environment: dict[str, str]) -> None:
        settings = load(environment)
        context = make_context(settings, Store(settings.database_url, pool_size=2))
        gate_load.fill(context, options.patients, options.observations)
        context.store.close()

    return fill


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fhir-server bench gate", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("only", nargs="*", help="requests, such as read count-code; all by default")
    parser.add_argument("--level", action="append", choices=["road", "http"], help="both by default")
    add_record_options(parser)
    return parser.parse_args(arguments)


def add_record_options(parser: argparse.ArgumentParser) -> None:
    """Add which record is asked, and how often."""
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"], help="both by default")
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--observations", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=200, help="of each request; counts are repeated less often")
    parser.add_argument("--seed", type=int, default=os.getpid(), help="of the choice of requests")
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="keeps the record between runs")
