"""`python -m bench.mutation`: change the gate one expression at a time and see whether its tests notice.

One pytest collects the tests once. A first pass runs each of them in a process of its own and notes the lines of the
gate it runs. Then each mutant lives in a forked process, in which the functions of one module get the code of the
changed source, and the tests that run the changed line look at it, those that found most for their time so far first,
up to the first that fails. No file is touched. What no test notices is printed unless
`tests/access/equivalent_mutants.toml` says why nothing can notice it, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import signal
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from bench.forks import Child, Seen, Tests
from bench.mutants import Mutant, mutants

FILES = ("fhir_server/access/*.py", "fhir_server/store/visibility.py")
_CONSENT = (
    "agreement",
    "break_glass",
    "codes_gate",
    "default_labels",
    "labels",
    "memberships",
    "proxies",
    "revocation",
    "withheld",
)
_HTTP = ("attacks", "scopes", "staff")
RULES = "tests/access"
"""What asks for one rule after the other: it notices most, so it looks first."""
TESTS = (
    RULES,
    *(f"tests/consent/test_{name}.py" for name in _CONSENT),
    *(f"tests/http/test_access_{name}.py" for name in _HTTP),
    "tests/smart/test_rfc9449.py",
    "tests/store/test_visibility.py",
)
"""What decides about the gate, the quick among the tests: each reads like a rule of access.md."""
_ON_POSTGRESQL = ("test_agreement", "test_codes_gate", "test_gate_cases", "test_memberships", "test_visibility")
"""What runs on both databases, for the parts of the gate that are of PostgreSQL only; the rest on SQLite."""
EQUIVALENT = Path("tests/access/equivalent_mutants.toml")


class Run:
    """A pytest plugin: in place of running the tests it runs them against mutants."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Remember what was asked for."""
        self._options = options
        self._known = _equivalents()
        self._covering: dict[Path, dict[int, set[int]]] = {}
        self._took_s: dict[int, float] = {}
        self._of_rules: set[int] = set()
        self._found: dict[Path, Counter[int]] = defaultdict(Counter)
        self.survived: list[Mutant] = []

    def pytest_configure(self) -> None:
        """Have properties look for a counterexample without looking for the smallest."""
        from hypothesis import Phase, settings  # noqa: PLC0415 - pytest rewrites its own plugins first

        settings.register_profile(
            "mutation", max_examples=50, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate)
        )
        os.environ["HYPOTHESIS_PROFILE"] = "mutation"

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Leave out what PostgreSQL has nothing of its own to say about."""
        items[:] = [each for each in items if _is_wanted(each)]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Note what each test covers, then try the mutants."""
        tests = Tests(session)
        paths = _matching(self._options.files)
        self._look(tests, _matching(FILES))
        print(f"{len(session.items)} tests", flush=True)
        waiting = self._drawn(paths)
        running: list[tuple[Mutant, Child]] = []
        number = 0
        while True:
            while len(running) < self._options.jobs and (mutant := next(waiting, None)) is not None:
                number += 1
                if number % 50 == 0:
                    print(f"{number} tried, now {mutant.path}:{mutant.line}", flush=True)
                chosen = self._chosen(mutant)
                if chosen:
                    running.append((mutant, tests.start(number, mutant, chosen, self._took_s)))
                else:
                    self._note(mutant, "no test runs it")
            if not running:
                break
            for mutant, child in [each for each in running if each[1].is_done()]:
                running.remove((mutant, child))
                if child.failed is not None:
                    self._found[mutant.path][child.failed] += 1
                elif child.survived:
                    self._note(mutant, f"{child.count} tests")
                else:
                    print(f"ended or took too long: {mutant.path}:{mutant.line} {mutant.within}: {mutant.change}")
            time.sleep(0.01)
        print(f"{number} mutants: {number - len(self.survived)} found, {len(self.survived)} not")
        return True

    def _look(self, tests: Tests, paths: Sequence[Path]) -> None:
        self._covering = {path: defaultdict(set) for path in paths}
        known = _map_of(self._options.map)
        missing = [index for index, item in enumerate(tests.items) if item.nodeid not in known]
        for batch in tests.batches(missing):
            known |= {tests.items[index].nodeid: seen for index, seen in tests.look(batch, paths).items()}
            if self._options.map and batch[0] % 20 == 0:
                self._options.map.write_bytes(pickle.dumps(known))
        for index, item in enumerate(tests.items):
            self._took_s[index], lines = known[item.nodeid]
            if item.nodeid.startswith(RULES):
                self._of_rules.add(index)
            for path, number in lines:
                self._covering[path][number].add(index)
        if self._options.map:
            self._options.map.write_bytes(pickle.dumps(known))

    def _drawn(self, paths: Sequence[Path]) -> Iterator[Mutant]:
        drawn = random.Random(self._options.seed)
        for path in paths:
            found = [each for each in mutants(path) if not self._options.within or each.within in self._options.within]
            tried = [each for each in found if each.name not in self._known]
            print(f"{path}: {len(found)} mutants, {len(found) - len(tried)} explained", flush=True)
            if self._options.sample and len(tried) > self._options.sample:
                tried = sorted(drawn.sample(tried, self._options.sample), key=lambda each: each.line)
            yield from tried

    def _chosen(self, mutant: Mutant) -> list[int]:
        """Return the tests for a mutant, in order: what runs its line, or for what runs at import its whole file."""
        covering = self._covering[mutant.path]
        lines = range(mutant.line, mutant.end + 1) if mutant.in_function else list(covering)
        tests = {index for line in lines for index in covering[line]}
        found = self._found[mutant.path]
        ordered = sorted(tests, key=lambda index: self._rank(index, found[index]))
        total = 0.0
        chosen: list[int] = []
        for index in ordered:
            total += self._took_s[index]
            if total > self._options.seconds and chosen:
                break
            chosen.append(index)
        return chosen

    def _rank(self, index: int, found: int) -> tuple[float, bool, float]:
        """Return what puts first what finds most for its time."""
        took_s = self._took_s[index]
        return -found / max(took_s, 0.001), index not in self._of_rules, took_s

    def _note(self, mutant: Mutant, why: str) -> None:
        self.survived.append(mutant)
        print(f"SURVIVED {mutant.path}:{mutant.line} {mutant.within}: {mutant.change}  ({why})", flush=True)


