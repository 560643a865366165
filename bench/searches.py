"""`python -m bench search`: how long a professional's searches take in the server, gate and audit on, without HTTP.

Milliseconds from the token to the answer as it would be sent, with the AuditEvent durable; every request is another
one, asked once before, so that what it reads is in memory. `page-1000` follows the links of a sorted search for a
thousand pages first. The record is that of `bench gate`.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from bench import data, gate
from bench.road import Road
from bench.system import Record, running
from fhir_server.interactions.model import Code, Interaction
from fhir_server.spec import json

COLUMNS = ("database", "search", "p50_ms", "p95_ms", "target")
_PAGES = 1_000
_SORTED = (("_sort", "-date"), ("_count", "20"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure searches and print a table."""
    options = _options(arguments)
    rows = []
    for database in options.database or ["sqlite", "postgresql"]:
        record = Record(f"gate_{options.patients}_{options.observations}", gate.filler(options))
        with running(options.folder, database, record, workers=1) as system:
            road = Road(system.environment, "gated")
            rows += [(database, *row) for row in _measure(road, options)]
            road.context.store.close()
    print(f"\n| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


def _searches(options: argparse.Namespace, road: Road) -> dict[str, tuple[str, Callable[[], Interaction]]]:
    """Return by name the target (p50, p95 in milliseconds) and how to make another request of the kind."""
    chance = random.Random(options.seed)

    def number() -> int:
        return chance.randrange(options.patients)

    def patient() -> tuple[str, str]:
        return "patient", data.patient_id(number())

    def code() -> tuple[str, str]:
        return "code", f"http://loinc.org|{chance.choice(data.CODES)[0]}"

    def valued() -> Interaction:
        name, _, _, usual = chance.choice(data.CODES)
        return _search("Observation", ("code", f"http://loinc.org|{name}"), ("value-quantity", f"gt{usual * 1.19:.4g}"))

    def dated() -> Interaction:
        day = f"ge2024-{chance.randrange(1, 13):02d}-{chance.randrange(1, 29):02d}"
        return _search("Observation", patient(), ("category", "laboratory"), ("date", day), ("_sort", "-date"))

    def chained() -> Interaction:
        return _search("Observation", ("patient.name", chance.choice(data.FAMILIES)), code())

    def included() -> Interaction:
        return _search("Patient", ("_id", data.patient_id(number())), ("_revinclude", "Observation:patient"))

    def identified() -> Interaction:
        return _search("Patient", ("identifier", f"https://example.org/mrn|{number():08d}"))

    def named() -> Interaction:
        return _search("Patient", ("name", chance.choice(data.FAMILIES)[:3]), ("_count", "20"))

    def sorted_by(which: tuple[str, str]) -> Interaction:
        return Interaction(Code.SEARCH, "Observation", query=(which, *_SORTED))

    common = ("code", f"http://loinc.org|{data.CODES[0][0]}")
    return {
        "patient-50": ("2, 5", lambda: _search("Observation", patient(), ("_count", "50"))),
        "patient-code": ("1, 3", lambda: _search("Observation", patient(), code())),
        "patient-category-date-sorted": ("1.5, 4", dated),
        "code-value": ("5, 25", valued),
        "identifier": ("1", identified),
        "name-prefix": ("2", named),
        "chained-name": ("6, 30", chained),
        "revinclude": ("4", included),
        "page-1": ("", lambda: sorted_by(common)),
        "page-1000": ("1.2 of page-1", _on_page(road, sorted_by(common))),
    }


def _search(resource_type: str, *query: tuple[str, str]) -> Interaction:
    return Interaction(Code.SEARCH, resource_type, query=query)


def _on_page(road: Road, first: Interaction) -> Callable[[], Interaction]:
    """Return what asks for a page far on, which is found when it is asked for first."""
    found: list[Interaction] = []

    def page() -> Interaction:
        if not found:
            at = first
            for _ in range(_PAGES - 1):
                at = _next(road, at) or at
            found.append(at)
        return found[0]

    return page


def _next(road: Road, asked: Interaction) -> Interaction | None:
    answer: dict[str, Any] = json.decode(road.sent(asked).content, 2**30)
    link = next((link["url"] for link in answer["link"] if link["relation"] == "next"), None)
    return link and _search(asked.type, *parse_qsl(urlsplit(link).query))


def _measure(road: Road, options: argparse.Namespace) -> list[tuple[str, str, str, str]]:
    rows = []
    for name, (target, make) in _searches(options, road).items():
        if options.only and name not in options.only:
            continue
        asked, taken = [make() for _ in range(options.repeats)], []
        for number, each in enumerate((*asked, *asked)):
            started = time.perf_counter()
            road.sent(each)
            if number >= len(asked):
                taken.append((time.perf_counter() - started) * 1000)
        ordered = statistics.quantiles(taken, n=20)
        rows.append((name, f"{ordered[9]:.2f}", f"{ordered[18]:.2f}", target))
    return rows


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fhir-server bench search", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("only", nargs="*", help="searches, such as code-value; all by default")
    gate.add_record_options(parser)
    return parser.parse_args(arguments)
