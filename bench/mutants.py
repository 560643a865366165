"""What a mutation run changes in a module: one expression or statement at a time, and how such a change is named.

A change is named by the function it is in and by the text before and after, never by a line, so that what is known of
it stays true while lines move.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_CALLS = {"and_": "or_", "or_": "and_", "true": "false", "false": "true", "any": "all", "all": "any",
          "in_": "not_in", "not_in": "in_", "min": "max", "max": "min", "bit_and": "bit_or", "bit_or": "bit_and",
          "bitwise_and": "bitwise_or", "outerjoin": "join"}  # fmt: skip
_BINARY: dict[type[ast.operator], type[ast.operator]] = {
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.LShift: ast.RShift,
}  # fmt: skip
_TESTED_ALREADY = (ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Constant)
_A_TABLE = 10
"""So many elements are facts, which a test can only repeat."""
_NO_CODE = frozenset({"annotation", "returns", "decorator_list", "type_params"})


class Mutant(NamedTuple):
    """A changed module.

    Attributes:
        path: The module's file.
        line, end: Lines of what is changed, from 1.
        within: Qualified name of the function or class that holds it, `<module>` outside of any.
        change: `before  =>  after`; the second of the same text in one function ends in ` #2`.
        tree: The changed module.
        in_function: Only the body of a function differs: code that is not run at import.
    """

    path: Path
    line: int
    end: int
    within: str
    change: str
    tree: ast.Module
    in_function: bool

    @property
    def name(self) -> tuple[str, str, str]:
        """Return what names it for good: file, function, change."""
        return str(self.path), self.within, self.change


class _Site(NamedTuple):
    node: ast.AST
    new: ast.AST
    within: tuple[str, ...]
    in_function: bool


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a module; annotations, docstrings and decorators stay."""
    tree = ast.parse(path.read_text())
    seen: Counter[tuple[str, str]] = Counter()
    for node, new, within, in_function in _sites(tree, (), in_function=False):
        before, after = (" ".join(ast.unparse(each).split()) for each in (node, new))
        where, change = ".".join(within) or "<module>", f"{before}  =>  {after}"
        seen[where, change] += 1
        number = seen[where, change]
        changed = ast.fix_missing_locations(_Swap(node, new).changed(tree))
        yield Mutant(
            path, getattr(node, "lineno", 0), getattr(node, "end_lineno", 0), where,
            change + (f" #{number}" if number > 1 else ""), changed, in_function,
        )  # fmt: skip


class _Swap:
    """Copies a tree with one node replaced."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def changed(self, tree: ast.Module) -> ast.Module:
        """Return the changed copy; `deepcopy` puts the new node where its memo has the old one."""
        new = copy.deepcopy(self._new)
        ast.copy_location(new, self._old)
        return copy.deepcopy(tree, {id(self._old): new})


def _sites(node: ast.AST, within: tuple[str, ...], *, in_function: bool) -> Iterator[_Site]:
    """Yield what can be changed below a node, with the function that holds it."""
    for name, value in ast.iter_fields(node):
        if name in _NO_CODE:
            continue
        # What a function's defaults are is worked out where it is defined.
        inside = in_function or (name == "body" and isinstance(node, ast.FunctionDef | ast.Lambda))
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST):
                continue
            yield from (_Site(child, new, within, inside) for new in _changes(child))
            below = (*within, child.name) if isinstance(child, ast.FunctionDef | ast.ClassDef) else within
            yield from _sites(child, below, in_function=inside)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what an expression or statement can be changed into."""
    match node:
        case ast.Compare():
            yield from _of_comparison(node)
        case ast.BoolOp():
            yield from _of_bool(node)
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _BINARY:
            yield ast.BinOp(node.left, _BINARY[type(node.op)](), node.right)
        case ast.Constant(value=int() as value):
            yield ast.Constant(not value if isinstance(value, bool) else value + 1)
        case ast.IfExp():
            yield from (node.body, node.orelse)
        case ast.List() | ast.Set() if 1 < len(node.elts) < _A_TABLE:
            yield from (type(node)(elts=_without(node.elts, each)) for each in node.elts)
        case ast.Return(value=ast.Tuple(elts=values)):
            yield from (ast.Return(ast.Tuple(_without(values, each), ast.Load())) for each in values)
        case ast.Call():
            yield from _calls(node)
        case ast.If() if not isinstance(node.test, _TESTED_ALREADY):
            yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        case ast.Raise() | ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield ast.Pass()


def _of_comparison(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS.get(type(operator), ()):
            operators = [*node.ops[:index], other(), *node.ops[index + 1 :]]
            yield ast.Compare(node.left, operators, node.comparators)


def _of_bool(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    rests = (_without(node.values, left) for left in node.values)
    yield from (rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest) for rest in rests)


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if name in _CALLS:
        other = _CALLS[name]
        function: ast.expr = ast.Name(other)
        if isinstance(node.func, ast.Attribute):
            function = ast.Attribute(node.func.value, other)
        yield ast.Call(function, node.args, node.keywords)
    if name in {"and_", "or_", "where", "case"} and len(node.args) > 1:
        for left_out in node.args:
            yield ast.Call(node.func, _without(node.args, left_out), node.keywords)


def _without(nodes: list[ast.expr], left_out: ast.expr) -> list[ast.expr]:
    return [each for each in nodes if each is not left_out]
