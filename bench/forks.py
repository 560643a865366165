"""Forked processes in which collected tests run: once to see what they cover, then against changed code."""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, cast

import coverage
import pytest
from _pytest.runner import runtestprotocol

from bench.mutants import Mutant
from fhir_server.spec import definitions

_OURS = ("fhir_server", "tests")
_SLOWER = 6
"""A test that takes this many times as long as it did, and half a minute, has found something."""
_PATIENCE_S = 30.0
Seen = tuple[float, list[tuple[Path, int]]]


class Child:
    """A process that looks at one mutant.

    Attributes:
        failed: Index of the test that noticed; None while there is none.
        survived: Every test passed.
        count: How many tests were to look.
    """

    def __init__(self, pid: int, pipe: int, folder: Path, limit_s: float, count: int) -> None:
        """Watch a process until it has said what came of it, or time is up."""
        self._pid, self._pipe, self._folder = pid, pipe, folder
        self._end = time.monotonic() + limit_s
        self.count = count
        self.failed: int | None = None
        self.survived = False

    def is_done(self) -> bool:
        """Return whether the process has ended, after having ended one that takes too long."""
        done, _ = os.waitpid(self._pid, os.WNOHANG)
        if not done:
            if time.monotonic() < self._end:
                return False
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        said = os.read(self._pipe, 100)
        os.close(self._pipe)
        shutil.rmtree(self._folder, ignore_errors=True)
        # A process that died, or was killed, found something too.
        self.survived = said == b"passed"
        if said and not self.survived:
            self.failed = int(said)
        return True


class Tests:
    """The collected tests of one pytest session, each run in a fork of it."""

    def __init__(self, session: pytest.Session) -> None:
        """Start what all of them share: a folder of prepared databases, a PostgreSQL."""
        self.items = session.items
        self._base = Path(tempfile.mkdtemp(prefix="fhir-server-mutation-"))
        (self._base / "sqlite-templates").mkdir()
        session.config.add_cleanup(lambda: shutil.rmtree(self._base, ignore_errors=True))
        # INVARIANT: pytest makes its folders in `_basetemp`; each fork has one of its own.
        self._factory: Any = getattr(session.config, "_tmp_path_factory")  # noqa: B009 - pytest's own, without a type
        self._give_folder(self._base)
        self._cluster: Any = None
        if any("postgresql" in item.name for item in self.items):
            self._share_cluster(session)
        definitions.load()
        self._leave_an_application()
        # INVARIANT: frozen objects are not listed, and an application that was built froze all there was.
        gc.unfreeze()
        self._functions = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
        assert change in self._functions, "what is not listed is not changed, and every mutant lives"
        # What is loaded is shared with every fork: nothing walks over it to look for garbage.
        gc.collect()
        gc.freeze()

    def _give_folder(self, folder: Path) -> None:
        self._factory._basetemp = folder  # noqa: SLF001 - there is no other way to give a fork its own

    def _leave_an_application(self) -> None:
        """Build what the first test of each fork would build again: it takes longer than most tests."""
        from tests.server import build  # noqa: PLC0415 - as below

        build(f"sqlite:///{self._base / 'nothing.db'}", self._base).close()

    def _share_cluster(self, session: pytest.Session) -> None:
        """Give the fixture what runs already, so that no fork starts or stops a server of its own."""
        from tests.postgres import run_folder, running_cluster  # noqa: PLC0415 - pytest loads what belongs to it

        running = running_cluster(run_folder(os.getpid()))
        self._cluster = next(running)

        def end() -> None:
            next(running, None)

        session.config.add_cleanup(end)
        holders = [each for each in sys.modules.values() if "postgres_cluster" in vars(each)]
        for holder in holders:
            holder.running_cluster = lambda _: iter([self._cluster])  # type: ignore[attr-defined]

    def look(self, indexes: Sequence[int], paths: Sequence[Path]) -> dict[int, Seen]:
        """Run tests as they are, in one process; return what each took and ran."""
        names = {str(path.resolve()): path for path in paths}

        def run() -> bytes:
            watch = coverage.Coverage(data_file=None, include=list(names), config_file=False)
            watch.set_option("run:disable_warnings", ["no-data-collected"])
            watch.start()
            took_s, failures = {}, ""
            for index in indexes:
                began = time.monotonic()
                watch.switch_context(str(index))
                failures += self._failures(index)
                took_s[index] = time.monotonic() - began
            watch.stop()
            return pickle.dumps((took_s, failures, _lines(watch.get_data(), names)))

        pid, pipe = self._forked(run, self._base)
        with os.fdopen(pipe, "rb") as told:
            answer = told.read()
        os.waitpid(pid, 0)
        named = ", ".join(self.items[index].nodeid for index in indexes)
        if not answer:
            sys.exit(f"A process ended that ran {named}")
        took_s, failures, lines = pickle.loads(answer)  # noqa: S301 - our own fork wrote it
        if failures:
            sys.exit(f"One of {named} does not pass as it is:\n{failures}")
        return {index: (took_s[index], lines.get(str(index), [])) for index in indexes}

    def batches(self, wanted: Sequence[int]) -> Iterator[list[int]]:
        """Yield tests to be looked at together: a module's that need no database, others one by one.

        What a server builds once is built in the test that is looked at.
        """
        together: dict[Path, list[int]] = {}
        for index in wanted:
            item = cast("pytest.Function", self.items[index])
            if "databases" in item.fixturenames:
                yield [index]
            else:
                together.setdefault(item.path, []).append(index)
        yield from together.values()

    def start(self, number: int, mutant: Mutant, chosen: Sequence[int], took_s: Mapping[int, float]) -> Child:
        """Start the process that looks at a mutant with these tests, up to the first that fails."""
        folder = self._base / f"mutant-{number}"
        folder.mkdir()
        (folder / "sqlite-templates").symlink_to(self._base / "sqlite-templates")

        def run() -> bytes:
            try:
                change(mutant, self._functions)
            except Exception:  # noqa: BLE001 - a module that cannot be imported so is noticed by whoever starts it
                return str(chosen[0]).encode()
            failed = next((index for index in chosen if self._failures(index)), None)
            return b"passed" if failed is None else str(failed).encode()

        limit_s = _PATIENCE_S + _SLOWER * sum(took_s[index] for index in chosen)
        pid, pipe = self._forked(run, folder)
        return Child(pid, pipe, folder, limit_s, len(chosen))

    def _forked(self, run: Callable[[], bytes], folder: Path) -> tuple[int, int]:
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.close(writing)
            return child, reading
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            self._give_folder(folder)
            if self._cluster is not None:
                # The parent's connections are not ours to talk on, nor to close.
                self._not_ours = self._cluster.take_new_connection()
            answer = run()
            if self._cluster is not None:
                self._cluster.copies.close()
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer)
        finally:
            os._exit(0)

    def _failures(self, index: int) -> str:
        reports = runtestprotocol(self.items[index], log=False, nextitem=None)
        return "\n".join(report.longreprtext for report in reports if report.failed)


