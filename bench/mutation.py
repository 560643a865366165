"""`python -m bench.mutation`: change the gate one expression at a time and see whether its fast tests notice.

Each mutant lives in a forked process whose import of one module is given the changed source; no file is touched. What
no test notices is printed, and the exit status is 1. `--sample` draws so many of each file; all of them take hours.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import importlib.machinery
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

FILES = ("fhir_server/access/*.py", "fhir_server/store/visibility.py")
TESTS = ("tests/access", "tests/consent/test_agreement.py", "tests/consent/test_codes_gate.py")
_LIMIT_S = 300
_QUIET = ("-W", "ignore::pytest.PytestAssertRewriteWarning")  # what is loaded before the fork is not rewritten
_HEAVY = (
    "alembic.command",
    "alembic.config",
    "flask",
    "hypothesis",
    "orjson",
    "pytest",
    "sqlalchemy.orm",
    "werkzeug.test",
)
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_CALLS = {"and_": "or_", "or_": "and_", "true": "false", "false": "true", "any": "all", "all": "any",
          "in_": "not_in", "not_in": "in_", "min": "max", "max": "min"}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.LShift: ast.RShift,
}  # fmt: skip


class Mutant(NamedTuple):
    """A changed module: which expression of it, and into what."""

    path: Path
    line: int
    change: str
    tree: ast.Module


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what an expression can be changed into."""
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            for other in _COMPARISONS.get(type(operator), ()):
                operators = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                yield ast.Compare(node.left, operators, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        if len(node.values) > 1:
            yield from (ast.BoolOp(node.op, [v for v in node.values if v is not left]) for left in node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        yield ast.BinOp(node.left, _BINARY[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
    elif isinstance(node, ast.Call):
        yield from _calls(node)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in _CALLS:
        other = _CALLS[name]
        function = ast.Name(other) if isinstance(node.func, ast.Name) else ast.Attribute(node.func.value, other)  # type: ignore[attr-defined]
        yield ast.Call(function, node.args, node.keywords)
    if name in {"and_", "or_", "where"} and len(node.args) > 1:
        for left_out in node.args:
            yield ast.Call(node.func, [each for each in node.args if each is not left_out], node.keywords)


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return ast.copy_location(self.new, self.old) if node is self.old else self.generic_visit(node)


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module; annotations, docstrings and decorators stay."""
    source = path.read_text()
    count = sum(1 for _ in _sites(ast.parse(source)))
    for number in range(count):
        tree = ast.parse(source)
        node, new = next(site for index, site in enumerate(_sites(tree)) if index == number)
        before = ast.unparse(node)
        line = getattr(node, "lineno", 0)
        changed = ast.fix_missing_locations(_Swap(node, new).visit(tree))
        yield Mutant(path, line, f"{before}  =>  {ast.unparse(new)}", changed)


def _sites(tree: ast.AST) -> Iterator[tuple[ast.AST, ast.AST]]:
    for node in _code(tree):
        for new in _changes(node):
            yield node, new


def _code(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child
                yield from _code(child)


class _Changed(importlib.machinery.SourceFileLoader):
    """Loads one module from a changed tree."""

    mutant: Mutant

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the changed code of that module, everything else as it is."""
        if Path(self.path).resolve() == self.mutant.path.resolve():
            return compile(self.mutant.tree, self.path, "exec")
        return super().get_code(fullname)


def survives(mutant: Mutant) -> bool:
    """Return whether the tests pass with this mutant, in a process of its own."""
    child = os.fork()
    if child == 0:
        _run(mutant)
    end = time.monotonic() + _LIMIT_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run(mutant: Mutant) -> None:
    import pytest  # noqa: PLC0415 - loaded before the fork; nothing of ours is

    _Changed.mutant = mutant
    machinery = importlib.machinery
    compiled = (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES)
    hook = machinery.FileFinder.path_hook(compiled, (_Changed, machinery.SOURCE_SUFFIXES))
    sys.path_hooks.insert(0, hook)
    sys.path_importer_cache.clear()
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    tests = [test for test in TESTS if Path(test).exists()]
    status = 3
    with contextlib.suppress(BaseException):
        status = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-k", "not postgresql", *_QUIET, *tests]))
    os._exit(status)


def main() -> None:
    """Try the mutants and print those that survive."""
    parser = argparse.ArgumentParser(prog="python -m bench.mutation", description=main.__doc__)
    parser.add_argument("files", nargs="*", default=FILES, help="globs; the gate by default")
    parser.add_argument("--sample", type=int, default=0, help="so many of each file; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name in _HEAVY:
        importlib.import_module(name)
    drawn = random.Random(options.seed)
    unchanged = Path("fhir_server/access/verdict.py")
    if not survives(Mutant(unchanged, 0, "", ast.parse(unchanged.read_text()))):
        sys.exit("the tests do not pass as it is")
    paths = sorted(path for pattern in options.files for path in Path().glob(pattern))
    tried, alive = 0, 0
    for path in paths:
        found = list(mutants(path))
        if options.sample and len(found) > options.sample:
            found = drawn.sample(found, options.sample)
        for mutant in sorted(found, key=lambda each: each.line):
            tried += 1
            if survives(mutant):
                alive += 1
                print(f"SURVIVED {path}:{mutant.line}: {mutant.change}", flush=True)
        print(f"{path}: {len(found)} tried", flush=True)
    print(f"{tried} mutants, {alive} survived")
    sys.exit(bool(alive))


if __name__ == "__main__":
    main()
