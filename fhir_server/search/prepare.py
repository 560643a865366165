"""Run the statement of a search as text compiled once per shape of search, for building it costs more than running it.

Comes in: criteria, whose values stand in fields made with `value`. Goes out: rows. The shape of a search is
everything but its
values: two searches for a name differ in values only. INVARIANT: SQL conditions use a value as it is, never look at
it: at a first run they are given bound parameters in the place of values.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cache
from itertools import count
from typing import Any

from sqlalchemy import BigInteger, Float, Result, Select, Text, bindparam
from sqlalchemy.types import TypeEngine

from fhir_server.store import prepared
from fhir_server.store.database import Session
from fhir_server.store.prepared import Plan
from fhir_server.store.visibility import Visibility, execute

_VALUES_LIMIT = 40
_SHAPES_LIMIT = 512
_SQL_TYPES: dict[type, TypeEngine[Any]] = {int: BigInteger(), float: Float(53), str: Text()}
_LEAVES = frozenset({str, int, bool, type(None)})
_recent: OrderedDict[Hashable, None] = OrderedDict()


def value(**options: Any) -> Any:
    """Return a dataclass field that holds a value of the search, or nested tuples of them."""
    return field(metadata={"value": True}, **options)


@dataclass(frozen=True, slots=True)
class Question:
    """What varies between statements of one kind.

    Attributes:
        kind: Which statement.
        fixed: What its text depends on beside the tree, such as types and page size.
        tree: Criteria and position.
    """

    kind: str
    fixed: Hashable
    tree: Any


def run(
    session: Session,
    visibility: Visibility,
    question: Question,
    build: Callable[[Any], Select[Any]],
    plan: Plan = Plan.THESE_VALUES,
    more: Mapping[str, Any] | None = None,
) -> Result[Any]:
    """Run the statement that `build` makes of the question's tree, from memory where its shape is known.

    Args:
        session: The transaction.
        visibility: Which rows exist.
        question: What varies between statements of a kind.
        build: Returns the statement.
        plan: How PostgreSQL plans it.
        more: Further values that the statement names.
    """
    values: dict[str, Any] = {}
    shape = (question.kind, question.fixed, visibility.shape, _shape(question.tree, values))
    if len(values) > _VALUES_LIMIT:
        prepared.plan_for(session, Plan.THESE_VALUES)
        return execute(session, visibility, build(question.tree), more)
    _remember(session, shape)
    named = {**visibility.parameters(), **values, **(more or {})}
    return prepared.run(session, shape, lambda: build(_emptied(question.tree, count())), named, plan)


def _remember(session: Session, shape: Hashable) -> None:
    """Forget the shape that was not asked for longest, for callers can think of any number."""
    _recent[shape] = None
    _recent.move_to_end(shape)
    if len(_recent) > _SHAPES_LIMIT:
        session.store.prepared.pop(_recent.popitem(last=False)[0], None)


@cache
def _plan(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Return the fields of a dataclass, and whether each holds values; none of any other type."""
    if not is_dataclass(kind):
        return ()
    return tuple((each.name, "value" in each.metadata) for each in fields(kind))


def _shape(node: Any, values: dict[str, Any]) -> Hashable:
    """Return what is not a value of a tree; collect what is."""
    # Every search comes by here, some twenty nodes each: no generators, and no call for a leaf.
    if isinstance(node, tuple):
        return tuple([each if type(each) in _LEAVES else _shape(each, values) for each in node])
    kind: Any = type(node)
    parts: list[Hashable] = [kind]
    for name, is_value in _plan(kind):
        held = getattr(node, name)
        if is_value:
            parts.append(_collected(held, values))
        else:
            parts.append(held if type(held) in _LEAVES else _shape(held, values))
    return tuple(parts) if len(parts) > 1 else node


def _collected(node: Any, values: dict[str, Any]) -> Hashable:
    if isinstance(node, tuple):
        return tuple([_collected(each, values) for each in node])
    if node is None:
        return None
    values[_name(len(values))] = node
    return _SQL_TYPES[type(node)]


def _emptied(node: Any, numbers: Iterator[int]) -> Any:
    """Return the tree with bound parameters for values, numbered in the order in which `_shape` collects them."""
    if is_dataclass(node) and not isinstance(node, type):
        kind: Any = type(node)
        changes = {
            name: _bound(getattr(node, name), numbers) if is_value else _emptied(getattr(node, name), numbers)
            for name, is_value in _plan(kind)
        }
        return replace(node, **changes)
    return tuple(_emptied(each, numbers) for each in node) if isinstance(node, tuple) else node


def _bound(node: Any, numbers: Iterator[int]) -> Any:
    if isinstance(node, tuple):
        return tuple(_bound(each, numbers) for each in node)
    return None if node is None else bindparam(_name(next(numbers)), type_=_SQL_TYPES[type(node)], required=True)


@cache
def _name(number: int) -> str:
    return f"search_{number}"