def _lines(data: coverage.CoverageData, names: Mapping[str, Path]) -> dict[str, list[tuple[Path, int]]]:
    found: dict[str, list[tuple[Path, int]]] = {}
    for name, path in names.items():
        for number, contexts in data.contexts_by_lineno(name).items():
            for context in contexts:
                found.setdefault(context, []).append((path, number))
    return found


def change(mutant: Mutant, functions: Iterable[FunctionType]) -> None:
    """Give what is loaded of a module the code of the changed one, and every holder of its constants their values.

    Args:
        mutant: The change.
        functions: All that are loaded.
    """
    path = str(mutant.path.resolve())
    code = compile(mutant.tree, path, "exec")
    module = next(each for each in sys.modules.values() if getattr(each, "__file__", None) == path)
    codes = dict(_functions(code))
    for function in functions:
        mine = function.__code__
        new = codes.get((mine.co_qualname, mine.co_firstlineno)) if mine.co_filename == path else None
        if new is not None and new.co_freevars == mine.co_freevars:
            function.__code__ = new
    if not mutant.in_function:
        _give_values(module, code)


def _functions(code: CodeType) -> list[tuple[tuple[str, int], CodeType]]:
    found = []
    for each in code.co_consts:
        if isinstance(each, CodeType):
            found += [((each.co_qualname, each.co_firstlineno), each), *_functions(each)]
    return found


def _give_values(module: ModuleType, code: CodeType) -> None:
    fresh = ModuleType(module.__name__)
    fresh.__dict__.update(__file__=module.__file__, __package__=module.__package__, __spec__=module.__spec__)
    known = sys.modules[module.__name__]
    sys.modules[module.__name__] = fresh
    try:
        exec(code, fresh.__dict__)  # noqa: S102 - our own source
    finally:
        sys.modules[module.__name__] = known
    holders = [each for name, each in sys.modules.items() if name.partition(".")[0] in _OURS]
    for name, new in vars(fresh).items():
        old = vars(module).get(name)
        if isinstance(new, FunctionType | type):
            _give_defaults(old, new)
        elif not name.startswith("__") and not isinstance(new, ModuleType) and repr(new) != repr(old):
            for holder in holders:
                if vars(holder).get(name) is old:
                    setattr(holder, name, new)


def _give_defaults(old: Any, new: Any) -> None:
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__
    elif isinstance(old, type) and old.__module__ == new.__module__:
        for name, value in list(vars(new).items()):
            if isinstance(value, FunctionType):
                _give_defaults(vars(old).get(name), value)