def _matching(patterns: Iterable[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in Path().glob(pattern))


def _map_of(file: Path | None) -> dict[str, Seen]:
    """Return what an earlier run wrote down of which test runs which line."""
    if file is None or not file.exists():
        return {}
    found: dict[str, Seen] = pickle.loads(file.read_bytes())  # noqa: S301 - our own
    return found


def _is_wanted(item: pytest.Item) -> bool:
    return "postgresql" not in item.name or item.path.stem in _ON_POSTGRESQL


def _equivalents() -> set[tuple[str, str, str]]:
    """Return the names of the mutants that behave as the original does; each has its reason beside it."""
    if not EQUIVALENT.exists():
        return set()
    listed = tomllib.loads(EQUIVALENT.read_text())["mutant"]
    assert all(each["reason"] for each in listed)
    return {(each["file"], each["within"], change) for each in listed for change in each["changes"]}


def main() -> None:
    """Try the mutants and print those that survive."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutation", description=main.__doc__)
    parser.add_argument("files", nargs="*", default=FILES, help="globs; the gate by default")
    parser.add_argument("--within", action="append", help="only in this function, e.g. Gate._vote; may be repeated")
    parser.add_argument("--sample", type=int, default=0, help="so many of each file; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--map", type=Path, help="file that keeps which test runs which line, while neither changes")
    parser.add_argument("--seconds", type=float, default=15, help="of tests that pass before a mutant counts as alive")
    run = Run(parser.parse_args())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    status = pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:xdist", *TESTS], plugins=[run])
    sys.exit(int(status) or bool(run.survived))


if __name__ == "__main__":
    main()
