"""`python -m bench saturate`: many clients at once for a while; what they get, how long it takes, what memory does.

Then one client alone: how soon the server answers as before. `--clients 64 --seconds 600` is the long run of the
targets: nothing refused, p99 at most 20 times p50, memory as at the start. With more clients than may wait (256), the
rest is told 503 with `Retry-After` and nothing else.
"""

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread

from bench import data
from bench.client import Connection, request
from bench.scenarios import Mixed
from bench.system import running, synthetic

COLUMNS = ("database", "clients", "requests_per_s", "statuses", "p50_ms", "p99_ms", "memory_mb", "recovery_ms")
_PAUSE_AFTER_503_S = 0.2
_CALM = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Saturate a server and print a table."""
    options = _options(arguments)
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    sizes = {"patients": options.patients, "observations": options.observations}
    for database in options.database or ["sqlite", "postgresql"]:
        with running(options.folder, database, synthetic(**sizes), workers=options.workers) as system:
            token = system.token(data.PROFESSIONAL)
            _drive(system.port, token, 4, 5.0, options)
            for clients in options.clients or [64, 256]:
                before = system.memory_mb()
                statuses, taken = _drive(system.port, token, clients, options.seconds, options)
                recovery = _recovery_ms(system.port, token)
                ordered = statistics.quantiles(taken, n=100)
                row = (
                    database,
                    clients,
                    f"{len(taken) / options.seconds:.0f}",
                    ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items())),
                    f"{ordered[49] * 1000:.0f}",
                    f"{ordered[98] * 1000:.0f}",
                    f"{before:.0f} to {system.memory_mb():.0f}",
                    f"{recovery:.0f}",
                )
                print(f"| {' | '.join(map(str, row))} |", flush=True)


def _drive(
    port: int, token: str, clients: int, seconds: float, options: argparse.Namespace
) -> tuple[Counter[str], list[float]]:
    """Return what the clients got by status, or kind of failure, and the seconds that each success took."""
    stop, lock = Event(), Lock()
    statuses: Counter[str] = Counter()
    taken: list[float] = []

    def work(number: int) -> None:
        make = Mixed(token, options.patients, options.observations, random.Random(number))
        connection = Connection(port)
        while not stop.is_set():
            text = make()
            started = time.perf_counter()
            try:
                found, body = connection.send(text)
            except (AssertionError, OSError) as error:
                with lock:
                    statuses[type(error).__name__] += 1
                connection.close()
                connection = Connection(port)
                continue
            with lock:
                statuses[str(found)] += 1
                if found < 400:
                    taken.append(time.perf_counter() - started)
            make.answered(found, body)
            if found == 503:
                stop.wait(_PAUSE_AFTER_503_S)
        connection.close()

    threads = [Thread(target=partial(work, number)) for number in range(clients)]
    for thread in threads:
        thread.start()
    stop.wait(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return statuses, taken


def _recovery_ms(port: int, token: str) -> float:
    """Return how long after the last of many clients one gets twenty answers in a row."""
    started = time.perf_counter()
    connection, good = Connection(port), 0
    while good < _CALM:
        status, _ = connection.send(request("GET", f"Patient/{data.patient_id(1)}", token))
        good = good + 1 if status == 200 else 0
    connection.close()
    return (time.perf_counter() - started) * 1000


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fhir-server bench saturate", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"], help="both by default")
    parser.add_argument("--clients", action="append", type=int, help="64 and 256 by default")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=1, help="server processes (PostgreSQL only)")
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--observations", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="keeps the record between runs")
    return parser.parse_args(arguments)
