"""`python -m bench`: measure reads, searches, creates and transactions through real HTTP, gate and audit on."""

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bench import data, gate, pages, saturation, searches
from bench.client import Connection, Target, drive, request
from bench.scenarios import scenarios
from bench.system import System, running, synthetic

COLUMNS = (
    *("database", "caller", "scenario", "requests_per_s", "p50_ms", "p95_ms", "p99_ms"),
    *("server_cpu_ms", "database_cpu_ms", "memory_mb"),
)
_POSTED_TOGETHER = 200


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and print a table; `gate`, `search`, `pages` and `saturate` measure other things."""
    arguments = sys.argv[1:] if arguments is None else arguments
    kinds = {"gate": gate.main, "search": searches.main, "pages": pages.main, "saturate": saturation.main}
    if arguments[:1] and arguments[0] in kinds:
        kinds[arguments[0]](arguments[1:])
        return
    options = _options(arguments)
    rows: list[dict[str, Any]] = []
    if options.against:
        rows = _measure_other(options)
    for database in [] if options.against else options.database or ["sqlite", "postgresql"]:
        rows += _measure(database, options)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    print(f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}")
    print(f"{options.patients} patients, {options.observations} Observations, {options.connections} connections")
    print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for row in rows:
        print(f"| {' | '.join(str(row[name]) for name in COLUMNS)} |")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fhir-server bench", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("only", nargs="*", help="scenarios, such as read search-code; all by default")
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"], help="both by default")
    parser.add_argument("--patients", type=int, default=1_000)
    parser.add_argument("--observations", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1, help="server processes (PostgreSQL only)")
    parser.add_argument("--caller", action="append", choices=["professional", "operator"], help="both by default")
    parser.add_argument("--folder", type=Path, default=Path("var/bench"), help="keeps the record between runs")
    parser.add_argument("--against", metavar="URL", help="base URL of another FHIR server, to drive with the same load")
    parser.add_argument("--token", default="", help="its access token, where it asks for one")
    parser.add_argument("--fill", action="store_true", help="post the record to it first, in transactions")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _measure(database: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    workers = options.workers if database == "postgresql" else 1
    sizes = {"patients": options.patients, "observations": options.observations}
    with running(options.folder, database, synthetic(**sizes), workers=workers) as system:
        tokens = _tokens(system, options.caller or ["professional", "operator"])
        for scenario in scenarios(tokens, **sizes):
            if options.only and scenario.name not in options.only:
                continue
            how = {"expected": scenario.expected, "connections": options.connections}
            drive(system.port, scenario.make, **how, seconds=min(1.0, options.seconds))
            before = system.cpu_s()
            taken = drive(system.port, scenario.make, **how, seconds=options.seconds)
            spent = [after - earlier for after, earlier in zip(system.cpu_s(), before, strict=True)]
            rows.append(_row((database, scenario.caller, scenario.name), taken, spent, options.seconds))
            rows[-1]["memory_mb"] = round(system.memory_mb())
            print(" ".join(str(rows[-1][name]) for name in COLUMNS), file=sys.stderr)
    return rows


def _measure_other(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Drive somebody else's server; of its processes nothing is known, so there is no CPU and no memory."""
    target = Target.of(options.against)
    if options.fill:
        _fill(target, options)
    rows = []
    sizes = {"patients": options.patients, "observations": options.observations}
    for scenario in scenarios({"operator": options.token}, **sizes):
        if options.only and scenario.name not in options.only:
            continue
        how = {"expected": (200, 201, 204), "connections": options.connections}
        try:
            drive(target, scenario.make, **how, seconds=min(1.0, options.seconds))
            taken = drive(target, scenario.make, **how, seconds=options.seconds)
        except AssertionError as error:
            print(f"{scenario.name}: {error}", file=sys.stderr)
            continue
        rows.append(_row((target.host, scenario.caller, scenario.name), taken, (0.0, 0.0), options.seconds))
        rows[-1] |= dict.fromkeys(("server_cpu_ms", "database_cpu_ms", "memory_mb"), "")
        print(" ".join(str(rows[-1][name]) for name in COLUMNS), file=sys.stderr)
    return rows


def _fill(target: Target, options: argparse.Namespace) -> None:
    connection = Connection(target)
    record = data.resources(options.patients, options.observations)
    while chunk := list(islice(record, _POSTED_TOGETHER)):
        entries = [
            {"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}}
            for each in chunk
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        status, body = connection.send(request("POST", "", options.token, json.dumps(bundle).encode()))
        assert status == 200, body[:500]
    connection.close()


def _tokens(system: System, callers: Sequence[str]) -> dict[str, str]:
    issued = {
        "professional": (data.PROFESSIONAL,),
        "operator": ("system", "--trusted"),
    }
    return {caller: system.token(*issued[caller]) for caller in callers}


def _row(names: tuple[str, str, str], taken: list[float], spent: Sequence[float], seconds: float) -> dict[str, Any]:
    ordered = sorted(taken)
    return {
        **dict(zip(COLUMNS, names, strict=False)),
        "requests_per_s": round(len(taken) / seconds, 1),
        "p50_ms": round(statistics.median(ordered) * 1000, 2),
        "p95_ms": round(ordered[int(len(ordered) * 0.95)] * 1000, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
        "server_cpu_ms": round(spent[0] / len(taken) * 1000, 2),
        "database_cpu_ms": round(spent[1] / len(taken) * 1000, 2),
    }


if __name__ == "__main__":
    main()
